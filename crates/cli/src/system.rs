//! The real clock and the real randomness.

use std::time::{SystemTime, UNIX_EPOCH};

use authority::error::RandomnessError;
use authority::ports::{Clock, Randomness, UnixTime};

/// The system's time of day.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        let seconds = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
        };
        UnixTime(seconds)
    }
}

/// The crypto library's generator, which the operating system seeds.
pub(crate) struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomnessError> {
        aws_lc_rs::rand::fill(bytes).map_err(|_| RandomnessError)
    }
}
