//! The seeds of the fuzz targets, and every input that once broke something, run with the ordinary tests.

use std::fs;
use std::path::Path;

#[allow(unreachable_pub, reason = "a library of its own for the fuzz targets")]
#[path = "../../../../fuzz/src/lib.rs"]
mod targets;

/// Runs a target on each of its seeds.
fn run(name: &str, target: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name);
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        target(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 4, "{name} has {count} seeds");
}

#[test]
fn jws() {
    run("jws", targets::jws);
}

#[test]
fn jwk() {
    run("jwk", targets::jwk);
}

#[test]
fn pem() {
    run("pem", targets::pem);
}

#[test]
fn claims() {
    run("claims", targets::claims);
}

#[test]
fn round_trip() {
    run("round_trip", targets::round_trip);
}
