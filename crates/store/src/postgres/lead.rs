//! Which of several servers is followed. All connections of a node lead to one of them: reading what one says while
//! another is written would be worse than not being connected.
//!
//! A server that takes over writes on a timeline of its own, a higher one. Whoever has seen that does not go back to the
//! one that was replaced, however alive it looks.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_postgres::Client;

use crate::failure::Failure;
use crate::postgres::failure::unavailable;

/// What tells servers apart, in one round trip.
const WHICH: &str = "SELECT system_identifier, \
    ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint, \
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint FROM pg_control_system()";

/// A server, as it was when a connection to it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The same for all that were copied from one.
    system: i64,
    timeline: i64,
    /// When it was started, which tells those apart that have taken over from the same one.
    started: i64,
}

impl Origin {
    /// Whether the other one has taken over from it.
    fn was_replaced_by(self, other: Self) -> bool {
        self.system == other.system && self.timeline < other.timeline
    }
}

/// The server that is followed, the same for all connections of a node.
#[derive(Clone, Default)]
pub(crate) struct Lead(Arc<Shared>);

#[derive(Default)]
struct Shared {
    followed: Mutex<Option<Origin>>,
    /// The place that is tried first.
    first: AtomicUsize,
    /// Whether it was said that servers cannot be told apart.
    is_told: AtomicBool,
}

impl Lead {
    /// The server that this connection leads to, unless that was replaced. `None` where it may not be asked which one it is.
    pub(crate) async fn find(&self, client: &Client) -> Result<Option<Origin>, Failure> {
        let row = client.query_one(WHICH, &[]).await;
        let found = row.and_then(|row| {
            Ok(Origin { system: row.try_get(0)?, timeline: row.try_get(1)?, started: row.try_get(2)? })
        });
        match found {
            Ok(found) => {
                see_not_replaced(found, *self.followed())?;
                Ok(Some(found))
            }
            Err(error) if client.is_closed() => Err(error.into()),
            Err(error) => {
                if !self.0.is_told.swap(true, Ordering::Relaxed) {
                    let Failure(error) = error.into();
                    tracing::warn!(code = error.code(), %error, "the server may not be asked which one it is: one that was replaced is not noticed by that");
                }
                Ok(None)
            }
        }
    }

    /// Follows this server from now on. It has our store: a foreign one at the same address must not draw us away. Another
    /// connection may have found meanwhile that it was replaced.
    pub(crate) fn follow(&self, origin: Option<Origin>) -> Result<(), Failure> {
        if let Some(origin) = origin {
            let mut followed = self.followed();
            see_not_replaced(origin, *followed)?;
            *followed = Some(origin);
        }
        Ok(())
    }

    /// Whether a connection leads to the server that is followed.
    pub(crate) fn is_followed(&self, origin: Option<Origin>) -> bool {
        let followed = *self.followed();
        origin.is_none() || followed.is_none() || origin == followed
    }

    /// In which order to try so many places.
    pub(crate) fn order(&self, places: usize) -> impl Iterator<Item = usize> {
        let first = self.0.first.load(Ordering::Relaxed);
        (0..places).map(move |place| (first + place) % places)
    }

    /// Tries the places in another order from now on, as the first is of no use, whatever it says.
    pub(crate) fn turn_away(&self) {
        self.0.first.fetch_add(1, Ordering::Relaxed);
    }

    fn followed(&self) -> MutexGuard<'_, Option<Origin>> {
        self.0.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn see_not_replaced(origin: Origin, followed: Option<Origin>) -> Result<(), Failure> {
    match followed {
        Some(followed) if origin.was_replaced_by(followed) => Err(unavailable(format!(
            "it was replaced: its timeline is {}, and that of the server that has taken over {}",
            origin.timeline, followed.timeline
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_took_long_does_not_lead_back_to_a_server_that_was_replaced() {
        let lead = Lead::default();
        let [old, new, beside] =
            [(1, 5), (2, 7), (2, 8)].map(|(timeline, started)| Origin { system: 1, timeline, started });
        lead.follow(Some(old)).ok().unwrap();
        lead.follow(Some(new)).ok().unwrap();
        assert!(lead.follow(Some(old)).is_err());
        assert!(lead.is_followed(Some(new)) && !lead.is_followed(Some(old)));
        // Two that have taken over from the same one are not mixed either.
        assert!(!lead.is_followed(Some(beside)));
        lead.follow(Some(beside)).ok().unwrap();
        assert!(lead.is_followed(Some(beside)) && !lead.is_followed(Some(new)));
    }

    #[test]
    fn all_places_are_tried_whichever_comes_first() {
        let lead = Lead::default();
        for expected in [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]] {
            assert_eq!(lead.order(3).collect::<Vec<_>>(), expected);
            lead.turn_away();
        }
    }
}
