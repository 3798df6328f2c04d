//! No key, token or caller's data in any log or error, however much is logged and whatever goes wrong.

use std::fs;

use crate::process::{JSON, Serving, default_key_file, fails, new_home};

#[test]
fn neither_logs_nor_errors_repeat_what_was_sent() {
    let home = new_home();
    let server = Serving::start(home.path(), &["--log-level", "trace"], &[]);
    let key = fs::read_to_string(default_key_file(home.path())).unwrap().trim_end().to_owned();
    let token = server.mint("DATA-MARKER");
    let signature = token.rsplit_once('.').unwrap().1.to_owned();
    assert!(server.holds(&token, &key));
    assert!(!server.holds(&token, "KEY-MARKER"));
    let bodies = [
        r#"{"user_data": ["DATA-MARKER"]}"#.to_owned(),
        r#"{"user_data": "DATA-MARKER", "user_data": "DATA-MARKER"}"#.to_owned(),
        r#"{"user_data": "DATA-MARKER"} DATA-MARKER"#.to_owned(),
        format!(r#"{{"Token": "{token}", "Signing_key": ["KEY-MARKER"]}}"#),
        format!(r#"{{"Token": ["{token}"], "Signing_key": "KEY-MARKER"}}"#),
        format!(r#"{{"Token": "{token}.DATA-MARKER", "Signing_key": "{key}"}}"#),
        format!(r#"{{"Token": "DATA-MARKER.{token}", "Signing_key": "{key}"}}"#),
        format!(r#"{{"Token": "{token}"}}"#),
        format!(r#"{{"Signing_key": "{key}"}}"#),
        "DATA-MARKER".repeat(20_000),
    ];
    let mut errors = Vec::new();
    for body in &bodies {
        for path in ["/generateToken", "/verifyToken", "/verifyToken?t=DATA-MARKER", "/DATA-MARKER"] {
            for header in [JSON, ("Content-Type", "DATA-MARKER")] {
                let answer = server.ask("POST", path, &[header], body);
                if answer.status != 200 {
                    errors.push(format!("{answer:?} {}", answer.text()));
                }
            }
        }
    }
    // A method is any word that a client makes up.
    for method in [token.as_str(), "DATA-MARKER"] {
        errors.push(server.ask(method, "/generateToken", &[JSON], "{}").text());
    }
    assert!(errors.len() > 60);
    let log = server.stop();
    assert!(log.iter().any(|line| line.contains("DEBUG") && line.contains("\"route\":\"/verifyToken\"")), "{log:#?}");
    for line in errors.iter().chain(&log) {
        for secret in ["DATA-MARKER", "KEY-MARKER", &key[..16], &signature[..16], &token[..50]] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

#[test]
fn a_key_from_the_environment_or_a_file_is_not_shown_either() {
    let home = new_home();
    let key = "KEY-MARKER".repeat(7);
    fs::write(home.path().join("jotd.toml"), format!("signing_key = \"{key}\"\n")).unwrap();
    for (arguments, variables) in
        [(&["--config", "jotd.toml"][..], vec![]), (&[], vec![("JOTD_SIGNING_KEY", key.as_str())])]
    {
        let arguments = [arguments, &["--log-level", "trace"]].concat();
        let server = Serving::start(home.path(), &arguments, &variables);
        assert!(server.holds(&server.mint("x"), &key));
        let log = server.stop();
        assert!(!log.iter().any(|line| line.contains("KEY-MARKER")), "{log:#?}");
        let arguments = [&["config"], &arguments[..]].concat();
        let shown = crate::process::run(home.path(), &arguments, &variables);
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains("redacted") && !shown.contains("KEY-MARKER"), "{shown}");
    }
}

#[test]
fn a_key_in_the_wrong_place_is_not_repeated() {
    let home = new_home();
    let key = "0123456789abcdef".repeat(8);
    for variable in
        ["JOTD_SIGNING_KEY_FILE", "JOTD_ALLOW_PUBLISHED_KEY", "JOTD_LOG_LEVEL", "JOTD_LISTEN", "JOTD_IDLE_TIMEOUT"]
    {
        let line = fails(home.path(), &["serve"], &[(variable, &key)]);
        assert!(line.contains(variable) && !line.contains("0123456789abcdef"), "{line}");
    }
    for content in [format!("{key} = 1"), format!("log_level = \"{key}\""), format!("signing_key = {key}")] {
        fs::write(home.path().join("jotd.toml"), content).unwrap();
        let line = fails(home.path(), &["serve", "--config", "jotd.toml"], &[]);
        assert!(line.contains("jotd.toml") && !line.contains("0123456789abcdef"), "{line}");
    }
}
