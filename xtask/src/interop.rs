//! Interoperation with libraries that nobody here wrote, where Python and Node are there to run them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::steps::{answers, cargo, program, root, succeeds};
use crate::test::Totals;

/// Runs what is in `interop/` against the binary, and counts its checks.
pub(crate) fn run(totals: &mut Totals) {
    let Some(jotd) = binary() else {
        totals.count(false);
        return;
    };
    python(&jotd, totals);
    node(&jotd, totals);
}

/// The binary, built as the tests build it.
fn binary() -> Option<PathBuf> {
    let built = succeeds("building jotd", &mut cargo(&["build", "--locked", "--quiet", "--package", "jotd"]));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    built.then(|| target.join("debug/jotd"))
}

/// Where the libraries are installed.
fn folder(name: &str) -> PathBuf {
    root().join("target/interop").join(name)
}

fn python(jotd: &Path, totals: &mut Totals) {
    if !answers("python3", &["--version"]) {
        totals.leave_out("interoperation with PyJWT and joserfc, because there is no python3");
        return;
    }
    let venv = folder("venv");
    let interpreter = venv.join("bin/python");
    let installed = succeeds("a Python environment", program("python3", &["-m", "venv"]).arg(&venv))
        && succeeds(
            "PyJWT, joserfc and cryptography",
            Command::new(&interpreter)
                .args(["-m", "pip", "install", "--quiet", "--requirement", "interop/requirements.txt"])
                .current_dir(root()),
        );
    if !installed {
        totals.leave_out("interoperation with PyJWT and joserfc, because they cannot be installed");
        return;
    }
    let mut run = Command::new(interpreter);
    run.arg("interop/interop.py").arg(jotd).env("PYTHONDONTWRITEBYTECODE", "1").current_dir(root());
    totals.count_suite("interoperation with PyJWT, joserfc and cryptography", &mut run);
}

fn node(jotd: &Path, totals: &mut Totals) {
    if !answers("node", &["--version"]) || !answers("npm", &["--version"]) {
        totals.leave_out("interoperation with jose from npm, because there is no node with npm");
        return;
    }
    let folder = folder("node");
    let files = ["package.json", "package-lock.json", "interop.mjs"];
    let copied = fs::create_dir_all(&folder).is_ok()
        && files.iter().all(|file| fs::copy(root().join("interop").join(file), folder.join(file)).is_ok());
    let mut install = program("npm", &["ci", "--silent", "--no-audit", "--no-fund"]);
    if !copied || !succeeds("jose from npm", install.current_dir(&folder)) {
        totals.leave_out("interoperation with jose from npm, because it cannot be installed");
        return;
    }
    let mut run = Command::new("node");
    run.arg("interop.mjs").arg(jotd).current_dir(&folder);
    totals.count_suite("interoperation with jose from npm", &mut run);
}
