//! One of many nodes, and what another has done a moment ago.

use std::sync::Arc;

use authority::{Authority, Caller, Custom, Issued};
use jose::Algorithm;
use jotd_http::Limits;
use jotd_store::faulty::Call;
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

/// Done on another node, to a client with this id and a token.
type Deed = fn(&Authority, &str, &Issued);

fn revoke_client(node: &Authority, id: &str, _: &Issued) {
    block_on(node.revoke_client(&Caller::new("test"), id, "")).unwrap();
}

const DEEDS: [Deed; 5] = [
    revoke_client,
    |node, id, _| drop(block_on(node.revoke_subject(&Caller::new("test"), id, "")).unwrap()),
    |node, id, _| block_on(node.remove_client(&Caller::new("test"), id)).unwrap(),
    |node, _, token| {
        drop(block_on(node.revoke_token_id(&Caller::new("test"), &token.token_id, Some(token.expires_at), "")).unwrap())
    },
    |node, _, token| drop(block_on(node.compromise_key(&Caller::new("test"), &token.key_id, "")).unwrap()),
];

/// Asks as a new client, on which the deed is done when its order comes to be decided.
fn ask_while(server: &TestServer, far: &Arc<Authority>, id: &str, deed: Deed, request: (&str, &str, String)) -> u16 {
    let (method, path, body) = request;
    let new = new_client(id, "jotd:*", &[ISSUER]);
    let client = block_on(far.create_client(&Caller::new("test"), new)).unwrap().0.into_inner();
    let token = far.grant(&client, None, &[]).unwrap();
    let bearer = format!("Bearer {}", token.token);
    let (far, id) = (Arc::clone(far), id.to_owned());
    server.reach.before_next(Call::Begin, move || deed(&far, &id, &token));
    let media_type = if path.starts_with("/oauth2") { FORM } else { JSON };
    server.ask(method, path, &[media_type, ("Authorization", &bearer)], body).status
}

#[test]
fn nothing_is_changed_for_whoever_was_revoked_on_another_node_before_the_order_was_decided() {
    let (server, far) = two();
    // What is swept is so before, and takes no transaction later.
    block_on(server.authority.tidy()).unwrap();
    let (far, secret) = (Arc::new(far), server.client("other", "read", &["api"]));
    let revocation = |name: &str, value: &str| format!(r#"{{"{name}": "{value}"}}"#);
    let key = server.authority.state().keys().find(|key| !key.is_simple()).unwrap().id.clone();
    block_on(far.tidy()).unwrap();
    let client = far.state().find_client("other").unwrap().record.clone();
    let token = far.grant(&client, None, &[]).unwrap().token;
    let create = r#"{"id": "new", "name": "new", "audiences": ["api"]}"#;
    let paths = [
        ("POST", "/v1/clients", create.to_owned()),
        ("PATCH", "/v1/clients/other", revocation("name", "new")),
        ("POST", "/v1/clients/other/secrets", String::new()),
        ("DELETE", "/v1/clients/other", String::new()),
        ("POST", "/v1/keys/rotate", String::new()),
        ("POST", &format!("/v1/keys/{key}/compromise"), String::new()),
        ("PATCH", "/v1/slots/ES256", r#"{"rotate_every": 86400}"#.to_owned()),
        ("POST", "/v1/revocations", revocation("subject", "s")),
        ("POST", "/v1/revocations", revocation("token", &token)),
        ("POST", "/v1/revocations/batch", format!(r#"{{"revocations": [{}]}}"#, revocation("subject", "s"))),
        ("POST", "/oauth2/revoke", form(&[("token", &token)])),
    ];
    let log = || block_on(far.log(None, 200)).unwrap();
    for (place, request) in paths.iter().enumerate() {
        let (method, path, body) = request;
        let status = ask_while(&server, &far, &format!("c{place}"), revoke_client, (method, path, body.clone()));
        assert_eq!(status, 401, "{method} {path}");
        assert_eq!(log()[0].action, "client.revoked", "{method} {path}");
    }
    for (place, deed) in DEEDS.into_iter().enumerate() {
        let request = ("POST", "/v1/clients", create.to_owned());
        assert_eq!(ask_while(&server, &far, &format!("d{place}"), deed, request), 401, "{place}");
        assert!(log()[0].action != "client.created", "{place}");
    }
    // A client that comes with its secret is looked at, too; what else was changed does not matter.
    let authorization = basic("other", &secret);
    let headers = [FORM, ("Authorization", authorization.as_str())];
    for (is_removed, status) in [(false, 200), (true, 401)] {
        let token = far.grant(&far.state().find_client("other").unwrap().record, None, &[]).unwrap().token;
        let node = Arc::clone(&far);
        server.reach.before_next(Call::Begin, move || {
            let caller = Caller::new("test");
            if is_removed {
                block_on(node.remove_client(&caller, "other")).unwrap();
            } else {
                block_on(node.add_secret(&caller, "other")).unwrap();
            }
        });
        let answer = server.ask("POST", "/oauth2/revoke", &headers, form(&[("token", &token)]));
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(log()[0].action == "token.revoked", !is_removed);
    }
}
