//! A store that is moved from a data directory to PostgreSQL and back, as an operator does it.

use std::fs;

use jotd_pgserver::Server;
use serde_json::Value;

use super::caller::{FORM, json};
use super::{alone, until};
use crate::administration::{ISSUED, text};
use crate::process::{Serving, fails, new_home, run};

/// What a server answers about tokens, and what it publishes.
#[derive(Debug, PartialEq)]
struct Seen {
    keys: Value,
    active: Vec<Value>,
    simple: String,
}

fn look(server: &Serving, client: &str, tokens: &[String]) -> Seen {
    let about = |token: &String| {
        let answer = server.ask("POST", "/oauth2/introspect", &[FORM], format!("{client}&token={token}"));
        json(&answer)["active"].clone()
    };
    let keys = json(&server.ask("GET", "/.well-known/jwks.json", &[], ""));
    // Each second has a header and claims of its own; the key that signs is what must stay.
    let simple = server.mint("x");
    Seen { keys, active: tokens.iter().map(about).collect(), simple }
}

#[test]
fn a_store_is_moved_to_postgresql_and_back_with_everything_in_it() {
    let _alone = alone();
    let home = new_home();
    let pg = Server::shared().new_store();
    let path = home.path().join("data");
    let directory = path.to_str().unwrap();
    let on_file = ["--data-dir", directory, ISSUED[0], ISSUED[1]];
    let file = format!("sqlite:{directory}/jotd.db");
    let jotd = |arguments: &[&str]| {
        let output = run(home.path(), arguments, &[]);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let add = ["clients", "add", "c", "--id", "c", "--audience", "api", "--scope", "jotd:introspect jotd:revoke"];
    let added: Value = serde_json::from_str(&jotd(&[&add[..], &["--data-dir", directory]].concat())).unwrap();
    let client = format!("client_id=c&client_secret={}", text(&added["secret"]));
    let server = Serving::start(home.path(), &on_file, &[]);
    let mut tokens: Vec<String> = (0..20)
        .map(|_| {
            let body = format!("{client}&grant_type=client_credentials");
            text(&json(&server.ask("POST", "/oauth2/token", &[FORM], body))["access_token"]).to_owned()
        })
        .collect();
    tokens.push(server.mint("x"));
    for token in tokens.iter().step_by(2) {
        let answer = server.ask("POST", "/oauth2/revoke", &[FORM], format!("{client}&token={token}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let before = look(&server, &client, &tokens);
    assert_eq!(before.active.iter().filter(|active| **active == true).count(), 10);
    let key = fs::read_to_string(path.join("signing.key")).unwrap();

    // Not while somebody writes into it.
    let error = fails(home.path(), &["migrate-store", "--from", &file, "--to", &pg], &[]);
    assert!(error.contains("a server is running on"), "{error}");
    server.stop();
    let audit = jotd(&["audit", "--limit", "1000", "--data-dir", directory]);
    let moved: Value = serde_json::from_str(&jotd(&["migrate-store", "--from", &file, "--to", &pg])).unwrap();
    assert_eq!((&moved["revoked_tokens"], &moved["changes"]), (&Value::from(11), &Value::from(audit.lines().count())));
    let password = pg.split_once('@').unwrap().0.rsplit(':').next().unwrap();
    assert!(!moved.to_string().contains(password), "{moved}");
    let error = fails(home.path(), &["migrate-store", "--from", &file, "--to", &pg], &[]);
    assert!(error.contains("is not empty"), "{error}");

    let master = path.join("master.key").to_str().unwrap().to_owned();
    let on_postgres = [("JOTD_STORE", pg.as_str()), ("JOTD_MASTER_KEY_FILE", master.as_str())];
    let server = Serving::start(home.path(), &ISSUED, &on_postgres);
    let there = look(&server, &client, &tokens);
    assert_eq!((&there.keys, &there.active), (&before.keys, &before.active));
    assert!(server.holds(&there.simple, key.trim()));
    // A store on which nodes work is not moved.
    let back = home.path().join("back");
    fs::create_dir(&back).unwrap();
    let again = format!("sqlite:{}/jotd.db", back.display());
    let error = fails(home.path(), &["migrate-store", "--from", &pg, "--to", &again], &[]);
    assert!(error.contains("is in use"), "{error}");
    server.stop();

    until("the server has seen its connections end", || {
        run(home.path(), &["migrate-store", "--from", &pg, "--to", &again], &[]).status.success()
    });
    for file in ["master.key", "signing.key"] {
        fs::copy(path.join(file), back.join(file)).unwrap();
    }
    let back = back.to_str().unwrap();
    let (old, new) = (audit, jotd(&["audit", "--limit", "1000", "--data-dir", back]));
    assert!(new.ends_with(&old), "the log is all there, with its positions");
    let server = Serving::start(home.path(), &["--data-dir", back, ISSUED[0], ISSUED[1]], &[]);
    let here = look(&server, &client, &tokens);
    assert_eq!((&here.keys, &here.active), (&before.keys, &before.active));
    assert!(server.holds(&here.simple, key.trim()));
    server.stop();

    for (from, to, complaint) in [
        ("sqlite:", pg.as_str(), "is meant"),
        ("mysql://x/y", &pg, "--from"),
        ("sqlite:/nowhere/jotd.db", &pg, "nothing was moved"),
    ] {
        let error = fails(home.path(), &["migrate-store", "--from", from, "--to", to], &[]);
        assert!(error.contains(complaint), "{from}: {error}");
    }
}
