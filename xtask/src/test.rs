//! `cargo xtask test`: every test, counted over all suites.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::steps::{answers, cargo, program, succeeds};

/// What ran, and what did not and why.
#[derive(Default)]
struct Totals {
    passed: u32,
    failed: u32,
    left_out: Vec<String>,
}

impl Totals {
    fn count(&mut self, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }
}

pub(crate) fn run() -> bool {
    let mut totals = Totals::default();
    workspace(&mut totals);
    container(&mut totals);

    for reason in &totals.left_out {
        println!("left out: {reason}");
    }
    println!("{} passed, {} failed", totals.passed, totals.failed);
    totals.failed == 0
}

/// The unit, integration and documentation tests of all crates.
fn workspace(totals: &mut Totals) {
    println!("== tests of the workspace");
    let mut command = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    let Ok(mut child) = command.stdout(Stdio::piped()).spawn() else {
        println!("cargo cannot be run");
        totals.failed += 1;
        return;
    };
    let before = totals.failed;
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()).map_while(Result::ok)
    {
        println!("{line}");
        if let Some((passed, failed)) = summary(&line) {
            totals.passed += passed;
            totals.failed += failed;
        }
    }
    let succeeded = child.wait().is_ok_and(|status| status.success());
    // What does not even compile prints no summary.
    if !succeeded && totals.failed == before {
        totals.failed += 1;
    }
}

/// The numbers of a line such as `test result: ok. 3 passed; 1 failed; …`.
fn summary(line: &str) -> Option<(u32, u32)> {
    let counts = line.strip_prefix("test result: ")?;
    let number =
        |word: &str| counts.split(['.', ';']).find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok());
    Some((number("passed")?, number("failed")?))
}

/// The container image, where there is an engine to build it.
fn container(totals: &mut Totals) {
    if answers("docker", &["info"]) {
        totals.count(succeeds("container image", &mut program("docker", &["build", "--tag", "jotd:test", "."])));
    } else {
        totals.left_out.push("building the container image, because no Docker engine answers `docker info`".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn summaries_are_read() {
        let line = "test result: FAILED. 40 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.82s";
        assert_eq!(summary(line), Some((40, 3)));
        assert_eq!(summary("test result: ok. 7 passed; 0 failed; 0 ignored"), Some((7, 0)));
        assert_eq!(summary("running 3 tests"), None);
    }
}
