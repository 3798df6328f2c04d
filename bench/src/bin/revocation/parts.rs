//! What the measurements share: ids, and an authority at a time that stands still.

use std::sync::Arc;
use std::time::Duration;

use authority::error::{MasterKeyError, RandomnessError};
use authority::ports::{Clock, MasterKeySource, Randomness, UnixTime};
use authority::store::{RevocationId, Store};
use authority::{Authority, MasterKey, Parts};

/// What the clock shows: a whole hour.
pub(crate) const NOW: i64 = 1_800_000_000;

/// Tokens expire within so many seconds.
pub(crate) const LIFETIME: i64 = 24 * 60 * 60;

/// An id that looks random.
pub(crate) fn id(number: u64) -> RevocationId {
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
pub(crate) fn expires_at(number: u64) -> UnixTime {
    let spread = u128::from_be_bytes(id(number).0) % LIFETIME as u128;
    UnixTime(NOW + spread as i64)
}

pub(crate) fn open(store: Box<dyn Store>) -> Authority {
    Authority::open(Parts {
        store,
        clock: Arc::new(Fixed),
        randomness: Arc::new(Fixed),
        master_key: Arc::new(Fixed),
        applied: Box::new(drop),
        commits: Box::new(|_, _| ()),
    })
    .expect("an authority")
}

pub(crate) struct Fixed;

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
