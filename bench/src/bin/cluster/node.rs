//! A node without HTTP.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use authority::error::AdminError;
use authority::ports::{Clock, UnixTime};
use authority::store::{Position, RevocationId};
use authority::{Authority, Caller, NewRevocation, Parts, Revocable};
use jotd_bench::{NOW, expires_at, id, parts};
use jotd_store::{PostgresAddress, PostgresStore};
use tokio::runtime::{Builder, Runtime};

/// A node, and when which position was in force in it.
pub(crate) struct Node {
    pub(crate) authority: Arc<Authority>,
    applied: Arc<Mutex<Vec<(Position, Instant)>>>,
}

impl Node {
    pub(crate) fn open(url: &str) -> Self {
        let address = PostgresAddress::parse(url, None).expect("an address");
        let store = PostgresStore::open(&address).expect("the store");
        let applied = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&applied);
        let note = move |position| {
            told.lock().unwrap_or_else(PoisonError::into_inner).push((position, Instant::now()));
        };
        let parts = Parts { applied: Box::new(note), ..parts(Box::new(store), Arc::new(Running)) };
        Self { authority: Arc::new(Authority::open(parts).expect("an authority")), applied }
    }

    pub(crate) fn open_many(url: &str, count: usize) -> Vec<Self> {
        (0..count).map(|_| Self::open(url)).collect()
    }

    /// Since when a position is in force here: readers saw it a moment before.
    pub(crate) fn in_force_since(&self, position: Position) -> Option<Instant> {
        let applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        let first = applied.partition_point(|(applied, _)| *applied < position);
        applied.get(first).map(|(_, since)| *since)
    }

    /// Revokes the token of this number, durably.
    pub(crate) async fn revoke(&self, number: u64) -> Result<(), AdminError> {
        let (id, expires_at) = (id(number).to_string(), Some(later(number)));
        self.authority.revoke_token_id(&Caller::new("bench"), &id, expires_at, "").await.map(drop)
    }

    /// Revokes so many from this number on, by one call.
    pub(crate) async fn revoke_many(&self, first: u64, count: u64) -> Result<(), AdminError> {
        let revocation = |number| NewRevocation {
            of: Revocable::TokenId(id(number).to_string(), Some(later(number))),
            reason: String::new(),
        };
        let wanted = (first..first + count).map(revocation).collect();
        let outcomes = self.authority.revoke_many(&Caller::new("bench"), wanted).await?;
        outcomes.into_iter().try_for_each(|outcome| outcome.map(drop))
    }

    /// Where in the log tokens were revoked, of as many changes as were made last.
    pub(crate) fn positions(&self, count: usize) -> impl Iterator<Item = (RevocationId, Position)> {
        let log = runtime().block_on(self.authority.log(None, count)).expect("the log");
        log.into_iter().filter_map(|change| Some((RevocationId::parse(&change.id)?, change.position)))
    }
}

/// When the token of this number expires: what has just expired is not revoked any more.
fn later(number: u64) -> UnixTime {
    expires_at(number).plus(1)
}

/// For callers: revoking waits for the node's own thread, and for nothing else.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

/// The same time of day always, so that nothing is due or expires; but the age of what a node knows goes on.
struct Running;

impl Clock for Running {
    fn now(&self) -> UnixTime {
        UnixTime(NOW)
    }

    fn uptime(&self) -> Duration {
        static STARTED: OnceLock<Instant> = OnceLock::new();
        STARTED.get_or_init(Instant::now).elapsed()
    }
}
