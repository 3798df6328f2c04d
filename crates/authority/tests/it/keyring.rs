//! The life of keys: what happens when, by itself and by hand, and what a clock that steps cannot do.

use authority::error::{AdminError, KeyringError};
use authority::{KeyState, Setup, Terms, UnixTime};
use jose::Algorithm;

use crate::support::{START, TERMS, World, caller, code, master_key, open, simple_key};

const ES256: Algorithm = Algorithm::ES256;

/// Until every cache knows a new key.
const WAIT: i64 = TERMS.max_age + TERMS.leeway;

/// Until the last token of a former key is gone.
const GONE: i64 = TERMS.longest_token + TERMS.leeway;

#[tokio::test]
async fn a_rotation_takes_its_steps_when_they_break_nobody() {
    let world = World::new().await;
    assert_eq!(world.states(ES256), ["active"], "the first key signs at once");
    world.at(10).await;
    let planned = world.authority.plan_rotation(None).unwrap();
    assert_eq!(world.states(ES256), ["active"], "a plan changes nothing");
    let rotation = world.authority.rotate(&caller(), None).await.unwrap();
    fn times(rotation: &authority::Rotation) -> Vec<(i64, &str)> {
        rotation.timetable.iter().map(|step| (step.at.0 - START, step.step.as_str())).collect()
    }
    let expect = [(10, "publish"), (10 + WAIT, "activate"), (10 + WAIT, "verify_only"), (10 + WAIT + GONE, "retire")];
    assert_eq!(times(&rotation), expect);
    assert_eq!(times(&planned), expect);

    for (at, states) in [
        (10, ["active", "pending"]),
        (9 + WAIT, ["active", "pending"]),
        (10 + WAIT, ["verify_only", "active"]),
        (9 + WAIT + GONE, ["verify_only", "active"]),
        (10 + WAIT + GONE, ["retired", "active"]),
    ] {
        world.at(at).await;
        assert_eq!(world.states(ES256), states, "{at}");
        let published = states.iter().filter(|state| **state != "retired").count();
        assert_eq!(world.authority.state().jwk_set().0.matches("\"kid\"").count(), published, "{at}");
    }
}

#[tokio::test]
async fn steps_by_hand_keep_the_same_waits_and_say_when() {
    let world = World::new().await;
    let first = world.key(ES256, "active");
    world.at(1).await;
    let held = world.authority.create_key(&caller(), ES256, None, true).await.unwrap().into_inner();
    world.at(WAIT).await;
    let early =
        |step, at: i64| Err(AdminError::Keyring(KeyringError::TooEarly { step, allowed_at: UnixTime(START + at) }));
    assert_eq!(world.authority.activate_key(&caller(), &held.id).await, early("activated", 1 + WAIT));
    let message = world.authority.activate_key(&caller(), &held.id).await.unwrap_err().to_string();
    assert_eq!(message, "the key can be activated from 2027-01-15T08:06:01Z on");
    world.at(10 * WAIT).await;
    assert_eq!(world.states(ES256), ["active", "pending"], "a key that is held waits for somebody");
    world.authority.activate_key(&caller(), &held.id).await.unwrap();
    assert_eq!(world.states(ES256), ["verify_only", "active"]);
    assert_eq!(world.authority.retire_key(&caller(), &first.id).await, early("retired", 10 * WAIT + GONE));
    assert_eq!(code(world.authority.retire_key(&caller(), &held.id).await), "key_still_signing");
    assert_eq!(code(world.authority.activate_key(&caller(), &first.id).await), "step_not_possible");
    world.set(10 * WAIT + GONE);
    world.authority.retire_key(&caller(), &first.id).await.unwrap();
    assert_eq!(world.states(ES256), ["retired", "active"]);
    assert_eq!(code(world.authority.activate_key(&caller(), "nobody").await), "not_found");
}

#[tokio::test]
async fn one_key_waits_at_a_time() {
    let world = World::new().await;
    let rotation = world.authority.rotate(&caller(), None).await.unwrap();
    assert_eq!(code(world.authority.rotate(&caller(), None).await), "key_already_pending");
    assert!(world.authority.plan_rotation(None).is_err());
    // A key that never signed can go at any time.
    world.authority.retire_key(&caller(), &rotation.key.unwrap().id).await.unwrap();
    assert!(world.authority.rotate(&caller(), None).await.is_ok());
}

#[tokio::test]
async fn a_clock_that_steps_backwards_undoes_nothing_and_shortens_no_wait() {
    let world = World::new().await;
    world.at(1000).await;
    world.authority.rotate(&caller(), None).await.unwrap();
    // The clock goes back: what was published stays, and the wait ends no earlier.
    world.at(0).await;
    assert_eq!(world.states(ES256), ["active", "pending"]);
    world.at(1000 + WAIT - 1).await;
    assert_eq!(world.states(ES256), ["active", "pending"]);
    world.at(1000 + WAIT).await;
    assert_eq!(world.states(ES256), ["verify_only", "active"]);

    // What begins while the clock is behind counts from the newest change, so it takes its time when the clock is right.
    world.at(200).await;
    assert_eq!(world.states(ES256), ["verify_only", "active"]);
    world.authority.rotate(&caller(), None).await.unwrap();
    let KeyState::Pending { since, due, .. } = world.key(ES256, "pending").state else { panic!() };
    assert_eq!((since.0 - START, due.0 - START), (1000 + WAIT, 1000 + 2 * WAIT));
}

#[tokio::test]
async fn terms_that_change_are_waited_for() {
    let world = World::new().await;
    let short = Terms { max_age: 10, longest_token: 20, leeway: 1 };
    let setup = || Setup { terms: Some(short), ..Setup::default() };
    let world = world.restart_with(setup()).await;
    // Copies of the key set and tokens from before live as long as they were told.
    let KeyState::Pending { due, .. } = world.authority.rotate(&caller(), None).await.unwrap().key.unwrap().state
    else {
        panic!()
    };
    assert_eq!(due.0 - START, TERMS.max_age + short.leeway);
    let world = world.restart_with(setup()).await;
    world.at(TERMS.max_age + 1).await;
    let KeyState::VerifyOnly { due: Some(due), .. } = world.key(ES256, "verify_only").state else { panic!() };
    assert_eq!(due.0 - START, TERMS.longest_token + short.leeway);
    // Later rotations have the new terms alone.
    world.at(TERMS.longest_token + 100).await;
    let rotation = world.authority.rotate(&caller(), None).await.unwrap();
    let times: Vec<_> = rotation.timetable.iter().map(|step| step.at.0 - START - TERMS.longest_token - 100).collect();
    assert_eq!(times, [0, 11, 11, 32]);
}

#[tokio::test]
async fn a_schedule_rotates_unattended() {
    let world = World::with(TERMS, Some(86_400)).await;
    // Published so early that each key signs for a day.
    for day in 0..4 {
        world.at(86_400 * day + 86_400 - WAIT - 1).await;
        let active = world.key(ES256, "active").id;
        assert_eq!(world.states(ES256).last(), Some(&"active"), "{day}");
        world.at(86_400 * day + 86_400 - WAIT).await;
        assert_eq!(world.states(ES256).last(), Some(&"pending"), "{day}");
        world.at(86_400 * (day + 1) - 1).await;
        assert_eq!(world.key(ES256, "active").id, active, "{day}");
        world.at(86_400 * (day + 1)).await;
        assert_ne!(world.key(ES256, "active").id, active, "{day}");
    }
    world.authority.schedule(&caller(), ES256, None).await.unwrap();
    world.at(86_400 * 40).await;
    assert_eq!(world.states(ES256), ["retired", "retired", "retired", "retired", "active"]);
    assert_eq!(code(world.authority.schedule(&caller(), ES256, Some(2 * WAIT - 1)).await), "invalid_schedule");
    assert!(world.authority.schedule(&caller(), ES256, Some(2 * WAIT)).await.is_ok());
    assert_eq!(code(world.authority.schedule(&caller(), Algorithm::RS256, None).await), "not_found");
}

#[tokio::test]
async fn a_compromised_key_goes_at_once_and_another_signs() {
    let world = World::new().await;
    let client = world.client("c").await;
    let token = world.token(&client);
    let first = world.key(ES256, "active");
    assert_eq!(world.verdict(&token), "ok");
    world.at(1).await;
    let gone = world.authority.compromise_key(&caller(), &first.id, "stolen").await.unwrap();
    assert_eq!(gone.state, KeyState::Compromised { since: UnixTime(START + 1) });
    assert_eq!(world.states(ES256), ["compromised", "active"]);
    assert_eq!(world.verdict(&token), "no_key");
    assert_eq!(world.verdict(&world.token(&client)), "ok");
    assert!(!world.authority.state().jwk_set().0.contains(&first.id));
    assert_eq!(code(world.authority.compromise_key(&caller(), &first.id, "").await), "step_not_possible");

    // A pending key takes the place before its time rather than one that nobody has heard of.
    let pending = world.authority.rotate(&caller(), None).await.unwrap().key.unwrap();
    let second = world.key(ES256, "active");
    world.authority.compromise_key(&caller(), &second.id, "").await.unwrap();
    assert_eq!(world.key(ES256, "active").id, pending.id);
    let world = world.restart().await;
    assert_eq!(world.verdict(&token), "no_key");
}

#[tokio::test]
async fn every_algorithm_that_signs_in_public_has_its_slot() {
    let world = World::new().await;
    for algorithm in authority::asymmetric_algorithms().filter(|algorithm| *algorithm != ES256) {
        let key = world.authority.create_key(&caller(), algorithm, None, false).await.unwrap().into_inner();
        assert_eq!(key.state.name(), "pending", "{algorithm}: others may have cached the key set by now");
    }
    let mut client = crate::support::new_client("c");
    client.algorithm = Some(Algorithm::ML_DSA_65);
    assert_eq!(code(world.authority.create_client(&caller(), client.clone()).await), "algorithm_not_available");
    world.at(WAIT).await;
    for algorithm in authority::asymmetric_algorithms() {
        let mut client = client.clone();
        (client.id, client.algorithm) = (Some(format!("c-{algorithm}")), Some(algorithm));
        let client = world.authority.create_client(&caller(), client).await.unwrap().0.into_inner();
        assert_eq!(world.verdict(&world.token(&client)), "ok", "{algorithm}");
    }
    let world = world.restart().await;
    let clients: Vec<_> = world.authority.state().clients().map(|client| client.record.clone()).collect();
    assert!(clients.iter().all(|client| world.verdict(&world.token(client)) == "ok"));
    assert_eq!(code(world.authority.create_key(&caller(), Algorithm::HS256, None, false).await), "key_unusable");
}

#[tokio::test]
async fn keys_are_imported_and_exported() {
    let world = World::new().await;
    let jwk = jose::Jwk::generate(Algorithm::EdDSA).unwrap().with_key_id("mine");
    let import = async |jwk: jose::Jwk| world.authority.import_key(&caller(), jwk, None, false).await;
    assert_eq!(import(jwk.clone()).await.unwrap().into_inner().state.name(), "pending");
    assert_eq!(code(import(jwk.clone()).await), "key_already_pending");
    let private = world.authority.export_private_key(&caller(), "mine").await.unwrap();
    assert_eq!(*private, *jwk.clone().with_algorithm(Algorithm::EdDSA).unwrap().to_json());
    // Whoever brought it could have made tokens with it; until it is activated they are not accepted here.
    let client = world.client("c").await;
    let claims = jose::Claims::new().issuer(crate::support::ISSUER).subject("c").audience("api").token_id("1");
    let at = jose::NumericDate::from_seconds;
    let claims = claims.issued_at(at(START)).expires_at(at(START + 3600)).claim("client_id", "\"c\"").unwrap();
    let signer = jose::Signer::new(jwk.signing_key(Algorithm::EdDSA).unwrap(), Some("at+jwt")).unwrap();
    let token = signer.sign(&claims.to_json()).unwrap();
    assert_eq!(world.verdict(&token), "no_key");
    assert_eq!(client.id, "c");
    world.at(WAIT).await;
    assert_eq!(world.verdict(&token), "ok");
    assert_eq!(world.key(Algorithm::EdDSA, "active").id, "mine");
    assert_eq!(code(import(jwk.clone()).await), "key_exists");
    assert_eq!(code(import(jwk.with_key_id("another-name")).await), "key_exists");
    let mut limited = caller();
    limited.scopes = Some(authority::Scopes::parse("jotd:keys").unwrap());
    let jwk = jose::Jwk::generate(Algorithm::RS256).unwrap();
    assert_eq!(code(world.authority.import_key(&limited, jwk.clone(), None, true).await), "scope_not_allowed");
    limited.scopes = Some(authority::Scopes::parse("jotd:*").unwrap());
    assert!(world.authority.import_key(&limited, jwk, None, true).await.is_ok());
    for (jwk, expect) in [
        (jose::Jwk::generate(ES256).unwrap().public().unwrap(), "key_unusable"),
        (jose::Jwk::generate(Algorithm::HS512).unwrap(), "key_unusable"),
        (jose::Jwk::generate(ES256).unwrap().with_key_id("white space"), "key_unusable"),
        (jose::Jwk::generate(ES256).unwrap().with_key_id("-x"), "key_unusable"),
        (jose::Jwk::generate(ES256).unwrap().with_key_id("x".repeat(257)), "key_unusable"),
    ] {
        assert_eq!(code(import(jwk).await), expect);
    }
    // What does not sign any more has no private part left to lose.
    world.authority.rotate(&caller(), Some(Algorithm::EdDSA)).await.unwrap();
    world.at(3 * WAIT).await;
    assert_eq!(code(world.authority.export_private_key(&caller(), "mine").await), "no_private_part");
}

#[tokio::test]
async fn private_keys_are_encrypted_at_rest() {
    let world = World::new().await;
    let mut secrets = vec!["a".repeat(64)];
    for algorithm in [Algorithm::RS256, Algorithm::EdDSA, Algorithm::ML_DSA_44] {
        world.authority.create_key(&caller(), algorithm, None, false).await.unwrap();
    }
    let ids: Vec<_> = world.authority.state().keys().filter(|key| !key.is_simple()).map(|key| key.id.clone()).collect();
    for id in ids {
        let jwk = world.authority.export_private_key(&caller(), &id).await.unwrap();
        let jwk: serde_json::Value = serde_json::from_str(&jwk).unwrap();
        secrets.extend(["d", "p", "q", "priv"].iter().filter_map(|name| jwk[name].as_str().map(str::to_owned)));
    }
    assert_eq!(secrets.len(), 7);
    drop(world.authority);
    let content = std::fs::read(world.folder.path().join("jotd.db")).unwrap();
    for secret in secrets {
        assert!(!content.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}

#[tokio::test]
async fn the_simple_key_is_listed_replaced_and_kept_until_it_is_retired_by_hand() {
    let world = World::new().await;
    let mint = |world: &World| {
        let mut token = Vec::new();
        world.authority.mint_simple("x", &mut token).unwrap();
        String::from_utf8(token).unwrap()
    };
    let former = world.key(Algorithm::HS512, "active");
    let old = mint(&world);
    world.authority.replace_simple_key(&caller(), simple_key("b")).await.unwrap();
    let new = mint(&world);
    assert_eq!((world.verdict(&old), world.verdict(&new)), ("ok", "ok"));
    world.at(100_000_000).await;
    assert_eq!((world.verdict(&old), world.verdict(&new)), ("ok", "ok"), "these tokens do not expire");
    assert_eq!(code(world.authority.rotate(&caller(), Some(Algorithm::HS512)).await), "key_from_outside");

    // The key in its home decides, at each start.
    let world = world.restart_with(Setup { simple_key: Some(simple_key("b")), ..Setup::default() }).await;
    assert_eq!((world.verdict(&old), world.verdict(&mint(&world))), ("ok", "ok"));
    world.authority.retire_key(&caller(), &former.id).await.unwrap();
    assert_eq!(world.verdict(&old), "bad_signature");
    assert_eq!(world.verdict(&mint(&world)), "ok");
    assert!(!world.authority.state().jwk_set().0.contains("simple"), "a shared secret is never published");
}

#[tokio::test]
async fn the_master_key_is_rotated_under_everything() {
    let world = World::new().await;
    let client = world.client("c").await;
    let token = world.token(&client);
    let path = world.folder.path().join("jotd.db");
    let World { folder: _folder, clock, authority, .. } = world;
    drop(authority);
    let authority = open(&path, &clock, vec![master_key(1), master_key(2)], 7);
    let beside = open(&path, &clock, vec![master_key(1), master_key(2)], 8);
    authority.rotate_master_key(&caller(), master_key(2)).await.unwrap();
    beside.tidy().await.unwrap();
    assert_eq!(beside.state().master_key_id(), Some(&*master_key(2).id()), "others follow");
    beside.rotate(&caller(), None).await.unwrap();
    drop((authority, beside));
    let authority = open(&path, &clock, vec![master_key(2)], 9);
    assert_eq!(crate::support::verdict(&authority, &token), "ok");
    assert!(authority.grant(&client, None, &[]).is_ok());
    drop(authority);
    let content = std::fs::read(&path).unwrap();
    let id = master_key(1).id();
    assert!(!content.windows(id.len()).any(|window| window == id.as_bytes()), "nothing is left under the former key");
}
