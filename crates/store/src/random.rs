//! Numbers that are unlike any other's, and no secret.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// Any number.
pub(crate) fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}
