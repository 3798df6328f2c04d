//! The front door over real sockets, with a manual clock.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers outside of test functions may fail the test too"
)]

mod contract;
mod hostile;
mod openapi;
mod properties;
mod slow;
mod support;
mod transport;
mod vectors;
