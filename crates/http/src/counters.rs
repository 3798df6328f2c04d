//! What is counted with every request, without a lock and without two threads writing to the same place: each thread has
//! counters of its own, added up when somebody looks.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Upper bounds of the latency buckets, in microseconds.
const BOUNDS: [u64; 12] = [50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 100_000, 500_000, 2_500_000];

/// More threads than this share counters.
const SHARDS: usize = 128;

/// The statuses that are told apart; the last one stands for all others.
const STATUSES: [u16; 24] = [
    200, 201, 202, 203, 204, 304, 400, 401, 403, 404, 405, 408, 409, 411, 413, 415, 422, 429, 431, 500, 501, 502, 503,
    0,
];

/// Counters of requests by route and status, of how long they took, and of tokens by kind.
pub(crate) struct Counters {
    routes: &'static [&'static str],
    kinds: &'static [&'static str],
    /// Those that a thread has used.
    shards: Vec<OnceLock<Shard>>,
}

/// The counters of a thread.
#[repr(align(128))]
struct Shard {
    routes: Vec<PerRoute>,
    kinds: Vec<AtomicU64>,
}

#[derive(Default)]
struct PerRoute {
    statuses: [AtomicU64; STATUSES.len()],
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// The durations of a route's requests.
pub(crate) struct Durations {
    /// In seconds.
    pub(crate) sum: f64,
    pub(crate) count: u64,
    /// Upper bounds in seconds, and how many were at most that but above the one before.
    pub(crate) buckets: Vec<(f64, u64)>,
}

thread_local! {
    static SHARD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS
    };
}

impl Counters {
    /// Counters of these routes, the most used first, and kinds of tokens.
    pub(crate) fn new(routes: &'static [&'static str], kinds: &'static [&'static str]) -> Self {
        Self { routes, kinds, shards: (0..SHARDS).map(|_| OnceLock::new()).collect() }
    }

    fn shard(&self) -> Option<&Shard> {
        let shard = self.shards.get(SHARD.with(|shard| *shard))?;
        Some(shard.get_or_init(|| Shard {
            routes: self.routes.iter().map(|_| PerRoute::default()).collect(),
            kinds: self.kinds.iter().map(|_| AtomicU64::new(0)).collect(),
        }))
    }

    fn used(&self) -> impl Iterator<Item = &Shard> + Clone {
        self.shards.iter().filter_map(OnceLock::get)
    }

    pub(crate) fn answered(&self, route: &str, status: u16, took: Duration) {
        let place = self.routes.iter().position(|own| *own == route);
        let Some(counts) = place.and_then(|place| self.shard()?.routes.get(place)) else { return };
        let status = STATUSES.iter().position(|own| *own == status).unwrap_or(STATUSES.len() - 1);
        let bucket = BOUNDS.iter().position(|bound| took.as_micros() <= u128::from(*bound)).unwrap_or(BOUNDS.len());
        counts.statuses.get(status).map(|count| count.fetch_add(1, Ordering::Relaxed));
        counts.buckets.get(bucket).map(|count| count.fetch_add(1, Ordering::Relaxed));
        counts.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn minted(&self, kind: &str, count: u64) {
        let place = self.kinds.iter().position(|own| *own == kind);
        let counter = place.and_then(|place| self.shard()?.kinds.get(place));
        counter.map(|counter| counter.fetch_add(count, Ordering::Relaxed));
    }

    /// How many tokens of each kind.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.kinds.iter().enumerate().map(|(place, kind)| {
            let counts = self.used().filter_map(|shard| shard.kinds.get(place));
            (*kind, counts.map(|count| count.load(Ordering::Relaxed)).sum())
        })
    }

    fn of(&self, place: usize) -> impl Iterator<Item = &PerRoute> + Clone {
        self.used().filter_map(move |shard| shard.routes.get(place))
    }

    /// How many requests of each route and status there were; 0 is any other status.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (&'static str, u16, u64)> {
        self.routes.iter().enumerate().flat_map(move |(place, route)| {
            STATUSES.iter().enumerate().filter_map(move |(index, status)| {
                let counts = self.of(place).filter_map(|counts| counts.statuses.get(index));
                let count = counts.map(|count| count.load(Ordering::Relaxed)).sum();
                (count > 0).then_some((*route, *status, count))
            })
        })
    }

    /// How long the requests of each route took.
    pub(crate) fn durations(&self) -> impl Iterator<Item = (&'static str, Durations)> {
        self.routes.iter().enumerate().filter_map(|(place, route)| {
            let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e6).chain([f64::MAX]);
            let buckets: Vec<(f64, u64)> = bounds
                .enumerate()
                .map(|(index, bound)| {
                    let counts = self.of(place).filter_map(|counts| counts.buckets.get(index));
                    (bound, counts.map(|count| count.load(Ordering::Relaxed)).sum())
                })
                .collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let nanos: u64 = self.of(place).map(|counts| counts.nanos.load(Ordering::Relaxed)).sum();
            (count > 0).then_some((*route, Durations { sum: nanos as f64 / 1e9, count, buckets }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_threads_counted_is_added_up() {
        let counters = Counters::new(&["/a", "/b"], &["simple"]);
        std::thread::scope(|scope| {
            for thread in 0..100_u64 {
                let counters = &counters;
                scope.spawn(move || {
                    for _ in 0..100 {
                        counters.answered("/b", 200, Duration::from_micros(thread * 10));
                        counters.minted("simple", 2);
                    }
                    counters.answered("/b", 299, Duration::from_secs(60));
                });
            }
        });
        assert_eq!(counters.requests().collect::<Vec<_>>(), [("/b", 200, 10_000), ("/b", 0, 100)]);
        assert_eq!(counters.tokens().collect::<Vec<_>>(), [("simple", 20_000)]);
        let all: Vec<_> = counters.durations().collect();
        let [(route, durations)] = &all[..] else { panic!("one route") };
        assert_eq!((*route, durations.count), ("/b", 10_100));
        assert_eq!(durations.buckets[..3], [(0.000_05, 600), (0.000_1, 500), (0.000_25, 1500)]);
        assert_eq!(durations.buckets.last(), Some(&(f64::MAX, 100)));
        assert!((durations.sum - 6000.0 - 4.95).abs() < 0.001, "{}", durations.sum);
    }
}
