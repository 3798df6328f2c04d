//! The administration API, over HTTP.

use jotd_wire::Answer;
use serde_json::{Value, json};

use crate::support::{ISSUER, JSON, TERMS, TestServer, block_on, parse};

/// An administrator.
struct Admin<'s> {
    server: &'s TestServer,
    bearer: String,
}

impl<'s> Admin<'s> {
    fn new(server: &'s TestServer) -> Self {
        Self { server, bearer: server.bearer("jotd:*") }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.ask_with(method, path, body, &[])
    }

    fn ask_with(&self, method: &str, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut all = vec![JSON, ("Authorization", self.bearer.as_str())];
        all.extend(headers);
        self.server.ask(method, path, &all, body)
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, &Value::Null);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        parse(&answer)
    }
}

#[track_caller]
fn problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = parse(answer);
    assert_eq!((&body["status"], &body["code"], &body["type"]), (&json!(status), &json!(code), &json!("about:blank")));
    assert!(body["title"].is_string() && body["detail"].is_string());
}

fn client(id: &str) -> Value {
    json!({ "id": id, "name": "for tests", "scopes": ["read"], "audiences": ["api"] })
}

#[test]
fn every_route_wants_its_own_scope() {
    let server = TestServer::start();
    for (method, path, scope) in [
        ("POST", "/v1/tokens/mint", "jotd:mint"),
        ("POST", "/v1/tokens/verify", "jotd:verify"),
        ("GET", "/v1/keys", "jotd:keys"),
        ("POST", "/v1/keys", "jotd:keys"),
        ("POST", "/v1/keys/rotate", "jotd:keys"),
        ("GET", "/v1/keys/x", "jotd:keys"),
        ("POST", "/v1/keys/x/activate", "jotd:keys"),
        ("POST", "/v1/keys/x/retire", "jotd:keys"),
        ("POST", "/v1/keys/x/compromise", "jotd:keys"),
        ("GET", "/v1/slots", "jotd:keys"),
        ("PATCH", "/v1/slots/ES256", "jotd:keys"),
        ("GET", "/v1/clients", "jotd:clients"),
        ("POST", "/v1/clients", "jotd:clients"),
        ("GET", "/v1/clients/x", "jotd:clients"),
        ("PATCH", "/v1/clients/x", "jotd:clients"),
        ("DELETE", "/v1/clients/x", "jotd:clients"),
        ("POST", "/v1/clients/x/secrets", "jotd:clients"),
        ("DELETE", "/v1/clients/x/secrets/y", "jotd:clients"),
        ("GET", "/v1/revocations", "jotd:revoke"),
        ("POST", "/v1/revocations", "jotd:revoke"),
        ("POST", "/v1/revocations/batch", "jotd:revoke"),
        ("GET", "/v1/revocations/x", "jotd:revoke"),
        ("GET", "/v1/audit", "jotd:audit"),
    ] {
        let nobody = server.ask(method, path, &[JSON], "{}");
        problem(&nobody, 401, "unauthenticated");
        assert_eq!(nobody.header("www-authenticate"), Some("Bearer realm=\"jotd\""));
        let others: Vec<_> = authority::OWN_SCOPES.into_iter().filter(|own| *own != scope).collect();
        let bearer = server.bearer(&others.join(" "));
        let answer = server.ask(method, path, &[JSON, ("Authorization", &bearer)], "{}");
        problem(&answer, 403, "insufficient_scope");
        assert!(answer.header("www-authenticate").unwrap().contains(scope), "{path}");
        let answer = server.ask(method, path, &[JSON, ("Authorization", &server.bearer(scope))], "{}");
        assert!(![401, 403].contains(&answer.status), "{path}: {}", answer.text());
        let put = server.ask("PUT", path, &[], "");
        problem(&put, 405, "method_not_allowed");
        assert!(put.header("allow").unwrap().contains(method));
    }
    for path in ["/v1", "/v1/", "/v1/keys/", "/v1/nothing", "/v1/keys/x/y", "/v1/clients/x/y"] {
        problem(&server.ask("GET", path, &[], ""), 404, "not_found");
    }
}

#[test]
fn clients_are_created_changed_and_removed() {
    let server = TestServer::start();
    let admin = Admin::new(&server);
    let created = admin.ask("POST", "/v1/clients", &client("c"));
    assert_eq!((created.status, created.header("location")), (201, Some("/v1/clients/c")));
    let mut body = parse(&created);
    let secret = body.as_object_mut().unwrap().remove("secret").unwrap();
    assert!(secret.as_str().unwrap().starts_with("jotd_secret_"));
    assert_eq!(admin.get("/v1/clients/c"), body, "without the secret");
    assert!(!body.to_string().contains("hash"));
    problem(&admin.ask("POST", "/v1/clients", &client("c")), 409, "client_exists");
    let changed = admin.ask("PATCH", "/v1/clients/c", &json!({ "scopes": ["jotd:*"], "token_lifetime": 60 }));
    assert_eq!(parse(&changed)["scopes"].as_array().unwrap().len(), authority::OWN_SCOPES.len());
    let second = admin.ask("POST", "/v1/clients/c/secrets", &Value::Null);
    assert_eq!(second.status, 201);
    let ids: Vec<_> = parse(&second)["secrets"].as_array().unwrap().iter().map(|s| s["id"].clone()).collect();
    problem(&admin.ask("POST", "/v1/clients/c/secrets", &Value::Null), 409, "too_many_secrets");
    let path = |id: &Value| format!("/v1/clients/c/secrets/{}", id.as_str().unwrap());
    assert_eq!(admin.ask("DELETE", &path(&ids[0]), &Value::Null).status, 204);
    problem(&admin.ask("DELETE", &path(&ids[0]), &Value::Null), 404, "not_found");
    problem(&admin.ask("DELETE", &path(&ids[1]), &Value::Null), 409, "last_secret");
    assert_eq!(admin.ask("DELETE", "/v1/clients/c", &Value::Null).status, 204);
    for method in ["GET", "DELETE"] {
        problem(&admin.ask(method, "/v1/clients/c", &Value::Null), 404, "not_found");
    }
    problem(&admin.ask("PATCH", "/v1/clients/c", &json!({})), 404, "not_found");
}

#[test]
fn nobody_gives_a_client_what_they_do_not_have() {
    let server = TestServer::start();
    let admin = Admin::new(&server);
    assert_eq!(
        admin
            .ask(
                "POST",
                "/v1/clients",
                &json!({ "id": "root", "name": "x", "audiences": [ISSUER], "scopes": ["jotd:*"] })
            )
            .status,
        201
    );
    let limited = Admin { server: &server, bearer: server.bearer("jotd:clients jotd:mint") };
    let create = |scopes: &[&str]| {
        let body = json!({ "name": "x", "audiences": [ISSUER], "scopes": scopes });
        limited.ask("POST", "/v1/clients", &body)
    };
    assert_eq!(create(&["jotd:mint", "read"]).status, 201);
    for scopes in [&["jotd:*"][..], &["jotd:keys"], &["jotd:mint", "jotd:audit"]] {
        problem(&create(scopes), 403, "scope_not_allowed");
    }
    // Nor do they get at one that has more.
    problem(&limited.ask("POST", "/v1/clients/root/secrets", &Value::Null), 403, "scope_not_allowed");
    let key = jose::Jwk::generate(jose::Algorithm::ES256).unwrap().public().unwrap();
    let jwks: Value = serde_json::from_str(&format!("{{\"keys\":[{}]}}", *key.to_json())).unwrap();
    for change in [json!({ "jwks": jwks }), json!({ "scopes": [] }), json!({ "audiences": ["api"] })] {
        problem(&limited.ask("PATCH", "/v1/clients/root", &change), 403, "scope_not_allowed");
    }
    assert_eq!(limited.ask("DELETE", "/v1/clients/root", &Value::Null).status, 204);
}

#[test]
fn bodies_are_read_strictly() {
    let server = TestServer::start();
    let admin = Admin::new(&server);
    for (body, code) in [
        (json!({}), "member_missing"),
        (json!({ "name": 1, "audiences": ["api"] }), "member_type"),
        (json!({ "name": "x", "audiences": "api" }), "member_type"),
        (json!({ "name": "x", "audiences": [1] }), "member_type"),
        (json!({ "name": "x", "audiences": ["api"], "token_lifetime": 1.5 }), "member_type"),
        (json!({ "name": "x", "audiences": ["api"], "algorithm": "none" }), "member_type"),
        (json!({ "name": "x", "audiences": ["api"], "more": 1 }), "member_unknown"),
        (json!({ "name": "x", "audiences": ["api"], "scopes": ["a b"] }), "invalid_scope"),
        (json!({ "name": "x", "audiences": ["api"], "scopes": ["a", "a"] }), "invalid_scope"),
        (json!({ "name": "x", "audiences": ["api"], "id": "a/b" }), "invalid_client_id"),
        (json!({ "name": "x", "audiences": ["api"], "token_lifetime": 7201 }), "invalid_token_lifetime"),
    ] {
        problem(&admin.ask("POST", "/v1/clients", &body), 400, code);
    }
    let raw = |body: &str, headers: &[(&str, &str)]| {
        let mut all = vec![("Authorization", admin.bearer.as_str())];
        all.extend(headers);
        server.ask("POST", "/v1/clients", &all, body)
    };
    problem(&raw("{\"name\": \"x\", \"name\": \"y\"}", &[JSON]), 400, "json_duplicate_member");
    problem(&raw("[]", &[JSON]), 400, "json_not_an_object");
    problem(&raw("{}", &[("Content-Type", "text/plain")]), 415, "unsupported_media_type");
    problem(&raw(&format!("{{\"name\": \"{}\"}}", "x".repeat(70_000)), &[JSON]), 413, "body_too_large");
    assert!(server.authority.state().clients().next().is_none(), "nothing half written");
}

#[test]
fn an_idempotency_key_creates_once_and_keeps_the_secret() {
    let server = TestServer::start();
    let admin = Admin::new(&server);
    let ask = |key: &str, body: &Value| admin.ask_with("POST", "/v1/clients", body, &[("Idempotency-Key", key)]);
    let mut first = parse(&ask("k1", &client("c")));
    assert!(first.as_object_mut().unwrap().remove("secret").is_some());
    let again = ask("k1", &client("c"));
    assert_eq!((again.status, parse(&again)), (201, first));
    problem(&ask("k1", &client("d")), 422, "idempotency_key_reused");
    let long = "x".repeat(256);
    for wrong in ["", "a b", &*long] {
        problem(&ask(wrong, &client("e")), 400, "invalid_request");
    }
    let rotated: Vec<Value> = (0..2)
        .map(|_| {
            parse(&admin.ask_with("POST", "/v1/keys/rotate", &json!({}), &[("Idempotency-Key", "r")]))["key"]["id"]
                .clone()
        })
        .collect();
    assert_eq!(rotated[0], rotated[1]);
    let revoked: Vec<Value> = (0..2)
        .map(|_| {
            let body = json!({ "subject": "42" });
            parse(&admin.ask_with("POST", "/v1/revocations", &body, &[("Idempotency-Key", "s")]))
        })
        .collect();
    assert_eq!(revoked[0], revoked[1]);
    assert_eq!(admin.get("/v1/revocations")["items"].as_array().unwrap().len(), 1);
}

#[test]
fn lists_come_in_parts_without_gaps_or_repeats() {
    let server = TestServer::start();
    let admin = Admin::new(&server);
    for number in 0..7 {
        assert_eq!(admin.ask("POST", "/v1/clients", &client(&format!("c{number}"))).status, 201);
        let expires_at = server.authority.now().0 + 1000;
        let body = json!({ "token_id": format!("t{number}"), "expires_at": expires_at });
        assert_eq!(admin.ask("POST", "/v1/revocations", &body).status, 201);
        assert_eq!(admin.ask("POST", "/v1/revocations", &json!({ "subject": format!("s{number}") })).status, 201);
    }
    for (path, count) in [
        ("/v1/clients", 7),
        ("/v1/keys", 2),
        ("/v1/revocations", 14),
        ("/v1/revocations?kind=token", 7),
        ("/v1/revocations?kind=subject", 7),
        ("/v1/revocations?kind=client", 0),
    ] {
        for limit in [1, 2, 3, 7, 200] {
            let join = if path.contains('?') { '&' } else { '?' };
            let (mut cursor, mut seen) = (String::new(), Vec::new());
            loop {
                let page = admin.get(&format!("{path}{join}limit={limit}{cursor}"));
                let items = page["items"].as_array().unwrap();
                assert!(items.len() <= limit);
                seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
                let Some(next) = page["next_cursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            let unique: std::collections::BTreeSet<_> = seen.iter().collect();
            assert_eq!((seen.len(), unique.len()), (count, count), "{path} by {limit}");
        }
    }
    let audit = admin.get("/v1/audit?limit=200");
    let positions: Vec<u64> =
        audit["items"].as_array().unwrap().iter().map(|c| c["position"].as_u64().unwrap()).collect();
    assert!(positions.is_sorted_by(|a, b| a > b) && *positions.last().unwrap() == 1);
    assert_eq!(audit["items"][0]["actor"], "jotd-cli/tester");
    for query in [
        "limit=0",
        "limit=201",
        "limit=x",
        "cursor=!",
        "cursor=",
        "limit=",
        "kind=",
        "limit=%2B5",
        "limit=1&limit=2",
        "other=1",
        "kind=x",
    ] {
        let answer = admin.ask("GET", &format!("/v1/revocations?{query}"), &Value::Null);
        problem(&answer, 400, "invalid_request");
    }
}

#[test]
fn keys_take_their_steps_over_http_too() {
    let server = TestServer::start();
    let admin = Admin::new(&server);
    let plan = parse(&admin.ask("POST", "/v1/keys/rotate", &json!({ "dry_run": true })));
    assert_eq!((&plan["key"], plan["timetable"].as_array().unwrap().len()), (&Value::Null, 4));
    let rotation = parse(&admin.ask("POST", "/v1/keys/rotate", &json!({ "algorithm": "ES256" })));
    let id = rotation["key"]["id"].as_str().unwrap();
    assert_eq!((&rotation["key"]["state"], &rotation["key"]["next_state"]), (&json!("pending"), &json!("active")));
    let early = admin.ask("POST", &format!("/v1/keys/{id}/activate"), &Value::Null);
    problem(&early, 409, "step_too_early");
    let allowed_at = parse(&early)["allowed_at"].as_i64().unwrap();
    assert_eq!(allowed_at, TERMS.max_age + TERMS.leeway);
    server.clock.set(allowed_at);
    assert_eq!(parse(&admin.ask("POST", &format!("/v1/keys/{id}/activate"), &Value::Null))["state"], "active");
    assert_eq!(admin.get(&format!("/v1/keys/{id}"))["state"], "active");
    let gone = admin.ask("POST", &format!("/v1/keys/{id}/compromise"), &json!({ "reason": "stolen" }));
    assert_eq!((gone.status, &parse(&gone)["state"]), (200, &json!("compromised")));

    let jwk: Value =
        serde_json::from_str(&jose::Jwk::generate(jose::Algorithm::EdDSA).unwrap().with_key_id("a/b").to_json())
            .unwrap();
    let imported = admin.ask("POST", "/v1/keys", &json!({ "jwk": jwk, "hold": true }));
    assert_eq!((imported.status, imported.header("location")), (201, Some("/v1/keys/a%2Fb")));
    assert_eq!((&parse(&imported)["held"], &parse(&imported)["origin"]), (&json!(true), &json!("imported")));
    assert!(!imported.text().contains("\"d\""), "never with its private part");
    assert_eq!(admin.get("/v1/keys/a%2Fb")["id"], "a/b");
    problem(&admin.ask("POST", "/v1/keys", &json!({ "jwk": { "kty": "oct", "k": "AA" } })), 400, "key_unusable");
    problem(&admin.ask("POST", "/v1/keys", &json!({ "algorithm": "HS512" })), 400, "key_unusable");
    problem(&admin.ask("POST", "/v1/keys/rotate", &json!({ "algorithm": "RS256" })), 404, "not_found");

    let slot = admin.ask("PATCH", "/v1/slots/ES256", &json!({ "rotate_every": 86_400 }));
    assert_eq!((slot.status, &parse(&slot)["rotate_every"]), (200, &json!(86_400)));
    assert!(parse(&slot)["next_rotation_at"].is_i64());
    assert_eq!(
        parse(&admin.ask("PATCH", "/v1/slots/ES256", &json!({ "rotate_every": null })))["rotate_every"],
        Value::Null
    );
    problem(&admin.ask("PATCH", "/v1/slots/ES256", &json!({ "rotate_every": 1 })), 400, "invalid_schedule");
    problem(&admin.ask("PATCH", "/v1/slots/ES256", &json!({})), 400, "member_missing");
    problem(&admin.ask("PATCH", "/v1/slots/none", &json!({})), 404, "not_found");
}

#[test]
fn tokens_are_minted_and_verified_with_everything_that_can_be_said() {
    let server = TestServer::start();
    let admin = Admin::new(&server);
    let minted = admin.ask(
        "POST",
        "/v1/tokens/mint",
        &json!({ "claims": { "sub": "42", "aud": "api", "x": [1] }, "lifetime": 60 }),
    );
    let minted = parse(&minted);
    let token = minted["token"].as_str().unwrap();
    let verify = |body: Value| {
        let answer = admin.ask("POST", "/v1/tokens/verify", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        parse(&answer)
    };
    let report = verify(json!({ "token": token, "audience": "api" }));
    assert_eq!(
        (&report["accepted"], &report["kind"], &report["revocation"]),
        (&json!(true), &json!("access_token"), &Value::Null)
    );
    assert_eq!(report["signature"], json!({ "holds": true, "algorithm": "ES256", "key_id": minted["key_id"] }));
    assert_eq!((&report["claims"]["sub"], &report["claims"]["x"]), (&json!("42"), &json!([1])));
    assert!(report["checks"].as_array().unwrap().iter().all(|check| check["outcome"] != "failed"));

    let wrong = verify(json!({ "token": token, "audience": "other" }));
    assert_eq!((&wrong["accepted"], &wrong["code"]), (&json!(false), &json!("wrong_audience")));
    let failed: Vec<_> = wrong["checks"].as_array().unwrap().iter().filter(|c| c["outcome"] == "failed").collect();
    assert_eq!((&failed[0]["name"], &failed[0]["found"]), (&json!("aud"), &json!("\"api\"")));

    let revoked = admin.ask("POST", "/v1/revocations", &json!({ "token": token, "reason": "lost" }));
    assert_eq!(revoked.status, 201, "{}", revoked.text());
    let report = verify(json!({ "token": token }));
    assert_eq!((&report["accepted"], &report["code"]), (&json!(false), &json!("revoked")));
    assert_eq!(report["revocation"], parse(&revoked), "which entry, since when, why, by whom");
    assert_eq!(
        (&report["revocation"]["reason"], &report["revocation"]["actor"]),
        (&json!("lost"), &json!("jotd-cli/tester"))
    );
    server.clock.set(60);
    let report = verify(json!({ "token": token }));
    assert_eq!(
        (&report["code"], &report["revocation"]["reason"]),
        (&json!("expired"), &json!("lost")),
        "both are said"
    );

    for (token, code) in [("x", "parts"), ("a.b.c", "base64")] {
        let report = verify(json!({ "token": token }));
        assert_eq!((&report["accepted"], &report["kind"]), (&json!(false), &Value::Null), "{code}");
        assert_eq!(report.get("claims"), None);
    }
    let forged = format!("{}x", &token[..token.len() - 1]);
    let report = verify(json!({ "token": forged }));
    assert_eq!(
        (&report["signature"]["holds"], report.get("claims")),
        (&json!(false), None),
        "forged claims are not shown"
    );
    let report = verify(json!({ "token": server.mint("hello") }));
    assert_eq!((&report["kind"], &report["accepted"]), (&json!("simple"), &json!(true)));
    for (body, code) in [
        (json!({ "claims": { "sub": "42", "aud": ISSUER } }), "audience_not_allowed"),
        (json!({ "claims": { "sub": "42", "aud": "api", "iss": "x" } }), "claim_reserved"),
        (json!({ "claims": { "sub": "42", "aud": "api" }, "lifetime": 7201 }), "invalid_lifetime"),
        (json!({ "claims": [] }), "member_type"),
        (json!({}), "member_missing"),
    ] {
        problem(&admin.ask("POST", "/v1/tokens/mint", &body), 400, code);
    }
    let own =
        admin.ask("POST", "/v1/tokens/mint", &json!({ "claims": { "sub": "4", "aud": "a", "scope": "jotd:keys" } }));
    problem(&own, 403, "scope_not_allowed");
    let no_key =
        admin.ask("POST", "/v1/tokens/mint", &json!({ "claims": { "sub": "4", "aud": "a" }, "algorithm": "RS256" }));
    problem(&no_key, 409, "algorithm_not_available");
}

#[test]
fn everything_can_be_revoked() {
    let server = TestServer::start();
    let admin = Admin::new(&server);
    server.client("c", "read", &["api"]);
    let issue = || {
        block_on(async {
            server
                .authority
                .state()
                .find_client("c")
                .map(|c| server.authority.grant(&c.record, None, &[]).unwrap().token)
        })
        .unwrap()
    };
    let accepted =
        |token: &str| parse(&admin.ask("POST", "/v1/tokens/verify", &json!({ "token": token })))["accepted"] == true;
    let keys = admin.get("/v1/keys");
    let key_id =
        keys["items"].as_array().unwrap().iter().find(|key| key["algorithm"] == "ES256").unwrap()["id"].clone();
    for (body, kind) in [
        (json!({ "client_id": "c" }), "client"),
        (json!({ "subject": "c" }), "subject"),
        (json!({ "key_id": key_id }), "key"),
    ] {
        server.clock.set(server.authority.now().0 + 1);
        let token = issue();
        assert!(accepted(&token), "{kind}");
        let answer = admin.ask("POST", "/v1/revocations", &body);
        assert_eq!(answer.status, 201, "{}", answer.text());
        // The administrator's own token was signed with the key, too.
        let admin = Admin::new(&server);
        let report = parse(&admin.ask("POST", "/v1/tokens/verify", &json!({ "token": token })));
        assert_eq!(report["accepted"], false, "{kind}");
        if kind != "key" {
            assert_eq!((&report["revocation"]["kind"], &report["code"]), (&json!(kind), &json!("revoked")));
            let found = admin.get(&format!("/v1/revocations/{}", parse(&answer)["id"].as_str().unwrap()));
            assert_eq!(found, parse(&answer));
        }
    }
    let admin = Admin::new(&server);
    for (body, status, code) in [
        (json!({}), 400, "member_missing"),
        (json!({ "subject": "a", "client_id": "c" }), 400, "member_missing"),
        (json!({ "subject": "a", "expires_at": 1 }), 400, "member_unknown"),
        (json!({ "token": "x" }), 400, "token_not_ours"),
        (json!({ "client_id": "nobody" }), 404, "not_found"),
        (json!({ "key_id": "nothing" }), 404, "not_found"),
        (json!({ "subject": "a", "reason": "x".repeat(1025) }), 400, "text_too_long"),
    ] {
        problem(&admin.ask("POST", "/v1/revocations", &body), status, code);
    }
    problem(&admin.ask("GET", "/v1/revocations/0123456789abcdef0123456789abcdef", &Value::Null), 404, "not_found");
}
