//! One of many nodes, and what another has done a moment ago.

use authority::{Authority, Caller, Custom};
use jose::Algorithm;
use jotd_http::Limits;
use serde_json::json;

use crate::support::{FORM, ISSUER, JSON, TestServer, basic, block_on, form, new_client, parse};

const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");

/// A token of a client that did not exist before.
fn of_new_client(node: &Authority, id: &str) -> String {
    let new = new_client(id, "jotd:verify jotd:introspect jotd:keys", &[ISSUER]);
    let (client, _) = block_on(node.create_client(&Caller::new("test"), new)).unwrap();
    node.grant(client.get(), None, &[]).unwrap().token
}

/// A token under a key that did not exist before.
fn under_new_key(node: &Authority, client: &str) -> String {
    let algorithm = Some(Algorithm::EdDSA);
    let is_former = |key: &&authority::KeyRecord| Some(key.algorithm) == algorithm && key.state.name() == "active";
    let former = node.state().keys().find(is_former).unwrap().id.clone();
    block_on(node.compromise_key(&Caller::new("test"), &former, "")).unwrap();
    let claims = json!({ "sub": "s", "aud": "api" }).as_object().unwrap().clone();
    node.mint(client, &Custom { claims, lifetime: None, algorithm }).unwrap().token
}

/// The server and another node, which has a second key that signs.
fn two() -> (TestServer, Authority) {
    let server = TestServer::one_of_many(Limits { auth_failures: Some(1), ..Limits::default() });
    let far = server.beside();
    block_on(far.create_key(&Caller::new("test"), Algorithm::EdDSA, None, false)).unwrap();
    server.clock.set(1000);
    block_on(far.tidy()).unwrap();
    (server, far)
}

#[test]
fn a_token_is_not_refused_for_a_client_or_a_key_that_another_node_has_just_made() {
    let (server, far) = two();
    let secret = server.client("asker", "jotd:introspect", &["api"]);
    let (client, bearer) = (basic("asker", &secret), server.bearer("jotd:*"));
    let administrator = ("Authorization", bearer.as_str());
    for round in 0..5 {
        for place in 0..4 {
            for token in [of_new_client(&far, &format!("c{round}-{place}")), under_new_key(&far, "asker")] {
                let item = json!({ "token": token }).to_string();
                let (headers, path, body) = match place {
                    0 => ([FORM, ("Authorization", &*client)], "/oauth2/introspect", form(&[("token", &token)])),
                    1 => ([JSON, administrator], "/v1/tokens/verify", item),
                    2 => ([JSON, administrator], "/v1/tokens/verify-batch", format!("[{item}]")),
                    _ => ([NDJSON, administrator], "/v1/tokens/verify-batch", format!("{item}\n")),
                };
                let answer = server.ask("POST", path, &headers, body);
                let text = answer.text().replace(' ', "");
                assert!(text.contains("\"active\":true") || text.contains("\"accepted\":true"), "{path}: {text}");
            }
        }
    }
}

#[test]
fn a_bearer_is_not_refused_for_a_client_that_another_node_has_just_made() {
    let (server, far) = two();
    for round in 0..5 {
        for (place, (method, path, media_type, body)) in [
            ("GET", "/v1/keys", JSON, String::new()),
            ("POST", "/v1/tokens/verify-batch", JSON, "[]".to_owned()),
            ("POST", "/v1/tokens/verify-batch", NDJSON, String::new()),
            ("POST", "/oauth2/introspect", FORM, form(&[("token", "x")])),
        ]
        .into_iter()
        .enumerate()
        {
            let bearer = format!("Bearer {}", of_new_client(&far, &format!("c{round}-{place}")));
            let answer = server.ask(method, path, &[media_type, ("Authorization", &bearer)], body);
            assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
        }
    }
}

#[test]
fn a_node_that_is_cut_off_refuses_tokens_of_clients_that_were_made_since() {
    let (server, far) = two();
    let administrator = server.bearer("jotd:*");
    server.reach.lose();
    let token = of_new_client(&far, "c");
    let item = json!({ "token": token }).to_string();
    let headers = [JSON, ("Authorization", administrator.as_str())];
    let verified = parse(&server.ask("POST", "/v1/tokens/verify", &headers, item.clone()));
    assert_eq!((&verified["accepted"], &verified["code"]), (&json!(false), &json!("client_gone")));
    let bearer = format!("Bearer {token}");
    assert_eq!(server.ask("GET", "/v1/keys", &[("Authorization", &bearer)], "").status, 401);
}
