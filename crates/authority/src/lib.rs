//! What the token service means, without a word of HTTP: whoever speaks a protocol calls in here.
//!
//! An [`Authority`] is a state in memory that anybody reads, and a store behind it that only the `ledger` writes. Minting
//! and verifying are functions of that state; they write nothing. Time, randomness, the master key and the store come
//! through ports, so that every rule can be tested at every instant.

pub mod error;
mod order;
pub mod ports;
pub mod store;

mod authentication;
mod authority;
mod clients;
mod credential;
mod freshness;
mod grant;
mod housekeeping;
mod ignorance;
mod keyring;
mod keys;
mod ledger;
mod mint;
mod recent;
mod record;
mod revocation;
mod revoke;
mod revoke_many;
mod revoked_tokens;
mod scope;
mod seal;
mod setup;
mod signing_key;
mod state;
mod token_id;
mod tokens;
mod verify;

pub use authority::{Authority, Caller, Created, Once, Parts};
pub use clients::{ClientChange, ClientSecret, DEFAULT_TOKEN_LIFETIME, LOCAL_CLIENT, NewClient};
pub use credential::Credential;
pub use freshness::{Seen, Staleness, Standing};
pub use grant::{Custom, Issued};
pub use housekeeping::LOG_KEPT;
pub use keys::{Planned, Rotation};
pub use ledger::CommitObserver;
pub use mint::SimpleMinter;
pub use ports::UnixTime;
pub use record::{Client, KeyRecord, KeyState, Origin, Rule, SecretRecord, Slot, Terms, Whose};
pub use revoke::Revocation;
pub use revoke_many::{MOST_REVOCATIONS, NewRevocation, Outcome, Revocable};
pub use scope::{OWN_SCOPES, Scopes};
pub use seal::MasterKey;
pub use setup::{Setup, SimpleKeyHome};
pub use signing_key::{PublishedKey, SimpleKey};
pub use state::{LiveClient, State, asymmetric_algorithms};
pub use token_id::TokenId;
pub use tokens::{AcceptedToken, AccessToken, Examination, SimpleToken};
pub use verify::{SimpleVerification, verify_simple};
