//! The front door of jotd: listeners, connections with their limits, and the routes.
//!
//! A request's way reads from top to bottom: [`Server`] accepts a connection in one of its workers, `http1` or `http2`
//! makes requests of its bytes and keeps its time limits, `router` picks the route, one file per route answers, and
//! `refusal` turns every failure into its response.

pub mod shown;

mod bearer;
mod buffers;
mod chunked;
mod connection;
mod cors;
mod counters;
mod date;
mod failures;
mod form;
mod forwarded;
mod head;
mod health;
mod http1;
mod http1_answer;
mod http1_stream;
mod http2;
mod introspect;
mod limits;
mod lines;
mod members;
mod metrics;
mod oauth;
mod openapi;
mod ready;
mod refusal;
mod request;
mod response;
mod revoke;
mod router;
mod server;
mod simple;
mod token;
mod turn;
mod v1;
mod v1_batch;
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
