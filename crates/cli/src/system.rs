//! The real clock, the real randomness, and the limit on file descriptors.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use authority::error::RandomnessError;
use authority::ports::{Clock, Randomness, UnixTime};
use jose::NumericDate;
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// File descriptors that are not connections, and those of each thread that serves or asks.
const OTHER_DESCRIPTORS: usize = 64;
const DESCRIPTORS_OF_A_THREAD: usize = 8;

/// A clock that nobody sets, and that goes on while the machine sleeps.
#[cfg(target_os = "linux")]
const UPTIME: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const UPTIME: ClockId = ClockId::Monotonic;

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

    /// Since the machine was started, and on while it sleeps.
    fn uptime(&self) -> Duration {
        let since = clock_gettime(UPTIME);
        let (seconds, nanoseconds) = (u64::try_from(since.tv_sec), u32::try_from(since.tv_nsec));
        Duration::new(seconds.unwrap_or(0), nanoseconds.unwrap_or(0))
    }
}

/// The system's time of day with its fraction, to compare times with that may have one.
pub(crate) fn now() -> NumericDate {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => NumericDate::from_seconds(0) + since,
        Err(before) => NumericDate::from_seconds(0) - before.duration(),
    }
}

/// The crypto library's generator: each thread has its own, which the operating system seeds and reseeds. What is asked
/// for in small pieces, token ids above all, is taken out of larger ones.
pub(crate) struct SystemRandomness;

/// Random bytes that nobody has been given yet.
struct Stock {
    bytes: [u8; 1024],
    used: usize,
}

thread_local! {
    static STOCK: RefCell<Stock> = const { RefCell::new(Stock { bytes: [0; 1024], used: 1024 }) };
}

impl Randomness for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomnessError> {
        // Keys are made of bytes that were never anywhere else.
        if bytes.len() > 16 {
            return aws_lc_rs::rand::fill(bytes).map_err(|_| RandomnessError);
        }
        STOCK.with_borrow_mut(|stock| {
            if stock.used + bytes.len() > stock.bytes.len() {
                aws_lc_rs::rand::fill(&mut stock.bytes).map_err(|_| RandomnessError)?;
                stock.used = 0;
            }
            let end = stock.used + bytes.len();
            let fresh = stock.bytes.get_mut(stock.used..end).ok_or(RandomnessError)?;
            bytes.copy_from_slice(fresh);
            // Nobody gets them twice, and nobody finds them later.
            fresh.fill(0);
            stock.used = end;
            Ok(())
        })
    }
}

/// How many connections the limit on file descriptors leaves room for, after raising it as far as it goes.
pub(crate) fn room_for_connections(threads: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if let Some(maximum) = limit.maximum {
        limit.current = Some(maximum);
        // Where it cannot be raised, what there is has to do.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let others = threads.saturating_mul(DESCRIPTORS_OF_A_THREAD).saturating_add(OTHER_DESCRIPTORS);
    limit.saturating_sub(others).max(1)
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
