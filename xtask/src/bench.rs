//! `cargo xtask bench jose [FILTER]`: the token library against the bare primitives and against jsonwebtoken, in one
//! run, as a table of ratios. `cargo xtask bench revocation`: revocations at scale. The others are below.

mod callgrind;
mod child;
pub(crate) mod cluster;
mod connections;
mod cores;
mod figures;
mod footprint;
pub(crate) mod growth;
pub(crate) mod http;
pub(crate) mod instructions;
mod jotd;
mod load;
mod nodes;
mod peers;
mod plot;
mod program;
mod rates;
mod wrk;

use crate::steps::{cargo, succeeds};

const ROUNDS: u32 = 3;

pub(crate) fn jose(filter: Option<&str>) -> bool {
    let manifest = ["--manifest-path", "bench/Cargo.toml"];
    // Several rounds, because the machine's other tenants come and go; the report takes the quietest of each.
    for round in 1..=ROUNDS {
        let mut run = cargo(&["bench", "--locked", "--bench", "jose"]);
        run.args(manifest).args(["--", "--save-baseline", &format!("round{round}")]).args(filter);
        if !succeeds(&format!("round {round} of {ROUNDS}"), &mut run) {
            return false;
        }
    }
    let mut report = cargo(&["run", "--locked", "--release", "--quiet", "--bin", "report"]);
    report.args(manifest);
    succeeds("calls a second, and ratios", &mut report)
}

pub(crate) fn revocation() -> bool {
    let mut run = cargo(&["run", "--locked", "--release", "--quiet", "--bin", "revocation"]);
    run.args(["--manifest-path", "bench/Cargo.toml"]);
    succeeds("revocations at scale", &mut run)
}
