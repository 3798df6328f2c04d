//! `cargo xtask check`: everything that can be said about the code without running it.

use crate::steps::{answers, cargo, succeeds};

pub(crate) fn run() -> bool {
    let mut steps = vec![
        succeeds("formatting", &mut cargo(&["fmt", "--all", "--check"])),
        succeeds(
            "lints",
            &mut cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"]),
        ),
        succeeds(
            "documentation",
            cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--locked", "--quiet"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        ),
    ];
    if answers("cargo-deny", &["--version"]) {
        steps.push(succeeds(
            "bans, licences and sources",
            &mut cargo(&["deny", "--locked", "check", "bans", "licenses", "sources"]),
        ));
        eprintln!("== left out: advisories, which need the public database: `cargo deny check advisories`");
    } else {
        eprintln!("== bans, licences and sources: failed, because cargo-deny is not installed:");
        eprintln!("   cargo install --locked cargo-deny");
        steps.push(false);
    }
    steps.into_iter().all(|passed| passed)
}
