//! Signatures that keep a worker busy for long, those of RSA for example, in turn: between two pieces of it the worker
//! looks after its other connections. Whoever would have to wait too long for a turn is refused, and only after a while:
//! refusing everybody at once would leave no time for the work itself.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use jose::Algorithm;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::refusal::Reason;
use crate::request::Request;

/// What is done faster than this needs no turn.
const QUICK: Duration = Duration::from_micros(100);

/// The longest that anyone waits for a turn, by what the work took lately.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// So many are refused in a second at most: the more there are, the longer each is kept from asking again.
const MOST_REFUSALS: u32 = 1000;

/// When it is worth trying again, in seconds.
const RETRY_AFTER: u64 = 1;

/// The turns of one worker, for each algorithm by itself, so that what is quick does not wait for what is not.
pub(crate) struct Turns(Vec<(Algorithm, Turn)>);

impl Default for Turns {
    fn default() -> Self {
        Self(authority::asymmetric_algorithms().map(|algorithm| (algorithm, Turn::default())).collect())
    }
}

impl Turns {
    /// Does `work` with this algorithm when its turn has come.
    ///
    /// # Errors
    /// [`Reason::Overloaded`] when that would be too late.
    pub(crate) async fn take<T>(
        &self,
        request: &Request<'_>,
        algorithm: Option<Algorithm>,
        work: impl FnOnce() -> T,
    ) -> Result<T, Reason> {
        match self.of(algorithm) {
            Some(turn) => turn.take(request, work).await,
            None => Ok(work()),
        }
    }

    /// As [`take`](Self::take), however long that takes: for a client that sends more only when this is done.
    pub(crate) async fn wait<T>(&self, algorithm: Option<Algorithm>, work: impl FnOnce() -> T) -> T {
        match self.of(algorithm) {
            Some(turn) => turn.wait(work).await,
            None => work(),
        }
    }

    fn of(&self, algorithm: Option<Algorithm>) -> Option<&Turn> {
        let algorithm = algorithm?;
        self.0.iter().find(|(own, _)| *own == algorithm).map(|(_, turn)| turn)
    }
}

/// The turns of one algorithm.
struct Turn {
    free: Semaphore,
    waiting: AtomicUsize,
    refused: AtomicUsize,
    /// What the work took lately, in nanoseconds.
    cost: AtomicU64,
}

impl Default for Turn {
    fn default() -> Self {
        Self {
            free: Semaphore::new(1),
            waiting: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            cost: AtomicU64::new(0),
        }
    }
}

/// One that waits.
struct Place<'t>(&'t AtomicUsize);

impl<'t> Place<'t> {
    fn behind(waiting: &'t AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turn {
    async fn take<T>(&self, request: &Request<'_>, work: impl FnOnce() -> T) -> Result<T, Reason> {
        let cost = Duration::from_nanos(self.cost.load(Ordering::Relaxed));
        if cost < QUICK {
            return Ok(self.timed(work));
        }
        let ahead = self.waiting.load(Ordering::Relaxed);
        if cost.saturating_mul(u32::try_from(ahead).unwrap_or(u32::MAX)) > LONGEST_WAIT {
            let place = Place::behind(&self.refused);
            let others = u64::try_from(self.refused.load(Ordering::Relaxed)).unwrap_or(u64::MAX);
            let pause = Duration::from_secs(RETRY_AFTER) + Duration::from_secs(others) / MOST_REFUSALS;
            tokio::select! { () = tokio::time::sleep(pause) => {}, () = request.left() => {} }
            drop(place);
            return Err(Reason::Overloaded { retry_after: RETRY_AFTER });
        }
        // Nobody waits for the work of a client that has left.
        tokio::select! {
            biased;
            () = request.left() => Err(Reason::Overloaded { retry_after: RETRY_AFTER }),
            done = self.wait(work) => Ok(done),
        }
    }

    async fn wait<T>(&self, work: impl FnOnce() -> T) -> T {
        if Duration::from_nanos(self.cost.load(Ordering::Relaxed)) < QUICK {
            return self.timed(work);
        }
        let place = Place::behind(&self.waiting);
        let turn = self.free.acquire().await;
        let outcome = self.timed(work);
        // What the others sent meanwhile is read before the next turn.
        tokio::task::yield_now().await;
        drop((turn, place));
        outcome
    }

    fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let outcome = work();
        let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let cost = self.cost.load(Ordering::Relaxed);
        self.cost.store(cost - cost / 8 + took / 8, Ordering::Relaxed);
        outcome
    }
}
