//! Tables, for whoever has started this.

use std::time::Duration;

use serde_json::{Value, json};

/// A table.
pub(crate) struct Table {
    name: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<Value>>,
}

impl Table {
    pub(crate) fn new(name: &'static str, columns: &'static [&'static str]) -> Self {
        Self { name, columns, rows: Vec::new() }
    }

    pub(crate) fn add<const N: usize>(&mut self, cells: [Value; N]) {
        assert_eq!(N, self.columns.len());
        self.rows.push(cells.into());
    }

    pub(crate) fn print(self) {
        println!("{}", json!({ "name": self.name, "columns": self.columns, "rows": self.rows }));
    }
}

/// A figure with so many digits after the point.
pub(crate) fn rounded(value: f64, digits: i32) -> Value {
    let scale = 10_f64.powi(digits);
    json!((value * scale).round() / scale)
}

/// In milliseconds.
pub(crate) fn millis(time: Duration) -> Value {
    rounded(time.as_secs_f64() * 1e3, 2)
}

/// In seconds.
pub(crate) fn seconds(time: Duration) -> Value {
    rounded(time.as_secs_f64(), 2)
}

/// Times in order, of which those are told that so many of a hundred do not exceed.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self(times)
    }

    pub(crate) fn at(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.get((self.0.len() * percent / 100).min(last)).copied().unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
