//! One of many nodes whose store is out of reach: it goes on for a while, then it answers nothing by what it knows.

use std::sync::Arc;

use jotd_http::Limits;
use jotd_store::faulty::Call;
use serde_json::Value;

use crate::support::{FORM, JSON, TERMS, TestServer, basic, block_on, form, parse};

/// What a client sends, and the status that it gets as long as what is known is young enough.
type Row = (&'static str, &'static str, Vec<(&'static str, String)>, String, u16);

fn rows(server: &TestServer) -> Vec<Row> {
    let secret = server.client("c", "read", &["api"]);
    let owned = |(name, value): (&'static str, &str)| (name, value.to_owned());
    let client = vec![owned(FORM), ("Authorization", basic("c", &secret))];
    let body = || form(&[("grant_type", "client_credentials")]);
    let authorization = basic("c", &secret);
    let answer = server.ask("POST", "/oauth2/token", &[FORM, ("Authorization", &authorization)], body());
    let token = parse(&answer)["access_token"].as_str().unwrap().to_owned();
    let all = vec![owned(JSON), ("Authorization", server.bearer("jotd:*"))];
    let lines = vec![("Content-Type", "application/x-ndjson".to_owned()), ("Authorization", server.bearer("jotd:*"))];
    let answer = server.ask("POST", "/oauth2/token", &[FORM, ("Authorization", &authorization)], body());
    let revoked = parse(&answer)["access_token"].as_str().unwrap().to_owned();
    let revocation = form(&[("token", &revoked)]);
    let answer = server.ask("POST", "/oauth2/revoke", &[FORM, ("Authorization", &authorization)], revocation);
    assert_eq!(answer.status, 200);
    let revoked = format!(r#"{{"token": "{revoked}"}}"#);
    let verify = format!(r#"{{"Token": "{token}", "Signing_key": "k"}}"#);
    let item = format!(r#"{{"token": "{token}"}}"#);
    vec![
        ("POST", "/generateToken", vec![owned(JSON)], r#"{"user_data": "x"}"#.to_owned(), 200),
        ("GET", "/verifyToken", vec![owned(JSON)], verify, 200),
        ("POST", "/oauth2/token", client.clone(), form(&[("grant_type", "client_credentials")]), 200),
        ("POST", "/oauth2/introspect", client.clone(), form(&[("token", &token)]), 200),
        ("GET", "/.well-known/jwks.json", vec![], String::new(), 200),
        ("POST", "/v1/tokens/verify", all.clone(), item.clone(), 200),
        ("POST", "/v1/tokens/verify", all.clone(), revoked, 200),
        ("POST", "/v1/tokens/verify-batch", all.clone(), format!("[{item}]"), 200),
        ("POST", "/v1/tokens/verify-batch", lines, format!("{item}\n"), 200),
        ("GET", "/v1/keys", all.clone(), String::new(), 200),
        ("POST", "/v1/revocations", all.clone(), r#"{"subject": "s"}"#.to_owned(), 503),
        ("POST", "/oauth2/revoke", client, form(&[("token", &token)]), 503),
        ("GET", "/.well-known/oauth-authorization-server", vec![], String::new(), 200),
        ("GET", "/healthz", vec![], String::new(), 200),
        ("GET", "/openapi.json", vec![], String::new(), 200),
    ]
}

fn readiness(server: &TestServer) -> (u16, String, Vec<String>) {
    let answer = server.ask("GET", "/readyz", &[], "");
    let body = parse(&answer);
    let failed = body["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == Value::Bool(false));
    let failed = failed.map(|check| check["name"].as_str().unwrap().to_owned()).collect();
    (answer.status, body["status"].as_str().unwrap().to_owned(), failed)
}

#[test]
fn a_node_without_its_store_goes_on_until_what_it_knows_is_too_old() {
    let server = TestServer::one_of_many(Limits::default());
    let rows = rows(&server);
    assert_eq!(readiness(&server), (200, "ready".to_owned(), vec![]));
    server.reach.lose();
    for (uptime, ready) in [(5, "ready"), (6, "stale"), (300, "stale"), (301, "unready")] {
        server.clock.set_uptime(uptime);
        let is_refusing = uptime > 300;
        let failed = if uptime > 5 { vec!["store".to_owned(), "view".to_owned()] } else { vec!["store".to_owned()] };
        assert_eq!(readiness(&server), (if is_refusing { 503 } else { 200 }, ready.to_owned(), failed), "{uptime}");
        for (method, path, headers, body, status) in &rows {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = server.ask(method, path, &headers, body.clone());
            let needs_state = !["/.well-known/oauth-authorization-server", "/healthz", "/openapi.json"].contains(path);
            let expect = if is_refusing && needs_state { 503 } else { *status };
            assert_eq!(answer.status, expect, "{uptime}: {method} {path}: {:?}", String::from_utf8_lossy(&answer.body));
            if is_refusing && needs_state {
                assert_eq!(answer.header("retry-after"), Some("1"), "{path}");
                let text = String::from_utf8_lossy(&answer.body);
                assert!(text.contains("stale") || text.contains("too old"), "{path}: {text}");
            }
        }
    }
    let metrics = String::from_utf8(server.ask("GET", "/metrics", &[], "").body).unwrap();
    for line in [
        "jotd_view_age_seconds 301.0",
        "jotd_view_standing{standing=\"refusing\"} 1",
        "jotd_view_standing{standing=\"fresh\"} 0",
        "jotd_tokens_refused_total{reason=\"stale\"} 12",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    server.reach.find();
    block_on(server.authority.tidy()).unwrap();
    assert_eq!(readiness(&server), (200, "ready".to_owned(), vec![]));
    for (method, path, headers, body, _) in &rows {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = server.ask(method, path, &headers, body.clone());
        assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.status);
    }
}

#[test]
fn a_node_is_not_taken_out_of_service_by_the_clock_of_another() {
    let server = TestServer::one_of_many(Limits::default());
    // Its own clock says now what another's would have been ahead of.
    for (now, failed) in [(0, vec![]), (-TERMS.leeway, vec![]), (-TERMS.leeway - 1, vec!["clock".to_owned()])] {
        server.clock.set(now);
        assert_eq!(readiness(&server), (200, "ready".to_owned(), failed), "{now}");
    }
}

#[test]
fn nobody_changes_anything_by_what_a_node_knew_before_it_was_cut_off() {
    let server = TestServer::one_of_many(Limits::default());
    let rows = rows(&server);
    server.reach.lose();
    // An administrator may have been revoked meanwhile: that is looked for first, and cannot be seen yet.
    server.reach.find_half();
    let mut changes = 0;
    for (method, path, headers, body, _) in rows.iter().filter(|row| row.4 == 503) {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(server.ask(method, path, &headers, body.clone()).status, 503, "{method} {path}");
        changes += 1;
    }
    assert_eq!((changes, server.authority.state().rule_count()), (2, 0));
    server.reach.find();
    block_on(server.authority.tidy()).unwrap();
    assert_eq!(server.authority.state().rule_count(), 0, "nothing was done");
}

#[test]
fn a_change_that_was_made_is_answered_as_such_however_long_it_took() {
    let server = TestServer::one_of_many(Limits::default());
    let secret = server.client("c", "read", &["api"]);
    let bearer = server.bearer("jotd:*");
    let administrator = [JSON, ("Authorization", bearer.as_str())];
    let basic = basic("c", &secret);
    let client = [FORM, ("Authorization", basic.as_str())];
    let token = parse(&server.ask("POST", "/oauth2/token", &client, form(&[("grant_type", "client_credentials")])));
    let token = token["access_token"].as_str().unwrap();
    let new = r#"{"id": "new", "name": "new", "audiences": ["api"]}"#;
    let rows = [
        ("POST", "/v1/clients", &administrator, new.to_owned(), 201),
        ("POST", "/v1/revocations/batch", &administrator, r#"{"revocations": [{"subject": "s"}]}"#.to_owned(), 200),
        ("DELETE", "/v1/clients/new", &administrator, String::new(), 204),
        // What is not made is refused by what was known.
        ("DELETE", "/v1/clients/new", &administrator, String::new(), 503),
        ("POST", "/oauth2/revoke", &client, form(&[("token", token)]), 200),
    ];
    for (round, (method, path, headers, body, status)) in (1..).zip(rows) {
        let clock = Arc::clone(&server.clock);
        block_on(server.authority.tidy()).unwrap();
        server.reach.before_next(Call::Commit, move || clock.set_uptime(round * 400));
        let answer = server.ask(method, path, headers, body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        if path == "/v1/clients" {
            assert!(!parse(&answer)["secret"].is_null(), "{}", answer.text());
        }
    }
}
