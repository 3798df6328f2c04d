//! The OAuth endpoints, over HTTP: grant, introspection, revocation, discovery.

use jotd_wire::Answer;
use serde_json::{Value, json};

use crate::support::{FORM, ISSUER, TestServer, basic, form, parse};

const API: &str = "https://api.example";

fn client(server: &TestServer, id: &str, scope: &str, audiences: &[&str]) -> String {
    server.client(id, scope, audiences)
}

fn token(server: &TestServer, id: &str, secret: &str, more: &[(&str, &str)]) -> Answer {
    let mut parameters = vec![("grant_type", "client_credentials")];
    parameters.extend(more);
    server.ask("POST", "/oauth2/token", &[FORM, ("Authorization", &basic(id, secret))], form(&parameters))
}

fn access_token(server: &TestServer, id: &str, secret: &str) -> String {
    let answer = token(server, id, secret, &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    parse(&answer)["access_token"].as_str().unwrap().to_owned()
}

fn about(server: &TestServer, path: &str, id: &str, secret: &str, token: &str) -> Answer {
    server.ask("POST", path, &[FORM, ("Authorization", &basic(id, secret))], form(&[("token", token)]))
}

fn is_active(server: &TestServer, id: &str, secret: &str, token: &str) -> bool {
    let answer = about(server, "/oauth2/introspect", id, secret, token);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = parse(&answer);
    let active = body["active"].as_bool().unwrap();
    assert!(active || body == json!({ "active": false }), "nothing else is said of what is not active: {body}");
    active
}

#[track_caller]
fn refused(answer: &Answer, status: u16, error: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(parse(answer)["error"], error);
    assert!(parse(answer)["error_description"].is_string());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{}", answer.text());
}

#[test]
fn a_client_gets_a_token_with_its_secret_in_the_header_or_the_body() {
    let server = TestServer::start();
    let secret = client(&server, "c", "read write", &[API]);
    let answer = token(&server, "c", &secret, &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    let body = parse(&answer);
    assert_eq!(
        (&body["token_type"], &body["expires_in"], &body["scope"]),
        (&json!("Bearer"), &json!(3600), &json!("read write"))
    );
    let parameters =
        [("grant_type", "client_credentials"), ("client_id", "c"), ("client_secret", &secret), ("scope", "read")];
    let posted = server.ask("POST", "/oauth2/token", &[FORM], form(&parameters));
    assert_eq!((posted.status, &parse(&posted)["scope"]), (200, &json!("read")));
    let charset = ("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8");
    assert_eq!(server.ask("POST", "/oauth2/token", &[charset], form(&parameters)).status, 200);
}

#[test]
fn requests_that_are_wrong_get_the_error_that_rfc_6749_has_for_them() {
    let server = TestServer::start();
    let secret = client(&server, "c", "read", &[API, "https://two.example"]);
    let right = basic("c", &secret);
    let ask = |parameters: &[(&str, &str)]| {
        server.ask("POST", "/oauth2/token", &[FORM, ("Authorization", &right)], form(parameters))
    };
    let grant = ("grant_type", "client_credentials");
    refused(&ask(&[]), 400, "invalid_request");
    refused(&ask(&[("grant_type", "")]), 400, "invalid_request");
    refused(&ask(&[("grant_type", "password")]), 400, "unsupported_grant_type");
    refused(&ask(&[grant, ("scope", "admin")]), 400, "invalid_scope");
    refused(&ask(&[grant, ("scope", "read"), ("scope", "read")]), 400, "invalid_request");
    refused(&ask(&[grant, ("resource", "https://three.example")]), 400, "invalid_target");
    refused(&ask(&[grant, ("client_id", "d")]), 400, "invalid_request");
    refused(&ask(&[grant, ("client_id", "c"), ("client_secret", &secret)]), 400, "invalid_request");
    let several = ask(&[grant, ("resource", API), ("resource", "https://two.example"), ("unknown", "ignored")]);
    assert_eq!(several.status, 200, "{}", several.text());
    for body in ["grant_type=%", "grant_type=%ff", "a=1&a=2"] {
        let answer = server.ask("POST", "/oauth2/token", &[FORM, ("Authorization", &right)], body);
        refused(&answer, 400, "invalid_request");
    }
    let json = ("Content-Type", "application/json");
    refused(&server.ask("POST", "/oauth2/token", &[json, ("Authorization", &right)], "{}"), 400, "invalid_request");
    let get = server.ask("GET", "/oauth2/token", &[], "");
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    let large = server.ask("POST", "/oauth2/token", &[FORM], "x".repeat(70_000));
    assert_eq!(large.status, 413);
}

#[test]
fn an_unknown_client_and_a_wrong_secret_cannot_be_told_apart() {
    let server = TestServer::start();
    let secret = client(&server, "c", "read", &[API]);
    let answers: Vec<Answer> = [("c", "wrong"), ("d", &*secret), ("d", ""), ("", &*secret)]
        .iter()
        .map(|(id, secret)| token(&server, id, secret, &[]))
        .collect();
    for answer in &answers {
        refused(answer, 401, "invalid_client");
        assert_eq!(answer.text(), answers[0].text());
        assert_eq!(answer.header("www-authenticate"), answers[0].header("www-authenticate"));
    }
    for header in ["Basic", "Basic !", "Bearer x", "Digest x"] {
        let parameters = form(&[("grant_type", "client_credentials")]);
        let answer = server.ask("POST", "/oauth2/token", &[FORM, ("Authorization", header)], parameters);
        refused(&answer, 401, "invalid_client");
    }
}

#[test]
fn who_may_see_a_token_sees_it_and_nobody_else() {
    let server = TestServer::start();
    let own = client(&server, "c", "read", &["api"]);
    let api = client(&server, "api", "x", &["y"]);
    let other = client(&server, "d", "read", &["api"]);
    let all = client(&server, "all", "jotd:introspect", &["y"]);
    let token = access_token(&server, "c", &own);
    assert!(is_active(&server, "c", &own, &token), "its own");
    assert!(is_active(&server, "api", &api, &token), "that it is the audience of");
    assert!(!is_active(&server, "d", &other, &token), "another's");
    assert!(is_active(&server, "all", &all, &token), "with the scope");
    let bearer = server.bearer("jotd:introspect");
    let answer =
        server.ask("POST", "/oauth2/introspect", &[FORM, ("Authorization", &bearer)], form(&[("token", &token)]));
    let body = parse(&answer);
    assert_eq!(
        (&body["active"], &body["token_type"], &body["client_id"]),
        (&json!(true), &json!("Bearer"), &json!("c"))
    );
    for name in ["iss", "sub", "aud", "exp", "iat", "jti", "scope"] {
        assert!(!body[name].is_null(), "{name}");
    }
    let without = server.bearer("jotd:keys");
    let answer =
        server.ask("POST", "/oauth2/introspect", &[FORM, ("Authorization", &without)], form(&[("token", &token)]));
    assert_eq!((answer.status, &parse(&answer)["error"]), (403, &json!("insufficient_scope")));
    let answer = server.ask("POST", "/oauth2/introspect", &[FORM], form(&[("token", &token)]));
    refused(&answer, 401, "invalid_client");
    let bad =
        server.ask("POST", "/oauth2/introspect", &[FORM, ("Authorization", "Bearer x")], form(&[("token", &token)]));
    refused(&bad, 401, "invalid_token");
    refused(&about(&server, "/oauth2/introspect", "c", &own, ""), 400, "invalid_request");
    let both = form(&[("token", &token), ("client_id", "c"), ("client_secret", &own)]);
    refused(
        &server.ask("POST", "/oauth2/introspect", &[FORM, ("Authorization", &bearer)], both),
        400,
        "invalid_request",
    );
}

#[test]
fn a_revoked_token_is_not_active_and_only_those_who_may_revoke_it() {
    let server = TestServer::start();
    let own = client(&server, "c", "read", &["api"]);
    let other = client(&server, "d", "read", &["api"]);
    let all = client(&server, "all", "jotd:revoke", &["y"]);
    let (token, second) = (access_token(&server, "c", &own), access_token(&server, "c", &own));
    refused(&about(&server, "/oauth2/revoke", "d", &other, &token), 400, "unauthorized_client");
    assert!(is_active(&server, "c", &own, &token));
    for _ in 0..2 {
        let answer = about(&server, "/oauth2/revoke", "c", &own, &token);
        assert_eq!((answer.status, answer.text()), (200, String::new()));
        assert!(!is_active(&server, "c", &own, &token));
    }
    assert_eq!(about(&server, "/oauth2/revoke", "all", &all, &second).status, 200);
    assert!(!is_active(&server, "c", &own, &second));
    for unknown in ["x", "a.b.c", &format!("{token}x")] {
        assert_eq!(about(&server, "/oauth2/revoke", "d", &other, unknown).status, 200, "{unknown}");
    }
    server.clock.set(10_000);
    let expired = access_token(&server, "c", &own);
    server.clock.set(13_600);
    assert!(!is_active(&server, "c", &own, &expired));
    assert_eq!(about(&server, "/oauth2/revoke", "d", &other, &expired).status, 200);
}

#[test]
fn simple_tokens_are_introspected_and_revoked_with_the_scope() {
    let server = TestServer::start();
    let own = client(&server, "c", "read", &["api"]);
    let all = client(&server, "all", "jotd:revoke jotd:introspect", &["y"]);
    let token = server.mint("hello");
    assert!(!is_active(&server, "c", &own, &token));
    let body = parse(&about(&server, "/oauth2/introspect", "all", &all, &token));
    assert_eq!((&body["active"], &body["payload"]["data"]), (&json!(true), &json!("hello")));
    assert_eq!(body.get("token_type"), None);
    refused(&about(&server, "/oauth2/revoke", "c", &own, &token), 400, "unauthorized_client");
    assert_eq!(about(&server, "/oauth2/revoke", "all", &all, &token).status, 200);
    assert!(!is_active(&server, "all", &all, &token));
    // The simple contract judges the signature and nothing else.
    assert_eq!(parse(&server.verify(&token, crate::support::KEY))["Signature Verification"], true);
}

#[test]
fn no_kind_of_token_is_accepted_in_anothers_place() {
    let server = TestServer::start();
    let secret = client(&server, "c", "read jotd:keys", &["api", ISSUER]);
    let for_api = access_token(&server, "c", &secret);
    let for_jotd =
        parse(&token(&server, "c", &secret, &[("resource", ISSUER)]))["access_token"].as_str().unwrap().to_owned();
    let simple = server.mint("x");
    let forged = server.foreign_tokens("c");
    let keys = |token: &str| server.ask("GET", "/v1/keys", &[("Authorization", &format!("Bearer {token}"))], "").status;
    assert_eq!(keys(&for_jotd), 200);
    assert_eq!(keys(&for_api), 401, "an access token for another audience");
    assert_eq!(keys(&simple), 401, "a simple token");
    for (name, token) in &forged {
        assert_eq!(keys(token), 401, "{name}");
        assert!(!is_active(&server, "c", &secret, token), "{name}");
    }
    // None of them is a client assertion either.
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    for token in [&for_api, &for_jotd, &simple].into_iter().chain(forged.iter().map(|(_, token)| token)) {
        let parameters =
            [("grant_type", "client_credentials"), ("client_assertion_type", kind), ("client_assertion", token)];
        refused(&server.ask("POST", "/oauth2/token", &[FORM], form(&parameters)), 401, "invalid_client");
    }
}

#[test]
fn failures_are_answered_429_until_they_are_forgotten() {
    let limits = jotd_http::Limits { auth_failures: Some(5), ..jotd_http::Limits::default() };
    let server = TestServer::with(limits);
    let secret = client(&server, "c", "read", &[API]);
    for _ in 0..5 {
        refused(&token(&server, "c", "wrong", &[]), 401, "invalid_client");
    }
    let answer = token(&server, "c", &secret, &[]);
    refused(&answer, 429, "temporarily_unavailable");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=12).contains(&seconds), "{seconds}");
    let answer = server.ask("GET", "/v1/keys", &[("Authorization", "Bearer x")], "");
    assert_eq!((answer.status, &parse(&answer)["code"]), (429, &json!("too_many_failures")));
    // What needs no authentication is not touched.
    assert_eq!(server.ask("GET", "/.well-known/jwks.json", &[], "").status, 200);
}

#[test]
fn the_key_set_and_the_metadata_can_be_cached() {
    let server = TestServer::start();
    for path in
        ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"]
    {
        let answer = server.ask("GET", path, &[], "");
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("public, max-age=300")), "{path}");
        let etag = answer.header("etag").unwrap();
        for known in [etag.to_owned(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
            let again = server.ask("GET", path, &[("If-None-Match", &known)], "");
            assert_eq!((again.status, again.header("etag"), again.text().as_str()), (304, Some(etag), ""), "{path}");
        }
        assert_eq!(server.ask("GET", path, &[("If-None-Match", "\"other\"")], "").status, 200);
        assert_eq!(server.ask("POST", path, &[], "").header("allow"), Some("GET, HEAD"));
    }
    let metadata =
        parse(&server.ask("GET", "/.well-known/oauth-authorization-server", &[("Host", "evil.example")], ""));
    assert_eq!(metadata["issuer"], ISSUER);
    assert_eq!(metadata["token_endpoint"], format!("{ISSUER}/oauth2/token"));
    assert_eq!(metadata["jwks_uri"], format!("{ISSUER}/.well-known/jwks.json"));
    let key = &parse(&server.ask("GET", "/.well-known/jwks.json", &[], ""))["keys"][0];
    assert_eq!((&key["use"], &key["alg"]), (&json!("sig"), &json!("ES256")));
    assert!(key["d"].is_null() && key["kid"].is_string());
}

#[test]
fn browsers_of_other_origins_are_let_in_only_where_that_is_configured() {
    let path = "/.well-known/jwks.json";
    let ask = |server: &TestServer, method: &str, path: &str, origin: &str| {
        server.ask(method, path, &[("Origin", origin), ("Access-Control-Request-Method", "POST")], "")
    };
    let closed = TestServer::start();
    let answer = ask(&closed, "GET", path, "https://app.example");
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(ask(&closed, "OPTIONS", "/oauth2/token", "https://app.example").status, 405);

    let access = jotd_http::Access { cors_origins: vec!["https://app.example".to_owned()], ..Default::default() };
    let open = TestServer::with_access(jotd_http::Limits::default(), access);
    let answer = ask(&open, "GET", path, "https://app.example");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(answer.header("vary"), Some("origin"));
    let preflight = ask(&open, "OPTIONS", "/oauth2/token", "https://app.example");
    assert_eq!((preflight.status, preflight.header("access-control-max-age")), (204, Some("600")));
    for other in ["https://app.example.evil", "http://app.example", "null"] {
        assert_eq!(ask(&open, "GET", path, other).header("access-control-allow-origin"), None, "{other}");
    }
    assert_eq!(ask(&open, "OPTIONS", "/generateToken", "https://app.example").status, 405, "the contract says so");
}

#[test]
fn ready_means_that_the_work_can_be_done() {
    let server = TestServer::start();
    let checks = |answer: &Answer| -> Vec<(String, bool)> {
        let body = parse(answer);
        let checks = body["checks"].as_array().unwrap();
        checks.iter().map(|c| (c["name"].as_str().unwrap().to_owned(), c["ok"].as_bool().unwrap())).collect()
    };
    let all = |clock| {
        [("store", true), ("keys", true), ("clock", clock), ("view", true), ("stay", true)]
            .map(|(name, ok)| (name.to_owned(), ok))
    };
    let ready = server.ask("GET", "/readyz", &[], "");
    assert_eq!((ready.status, checks(&ready)), (200, all(true).to_vec()));
    server.clock.set(-1);
    let behind = server.ask("GET", "/readyz", &[], "");
    assert_eq!((behind.status, checks(&behind)), (503, all(false).to_vec()));
    let admin = jotd_wire::ask(server.admin, "GET", "/readyz", &[], "").unwrap();
    assert_eq!(admin.status, 503);
}

#[test]
fn metrics_count_what_happens() {
    let server = TestServer::start();
    let secret = client(&server, "c", "read", &[API]);
    let token = access_token(&server, "c", &secret);
    about(&server, "/oauth2/revoke", "c", &secret, &token);
    is_active(&server, "c", &secret, &token);
    self::token(&server, "c", "wrong", &[]);
    server.mint("x");
    let text = jotd_wire::ask(server.admin, "GET", "/metrics", &[], "").unwrap().text();
    for line in [
        "jotd_requests_total{route=\"/oauth2/token\",status=\"200\"} 1",
        "jotd_requests_total{route=\"/oauth2/token\",status=\"401\"} 1",
        "jotd_request_duration_seconds_count{route=\"/oauth2/token\"} 2",
        "jotd_tokens_minted_total{kind=\"access_token\"} 1",
        "jotd_tokens_minted_total{kind=\"simple\"} 1",
        "jotd_tokens_refused_total{reason=\"revoked\"} 1",
        "jotd_tokens_refused_total{reason=\"invalid_client\"} 1",
        "jotd_revoked_total{kind=\"token\"} 1",
        "jotd_revocations{kind=\"token\"} 1",
        "jotd_clients 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|own| own == line), "{line}\n{text}");
    }
    assert!(text.contains("jotd_key_age_seconds{algorithm=\"ES256\",state=\"active\""), "{text}");
    assert!(text.contains("jotd_store_commit_duration_seconds_count"), "{text}");
    assert!(!text.contains(&token) && !text.contains(&secret));
    let _: Value = parse(&server.ask("GET", "/readyz", &[], ""));
}
