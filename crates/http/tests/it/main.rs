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
mod http2;
mod nodes;
mod oauth;
mod openapi;
mod properties;
mod revocation_batches;
mod rotation;
mod slow;
mod stale;
mod support;
mod token_batches;
mod transport;
mod v1;
mod vectors;
