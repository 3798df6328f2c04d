//! What the programs share: ids of tokens, and authorities at a time of day that stands still.

use std::sync::Arc;
use std::time::Duration;

use authority::error::{MasterKeyError, RandomnessError};
use authority::ports::{Clock, MasterKeySource, Randomness, UnixTime};
use authority::store::{RevocationId, Store};
use authority::{Authority, MasterKey, Parts, Staleness};

/// What the clock shows: a whole hour.
pub const NOW: i64 = 1_800_000_000;

/// Tokens expire within so many seconds.
pub const LIFETIME: i64 = 24 * 60 * 60;

/// An id that looks random.
pub fn id(number: u64) -> RevocationId {
    let mut state = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut half = || {
        state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ state >> 31
    };
    let (high, low) = (half(), half());
    RevocationId((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
}

/// When the token of this number expires: those that are revoked together do so at any time of the day.
pub fn expires_at(number: u64) -> UnixTime {
    let spread = u128::from_be_bytes(id(number).0) % LIFETIME as u128;
    UnixTime(NOW + spread as i64)
}

/// An authority whose clock stands still.
pub fn open(store: Box<dyn Store>) -> Authority {
    Authority::open(parts(store, Arc::new(Fixed))).expect("an authority")
}

/// What an authority is made of.
pub fn parts(store: Box<dyn Store>, clock: Arc<dyn Clock>) -> Parts {
    Parts {
        store,
        clock,
        randomness: Arc::new(Fixed),
        master_key: Arc::new(Fixed),
        applied: Box::new(drop),
        commits: Box::new(|_, _| ()),
        staleness: Staleness::DEFAULT,
        log_kept: authority::LOG_KEPT,
    }
}

/// Always the same time of day, up for no time, and the same master key.
pub struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixTime {
        UnixTime(NOW)
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }
}

impl Randomness for Fixed {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomnessError> {
        aws_lc_rs::rand::fill(bytes).map_err(|_| RandomnessError)
    }
}

impl MasterKeySource for Fixed {
    fn load(&self, _: Option<&str>) -> Result<MasterKey, MasterKeyError> {
        MasterKey::parse(&"00".repeat(32))
    }
}
