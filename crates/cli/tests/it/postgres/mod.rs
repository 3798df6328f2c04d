//! Several nodes over one PostgreSQL, as processes, while the world around them falls apart. What they answer is written
//! down as a history and judged afterwards (`crate::history`).
//!
//! One test after the other: each needs the whole machine.

mod away;
mod balancer;
mod caller;
mod cluster;
mod faults;
mod load;
mod moving;
mod node;
mod replaced;
mod revocation;
mod rotation;
mod together;
mod upgrade;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the other tests of clusters are done.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What chance begins with: the same each time, or what `JOTD_TEST_SEED` says. Printed, so that a failure can be had again.
fn seed(usual: u64) -> u64 {
    let seed = std::env::var("JOTD_TEST_SEED").map_or(usual, |seed| seed.parse().expect("JOTD_TEST_SEED is a number"));
    println!("JOTD_TEST_SEED={seed}");
    seed.max(1)
}

/// Tells the threads of a test to end when it does, also where it fails.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Waits until it holds.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        sleep(Duration::from_millis(10));
    }
}
