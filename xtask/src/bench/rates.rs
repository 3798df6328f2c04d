//! What one core does without HTTP: the program `rates` in `bench/`.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use super::cores::{on, prefixed};
use super::wrk::Round;
use crate::steps::{cargo, root, succeeds};

/// Builds the program.
pub(crate) fn build() -> io::Result<PathBuf> {
    let mut build = cargo(&["build", "--locked", "--release", "--quiet", "--bin", "rates"]);
    build.args(["--manifest-path", "bench/Cargo.toml"]);
    if !succeeds("building what measures without HTTP", &mut build) {
        return Err(io::Error::other("the program rates cannot be built"));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("bench/target"), PathBuf::from);
    Ok(target.join("release/rates"))
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
