//! Many revocations by one request.

use jotd_wire::Answer;
use serde_json::{Value, json};

use crate::support::{JSON, TestServer, parse};

const PATH: &str = "/v1/revocations/batch";

fn ask(server: &TestServer, body: &Value, key: Option<&str>) -> Answer {
    let bearer = server.bearer("jotd:revoke");
    let mut headers = vec![JSON, ("Authorization", bearer.as_str())];
    headers.extend(key.map(|key| ("Idempotency-Key", key)));
    server.ask("POST", PATH, &headers, body.to_string())
}

fn ids(count: usize, expires_at: i64) -> Value {
    let id = |number| json!({ "token_id": format!("{number:0600}"), "expires_at": expires_at });
    json!({ "revocations": (0..count).map(id).collect::<Vec<_>>() })
}

#[test]
fn each_is_answered_in_its_place() {
    let server = TestServer::start();
    server.client("c", "read", &["api"]);
    let expires_at = server.authority.now().0 + 60;
    let rows = [
        (json!({ "token": server.mint("x"), "reason": "lost" }), Ok("token")),
        (json!({ "token": "x" }), Err((400, "token_not_ours"))),
        (json!({ "token_id": "x", "expires_at": expires_at }), Ok("token")),
        (json!({ "token_id": "x", "expires_at": 0 }), Err((400, "expiry_in_the_past"))),
        (json!({ "token_id": 1 }), Err((400, "member_type"))),
        (json!({ "token_id": "x".repeat(1025) }), Err((400, "text_too_long"))),
        (json!({ "subject": "s" }), Ok("subject")),
        (json!({ "subject": "s", "expires_at": expires_at }), Err((400, "member_unknown"))),
        (json!({ "client_id": "c" }), Ok("client")),
        (json!({ "client_id": "nobody" }), Err((404, "not_found"))),
        (json!({ "client_id": "c", "subject": "s" }), Err((400, "member_missing"))),
        (json!({ "key_id": "k" }), Err((400, "member_unknown"))),
        (json!({}), Err((400, "member_missing"))),
    ];
    let answer = ask(&server, &json!({ "revocations": rows.clone().map(|(asked, _)| asked) }), None);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = parse(&answer);
    assert_eq!((&answer["revoked"], &answer["refused"]), (&json!(4), &json!(9)));
    let bearer = server.bearer("jotd:revoke");
    for ((asked, expect), item) in rows.iter().zip(answer["items"].as_array().unwrap()) {
        match expect {
            Ok(kind) => {
                let revocation = &item["revocation"];
                assert_eq!((&revocation["kind"], &revocation["actor"]), (&json!(kind), &json!("jotd-cli/tester")));
                let path = format!("/v1/revocations/{}", revocation["id"].as_str().unwrap());
                let found = server.ask("GET", &path, &[("Authorization", &bearer)], "");
                assert_eq!(parse(&found), *revocation, "{asked}");
            }
            Err((status, code)) => {
                let problem = &item["problem"];
                assert_eq!((&problem["status"], &problem["code"]), (&json!(status), &json!(code)), "{asked}");
            }
        }
    }
    let metrics = server.ask("GET", "/metrics", &[], "");
    for (kind, count) in [("token", 2), ("subject", 1), ("client", 1)] {
        assert!(metrics.text().contains(&format!("jotd_revoked_total{{kind=\"{kind}\"}} {count}")), "{kind}");
    }
}

#[test]
fn ten_thousand_fit_into_one_request_and_a_repeat_changes_nothing() {
    let server = TestServer::start();
    let body = ids(10_000, server.authority.now().0 + 60);
    assert!(body.to_string().len() > 6_000_000);
    let first = ask(&server, &body, Some("k"));
    assert_eq!((first.status, &parse(&first)["revoked"]), (200, &json!(10_000)));
    assert_eq!(server.authority.state().revoked_tokens(), 10_000);
    let position = server.authority.state().position();
    assert_eq!(parse(&ask(&server, &body, Some("k"))), parse(&first));
    assert_eq!(server.authority.state().position(), position);
    let other = ask(&server, &json!({ "revocations": [{ "subject": "s" }] }), Some("k"));
    assert_eq!((other.status, &parse(&other)["code"]), (422, &json!("idempotency_key_reused")));
}

#[test]
fn what_is_no_batch_is_refused_whole() {
    let server = TestServer::start();
    let bearer = server.bearer("jotd:revoke");
    let authorization = ("Authorization", bearer.as_str());
    for (body, status, code) in [
        (json!({}), 400, "member_missing"),
        (json!({ "revocations": {} }), 400, "member_type"),
        (json!({ "revocations": [{ "subject": "s" }, "x"] }), 400, "member_type"),
        (json!({ "revocations": [], "reason": "x" }), 400, "member_unknown"),
        (json!({ "revocations": vec![json!({}); 10_001] }), 400, "too_many_revocations"),
        (json!({ "revocations": ["x".repeat(16 << 20)] }), 413, "body_too_large"),
    ] {
        let answer = ask(&server, &body, None);
        assert_eq!((answer.status, &parse(&answer)["code"]), (status, &json!(code)));
    }
    let text = server.ask("POST", PATH, &[authorization, ("Content-Type", "text/plain")], "{}");
    assert_eq!(text.status, 415);
    let twice = server.ask("POST", PATH, &[authorization, JSON], r#"{"revocations":[{"reason":"a","reason":"b"}]}"#);
    assert_eq!((twice.status, &parse(&twice)["code"]), (400, &json!("json_duplicate_member")));
    let none = ask(&server, &json!({ "revocations": [] }), Some("k"));
    assert_eq!(parse(&none), json!({ "revoked": 0, "refused": 0, "items": [] }));
    assert_eq!(server.authority.state().revoked_tokens(), 0);
}
