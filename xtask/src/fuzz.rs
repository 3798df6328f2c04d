//! `cargo xtask fuzz [SECONDS]`: each fuzz target for a minute, or as long as told.

use std::fs;

use crate::steps::{answers, cargo, root, succeeds};

pub(crate) fn run(seconds: &str) -> bool {
    if seconds.parse::<u32>().is_err() {
        eprintln!("{seconds:?} is not a number of seconds");
        return false;
    }
    if !answers("cargo-fuzz", &["--version"]) {
        eprintln!("cargo-fuzz is not installed:");
        eprintln!("   cargo install --locked cargo-fuzz");
        return false;
    }
    let seeds = root().join("fuzz/seeds");
    let Ok(folders) = fs::read_dir(&seeds) else {
        eprintln!("there is no {}", seeds.display());
        return false;
    };
    let mut targets: Vec<_> = folders.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    targets.sort();
    let mut passed = !targets.is_empty();
    for target in &targets {
        // What the fuzzer finds goes into the corpus, which is not kept in the repository; the seeds stay as they are.
        let (corpus, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
        if let Err(error) = fs::create_dir_all(root().join(&corpus)) {
            eprintln!("cannot make {corpus}: {error}");
            return false;
        }
        let time = format!("-max_total_time={seconds}");
        let arguments = ["fuzz", "run", target, &corpus, &seeds, "--", &time, "-max_len=8192", "-timeout=10"];
        // The instrumentation needs unstable flags of the one compiler that is there.
        passed &= succeeds(&format!("fuzz {target} for {seconds} s"), cargo(&arguments).env("RUSTC_BOOTSTRAP", "1"));
    }
    passed
}
