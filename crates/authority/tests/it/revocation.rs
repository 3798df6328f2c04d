//! Revoked is revoked: at once, across restarts, and for as long as it matters.

use authority::store::RevocationId;
use authority::{Created, Revocation, UnixTime};
use jose::Algorithm;

use crate::support::{START, TERMS, World, caller, code, simple_key, verdict};

#[tokio::test]
async fn a_revoked_token_stays_revoked_and_its_entry_vanishes_with_it() {
    let world = World::new().await;
    let client = world.client("c").await;
    let (token, other) = (world.token(&client), world.token(&client));
    let revoked = world.authority.revoke_token(&caller(), &token, "why").await.unwrap();
    assert_eq!((world.verdict(&token), world.verdict(&other)), ("revoked", "ok"));
    let Created::Now(entry) = revoked else { panic!() };
    assert_eq!((entry.reason.as_str(), entry.revoked_at, entry.actor.as_str()), ("why", UnixTime(START), "tester"));
    assert_eq!(
        world.authority.revoke_token(&caller(), &token, "again").await,
        Ok(Created::Before(entry.clone())),
        "a second time changes nothing"
    );
    let world = world.restart().await;
    assert_eq!((world.verdict(&token), world.verdict(&other)), ("revoked", "ok"));
    let found = world.authority.find_revocation(&entry.id.to_string()).await.unwrap();
    assert_eq!(found, Some(Revocation::Token(entry)));
    world.at(3599).await;
    assert_eq!(world.verdict(&token), "revoked");
    world.at(3600).await;
    assert_eq!((world.verdict(&token), world.verdict(&other)), ("expired", "expired"));
    assert_eq!(code(world.authority.revoke_token(&caller(), &other, "").await), "token_expired");
    world.settled_at(3600 + 3600 + TERMS.leeway).await;
    assert_eq!(world.authority.state().revoked_tokens(), 0);
    assert_eq!(world.authority.revocations(None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_token_can_be_revoked_by_its_id_alone() {
    let world = World::new().await;
    let client = world.client("c").await;
    let issued = world.authority.grant(&client, None, &[]).unwrap();
    world.authority.revoke_token_id(&caller(), &issued.token_id, None, "").await.unwrap();
    assert_eq!(world.verdict(&issued.token), "revoked");
    // As long as the longest token could live, whatever this one did.
    world.at(3599).await;
    assert_eq!(world.verdict(&issued.token), "revoked");
    for (id, expires_at, expect) in [
        ("", None, "text_too_long"),
        (&*"x".repeat(1025), None, "text_too_long"),
        ("x", Some(START), "expiry_in_the_past"),
        ("x", Some(i64::MAX), "expiry_too_far"),
    ] {
        let revoked = world.authority.revoke_token_id(&caller(), id, expires_at.map(UnixTime), "").await;
        assert_eq!(code(revoked), expect);
    }
    let long = world.authority.revoke_token_id(&caller(), "x", None, &"r".repeat(1025)).await;
    assert_eq!(code(long), "text_too_long");
}

#[tokio::test]
async fn everything_of_a_subject_or_client_up_to_now_is_revoked() {
    let world = World::new().await;
    let (c, d) = (world.client("c").await, world.client("d").await);
    let (of_c, of_d) = (world.token(&c), world.token(&d));
    world.authority.revoke_client(&caller(), "c", "").await.unwrap();
    assert_eq!((world.verdict(&of_c), world.verdict(&of_d)), ("revoked", "ok"));
    // The present second is included, so nothing is issued in the rest of it.
    let error = world.authority.grant(&c, None, &[]).unwrap_err();
    assert_eq!(error, authority::error::GrantError::JustRevoked { seconds: 1 });
    world.at(1).await;
    let later = world.token(&c);
    assert_eq!(world.verdict(&later), "ok");
    assert_eq!(code(world.authority.revoke_client(&caller(), "nobody", "").await), "not_found");

    let minted = |subject: &str| {
        let claims = serde_json::json!({ "sub": subject, "aud": "x" }).as_object().unwrap().clone();
        world.authority.mint("c", &authority::Custom { claims, ..authority::Custom::default() }).unwrap().token
    };
    let (of_42, of_43) = (minted("42"), minted("43"));
    world.authority.revoke_subject(&caller(), "42", "left").await.unwrap();
    assert_eq!((world.verdict(&of_42), world.verdict(&of_43), world.verdict(&later)), ("revoked", "ok", "ok"));
    let world = world.restart().await;
    assert_eq!((world.verdict(&of_42), world.verdict(&of_43), world.verdict(&of_c)), ("revoked", "ok", "revoked"));
}

#[tokio::test]
async fn rules_stay_while_any_key_of_their_time_is_published() {
    let world = World::new().await;
    world.client("c").await;
    world.authority.revoke_client(&caller(), "c", "").await.unwrap();
    let rules = |world: &World| world.authority.state().rule_count();
    world.settled_at(10 * TERMS.longest_token).await;
    assert_eq!(rules(&world), 1, "an imported key may have signed tokens that live longer");
    world.authority.rotate(&caller(), None).await.unwrap();
    world.at(10 * TERMS.longest_token + 400).await;
    assert_eq!(rules(&world), 1);
    world.settled_at(12 * TERMS.longest_token + 400).await;
    assert_eq!(world.states(Algorithm::ES256), ["retired", "active"]);
    world.authority.tidy().await.unwrap();
    assert_eq!(rules(&world), 0);
}

#[tokio::test]
async fn tokens_without_expiry_stay_revoked_until_their_key_is_retired() {
    let world = World::new().await;
    let mut token = Vec::new();
    world.authority.mint_simple("x", &mut token).unwrap();
    let token = String::from_utf8(token).unwrap();
    let former = world.key(Algorithm::HS512, "active").id;
    world.authority.revoke_token(&caller(), &token, "").await.unwrap();
    assert_eq!(world.verdict(&token), "revoked");
    world.authority.replace_simple_key(&caller(), simple_key("b")).await.unwrap();
    world.at(1_000_000_000).await;
    let world = world.restart().await;
    assert_eq!(world.verdict(&token), "revoked");
    world.authority.retire_key(&caller(), &former).await.unwrap();
    assert_eq!(world.verdict(&token), "bad_signature");
    world.settled_at(1_000_000_000 + TERMS.longest_token).await;
    assert_eq!(world.authority.state().revoked_tokens(), 1, "revoked by its id, it might be an access token");
    world.settled_at(1_000_000_000 + TERMS.longest_token + TERMS.leeway).await;
    assert_eq!(world.authority.state().revoked_tokens(), 0);
    assert_eq!(world.authority.revocations(None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_clock_that_is_ahead_for_a_moment_makes_nobody_forget() {
    let world = World::new().await;
    let client = world.client("c").await;
    let (token, of_client) = (world.token(&client), world.token(&client));
    world.authority.revoke_token(&caller(), &token, "").await.unwrap();
    world.authority.revoke_client(&caller(), "c", "").await.unwrap();
    // Two days ahead, with a change that is written there, and back again.
    world.at(2 * 86_400).await;
    world.client("d").await;
    world.authority.rotate(&caller(), None).await.unwrap();
    world.at(2 * 86_400 + 100).await;
    world.at(10).await;
    assert_eq!((world.verdict(&token), world.verdict(&of_client)), ("revoked", "revoked"));
    let world = world.restart().await;
    world.settled_at(20).await;
    assert_eq!((world.verdict(&token), world.verdict(&of_client)), ("revoked", "revoked"));
}

#[tokio::test]
async fn a_token_that_a_rule_covers_can_be_revoked_by_itself() {
    let world = World::new().await;
    let client = world.client("c").await;
    let token = world.token(&client);
    world.authority.revoke_client(&caller(), "c", "").await.unwrap();
    assert!(matches!(world.authority.revoke_token(&caller(), &token, "too").await, Ok(Created::Now(_))));
}

#[tokio::test]
async fn a_repeat_is_answered_the_same_whatever_has_happened_since() {
    let world = World::new().await;
    let client = world.client("c").await;
    let (token, other) = (world.token(&client), world.token(&client));
    let once = |key: &str, request: &str| {
        let mut caller = caller();
        caller.once = Some(authority::Once::new(key, &[request.as_bytes()]));
        caller
    };
    let by_token = world.authority.revoke_token(&once("1", &token), &token, "").await.unwrap();
    let soon = Some(UnixTime(START + 60));
    let by_id = world.authority.revoke_token_id(&once("2", "x"), "x", soon, "").await.unwrap();
    world.authority.revoke_token(&caller(), &other, "").await.unwrap();
    assert_eq!(
        code(world.authority.revoke_token(&once("1", &other), &other, "").await),
        "idempotency_key_reused",
        "though it is revoked already"
    );
    world.at(7200).await;
    let again = world.authority.revoke_token(&once("1", &token), &token, "").await.unwrap();
    assert_eq!(again, Created::Before(by_token.into_inner()));
    let again = world.authority.revoke_token_id(&once("2", "x"), "x", soon, "").await.unwrap();
    assert_eq!(again, Created::Before(by_id.into_inner()));
}

#[tokio::test]
async fn a_later_revocation_that_lasts_longer_extends_an_earlier_one() {
    let world = World::new().await;
    let client = world.client("c").await;
    let issued = world.authority.grant(&client, None, &[]).unwrap();
    let soon = Some(UnixTime(START + 60));
    world.authority.revoke_token_id(&caller(), &issued.token_id, soon, "first").await.unwrap();
    let Created::Now(entry) = world.authority.revoke_token(&caller(), &issued.token, "second").await.unwrap() else {
        panic!("nothing was written");
    };
    assert_eq!(entry.expires_at, Some(UnixTime(START + 3601)));
    world.settled_at(3599).await;
    assert_eq!(world.verdict(&issued.token), "revoked");
    let world = world.restart().await;
    assert_eq!(world.verdict(&issued.token), "revoked");
}

#[tokio::test]
async fn a_simple_token_that_was_revoked_by_its_id_alone_stays_so() {
    let world = World::new().await;
    let mut token = Vec::new();
    world.authority.mint_simple("x", &mut token).unwrap();
    let token = String::from_utf8(token).unwrap();
    let claims = jose::base64url::decode(token.split('.').nth(1).unwrap().as_bytes()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    let former = world.key(Algorithm::HS512, "active").id;
    world.at(1).await;
    world.authority.replace_simple_key(&caller(), simple_key("b")).await.unwrap();
    let newer = world.key(Algorithm::HS512, "active").id;
    world.authority.revoke_token_id(&caller(), claims["jti"].as_str().unwrap(), None, "").await.unwrap();
    world.at(2).await;
    world.authority.replace_simple_key(&caller(), simple_key("c")).await.unwrap();
    // The key that signed when it was revoked goes before the one that made it.
    world.authority.retire_key(&caller(), &newer).await.unwrap();
    world.settled_at(1_000_000_000).await;
    assert_eq!(world.verdict(&token), "revoked");
    world.authority.retire_key(&caller(), &former).await.unwrap();
    world.settled_at(1_000_010_000).await;
    assert_eq!(world.authority.state().revoked_tokens(), 0);
}

#[tokio::test]
async fn a_token_from_the_future_can_be_revoked() {
    let world = World::new().await;
    let client = world.client("c").await;
    world.set(1000);
    let token = world.token(&client);
    world.set(0);
    assert_eq!(world.verdict(&token), "issued_in_the_future");
    world.authority.revoke_token(&caller(), &token, "").await.unwrap();
    world.set(1000);
    assert_eq!(world.verdict(&token), "revoked");
}

#[tokio::test]
async fn what_is_not_ours_cannot_be_revoked() {
    let world = World::new().await;
    for token in ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        assert_eq!(code(world.authority.revoke_token(&caller(), token, "").await), "token_not_ours", "{token}");
    }
}

#[tokio::test]
async fn a_revocation_by_another_process_is_in_force_without_being_asked_for() {
    let world = World::new().await;
    let client = world.client("c").await;
    let token = world.token(&client);
    let beside = world.beside(1);
    beside.revoke_token(&caller(), &token, "").await.unwrap();
    assert_eq!(verdict(&beside, &token), "revoked");
    let position = beside.state().position();
    let started = std::time::Instant::now();
    while world.authority.state().position() < position {
        assert!(started.elapsed().as_secs() < 60, "it never came");
        std::thread::yield_now();
    }
    assert_eq!(world.verdict(&token), "revoked");
    let id = RevocationId::parse("00000000000000000000000000000000").unwrap();
    assert_eq!(world.authority.find_revocation(&id.to_string()).await.unwrap(), None);
}
