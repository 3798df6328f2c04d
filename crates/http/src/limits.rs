//! What one client may cost.

use std::time::Duration;

/// Sizes in bytes, times from the moment that the client could have acted.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// The request line and headers together; more is answered 431. At least 8192.
    pub head_bytes: usize,
    /// The body of `/generateToken`; more is answered 413.
    pub generate_body_bytes: usize,
    /// The body of `/verifyToken`; more is answered 413.
    pub verify_body_bytes: usize,
    /// The body of every other route; more is answered 413.
    pub api_body_bytes: usize,
    /// The body of a batch, but for one in lines; more is answered 413.
    pub batch_body_bytes: usize,
    /// Failed authentications of one address, or under one client's name, that may come at once, and again within a
    /// minute; `None` is no limit.
    pub auth_failures: Option<u32>,
    /// From the first byte of a request (or the connection's start) to the end of its headers.
    pub head_timeout: Duration,
    /// From the end of the headers to the end of the body.
    pub body_timeout: Duration,
    /// How long a client may take to accept a finished response.
    pub write_timeout: Duration,
    /// How long a connection is kept for the next request.
    pub idle_timeout: Duration,
    /// How long requests are still taken once the server is told to stop, while `/readyz` says that it will be gone.
    pub drain_time: Duration,
    /// How long requests in flight may take after that.
    pub stop_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            head_bytes: 16 * 1024,
            generate_body_bytes: 64 * 1024,
            verify_body_bytes: 128 * 1024,
            api_body_bytes: 64 * 1024,
            batch_body_bytes: 16 * 1024 * 1024,
            auth_failures: Some(30),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            drain_time: Duration::ZERO,
            stop_timeout: Duration::from_secs(10),
        }
    }
}
