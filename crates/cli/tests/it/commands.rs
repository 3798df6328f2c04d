//! `--help`, `--version`, `health`, completions and manual pages. Help texts are golden files: run the tests with
//! `UPDATE_GOLDEN=1` to write them anew, then read the difference.

use std::fs;
use std::path::Path;

use crate::process::{Serving, fails, new_home, run};

#[track_caller]
fn output(arguments: &[&str]) -> String {
    let home = new_home();
    let output = run(home.path(), arguments, &[]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_texts() {
    for (name, arguments) in [
        ("help", &["--help"][..]),
        ("help-serve", &["serve", "--help"]),
        ("help-config", &["config", "--help"]),
        ("help-health", &["health", "--help"]),
        ("help-bench", &["bench", "--help"]),
        ("help-sign", &["sign", "--help"]),
        ("help-verify", &["verify", "--help"]),
        ("help-inspect", &["inspect", "--help"]),
        ("help-jwk-new", &["jwk", "new", "--help"]),
        ("help-jwk-from-pem", &["jwk", "from-pem", "--help"]),
        ("help-token", &["token", "--help"]),
        ("help-clients-add", &["clients", "add", "--help"]),
        ("help-keys-rotate", &["keys", "rotate", "--help"]),
        ("help-keys-schedule", &["keys", "schedule", "--help"]),
        ("help-revoke", &["revoke", "--help"]),
        ("help-audit", &["audit", "--help"]),
        ("help-backup", &["backup", "--help"]),
        ("help-restore", &["restore", "--help"]),
        ("help-migrate-store", &["migrate-store", "--help"]),
        ("help-master-key-rotate", &["master-key", "rotate", "--help"]),
        ("help-completions", &["completions", "--help"]),
        ("help-man", &["man", "--help"]),
    ] {
        let text = output(arguments);
        assert!(text.contains("Examples:"), "{name}");
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &text).unwrap();
        }
        assert_eq!(text, fs::read_to_string(&golden).unwrap_or_default(), "{}", golden.display());
    }
}

#[test]
fn version() {
    assert_eq!(output(&["--version"]), format!("jotd {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_key_cannot_be_given_on_the_command_line() {
    let home = new_home();
    let key = "k".repeat(64);
    let output = run(home.path(), &["serve", "--signing-key", &key], &[]);
    assert_eq!(output.status.code(), Some(2));
    let output = run(home.path(), &["serve", &format!("--signing-key={key}")], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!String::from_utf8(output.stderr).unwrap().contains("kkk"));
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = output(&["completions", shell]);
        for word in ["serve", "health", "admin-listen", "signing-key-file"] {
            assert!(script.contains(word), "{shell} {word}");
        }
    }
    let page = output(&["man"]);
    assert!(page.contains(".TH") && page.contains("jotd\\-serve"), "{page}");
    let home = new_home();
    assert!(run(home.path(), &["man", "pages/man1"], &[]).status.success());
    for command in ["", "-serve", "-config", "-health", "-completions", "-man"] {
        let page = fs::read_to_string(home.path().join(format!("pages/man1/jotd{command}.1"))).unwrap();
        assert!(page.contains(".TH"), "{command}");
    }
}

#[test]
fn health() {
    let home = new_home();
    let server = Serving::start(home.path(), &[], &[]);
    let listen = server.address().to_string();
    let well = run(home.path(), &["health"], &[("JOTD_LISTEN", &listen)]);
    assert!(well.status.success() && well.stderr.is_empty(), "{well:?}");
    // A wildcard address is asked on this machine.
    let wildcard = format!("0.0.0.0:{}", server.address().port());
    assert!(run(home.path(), &["health", "--listen", &wildcard], &[]).status.success());
    let line = fails(home.path(), &["health", "--url", &format!("http://{listen}/nothing")], &[]);
    assert!(line.contains("404"), "{line}");
    server.stop();
    let line = fails(home.path(), &["health"], &[("JOTD_LISTEN", &listen)]);
    assert!(line.contains("does not answer"), "{line}");
    let line = fails(home.path(), &["health", "--url", "https://127.0.0.1/healthz"], &[]);
    assert!(line.contains("only http://"), "{line}");
}
