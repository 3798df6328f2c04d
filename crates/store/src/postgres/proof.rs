//! Proof that the server still takes changes. One that was replaced goes on answering, and what it answers gets older and
//! older; but where each commit waits for a standby, the standby that has taken over confirms none any more. So what was
//! read is certainly the newest once a commit has succeeded that began after it was read.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_postgres::Client;

use crate::failure::Failure;
use crate::postgres::connect::Warnings;

/// A commit that is made durable like any other, waits for no other, and writes no row of any table.
const COMMIT: &str = "SELECT pg_logical_emit_message(true, 'jotd', '')";

/// Times are those of whoever reads, by a clock of theirs.
#[derive(Default)]
pub(crate) struct Proof {
    times: Mutex<Times>,
    wanted: Notify,
}

#[derive(Debug, Clone, Copy, Default)]
struct Times {
    /// Of the newest reading that a proof was asked for.
    asked: Option<Duration>,
    /// Of the newest reading that is proven.
    proven: Duration,
    /// Why the newest commit did not come to its end.
    trouble: Option<Trouble>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// It waits.
    HeldUp,
    /// It was refused.
    Refused,
}

impl Proof {
    /// Asks for a proof of what was read at this time, unless one was asked for less than `often` before. Answers which
    /// time is proven by now.
    pub(crate) fn ask(&self, read: Duration, often: Duration) -> Duration {
        let mut times = self.times();
        if times.asked.is_none_or(|asked| read >= asked + often && read > asked) {
            times.asked = Some(read);
            self.wanted.notify_one();
        }
        times.proven
    }

    /// Waits until one is asked for.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Gives one, by this connection.
    pub(crate) async fn give(&self, client: &Client, warnings: &Warnings) {
        let (asked, warned) = (self.times().asked, warnings.count());
        let outcome = client.batch_execute(COMMIT).await;
        let mut times = self.times();
        match outcome {
            // Where it warns, its wait for the standbys was broken off: it knows no more than before.
            Ok(()) if warnings.count() != warned => {}
            Ok(()) => {
                times.proven = asked.map_or(times.proven, |asked| times.proven.max(asked));
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
            assert_eq!(proof.ask(Duration::from_secs(read), often), Duration::ZERO, "nothing is proven");
            assert_eq!(proof.times().asked, Some(Duration::from_secs(asked)), "{read}");
        }
    }
}
