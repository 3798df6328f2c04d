//! The report: what was asked, what came back, and how long that took; as JSON or as text.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::arguments::{Bench, Route};
use super::tally::Tally;

/// The names of its members are a promise.
#[derive(Serialize)]
pub(super) struct Report {
    url: String,
    method: &'static str,
    connections: u32,
    threads: u32,
    /// The measured time, in seconds.
    seconds: f64,
    interrupted: bool,
    rate: Option<Rate>,
    requests: u64,
    succeeded: u64,
    failed: u64,
    /// Answers with 2xx that came within the measured time.
    requests_per_second: f64,
    bytes_sent: u64,
    bytes_received: u64,
    connections_opened: u64,
    latency: Latency,
    errors: BTreeMap<String, u64>,
    #[serde(skip)]
    labels: Vec<(String, u64)>,
}

/// Requests a second, where they were sent on a schedule.
#[derive(Serialize)]
struct Rate {
    asked: u64,
    /// Those that were sent within the measured time.
    reached: f64,
}

/// Of the requests that succeeded, in nanoseconds.
#[derive(Serialize)]
struct Latency {
    /// Whether they count from when the request was due.
    corrected: bool,
    #[serde(flatten)]
    distribution: Distribution,
}

#[derive(Serialize)]
struct Distribution {
    min_ns: Option<u64>,
    mean_ns: Option<u64>,
    p50_ns: Option<u64>,
    p90_ns: Option<u64>,
    p99_ns: Option<u64>,
    p99_9_ns: Option<u64>,
    p99_99_ns: Option<u64>,
    max_ns: Option<u64>,
}

impl Distribution {
    fn new(latencies: &Histogram<u64>) -> Self {
        let some = |value: u64| (!latencies.is_empty()).then_some(value);
        let quantile = |quantile| some(latencies.value_at_quantile(quantile).min(latencies.max()));
        Self {
            min_ns: some(latencies.min()),
            mean_ns: some(latencies.mean() as u64),
            p50_ns: quantile(0.5),
            p90_ns: quantile(0.9),
            p99_ns: quantile(0.99),
            p99_9_ns: quantile(0.999),
            p99_99_ns: quantile(0.9999),
            max_ns: some(latencies.max()),
        }
    }

    fn rows(&self) -> [(&'static str, Option<u64>); 8] {
        [
            ("min", self.min_ns),
            ("mean", self.mean_ns),
            ("p50", self.p50_ns),
            ("p90", self.p90_ns),
            ("p99", self.p99_ns),
            ("p99.9", self.p99_9_ns),
            ("p99.99", self.p99_99_ns),
            ("max", self.max_ns),
        ]
    }
}

impl Report {
    /// The report on a run whose measured time was cut short where it was `interrupted`.
    pub(super) fn new(arguments: &Bench, threads: u32, tally: &Tally, measured: Duration, interrupted: bool) -> Self {
        let seconds = measured.as_secs_f64();
        let per_second = |count: u64| if seconds > 0.0 { tenths(count as f64 / seconds) } else { 0.0 };
        let route: Route = arguments.route;
        Self {
            url: arguments.url.url(route),
            method: route.method(),
            connections: arguments.connections,
            threads,
            seconds: (seconds * 1000.0).round() / 1000.0,
            interrupted,
            rate: arguments.rate.map(|asked| Rate { asked, reached: per_second(tally.sent_in_time) }),
            requests: tally.begun,
            succeeded: tally.latencies.len(),
            failed: tally.failed(),
            requests_per_second: per_second(tally.answered_in_time),
            bytes_sent: tally.bytes_sent,
            bytes_received: tally.bytes_received,
            connections_opened: tally.connections_opened,
            latency: Latency { corrected: arguments.rate.is_some(), distribution: Distribution::new(&tally.latencies) },
            errors: tally.failures.iter().map(|(failure, times)| (failure.name(), *times)).collect(),
            labels: tally.failures.iter().map(|(failure, times)| (failure.label(), *times)).collect(),
        }
    }

    /// Whether any request succeeded.
    pub(super) fn has_success(&self) -> bool {
        self.succeeded > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.method, self.url)?;
        let (connections, threads) = (plural(self.connections, "connection"), plural(self.threads, "thread"));
        let cut = if self.interrupted { ", interrupted" } else { "" };
        writeln!(f, "{connections}, {threads}, {} s{cut}", self.seconds)?;
        writeln!(f)?;
        writeln!(f, "requests     {}, {} failed", self.requests, self.failed)?;
        writeln!(f, "answers      {:.0}/s", self.requests_per_second)?;
        if let Some(rate) = &self.rate {
            writeln!(f, "rate         {}/s asked, {:.0}/s reached", rate.asked, rate.reached)?;
        }
        writeln!(f, "received     {}", bytes(self.bytes_received))?;
        writeln!(f, "sent         {}", bytes(self.bytes_sent))?;
        writeln!(f, "opened       {}", plural(self.connections_opened, "connection"))?;
        writeln!(f)?;
        writeln!(
            f,
            "{}",
            if self.latency.corrected {
                "latency, from when each request was due"
            } else {
                "latency as service time: without --rate a stall holds the requests up too, and counts once"
            }
        )?;
        for (name, value) in self.latency.distribution.rows() {
            let value = value.map_or_else(|| "-".to_owned(), time);
            writeln!(f, "  {name:<10} {value:>10}")?;
        }
        if !self.labels.is_empty() {
            writeln!(f)?;
            writeln!(f, "failed")?;
        }
        for (label, times) in &self.labels {
            writeln!(f, "  {label:<16} {times}")?;
        }
        Ok(())
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn plural(count: impl Into<u64>, what: &str) -> String {
    let count = count.into();
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Three digits and a unit.
fn time(nanoseconds: u64) -> String {
    let value = nanoseconds as f64;
    let (value, unit) = match nanoseconds {
        0..1_000_000 => (value / 1e3, "µs"),
        1_000_000..1_000_000_000 => (value / 1e6, "ms"),
        _ => (value / 1e9, "s"),
    };
    let digits = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {unit}")
}

fn bytes(count: u64) -> String {
    let value = count as f64;
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", value / 1e6),
        _ => format!("{:.1} GB", value / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        for (nanoseconds, expect) in [
            (0, "0.00 µs"),
            (61_234, "61.2 µs"),
            (999_000, "999 µs"),
            (1_234_567, "1.23 ms"),
            (12_000_000_000, "12.0 s"),
        ] {
            assert_eq!(time(nanoseconds), expect);
        }
    }

    #[test]
    fn nothing_measured_has_no_latencies() {
        let distribution = Distribution::new(&Histogram::new_with_max(1_000_000, 3).unwrap());
        assert!(distribution.rows().iter().all(|(_, value)| value.is_none()));
    }
}
