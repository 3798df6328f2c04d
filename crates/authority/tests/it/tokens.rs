//! Which tokens are made, and which are accepted.

use authority::error::GrantError;
use authority::{Custom, LOCAL_CLIENT, Scopes};
use jose::{Algorithm, Claims, Jwk, NumericDate, Signer};
use serde_json::{Value, json};

use crate::support::{API, ISSUER, START, World, caller, verdict};

fn parts(token: &str) -> (Value, Value) {
    let part = |place: usize| {
        let text = jose::base64url::decode(token.split('.').nth(place).unwrap().as_bytes()).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    (part(0), part(1))
}

#[tokio::test]
async fn access_tokens_are_as_rfc_9068_says() {
    let world = World::new().await;
    let client = world.client("c").await;
    let issued = world.authority.grant(&client, Some("read"), &[]).unwrap();
    let (header, claims) = parts(&issued.token);
    let key = world.key(Algorithm::ES256, "active");
    assert_eq!(header, json!({ "typ": "at+jwt", "alg": "ES256", "kid": key.id }));
    assert_eq!(
        claims,
        json!({
            "iss": ISSUER, "sub": "c", "aud": API, "exp": START + 3600, "iat": START,
            "jti": issued.token_id, "client_id": "c", "scope": "read",
        })
    );
    assert_eq!((issued.token_id.len(), issued.key_id), (32, key.id));
    let both = world.authority.grant(&client, None, &["https://other.example", API]).unwrap();
    let (_, claims) = parts(&both.token);
    assert_eq!(claims["aud"], json!(["https://other.example", API]));
    assert_eq!(claims["scope"], "read write");
}

#[tokio::test]
async fn nobody_gets_more_than_they_may() {
    let world = World::new().await;
    let client = world.client("c").await;
    let grant = |scope, resources: &[&str]| world.authority.grant(&client, scope, resources).unwrap_err().code();
    for scope in ["admin", "read admin", "READ", "jotd:keys", "jotd:*", "read  write", "\""] {
        assert_eq!(grant(Some(scope), &[]), "invalid_scope", "{scope}");
    }
    for resource in ["https://api.example/", "https://API.example", ISSUER, ""] {
        assert_eq!(grant(None, &[API, resource]), "invalid_target", "{resource}");
    }
}

#[tokio::test]
async fn minted_tokens_say_anything_but_what_opens_jotd() {
    let world = World::new().await;
    world.client("c").await;
    let mint = |claims: Value| {
        let Value::Object(claims) = claims else { panic!() };
        world.authority.mint("c", &Custom { claims, ..Custom::default() })
    };
    let claims =
        json!({ "sub": "42", "aud": [API, "x"], "scope": "read", "n": 12345678901234567890_u64, "o": { "a": [1] } });
    let issued = mint(claims.clone()).unwrap();
    let (header, minted) = parts(&issued.token);
    assert_eq!(header["typ"], "at+jwt");
    for (name, value) in claims.as_object().unwrap() {
        assert_eq!(minted[name], *value, "{name}");
    }
    assert_eq!((minted["iss"].as_str(), minted["client_id"].as_str()), (Some(ISSUER), Some("c")));
    assert_eq!(world.verdict(&issued.token), "ok");
    for (claims, expect) in [
        (json!({ "aud": API }), "claim_missing"),
        (json!({ "sub": "42" }), "claim_missing"),
        (json!({ "sub": "", "aud": API }), "claims_invalid"),
        (json!({ "sub": 42, "aud": API }), "claims_invalid"),
        (json!({ "sub": "42", "aud": [] }), "claims_invalid"),
        (json!({ "sub": "42", "aud": [1] }), "claims_invalid"),
        (json!({ "sub": "42", "aud": ISSUER }), "audience_not_allowed"),
        (json!({ "sub": "42", "aud": [API, ISSUER] }), "audience_not_allowed"),
        (json!({ "sub": "42", "aud": API, "scope": "jotd:keys" }), "scope_not_allowed"),
        (json!({ "sub": "42", "aud": API, "scope": ["jotd:keys"] }), "invalid_scope"),
        (json!({ "sub": "42", "aud": API, "iss": "me" }), "claim_reserved"),
        (json!({ "sub": "42", "aud": API, "exp": 1 }), "claim_reserved"),
        (json!({ "sub": "42", "aud": API, "nbf": 1 }), "claim_reserved"),
        (json!({ "sub": "42", "aud": API, "jti": "x" }), "claim_reserved"),
        (json!({ "sub": "42", "aud": API, "client_id": "d" }), "claim_reserved"),
        (json!({ "sub": "42", "aud": API, "active": true }), "claim_reserved"),
    ] {
        assert_eq!(mint(claims.clone()).unwrap_err().code(), expect, "{claims}");
    }
    let custom = |lifetime| Custom {
        claims: json!({ "sub": "42", "aud": API }).as_object().unwrap().clone(),
        lifetime: Some(lifetime),
        algorithm: None,
    };
    for lifetime in [-1, 0, 7201, i64::MAX] {
        let error = world.authority.mint("c", &custom(lifetime)).unwrap_err();
        assert_eq!(error, GrantError::Lifetime { longest: 7200 });
    }
    assert!(world.authority.mint("c", &custom(7200)).is_ok());
}

#[tokio::test]
async fn nothing_else_is_taken_for_an_access_token() {
    let world = World::new().await;
    world.client("c").await;
    // The private part of the key that signs, to make what it would never sign.
    let id = world.key(Algorithm::ES256, "active").id;
    let key = world.authority.export_private_key(&caller(), &id).await.unwrap();
    let key = Jwk::parse(key.as_bytes()).unwrap().with_key_id(id);
    let stranger = Jwk::generate(Algorithm::ES256).unwrap().with_key_id(key.key_id().unwrap());
    let at = NumericDate::from_seconds;
    let full = || {
        Claims::new()
            .issuer(ISSUER)
            .subject("c")
            .audience(API)
            .token_id("1")
            .issued_at(at(START))
            .expires_at(at(START + 60))
    };
    let sign = |key: &Jwk, typ, claims: Claims<'_>| {
        let claims = claims.claim("client_id", "\"c\"").unwrap();
        Signer::new(key.signing_key(Algorithm::ES256).unwrap(), typ).unwrap().sign(&claims.to_json()).unwrap()
    };
    let typed = Some("at+jwt");
    for (name, token, expect) in [
        ("as it should be", sign(&key, typed, full()), "ok"),
        ("another key under the same id", sign(&stranger, typed, full()), "bad_signature"),
        ("an ID token", sign(&key, Some("JWT"), full()), "wrong_typ"),
        ("an assertion", sign(&key, Some("client-authentication+jwt"), full()), "wrong_typ"),
        ("without a type", sign(&key, None, full()), "wrong_typ"),
        ("another issuer", sign(&key, typed, full().issuer("https://other.example")), "wrong_issuer"),
        ("expired", sign(&key, typed, full().expires_at(at(START))), "expired"),
        ("from the future", sign(&key, typed, full().issued_at(at(START + 61))), "issued_in_the_future"),
    ] {
        assert_eq!(world.verdict(&token), expect, "{name}");
    }
    let without = |name: &str| {
        let claims: Value = serde_json::from_slice(&full().claim("client_id", "\"c\"").unwrap().to_json()).unwrap();
        let mut claims = claims.as_object().unwrap().clone();
        claims.remove(name);
        let signer = Signer::new(key.signing_key(Algorithm::ES256).unwrap(), typed).unwrap();
        signer.sign(serde_json::to_string(&claims).unwrap().as_bytes()).unwrap()
    };
    for name in ["sub", "aud", "exp", "iat", "jti", "client_id"] {
        assert_ne!(world.verdict(&without(name)), "ok", "{name}");
    }
}

#[tokio::test]
async fn an_access_token_is_for_whom_it_names() {
    let world = World::new().await;
    let client = world.client("c").await;
    let token = world.token(&client);
    let state = world.authority.state();
    assert!(state.accept_access_token(&token, Some(API), world.authority.now()).is_ok());
    for other in [ISSUER, "https://other.example", ""] {
        let error = state.accept_access_token(&token, Some(other), world.authority.now()).unwrap_err();
        assert_eq!(error.code(), "wrong_audience", "{other}");
    }
    let scopes = Scopes::parse("jotd:*").unwrap();
    let own = world.authority.grant_locally("me", &scopes, &[], None, None).unwrap();
    let accepted = state.accept_access_token(&own.token, Some(ISSUER), world.authority.now()).unwrap();
    assert_eq!((accepted.client_id.as_str(), accepted.subject.as_str()), (LOCAL_CLIENT, "me"));
    assert!(accepted.scopes.contains("jotd:keys") && !accepted.scopes.contains("jotd:*"));
}

#[tokio::test]
async fn a_change_of_the_issuer_ends_what_was_issued_before() {
    let world = World::new().await;
    let client = world.client("c").await;
    let token = world.token(&client);
    let other = authority::Setup { issuer: Some("https://new.example".to_owned()), ..authority::Setup::default() };
    let world = world.restart_with(other).await;
    assert_eq!(verdict(&world.authority, &token), "wrong_issuer");
    assert_eq!(world.verdict(&world.token(&client)), "ok");
}
