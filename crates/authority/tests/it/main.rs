//! The authority over a real store, under a clock that is set by hand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers outside of test functions may fail the test too"
)]

mod clients;
mod keyring;
mod ledger;
mod revocation;
mod revoke_many;
mod support;
mod tokens;
