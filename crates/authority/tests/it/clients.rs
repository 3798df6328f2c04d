//! Clients, their secrets and their assertions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use authority::error::AuthenticationError;
use authority::{ClientChange, Created, Once, Scopes, UnixTime};
use jose::{Algorithm, Claims, Jwk, NumericDate, Signer};
use jotd_store::faulty::Call;

use crate::ledger::over;
use crate::support::{START, World, caller, code, new_client};

#[tokio::test]
async fn secrets_are_shown_once_and_two_are_valid_while_they_are_rotated() {
    let world = World::new().await;
    let (created, first) = world.authority.create_client(&caller(), new_client("c")).await.unwrap();
    let (first, client) = (first.unwrap(), created.into_inner());
    assert!(first.expose().starts_with("jotd_secret_") && first.expose().len() == 55, "{}", first.expose().len());
    let holds = async |world: &World, secret: &str| world.authority.authenticate("c", secret).await.is_ok();
    assert!(holds(&world, first.expose()).await);
    for wrong in ["", "x", &first.expose()[1..], &first.expose().to_uppercase(), &format!("{} ", first.expose())] {
        assert!(!holds(&world, wrong).await, "{wrong:?}");
    }
    assert_eq!(code(world.authority.remove_secret(&caller(), "c", &client.secrets[0].id).await), "last_secret");
    let (_, second) = world.authority.add_secret(&caller(), "c").await.unwrap();
    let second = second.unwrap();
    assert!(holds(&world, first.expose()).await && holds(&world, second.expose()).await);
    assert_eq!(code(world.authority.add_secret(&caller(), "c").await), "too_many_secrets");
    let world = world.restart().await;
    assert!(holds(&world, first.expose()).await && holds(&world, second.expose()).await);
    world.authority.remove_secret(&caller(), "c", &client.secrets[0].id).await.unwrap();
    assert!(!holds(&world, first.expose()).await && holds(&world, second.expose()).await);
    assert_eq!(code(world.authority.remove_secret(&caller(), "c", "nothing").await), "not_found");
    // The store does not have them.
    let path = world.folder.path().join("jotd.db");
    drop(world.authority);
    let content = std::fs::read(path).unwrap();
    for secret in [&first, &second] {
        assert!(!content.windows(43).any(|window| window == &secret.expose().as_bytes()[12..]));
    }
}

#[tokio::test]
async fn what_a_client_may_be() {
    let world = World::new().await;
    let change = |edit: fn(&mut authority::NewClient)| {
        let mut client = new_client("c");
        edit(&mut client);
        client
    };
    for (client, expect) in [
        (change(|c| c.id = Some(String::new())), "invalid_client_id"),
        (change(|c| c.id = Some("a b".to_owned())), "invalid_client_id"),
        (change(|c| c.id = Some("..".to_owned())), "invalid_client_id"),
        (change(|c| c.id = Some("jotd-cli".to_owned())), "invalid_client_id"),
        (change(|c| c.id = Some("x".repeat(129))), "invalid_client_id"),
        (change(|c| c.name = String::new()), "invalid_name"),
        (change(|c| c.name = "a\u{7}".to_owned()), "invalid_name"),
        (change(|c| c.audiences = Vec::new()), "invalid_audiences"),
        (change(|c| c.audiences = vec!["a".to_owned(), "a".to_owned()]), "invalid_audiences"),
        (change(|c| c.audiences = vec!["a b".to_owned()]), "invalid_audiences"),
        (change(|c| c.token_lifetime = Some(0)), "invalid_token_lifetime"),
        (change(|c| c.token_lifetime = Some(7201)), "invalid_token_lifetime"),
        (change(|c| c.algorithm = Some(Algorithm::RS256)), "algorithm_not_available"),
        (change(|c| c.algorithm = Some(Algorithm::HS512)), "algorithm_not_available"),
        (change(|c| c.jwks = Some("{}".to_owned())), "invalid_jwks"),
        (change(|c| c.jwks = Some(r#"{"keys":[]}"#.to_owned())), "invalid_jwks"),
        (change(|c| c.jwks = Some(r#"{"keys":[{"kty":"oct","k":"AA"}]}"#.to_owned())), "invalid_jwks"),
    ] {
        assert_eq!(code(world.authority.create_client(&caller(), client).await), expect);
    }
    let private = Jwk::generate(Algorithm::ES256).unwrap();
    let jwks = Some(format!("{{\"keys\":[{}]}}", *private.to_json()));
    let client = authority::NewClient { jwks, ..new_client("c") };
    assert_eq!(code(world.authority.create_client(&caller(), client).await), "invalid_jwks");
    world.client("c").await;
    assert_eq!(code(world.authority.create_client(&caller(), new_client("c")).await), "client_exists");
}

#[tokio::test]
async fn a_change_leaves_what_it_does_not_name() {
    let world = World::new().await;
    let before = world.client("c").await;
    let change = ClientChange { scopes: Some(Scopes::parse("only").unwrap()), ..ClientChange::default() };
    world.at(5).await;
    let after = world.authority.update_client(&caller(), "c", change).await.unwrap();
    assert_eq!((&after.name, &after.audiences, after.token_lifetime), (&before.name, &before.audiences, 3600));
    assert_eq!((after.scopes.to_text().as_str(), after.updated_at), ("only", UnixTime(START + 5)));
    assert_eq!(world.authority.grant(&after, Some("read"), &[]).unwrap_err().code(), "invalid_scope");
    assert_eq!(code(world.authority.update_client(&caller(), "nobody", ClientChange::default()).await), "not_found");
}

#[tokio::test]
async fn a_removed_client_takes_its_tokens_along_even_if_it_comes_back() {
    let world = World::new().await;
    let client = world.client("c").await;
    let token = world.token(&client);
    world.authority.remove_client(&caller(), "c").await.unwrap();
    assert_eq!(world.verdict(&token), "client_gone");
    world.at(1).await;
    let client = world.client("c").await;
    assert_eq!(world.verdict(&token), "revoked");
    assert_eq!(world.verdict(&world.token(&client)), "ok");
}

#[tokio::test]
async fn an_idempotency_key_creates_once() {
    let world = World::new().await;
    let mut once = caller();
    once.once = Some(Once::new("key-1", &[b"POST", b"body"]));
    let (first, secret) = world.authority.create_client(&once, new_client("c")).await.unwrap();
    assert!(matches!(first, Created::Now(_)) && secret.is_some());
    let (again, secret) = world.authority.create_client(&once, new_client("c")).await.unwrap();
    assert_eq!(again, Created::Before(first.into_inner()));
    assert!(secret.is_none());

    let mut other = once.clone();
    other.once = Some(Once::new("key-1", &[b"POST", b"other"]));
    assert_eq!(code(world.authority.create_client(&other, new_client("d")).await), "idempotency_key_reused");
    // The same key of somebody else is another key, and so is one that was forgotten.
    other.name = "somebody else".to_owned();
    assert!(world.authority.create_client(&other, new_client("d")).await.is_ok());
    world.at(24 * 3600 - 1).await;
    assert!(matches!(world.authority.create_client(&once, new_client("c")).await, Ok((Created::Before(_), None))));
    world.at(24 * 3600).await;
    assert_eq!(code(world.authority.create_client(&once, new_client("c")).await), "client_exists");
    // What was refused was not done, and may be tried again.
    let mut refused = caller();
    refused.once = Some(Once::new("key-2", &[b""]));
    assert_eq!(code(world.authority.create_client(&refused, new_client("c")).await), "client_exists");
    world.authority.remove_client(&caller(), "c").await.unwrap();
    assert!(world.authority.create_client(&refused, new_client("c")).await.is_ok());
}

/// An assertion of a client, with what is changed about it.
struct Assertion<'a> {
    key: &'a Jwk,
    typ: Option<&'a str>,
    issuer: &'a str,
    subject: &'a str,
    audience: &'a str,
    expires_in: i64,
    token_id: Option<&'a str>,
}

impl Assertion<'_> {
    fn sign(&self) -> String {
        let claims = Claims::new().issuer(self.issuer).subject(self.subject).audience(self.audience);
        let claims = claims.expires_at(NumericDate::from_seconds(START + self.expires_in));
        let claims = self.token_id.into_iter().fold(claims, Claims::token_id);
        let key = self.key.signing_key(self.key.algorithms()[0]).unwrap();
        Signer::new(key, self.typ).unwrap().sign(&claims.to_json()).unwrap()
    }
}

#[tokio::test]
async fn assertions_are_believed_once_and_only_when_everything_is_right() {
    let world = World::new().await;
    let (key, other) = (Jwk::generate(Algorithm::ES256).unwrap(), Jwk::generate(Algorithm::ES256).unwrap());
    for (id, key) in [("c", &key), ("d", &other)] {
        let jwks = Some(format!("{{\"keys\":[{}]}}", *key.public().unwrap().to_json()));
        let client = authority::NewClient { jwks, ..new_client(id) };
        let (_, secret) = world.authority.create_client(&caller(), client).await.unwrap();
        assert!(secret.is_none(), "who has keys needs no secret");
    }
    let good = || Assertion {
        key: &key,
        typ: None,
        issuer: "c",
        subject: "c",
        audience: "here",
        expires_in: 60,
        token_id: Some("1"),
    };
    let check = async |assertion: &str| {
        let audiences = ["https://issuer.example", "here"];
        world.authority.authenticate_assertion(assertion, &audiences).await.map(|client| client.record.id.clone())
    };
    assert_eq!(check(&good().sign()).await, Ok("c".to_owned()));
    assert_eq!(check(&good().sign()).await, Err(AuthenticationError::Replayed));
    for (name, assertion, expect) in [
        ("another key", Assertion { key: &other, ..good() }, AuthenticationError::AssertionSignature),
        ("another client", Assertion { issuer: "d", ..good() }, AuthenticationError::AssertionSignature),
        ("an unknown client", Assertion { issuer: "e", ..good() }, AuthenticationError::AssertionSignature),
        ("another subject", Assertion { subject: "d", ..good() }, AuthenticationError::AssertionClaims),
        ("another audience", Assertion { audience: "there", ..good() }, AuthenticationError::AssertionClaims),
        ("expired", Assertion { expires_in: -60, ..good() }, AuthenticationError::AssertionClaims),
        ("too long", Assertion { expires_in: 3661, ..good() }, AuthenticationError::AssertionClaims),
        ("without an id", Assertion { token_id: None, ..good() }, AuthenticationError::AssertionClaims),
        ("an access token", Assertion { typ: Some("at+jwt"), ..good() }, AuthenticationError::AssertionClaims),
    ] {
        assert_eq!(check(&assertion.sign()).await, Err(expect), "{name}");
    }
    let typed = Assertion { typ: Some("client-authentication+jwt"), token_id: Some("2"), ..good() };
    assert_eq!(check(&typed.sign()).await, Ok("c".to_owned()));
    for malformed in ["", "a.b.c", &"x".repeat(20_000)] {
        assert_eq!(check(malformed).await, Err(AuthenticationError::MalformedAssertion));
    }
    // Across a restart, and for as long as it would be accepted; another client's ids are others.
    let (assertion, theirs) = (good().sign(), Assertion { key: &other, issuer: "d", subject: "d", ..good() }.sign());
    let world = world.restart().await;
    let check = async |assertion: &str| world.authority.authenticate_assertion(assertion, &["here"]).await;
    world.at(119).await;
    assert_eq!(check(&assertion).await.unwrap_err(), AuthenticationError::Replayed);
    assert!(check(&theirs).await.is_ok());
    world.at(180).await;
    assert_eq!(check(&assertion).await.unwrap_err(), AuthenticationError::AssertionClaims);
}

#[tokio::test]
async fn a_client_that_was_removed_or_changed_since_it_authenticated_gets_nothing() {
    let world = World::new().await;
    let before = world.client("c").await;
    let refused = |client: &authority::Client| {
        matches!(world.authority.grant(client, None, &[]), Err(authority::error::GrantError::ClientChanged))
    };
    assert!(!refused(&before));
    let change = ClientChange { scopes: Some(Scopes::parse("other").unwrap()), ..ClientChange::default() };
    world.authority.update_client(&caller(), "c", change).await.unwrap();
    assert!(refused(&before));
    let changed = world.authority.state().find_client("c").unwrap().record.clone();
    assert!(!refused(&changed));
    world.authority.remove_client(&caller(), "c").await.unwrap();
    world.clock.set(10);
    assert!(refused(&changed));
    // Another one of the same name is not that one.
    let (again, _) = world.authority.create_client(&caller(), new_client("c")).await.unwrap();
    assert!(refused(&changed) && !refused(again.get()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_removed_while_its_assertion_is_on_its_way_is_not_let_in() {
    let world = World::new().await;
    let key = Jwk::generate(Algorithm::ES256).unwrap();
    let jwks = Some(format!("{{\"keys\":[{}]}}", *key.public().unwrap().to_json()));
    world.authority.create_client(&caller(), authority::NewClient { jwks, ..new_client("c") }).await.unwrap();
    // Between the look at the assertion and the transaction that spends it there is time for another node.
    let (begins, begun) = std::sync::mpsc::channel();
    let (goes_on, go_on) = std::sync::mpsc::channel();
    let is_armed = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&is_armed);
    let far = over(&world, move |call| {
        if call == Call::Begin && armed.swap(false, Ordering::SeqCst) {
            begins.send(()).unwrap();
            go_on.recv().unwrap();
        }
        Ok(())
    });
    let (issuer, subject, audience) = ("c", "c", "here");
    let assertion =
        Assertion { key: &key, typ: None, issuer, subject, audience, expires_in: 60, token_id: Some("1") }.sign();
    is_armed.store(true, Ordering::SeqCst);
    let (answer, ()) = tokio::join!(far.authenticate_assertion(&assertion, &["here"]), async {
        tokio::task::block_in_place(|| begun.recv().unwrap());
        world.authority.remove_client(&caller(), "c").await.unwrap();
        goes_on.send(()).unwrap();
    });
    assert_eq!(answer.unwrap_err(), AuthenticationError::AssertionSignature);
}
