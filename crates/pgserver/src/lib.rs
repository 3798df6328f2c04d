//! PostgreSQL for tests and benchmarks: real servers, private to the process, and a proxy that behaves as bad networks do.
//!
//! Everything here ends with the process that started it, in whatever way that ends, and leaves nothing behind. Whatever
//! goes wrong fails the test: there is nothing that a test could do about it.

#![allow(clippy::expect_used, clippy::panic, reason = "for tests only, which fail where this does")]

mod link;
mod port;
pub mod processes;
mod programs;
mod proxy;
mod server;
mod watch;

pub use port::free_port;
pub use programs::is_installed;
pub use proxy::Proxy;
pub use server::{Server, Shutdown};
