//! The authority over a real store, under a clock that is set by hand.

mod clients;
mod keyring;
mod ledger;
mod revocation;
mod support;
mod tokens;
