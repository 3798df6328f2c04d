//! The servers and the proxy that other tests trust.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers outside of test functions may fail the test too")]

mod postgres;
mod proxy;
