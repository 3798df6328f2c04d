//! Which of several servers is followed. All connections of a node lead to one of them: reading what one says while
//! another is written would be worse than not being connected.
//!
//! A server that takes over writes on a timeline of its own, a higher one. Whoever has seen that does not go back to the
//! one that was replaced, however alive it looks.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_postgres::Client;

use crate::failure::Failure;
use crate::postgres::failure::unavailable;

/// What tells servers apart, in one round trip.
const WHICH: &str = "SELECT system_identifier, \
    ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint FROM pg_control_system()";

/// A server, as it was when a connection to it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The same for all that were copied from one.
    system: i64,
    timeline: i64,
}

/// The server that is followed, the same for all connections of a node.
#[derive(Clone, Default)]
pub(crate) struct Lead(Arc<Mutex<Option<Origin>>>);

impl Lead {
    /// The server that this connection leads to, unless that was replaced. `None` where it may not be asked which one it is.
    pub(crate) async fn find(&self, client: &Client) -> Result<Option<Origin>, Failure> {
        let Ok(row) = client.query_one(WHICH, &[]).await else { return Ok(None) };
        let (Ok(system), Ok(timeline)) = (row.try_get(0), row.try_get(1)) else { return Ok(None) };
        let found = Origin { system, timeline };
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(known) if known.system == system && known.timeline > timeline => Err(unavailable(format!(
                "it was replaced: its timeline is {timeline}, and that of the server that has taken over {}",
                known.timeline
            ))),
            _ => Ok(Some(found)),
        }
    }

    /// Follows this server from now on. It has our store: a foreign one at the same address must not draw us away.
    pub(crate) fn follow(&self, origin: Option<Origin>) {
        if origin.is_some() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = origin;
        }
    }

    /// Whether a connection leads to the server that is followed.
    pub(crate) fn is_followed(&self, origin: Option<Origin>) -> bool {
        let followed = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        origin.is_none() || followed.is_none() || origin == followed
    }
}
