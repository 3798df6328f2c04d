//! How old the state in memory may be. It is what the store held when it was last looked at, and others may have revoked
//! something since. That age is known by a clock which goes on while the process, or the machine, is stopped, and is read
//! when an answer is about to leave: no answer comes from a state that is older than was allowed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::ports::Clock;

/// The limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staleness {
    /// A state that is older is stale: it is still used, and whoever operates this is told.
    pub fresh_within: Duration,
    /// A state that is older is not used any more; `None` uses it however old it is.
    pub refuse_after: Option<Duration>,
}

impl Staleness {
    /// Five seconds, five minutes.
    pub const DEFAULT: Self =
        Self { fresh_within: Duration::from_secs(5), refuse_after: Some(Duration::from_secs(5 * 60)) };
}

/// How the age of the state stands to the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Young enough.
    Fresh,
    /// Older than it should be, and used.
    Stale,
    /// Too old to be used.
    Refusing,
}

/// When the store was last looked at, as of some moment before the state was read; `None` where that was never confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen(Option<Duration>);

/// What the thread that follows the store tells those who answer.
pub(crate) struct Freshness {
    limits: Staleness,
    clock: Arc<dyn Clock>,
    /// In nanoseconds of the clock's uptime, and one more; 0 before the first time.
    seen: AtomicU64,
    /// The same, of the newest transaction that failed, where none has succeeded since; else 0.
    failed: AtomicU64,
}

/// For so long it is held against the store that it did not take a change: when nobody orders one, nothing more is known.
const FAILURE_COUNTS: Duration = Duration::from_secs(30);

impl Freshness {
    /// Nothing was seen yet that is younger than the clock.
    pub(crate) fn new(limits: Staleness, clock: Arc<dyn Clock>) -> Self {
        Self { limits, clock, seen: AtomicU64::new(0), failed: AtomicU64::new(0) }
    }

    /// The state that readers see is at least as young as this time.
    pub(crate) fn see(&self, looked: Duration) {
        self.seen.fetch_max(nanoseconds(looked).saturating_add(1), Ordering::Release);
    }

    /// A transaction has ended.
    pub(crate) fn note_transaction(&self, succeeded: bool) {
        let failed = if succeeded { 0 } else { nanoseconds(self.clock.uptime()).max(1) };
        self.failed.store(failed, Ordering::Relaxed);
    }

    /// Whether the newest transaction failed, a short while ago.
    pub(crate) fn has_just_failed(&self) -> bool {
        match self.failed.load(Ordering::Relaxed) {
            0 => false,
            failed => self.clock.uptime().saturating_sub(Duration::from_nanos(failed)) < FAILURE_COUNTS,
        }
    }

    /// To be asked before the state is read.
    pub(crate) fn seen(&self) -> Seen {
        Seen(self.seen.load(Ordering::Acquire).checked_sub(1).map(Duration::from_nanos))
    }

    /// Of what was never confirmed, as long as the clock goes.
    pub(crate) fn age(&self, seen: Seen) -> Duration {
        self.clock.uptime().saturating_sub(seen.0.unwrap_or_default())
    }

    pub(crate) fn standing(&self, seen: Seen) -> Standing {
        let age = self.age(seen);
        // What was never confirmed is not used, whatever the limits.
        if seen.0.is_none() || self.limits.refuse_after.is_some_and(|limit| age > limit) {
            Standing::Refusing
        } else if age > self.limits.fresh_within {
            Standing::Stale
        } else {
            Standing::Fresh
        }
    }

    pub(crate) fn limits(&self) -> Staleness {
        self.limits
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
