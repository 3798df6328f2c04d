//! The front door of jotd: listeners, connections with their limits, and the routes.
//!
//! A request's way reads from top to bottom: [`Server`] accepts a connection, `connection` keeps its time limits,
//! `router` picks the route, one file per route answers, and `refusal` turns every failure into its response.

mod body;
mod connection;
mod health;
mod limits;
mod openapi;
mod refusal;
mod router;
mod server;
mod simple;

/// The longest token that is minted or looked at, in bytes.
pub const LONGEST_TOKEN: usize = jose::MAX_TOKEN_LENGTH;

pub use limits::Limits;
pub use router::{Router, Surface};
pub use server::Server;
