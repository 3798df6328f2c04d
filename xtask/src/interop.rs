//! Interoperation with libraries that nobody here wrote, where Python and Node are there to run them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::steps::{answers, cargo, program, root, succeeds};
use crate::test::Totals;

const PYTHON: &str = "interoperation with PyJWT, joserfc, cryptography, Authlib and Schemathesis";
const NODE: &str = "interoperation with jose and oauth4webapi from npm";

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
        totals.leave_out(&format!("{PYTHON}, because there is no python3"));
        return;
    }
    let venv = folder("venv");
    let interpreter = venv.join("bin/python");
    let installed = succeeds("a Python environment", program("python3", &["-m", "venv"]).arg(&venv))
        && succeeds(
            "libraries from PyPI",
            Command::new(&interpreter)
                .args(["-m", "pip", "install", "--quiet", "--requirement", "interop/requirements.txt"])
                .current_dir(root()),
        );
    if !installed {
        totals.leave_out(&format!("{PYTHON}, because they cannot be installed"));
        return;
    }
    for (title, script) in [
        ("interoperation with PyJWT, joserfc and cryptography", "interop.py"),
        ("interoperation with Authlib, PyJWT and joserfc over OAuth", "oauth.py"),
        ("the OpenAPI description, by Schemathesis", "schemas.py"),
    ] {
        let mut run = Command::new(&interpreter);
        run.arg(Path::new("interop").join(script)).arg(jotd).env("PYTHONDONTWRITEBYTECODE", "1").current_dir(root());
        totals.count_suite(title, &mut run);
    }
}

fn node(jotd: &Path, totals: &mut Totals) {
    if !answers("node", &["--version"]) || !answers("npm", &["--version"]) {
        totals.leave_out(&format!("{NODE}, because there is no node with npm"));
        return;
    }
    let folder = folder("node");
    let mut install = program("npm", &["ci", "--silent", "--no-audit", "--no-fund"]);
    if !copied_to(&folder) || !succeeds("libraries from npm", install.current_dir(&folder)) {
        totals.leave_out(&format!("{NODE}, because they cannot be installed"));
        return;
    }
    for (title, script) in [
        ("interoperation with jose from npm", "interop.mjs"),
        ("interoperation with oauth4webapi and jose from npm over OAuth", "oauth.mjs"),
    ] {
        let mut run = Command::new("node");
        run.arg(script).arg(jotd).current_dir(&folder);
        totals.count_suite(title, &mut run);
    }
}

/// Node looks for libraries beside the script, so the scripts go where the libraries are.
fn copied_to(folder: &Path) -> bool {
    let files =
        ["package.json", "package-lock.json", "authority.mjs", "checks.mjs", "interop.mjs", "oauth.mjs", "serving.mjs"];
    fs::create_dir_all(folder).is_ok()
        && files.iter().all(|file| fs::copy(root().join("interop").join(file), folder.join(file)).is_ok())
}
