//! The front door of jotd: listeners, connections with their limits, and the routes.
//!
//! A request's way reads from top to bottom: [`Server`] accepts a connection, `connection` keeps its time limits,
//! `router` picks the route, one file per route answers, and `refusal` turns every failure into its response.

pub mod shown;

mod bearer;
mod body;
mod connection;
mod cors;
mod failures;
mod form;
mod forwarded;
mod health;
mod introspect;
mod limits;
mod members;
mod metrics;
mod oauth;
mod openapi;
mod ready;
mod refusal;
mod revoke;
mod router;
mod server;
mod simple;
mod token;
mod v1;
mod v1_clients;
mod v1_keys;
mod v1_revocations;
mod v1_tokens;
mod well_known;

/// The longest token that is minted or looked at, in bytes.
pub const LONGEST_TOKEN: usize = jose::MAX_TOKEN_LENGTH;

pub use limits::Limits;
pub use metrics::Metrics;
pub use router::{Access, Router, Surface};
pub use server::Server;
