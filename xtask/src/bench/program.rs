//! Programs in `bench/`, a workspace of its own.

use std::io;
use std::path::PathBuf;

use crate::steps::{cargo, root, succeeds};

/// Builds one for release.
pub(crate) fn build(name: &str) -> io::Result<PathBuf> {
    let mut build = cargo(&["build", "--locked", "--release", "--quiet", "--bin", name]);
    build.args(["--manifest-path", "bench/Cargo.toml"]);
    if !succeeds(&format!("building the program {name}"), &mut build) {
        return Err(io::Error::other(format!("the program {name} cannot be built")));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("bench/target"), PathBuf::from);
    Ok(target.join("release").join(name))
}
