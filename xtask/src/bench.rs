//! `cargo xtask bench jose [FILTER]`: the token library against the bare primitives and against jsonwebtoken, in one
//! run, as a table of ratios.

use crate::steps::{cargo, succeeds};

pub(crate) fn jose(filter: Option<&str>) -> bool {
    let manifest = ["--manifest-path", "bench/Cargo.toml"];
    let mut run = cargo(&["bench", "--locked", "--bench", "jose"]);
    run.args(manifest).arg("--").args(filter);
    let mut report = cargo(&["run", "--locked", "--release", "--quiet", "--bin", "report"]);
    report.args(manifest);
    succeeds("measuring", &mut run) && succeeds("calls a second, and ratios", &mut report)
}
