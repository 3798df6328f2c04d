//! What the authority asks of the world: the time, bytes that nobody can guess, and the master key. The store is a port
//! of its own, in [`store`](crate::store).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{MasterKeyError, RandomnessError};
use crate::seal::MasterKey;

/// Whole seconds since 1970-01-01T00:00:00Z, leap seconds not counted (a NumericDate, RFC 7519 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub i64);

impl UnixTime {
    /// So many seconds later; the end of time where that is beyond it.
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// Tells the time of day.
pub trait Clock: Send + Sync {
    /// The present second, as people set it: it may step in either direction.
    fn now(&self) -> UnixTime;

    /// The time since some fixed moment, as nobody sets it: it never steps.
    fn uptime(&self) -> Duration;
}

/// Gives cryptographically secure random bytes.
pub trait Randomness: Send + Sync {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// [`RandomnessError`] when the operating system gave none; `bytes` must then not be used.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomnessError>;
}

/// Knows where the master key is kept.
pub trait MasterKeySource: Send + Sync {
    /// Reads it anew. While it is being rotated there are two: `id` says which one is meant, where that is known.
    ///
    /// # Errors
    /// [`MasterKeyError`] when it cannot be read, or is none.
    fn load(&self, id: Option<&str>) -> Result<MasterKey, MasterKeyError>;
}
