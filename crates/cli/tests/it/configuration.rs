//! Flags, environment, file: which wins, how the result is shown, and what is said about mistakes.

use std::fs;

use crate::process::{Serving, fails, new_home, run};

#[track_caller]
fn shown(home: &std::path::Path, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = run(home, &[&["config"], arguments].concat(), variables);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let home = new_home();
    fs::write(
        home.path().join("jotd.toml"),
        "listen = [\"127.0.0.1:1\", \"[::1]:2\"]\ndata_dir = \"from-file\"\nidle_timeout = \"90s\"\nmax_connections = 7\n",
    )
    .unwrap();
    let variables =
        [("JOTD_CONFIG", "jotd.toml"), ("JOTD_DATA_DIR", "from-variable"), ("JOTD_LISTEN", "127.0.0.1:3, 127.0.0.1:4")];
    let text = shown(home.path(), &["--listen", "127.0.0.1:5"], &variables);
    for line in [
        "listen = [\"127.0.0.1:5\"] # --listen",
        "data_dir = \"from-variable\" # JOTD_DATA_DIR",
        "signing_key_file = \"from-variable/signing.key\" # default",
        "idle_timeout = \"1m 30s\" # idle_timeout in jotd.toml",
        "max_connections = 7 # max_connections in jotd.toml",
        "# config = \"jotd.toml\" # JOTD_CONFIG",
        "head_timeout = \"10s\" # default",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
    let text = shown(home.path(), &[], &variables);
    assert!(text.contains("listen = [\"127.0.0.1:3\", \"127.0.0.1:4\"] # JOTD_LISTEN\n"), "{text}");
    let text = shown(home.path(), &["--config", "jotd.toml"], &[]);
    assert!(text.contains("listen = [\"127.0.0.1:1\", \"[::1]:2\"] # listen in jotd.toml\n"), "{text}");
}

#[test]
fn what_is_shown_is_a_file_with_the_same_effect() {
    let home = new_home();
    let arguments =
        ["--listen", "127.0.0.1:0", "--admin-listen", "[::1]:0", "--allow-published-key", "--head-timeout", "3s"];
    let text = shown(home.path(), &arguments, &[]);
    fs::write(home.path().join("jotd.toml"), &text).unwrap();
    let values = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split(" # ").next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(values(&shown(home.path(), &["--config", "jotd.toml"], &[])), values(&text));
    let variables = [("JOTD_CONFIG", "jotd.toml"), ("JOTD_LISTEN", "127.0.0.1:0")];
    fs::write(home.path().join("jotd.toml"), text.replace(".local/share/jotd/signing.key", "key")).unwrap();
    fs::write(home.path().join("key"), "k".repeat(64)).unwrap();
    Serving::start(home.path(), &[], &variables).stop();
}

#[test]
fn mistakes_are_named_where_they_were_made() {
    let home = new_home();
    for (content, expect) in [
        ("listne = []", "jotd.toml: \"listne\" is not a setting; did you mean \"listen\"?"),
        ("signing-key-file = \"x\"", "did you mean \"signing_key_file\"?"),
        ("zzz = 1", "\"zzz\" is not a setting"),
        ("config = \"x\"", "\"config\" is not a setting"),
        ("listen = \"nowhere\"", "listen in jotd.toml: \"nowhere\": not an address"),
        ("listen = []", "no address to listen on"),
        ("listen = {}", "wrong type"),
        ("data_dir = [\"x\"]", "wrong type"),
        ("\nlisten = ", "jotd.toml, line 2"),
        ("allow_published_key = \"perhaps\"", "neither true nor false"),
        ("max_connections = 0", "not a whole number of 1 or more"),
        ("max_head_bytes = 100", "not a whole number of 8192 or more"),
        ("max_verify_body_bytes = 70000", "max_verify_body_bytes must be"),
        ("max_generate_body_bytes = 1000000", "max_generate_body_bytes is too large"),
        ("head_timeout = \"soon\"", "not a time"),
        ("log_level = \"loud\"", "not one of"),
        ("[server]\nlisten = \"127.0.0.1:1\"", "\"server\" is not a setting"),
    ] {
        fs::write(home.path().join("jotd.toml"), content).unwrap();
        for command in ["serve", "config"] {
            let line = fails(home.path(), &[command, "--config", "jotd.toml"], &[]);
            assert!(line.contains(expect), "{content}: {line}");
        }
    }
    let line = fails(home.path(), &["config", "--config", "missing.toml"], &[]);
    assert!(line.contains("missing.toml") && line.contains("No such file"), "{line}");
    for (variable, value) in
        [("JOTD_LISTEN", ""), ("JOTD_DATA_DIR", ""), ("JOTD_LOG_LEVEL", "x"), ("JOTD_ALLOW_PUBLISHED_KEY", "")]
    {
        let line = fails(home.path(), &["config"], &[(variable, value)]);
        assert!(line.contains(variable), "{line}");
    }
}

#[test]
fn logs_are_json_unless_a_terminal_or_a_flag_says_otherwise() {
    let home = new_home();
    let log = Serving::start(home.path(), &[], &[]).stop();
    for line in &log {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        for member in ["timestamp", "level", "message"] {
            assert!(line[member].is_string(), "{line}");
        }
    }
    let output = run(home.path(), &["serve", "--listen", "192.0.2.1:1", "--log-format", "text"], &[]);
    assert!(!String::from_utf8(output.stderr).unwrap().starts_with('{'));
}

#[test]
fn the_password_of_the_store_is_not_shown_however_it_is_written() {
    let home = new_home();
    for url in [
        "postgres://u:s3cret@127.0.0.1:1/db",
        "postgres://u:x/s3cret@127.0.0.1:1/db?schema=a",
        "postgres://u:s3cret%2Fx@127.0.0.1:1,[::1]:2/db",
        "postgres://u@127.0.0.1:1/db?password=s3cret",
        "postgres://u@127.0.0.1:1/db?passwor%64=s3cret",
    ] {
        let text = shown(home.path(), &["--store", url], &[]);
        assert!(text.contains("# store = \"postgres://127.0.0.1:1") && !text.contains("s3cret"), "{text}");
        let error = fails(home.path(), &["clients", "list", "--store", url], &[]);
        assert!(error.contains("127.0.0.1:1") && !error.contains("s3cret"), "{error}");
    }
}
