//! Proof that the server still takes changes. One that was replaced goes on answering, and what it answers gets older and
//! older; but where each commit waits for a standby, the standby that has taken over confirms none any more. So what was
//! read is certainly the newest once a commit has succeeded, on the same server, that began after it was read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_postgres::Client;

use crate::failure::Failure;
use crate::postgres::connect::Warnings;
use crate::postgres::lead::Origin;

/// A commit that is made durable like any other, waits for no other, and writes no row of any table.
const COMMIT: &str = "SELECT pg_logical_emit_message(true, 'jotd', '')";

/// After waiting for one in vain.
const REST: Duration = Duration::from_secs(30);

/// Times are those of whoever reads, by a clock of theirs.
#[derive(Default)]
pub(crate) struct Proof {
    times: Mutex<Times>,
    wanted: Notify,
    /// Whether a connection is there that gives them.
    is_given: AtomicBool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Times {
    /// Of the newest reading that a proof was asked for, and where it was read.
    asked: Option<(Duration, Option<Origin>)>,
    /// Of the newest reading that is proven.
    proven: Option<Duration>,
    /// Why the newest commit did not come to its end.
    trouble: Option<Trouble>,
    /// When it was last waited for in vain.
    waited: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// It waits.
    HeldUp,
    /// It was refused.
    Refused,
}

impl Proof {
    /// Asks for a proof of what was read at this time from this server; `false` where one was asked for less than `often`
    /// before.
    pub(crate) fn ask(&self, read: Duration, from: Option<Origin>, often: Duration) -> bool {
        let mut times = self.times();
        let is_time = |(asked, there)| read > asked && (read >= asked + often || from != there);
        let asks = times.asked.is_none_or(is_time);
        if asks {
            times.asked = Some((read, from));
            self.wanted.notify_one();
        }
        asks
    }

    /// Of the newest reading that is proven.
    pub(crate) fn proven(&self) -> Option<Duration> {
        self.times().proven
    }

    /// Says whether a connection is there that gives them.
    pub(crate) fn be_given(&self, is_given: bool) {
        self.is_given.store(is_given, Ordering::Relaxed);
    }

    /// Whether somebody who has other things to do must give it, and may wait for that.
    pub(crate) fn wants_others(&self) -> bool {
        !self.is_given.load(Ordering::Relaxed) && self.times().waited.is_none_or(|waited| waited.elapsed() > REST)
    }

    /// It was waited for in vain.
    pub(crate) fn do_not_wait(&self) {
        self.times().waited = Some(Instant::now());
    }

    /// Waits until one is asked for.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Gives one, by this connection to this server.
    pub(crate) async fn give(&self, client: &Client, warnings: &Warnings, origin: Option<Origin>) {
        let (asked, warned) = (self.times().asked, warnings.count());
        let outcome = client.batch_execute(COMMIT).await;
        let mut times = self.times();
        match outcome {
            // Where it warns, its wait for the standbys was broken off: it knows no more than before.
            Ok(()) if warnings.count() != warned => {}
            Ok(()) => {
                if let Some((read, from)) = asked
                    // Where one of them could not be asked which server it is, they are not told apart.
                    && (from.is_none() || origin.is_none() || from == origin)
                {
                    times.proven = times.proven.max(Some(read));
                }
                if times.trouble.take().is_some() {
                    tracing::info!("the server commits again");
                }
            }
            // Another connection will tell.
            Err(_) if client.is_closed() => {}
            Err(error) => {
                if times.trouble.replace(Trouble::Refused) != Some(Trouble::Refused) {
                    let Failure(error) = error.into();
                    tracing::warn!(code = error.code(), %error, "the server does not commit");
                }
            }
        }
    }

    /// The commit that is to prove it takes long.
    pub(crate) fn hold_up(&self) {
        if self.times().trouble.replace(Trouble::HeldUp) != Some(Trouble::HeldUp) {
            tracing::warn!(
                "the server does not finish commits: a standby that must have them may be away, or has taken over"
            );
        }
    }

    /// Whether nobody need try to commit anything.
    pub(crate) fn is_held_up(&self) -> bool {
        self.times().trouble == Some(Trouble::HeldUp)
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_proof_is_asked_for_in_each_while() {
        let (proof, often) = (Proof::default(), Duration::from_secs(2));
        for (read, asked) in [(0, 0), (1, 0), (2, 2), (3, 2), (3, 2), (9, 9), (8, 9), (10, 9), (11, 11)] {
            let asks = proof.ask(Duration::from_secs(read), None, often);
            assert_eq!(
                (asks, proof.times().asked),
                (read == asked, Some((Duration::from_secs(asked), None))),
                "{read}"
            );
            assert_eq!(proof.proven(), None);
        }
    }
}
