//! What one core does without HTTP: the program `rates` in `bench/`.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use super::cores::{on, prefixed};
use super::program;
use super::wrk::Round;

/// Builds the program.
pub(crate) fn build() -> io::Result<PathBuf> {
    program::build("rates")
}

/// Runs it on the core, and gives each figure with its name.
pub(crate) fn run(program: &PathBuf, core: Option<usize>) -> io::Result<Vec<(String, Round)>> {
    let done = prefixed(&on(core), program).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    let rates: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&done.stdout)?;
    let number = |rate: &serde_json::Value, name: &str| rate[name].as_f64().unwrap_or(0.0);
    let round = |rate| Round {
        per_second: number(rate, "per_second"),
        per_cpu_second: number(rate, "per_cpu_second"),
        ..Round::default()
    };
    Ok(rates.iter().map(|(name, rate)| (name.clone(), round(rate))).collect())
}
