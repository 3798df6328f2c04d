//! `cargo xtask bench instructions [--update]`: instructions that a request takes, held against those written down in
//! `bench/instructions.toml`. Unlike time they hardly depend on the machine and on who else uses it, so that whoever
//! makes a request slower sees it, anywhere.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::callgrind;
use super::jotd::binary;
use crate::steps::{answers, root};
use crate::test::Totals;

/// How much more than written down is not yet a failure, as a part of it.
const TOLERANCE: f64 = 0.1;

/// The command: counts and compares, or writes what it has counted.
pub(crate) fn run(update: bool) -> bool {
    let result = match missing(update) {
        Some(reason) => Err(io::Error::other(reason)),
        None => binary().and_then(|binary| if update { write(&binary) } else { compare(&binary) }),
    };
    result.unwrap_or_else(|error| {
        eprintln!("== failed: {error}");
        false
    })
}

/// The step of `cargo xtask test`.
pub(crate) fn test(totals: &mut Totals) {
    match missing(false) {
        Some(reason) => totals.leave_out(&format!("instructions a request, because {reason}")),
        None => totals.count(run(false)),
    }
}

/// Why they cannot be counted, or not be compared.
fn missing(update: bool) -> Option<String> {
    if !answers("valgrind", &["--version"]) {
        return Some("valgrind is not installed (Debian: valgrind)".to_owned());
    }
    let here = std::env::consts::ARCH;
    let counted_on = written().ok()?.get("architecture")?.as_str()?.to_owned();
    (!update && counted_on != here).then(|| format!("they are written down for {counted_on}, and this is {here}"))
}

fn compare(binary: &Path) -> io::Result<bool> {
    let written = written()?;
    let counts = callgrind::count(binary)?;
    println!("| request | instructions | written down | |");
    println!("| --- | ---: | ---: | ---: |");
    let mut passed = true;
    for (path, count) in counts {
        let known = written.get("instructions").and_then(|known| known.get(path)?.as_integer());
        let Some(known) = known else {
            println!("| {path} | {count} | – | |");
            passed = false;
            continue;
        };
        let change = count as f64 / known as f64 - 1.0;
        println!("| {path} | {count} | {known} | {:+.1} % |", change * 100.0);
        if change > TOLERANCE {
            eprintln!("== {path} takes {:.0} % more instructions than are written down", change * 100.0);
            passed = false;
        } else if change < -TOLERANCE {
            eprintln!("== {path} takes far fewer instructions than are written down: write the new count down");
        }
    }
    if !passed {
        eprintln!("== what is meant to cost more is written down by: cargo xtask bench instructions --update");
    }
    Ok(passed)
}

fn write(binary: &Path) -> io::Result<bool> {
    let mut text = format!(
        "# Instructions that a request takes: `cargo xtask bench instructions` compares, with `--update` it writes.\n\
         # Valgrind shows programs a processor of its own, but with what the real one can do (AVX2, say), and crypto\n\
         # libraries choose their code by that; compilers and C libraries differ too.\n\
         architecture = {:?}\n\
         counted_with = \"{}, {}\"\n\n[instructions]\n",
        std::env::consts::ARCH,
        version("valgrind"),
        version("rustc"),
    );
    for (path, count) in callgrind::count(binary)? {
        println!("{path} {count}");
        text += &format!("{path:?} = {count}\n");
    }
    std::fs::write(file(), text)?;
    println!("written to bench/instructions.toml");
    Ok(true)
}

fn written() -> io::Result<toml::Table> {
    std::fs::read_to_string(file())?.parse().map_err(io::Error::other)
}

fn file() -> PathBuf {
    root().join("bench/instructions.toml")
}

/// A program's name and version, without what comes after.
fn version(program: &str) -> String {
    let said = Command::new(program).arg("--version").output().map(|done| done.stdout).unwrap_or_default();
    String::from_utf8_lossy(&said).split(" (").next().unwrap_or_default().trim().to_owned()
}
