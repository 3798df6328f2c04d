//! What the token service means, without a word of HTTP: whoever speaks a protocol calls in here.
//!
//! Time and randomness come through the ports in [`ports`], so that every rule can be tested at every instant.

pub mod error;
pub mod ports;

mod mint;
mod signing_key;
mod token_id;
mod verify;

pub use mint::SimpleMinter;
pub use signing_key::{PublishedKey, SimpleKey};
pub use token_id::TokenId;
pub use verify::{SimpleVerification, verify_simple};
