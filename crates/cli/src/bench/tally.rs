//! What is counted while the load runs: requests, bytes, latencies, and failures by kind.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use super::client::Answer;

/// Latencies are told apart to three digits, from a nanosecond to more than a run and its last timeout can take.
const LONGEST: Duration = Duration::from_secs(48 * 60 * 60);
const DIGITS: u8 = 3;

/// Why a request did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    ConnectRefused,
    ConnectTimeout,
    /// No connection for another reason: no route, no free port.
    ConnectFailed,
    Timeout,
    /// The connection was closed or reset before the answer was whole.
    Closed,
    MalformedAnswer,
    /// Neither answered nor failed when the run was over; it may not even have been sent.
    Unfinished,
    /// An answer other than 2xx.
    Status(u16),
}

impl Failure {
    pub(super) fn from_connect(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::ConnectRefused,
            io::ErrorKind::TimedOut => Self::ConnectTimeout,
            _ => Self::ConnectFailed,
        }
    }

    fn is_without_connection(self) -> bool {
        matches!(self, Self::ConnectRefused | Self::ConnectTimeout | Self::ConnectFailed)
    }

    /// Its name in JSON.
    pub(super) fn name(self) -> String {
        match self {
            Self::ConnectRefused => "connect_refused".to_owned(),
            Self::ConnectTimeout => "connect_timeout".to_owned(),
            Self::ConnectFailed => "connect_failed".to_owned(),
            Self::Timeout => "timeout".to_owned(),
            Self::Closed => "closed".to_owned(),
            Self::MalformedAnswer => "malformed_answer".to_owned(),
            Self::Unfinished => "unfinished".to_owned(),
            Self::Status(status) => format!("status_{status}"),
        }
    }

    /// Its name for people.
    pub(super) fn label(self) -> String {
        self.name().replace('_', " ")
    }
}

/// When a request was due, sent and answered, counted from the start of the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) due: Duration,
    pub(super) sent: Duration,
    pub(super) done: Duration,
}

/// The part of the run that is measured: what comes before it is the warm-up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) from: Duration,
    pub(super) until: Duration,
}

impl Window {
    pub(super) fn has(self, time: Duration) -> bool {
        self.from <= time && time < self.until
    }
}

/// The counts of one thread, or of all.
pub(super) struct Tally {
    /// Requests that were due in the measured time.
    pub(super) begun: u64,
    /// Those of them that were answered with 2xx, and how long that took in nanoseconds.
    pub(super) latencies: Histogram<u64>,
    /// The others.
    pub(super) failures: BTreeMap<Failure, u64>,
    /// What happened within the measured time, whenever it was due: requests sent, answers with 2xx, bytes.
    pub(super) sent_in_time: u64,
    pub(super) answered_in_time: u64,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) connections_opened: u64,
}

impl Tally {
    pub(super) fn new() -> Result<Self> {
        let longest = u64::try_from(LONGEST.as_nanos())?;
        Ok(Self {
            begun: 0,
            latencies: Histogram::new_with_max(longest, DIGITS)?,
            failures: BTreeMap::new(),
            sent_in_time: 0,
            answered_in_time: 0,
            bytes_sent: 0,
            bytes_received: 0,
            connections_opened: 0,
        })
    }

    /// Counts a request that has come to an end; answers why it failed, where it did.
    pub(super) fn record(
        &mut self,
        window: Window,
        times: Times,
        length: usize,
        outcome: Result<Answer, Failure>,
    ) -> Option<Failure> {
        let outcome = match outcome {
            Ok(answer) if !(200..300).contains(&answer.status) => {
                Err((Failure::Status(answer.status), answer.received))
            }
            Ok(answer) => Ok(answer.received),
            Err(failure) => Err((failure, 0)),
        };
        let is_unsent = matches!(outcome, Err((failure, _)) if failure.is_without_connection());
        if window.has(times.sent) && !is_unsent {
            self.sent_in_time += 1;
            self.bytes_sent += length as u64;
        }
        if window.has(times.done) {
            self.answered_in_time += u64::from(outcome.is_ok());
            self.bytes_received += outcome.unwrap_or_else(|(_, received)| received);
        }
        if window.has(times.due) {
            match outcome {
                Ok(_) => {
                    let latency = times.done.saturating_sub(times.due).as_nanos();
                    self.latencies.saturating_record(u64::try_from(latency).unwrap_or(u64::MAX));
                }
                Err((failure, _)) => self.fail(failure, 1),
            }
        }
        outcome.err().map(|(failure, _)| failure)
    }

    /// What was begun and has not ended by now never will.
    pub(super) fn close(&mut self) {
        let ended = self.latencies.len() + self.failed();
        self.fail(Failure::Unfinished, self.begun.saturating_sub(ended));
    }

    fn fail(&mut self, failure: Failure, times: u64) {
        if times > 0 {
            *self.failures.entry(failure).or_default() += times;
        }
    }

    pub(super) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Adds the counts of another thread.
    pub(super) fn add(&mut self, other: &Self) -> Result<()> {
        self.begun += other.begun;
        self.latencies.add(&other.latencies)?;
        for (failure, times) in &other.failures {
            self.fail(*failure, *times);
        }
        self.sent_in_time += other.sent_in_time;
        self.answered_in_time += other.answered_in_time;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.connections_opened += other.connections_opened;
        Ok(())
    }
}
