//! The real clock and the real randomness.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use authority::error::RandomnessError;
use authority::ports::{Clock, Randomness, UnixTime};
use jose::NumericDate;

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

    fn uptime(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }
}

/// The system's time of day with its fraction, to compare times with that may have one.
pub(crate) fn now() -> NumericDate {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => NumericDate::from_seconds(0) + since,
        Err(before) => NumericDate::from_seconds(0) - before.duration(),
    }
}

/// The crypto library's generator, which the operating system seeds.
pub(crate) struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomnessError> {
        aws_lc_rs::rand::fill(bytes).map_err(|_| RandomnessError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use authority::TokenId;
    use std::collections::HashSet;

    #[test]
    fn a_million_token_ids_are_all_different() {
        let ids: HashSet<_> = (0..1_000_000).map(|_| TokenId::random(&SystemRandomness).unwrap()).collect();
        assert_eq!(ids.len(), 1_000_000);
    }

    #[test]
    fn the_clock_tells_the_time_of_day() {
        // Some time between the writing of this test and the year 2100.
        assert!((1_790_000_000..4_102_444_800).contains(&SystemClock.now().0));
    }
}
