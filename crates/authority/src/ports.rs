//! What the authority asks of the world: the time, and bytes that nobody can guess.

use crate::error::RandomnessError;

/// Whole seconds since 1970-01-01T00:00:00Z, leap seconds not counted (a NumericDate, RFC 7519 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub i64);

/// Tells the time of day.
pub trait Clock: Send + Sync {
    /// The present second.
    fn now(&self) -> UnixTime;
}

/// Gives cryptographically secure random bytes.
pub trait Randomness: Send + Sync {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// [`RandomnessError`] when the operating system gave none; `bytes` must then not be used.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomnessError>;
}
