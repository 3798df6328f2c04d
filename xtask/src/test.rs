//! `cargo xtask test`: every test, counted over all suites.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::bench::instructions;
use crate::interop;
use crate::steps::{answers, cargo, program, succeeds};

/// What ran, and what did not and why.
#[derive(Default)]
pub(crate) struct Totals {
    passed: u32,
    failed: u32,
    left_out: Vec<String>,
}

impl Totals {
    /// Counts one check.
    pub(crate) fn count(&mut self, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    /// Says at the end what was not run, and why.
    pub(crate) fn leave_out(&mut self, what: &str) {
        self.left_out.push(what.to_owned());
    }

    /// Runs a suite, shows what it prints, and adds up the totals that it gives.
    pub(crate) fn count_suite(&mut self, title: &str, command: &mut Command) {
        println!("== {title}");
        let Ok(mut child) = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn() else {
            println!("{title}: cannot be run");
            self.failed += 1;
            return;
        };
        let before = (self.passed, self.failed);
        let lines = child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines());
        for line in lines.map_while(Result::ok) {
            println!("{line}");
            if let Some((passed, failed)) = summary(&line) {
                self.passed += passed;
                self.failed += failed;
            }
        }
        let succeeded = child.wait().is_ok_and(|status| status.success());
        // What does not even compile, or dies on the way, gives no totals.
        if (!succeeded && self.failed == before.1) || (self.passed, self.failed) == before {
            println!("{title}: ended without totals that say so");
            self.failed += 1;
        }
    }
}

/// Measures, and so wants the machine to itself.
const MEASURES: &str = "postgres::revocation";

pub(crate) fn run() -> bool {
    let mut totals = Totals::default();
    let mut workspace = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    // All tests of one kind have its name in the path of their module.
    let mut skipped = vec![MEASURES];
    let has_postgres = jotd_pgserver::is_installed() || std::env::var_os("JOTD_TEST_POSTGRES").is_some();
    if !has_postgres {
        skipped.push("postgres");
        totals.leave_out(
            "the tests on PostgreSQL, because its programs are not there: `apt-get install postgresql`, or the URL of a superuser in JOTD_TEST_POSTGRES",
        );
    }
    if !answers("haproxy", &["-v"]) {
        skipped.push("balancer");
        totals.leave_out(
            "tests of the load balancer's file, and restarts of nodes behind it, because there is no HAProxy: `apt-get install haproxy`",
        );
    }
    workspace.arg("--").args(skipped.iter().flat_map(|name| ["--skip", name]));
    totals.count_suite("tests of the workspace", &mut workspace);
    if has_postgres {
        let mut alone = cargo(&["test", "--package", "jotd", "--locked", "--test", "it", "--", MEASURES]);
        totals.count_suite("how soon a revocation is in force on all nodes", &mut alone);
    }
    interop::run(&mut totals);
    instructions::test(&mut totals);
    container(&mut totals);

    for reason in &totals.left_out {
        println!("left out: {reason}");
    }
    println!("{} passed, {} failed", totals.passed, totals.failed);
    totals.failed == 0
}

/// The numbers of a line such as `test result: ok. 3 passed; 1 failed; …` or `3 passed, 1 failed`.
fn summary(line: &str) -> Option<(u32, u32)> {
    let counts = match line.strip_prefix("test result: ") {
        Some(counts) => counts,
        None if line.starts_with(|first: char| first.is_ascii_digit()) => line,
        None => return None,
    };
    let number =
        |word: &str| counts.split(['.', ';', ',']).find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok());
    Some((number("passed")?, number("failed")?))
}

/// The container image, where there is an engine to build it.
fn container(totals: &mut Totals) {
    if answers("docker", &["info"]) {
        totals.count(succeeds("container image", &mut program("docker", &["build", "--tag", "jotd:test", "."])));
    } else {
        totals.leave_out("building the container image, because no Docker engine answers `docker info`");
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
        assert_eq!(summary("824 passed, 0 failed"), Some((824, 0)));
        assert_eq!(summary("running 3 tests"), None);
        assert_eq!(summary("3 tests"), None);
    }
}
