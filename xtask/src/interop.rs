//! Interoperation with libraries that nobody here wrote, where Python and Node are there to run them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::steps::{answers, cargo, program, root, succeeds};
use crate::test::Totals;

const PYTHON: &str = "interoperation with PyJWT, joserfc, cryptography, Authlib and Schemathesis";
const NODE: &str = "interoperation with jose and oauth4webapi from npm";
const WALKTHROUGH: &str = "the README's walk-through of access tokens, in bash with PyJWT and jose";
/// What that has one type, besides Python and Node.
const TYPED: [&str; 3] = ["bash", "curl", "jq"];

/// Runs what is in `interop/` against the binary, and counts its checks.
pub(crate) fn run(totals: &mut Totals) {
    let Some(jotd) = binary() else {
        totals.count(false);
        return;
    };
    let python = python(&jotd, totals);
    let node = node(&jotd, totals);
    walkthrough(&jotd, python && node, totals);
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

fn interpreter() -> PathBuf {
    folder("venv").join("bin/python")
}

/// A script in `interop/`, for the Python with the libraries.
fn python_script(name: &str, jotd: &Path) -> Command {
    let mut script = Command::new(interpreter());
    script.arg(Path::new("interop").join(name)).arg(jotd).env("PYTHONDONTWRITEBYTECODE", "1").current_dir(root());
    script
}

/// Answers whether the libraries are there.
fn python(jotd: &Path, totals: &mut Totals) -> bool {
    if !answers("python3", &["--version"]) {
        totals.leave_out(&format!("{PYTHON}, because there is no python3"));
        return false;
    }
    let installed = succeeds("a Python environment", program("python3", &["-m", "venv"]).arg(folder("venv")))
        && succeeds(
            "libraries from PyPI",
            Command::new(interpreter())
                .args(["-m", "pip", "install", "--quiet", "--requirement", "interop/requirements.txt"])
                .current_dir(root()),
        );
    if !installed {
        totals.leave_out(&format!("{PYTHON}, because they cannot be installed"));
        return false;
    }
    for (title, script) in [
        ("interoperation with PyJWT, joserfc and cryptography", "interop.py"),
        ("interoperation with Authlib, PyJWT and joserfc over OAuth", "oauth.py"),
        ("the OpenAPI description, by Schemathesis", "schemas.py"),
    ] {
        totals.count_suite(title, &mut python_script(script, jotd));
    }
    true
}

/// Answers whether the libraries are there.
fn node(jotd: &Path, totals: &mut Totals) -> bool {
    if !answers("node", &["--version"]) || !answers("npm", &["--version"]) {
        totals.leave_out(&format!("{NODE}, because there is no node with npm"));
        return false;
    }
    let folder = folder("node");
    let mut install = program("npm", &["ci", "--silent", "--no-audit", "--no-fund"]);
    if !copied_to(&folder) || !succeeds("libraries from npm", install.current_dir(&folder)) {
        totals.leave_out(&format!("{NODE}, because they cannot be installed"));
        return false;
    }
    for (title, script) in [
        ("interoperation with jose from npm", "interop.mjs"),
        ("interoperation with oauth4webapi and jose from npm over OAuth", "oauth.mjs"),
        ("Node's own clients of HTTP/2 and HTTP/1.1", "http2.mjs"),
    ] {
        let mut run = Command::new("node");
        run.arg(script).arg(jotd).current_dir(&folder);
        totals.count_suite(title, &mut run);
    }
    true
}

fn walkthrough(jotd: &Path, libraries: bool, totals: &mut Totals) {
    if !libraries {
        totals.leave_out(&format!("{WALKTHROUGH}, because there are not both Python's and Node's libraries"));
    } else if let Some(missing) = TYPED.into_iter().find(|program| !answers(program, &["--version"])) {
        totals.leave_out(&format!("{WALKTHROUGH}, because there is no {missing}"));
    } else {
        totals.count_suite(WALKTHROUGH, python_script("walkthrough.py", jotd).arg(folder("node")));
    }
}

/// Node looks for libraries beside the script, so the scripts go where the libraries are.
fn copied_to(folder: &Path) -> bool {
    let files = [
        "package.json",
        "package-lock.json",
        "authority.mjs",
        "checks.mjs",
        "http2.mjs",
        "interop.mjs",
        "oauth.mjs",
        "serving.mjs",
    ];
    fs::create_dir_all(folder).is_ok()
        && files.iter().all(|file| fs::copy(root().join("interop").join(file), folder.join(file)).is_ok())
}
