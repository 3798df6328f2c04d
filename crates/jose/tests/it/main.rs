//! The library from outside: published vectors, hostile tokens and keys, every algorithm.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers outside of test functions may fail the test too"
)]

mod hostile;
mod keys;
mod policy;
mod round_trip;
mod seeds;
mod vectors;
