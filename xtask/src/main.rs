//! `cargo xtask`: the one front door for everything that is done to this repository.

mod bench;
mod check;
mod fuzz;
mod interop;
mod steps;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask COMMAND

  check                 formatting, lints, documentation, licences and bans
  test                  every test, with what it needs; ends with the totals
  bench jose [FILTER]   the token library against bare primitives and jsonwebtoken, as ratios
  bench revocation      what a check costs over a thousand to ten million revoked tokens
  bench http [SECONDS]  the server beside nginx, Flask and bare primitives; rounds of 3 s, or so many
  bench growth          rate, times and memory over connections, checks over revoked tokens; draws them
  bench cluster         nodes over one PostgreSQL: what requests and idling cost, how soon revocations hold
                        everywhere, how many a second, starts, outages; draws it
  bench instructions [--update]
                        instructions a request, held against those written down, or written down anew
  fuzz [SECONDS]        each fuzz target for a minute, or so many seconds

Benchmarks of the server measure another binary than that of this tree where JOTD_BENCH_BINARY names one.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let passed = match arguments[..] {
        ["check"] => check::run(),
        ["test"] => test::run(),
        ["bench", "jose"] => bench::jose(None),
        ["bench", "jose", filter] => bench::jose(Some(filter)),
        ["bench", "revocation"] => bench::revocation(),
        ["bench", "http"] => bench::http::run("3"),
        ["bench", "http", seconds] => bench::http::run(seconds),
        ["bench", "growth"] => bench::growth::run(),
        ["bench", "cluster"] => bench::cluster::run(),
        ["bench", "instructions"] => bench::instructions::run(false),
        ["bench", "instructions", "--update"] => bench::instructions::run(true),
        ["fuzz"] => fuzz::run("60"),
        ["fuzz", seconds] => fuzz::run(seconds),
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
