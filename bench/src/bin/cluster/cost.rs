//! What was spent on a measurement.

use std::time::{Duration, Instant};

use jotd_pgserver::Server;
use jotd_pgserver::processes::{time_of_family, time_of_threads};

/// Times so far, or between two moments.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// By the clock.
    pub(crate) elapsed: Duration,
    /// Of processors, by all nodes together and whoever drives them.
    pub(crate) nodes: Duration,
    /// Of processors, by PostgreSQL.
    pub(crate) postgres: Duration,
}

impl Cost {
    /// What `work` costs.
    pub(crate) fn of<T>(server: &Server, work: impl FnOnce() -> T) -> (T, Self) {
        let started = Instant::now();
        let so_far = || (time_of_threads(std::process::id()), time_of_family(server.pid()));
        let before = so_far();
        let done = work();
        let after = so_far();
        let spent = |after: Duration, before| after.saturating_sub(before);
        let (nodes, postgres) = (spent(after.0, before.0), spent(after.1, before.1));
        (done, Self { elapsed: started.elapsed(), nodes, postgres })
    }
}
