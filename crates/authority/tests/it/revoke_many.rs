//! Many revocations by one call: each as if it were alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use authority::store::{Change, Position, RevocationId, RevokedToken};
use authority::{
    Authority, Caller, Created, Credential, LOG_KEPT, MOST_REVOCATIONS, NewRevocation, Once, Outcome, Parts, Revocable,
    Revocation, Staleness, UnixTime, Whose,
};
use jotd_store::SqliteStore;
use proptest::prelude::*;
use serde_json::json;

use crate::ledger::Panicking;
use crate::support::{ManualClock, START, TERMS, TestMasterKeys, World, caller, code, master_key};

fn revocation(of: Revocable) -> NewRevocation {
    NewRevocation { of, reason: "lost".to_owned() }
}

fn id(id: impl ToString, expires_in: Option<i64>) -> NewRevocation {
    revocation(Revocable::TokenId(id.to_string(), expires_in.map(|seconds| UnixTime(START + seconds))))
}

fn subject(subject: &str) -> NewRevocation {
    revocation(Revocable::All(Whose::Subject(subject.to_owned())))
}

fn client(client: &str) -> NewRevocation {
    revocation(Revocable::All(Whose::Client(client.to_owned())))
}

fn once(key: &str, request: &str) -> Caller {
    Caller { once: Some(Once::new(key, &[request.as_bytes()])), ..caller() }
}

/// `new`, `before` or the code of the error.
fn codes(outcomes: &[Outcome]) -> Vec<&'static str> {
    let code = |outcome: &Outcome| match outcome {
        Ok(Created::Now(_)) => "new",
        Ok(Created::Before(_)) => "before",
        Err(error) => error.code(),
    };
    outcomes.iter().map(code).collect()
}

#[tokio::test]
async fn each_has_its_own_outcome_and_one_that_is_wrong_spoils_no_other() {
    let world = World::new().await;
    let of = world.client("c").await;
    let (token, other) = (world.token(&of), world.token(&of));
    world.authority.revoke_token_id(&caller(), "earlier", Some(UnixTime(START + 50)), "first").await.unwrap();
    let long = NewRevocation { reason: "r".repeat(1025), ..id("y", Some(60)) };
    let wanted = vec![
        revocation(Revocable::Token(token.clone())),
        revocation(Revocable::Token("x".to_owned())),
        revocation(Revocable::Token(token.clone())),
        id("earlier", Some(50)),
        id("earlier", Some(60)),
        id("", None),
        id("x", Some(0)),
        id("x", None),
        id("x", Some(60)),
        long,
        subject("s"),
        subject(""),
        client("c"),
        client("nobody"),
    ];
    let outcomes = world.authority.revoke_many(&caller(), wanted).await.unwrap();
    let expect = [
        "new",
        "token_not_ours",
        "before",
        "before",
        "new",
        "text_too_long",
        "expiry_in_the_past",
        "new",
        "before",
        "text_too_long",
        "new",
        "text_too_long",
        "new",
        "not_found",
    ];
    assert_eq!(codes(&outcomes), expect);
    assert_eq!((world.verdict(&token), world.verdict(&other)), ("revoked", "revoked"));
    let Ok(Created::Before(Revocation::Token(earlier))) = &outcomes[3] else { panic!("it was revoked before") };
    assert_eq!((earlier.reason.as_str(), earlier.expires_at), ("first", Some(UnixTime(START + 50))));
    let log = world.authority.log(None, 5).await.unwrap();
    let detail = |change: &Change| serde_json::from_str::<serde_json::Value>(&change.detail).unwrap();
    let logged: Vec<_> = log.iter().rev().map(|change| (&*change.action, &*change.actor, detail(change))).collect();
    assert_eq!(logged[0], ("token.revoked", "tester", json!({ "expires_at": START + 3601, "reason": "lost" })));
    assert_eq!(logged[3], ("subject.revoked", "tester", json!({ "until": START, "reason": "lost", "subject": "s" })));
    assert_eq!(logged[4].0, "client.revoked");
    let world = world.restart().await;
    assert_eq!(world.verdict(&token), "revoked");
    assert_eq!((world.authority.state().revoked_tokens(), world.authority.state().rule_count()), (3, 2));
}

#[tokio::test]
async fn ten_thousand_are_the_most_and_none_is_no_mistake() {
    let world = World::new().await;
    assert_eq!(world.authority.revoke_many(&caller(), vec![]).await, Ok(vec![]));
    let many = |count: usize| (0..count).map(|number| id(number, Some(60))).collect::<Vec<_>>();
    let refused = world.authority.revoke_many(&caller(), many(MOST_REVOCATIONS + 1)).await;
    assert_eq!(code(refused), "too_many_revocations");
    assert_eq!(world.authority.state().revoked_tokens(), 0);
    let outcomes = world.authority.revoke_many(&once("k", "r"), many(MOST_REVOCATIONS)).await.unwrap();
    assert!(codes(&outcomes).iter().all(|code| *code == "new"));
    assert_eq!(world.authority.state().revoked_tokens(), MOST_REVOCATIONS);
    let position = world.authority.state().position();
    let again = world.authority.revoke_many(&once("k", "r"), many(MOST_REVOCATIONS)).await.unwrap();
    let inner = |outcomes: Vec<Outcome>| -> Vec<Revocation> {
        outcomes.into_iter().map(|outcome| outcome.unwrap().into_inner()).collect()
    };
    assert!(codes(&again).iter().all(|code| *code == "before"));
    assert_eq!(inner(again), inner(outcomes));
    assert_eq!(world.authority.state().position(), position, "nothing is written again");
    let other = world.authority.revoke_many(&once("k", "other"), many(1)).await;
    assert_eq!(code(other), "idempotency_key_reused");
}

#[tokio::test]
async fn what_an_interrupted_call_has_done_stays_done_and_a_repeat_does_the_rest() {
    let world = World::new().await;
    let panics = Arc::new(AtomicBool::new(true));
    let authority = Authority::open(Parts {
        store: Box::new(SqliteStore::open(&world.folder.path().join("jotd.db")).unwrap()),
        clock: Arc::<ManualClock>::clone(&world.clock),
        randomness: Arc::new(Panicking(Arc::clone(&panics))),
        master_key: Arc::new(TestMasterKeys(vec![master_key(1)])),
        applied: Box::new(drop),
        commits: Box::new(|_, _| ()),
        staleness: Staleness::DEFAULT,
        log_kept: LOG_KEPT,
    })
    .unwrap();
    // A rule needs an id that is drawn; it comes with the second part.
    let wanted: Vec<_> = (0..700).map(|number| id(number, Some(60))).chain([subject("s"), id("last", None)]).collect();
    let outcomes = authority.revoke_many(&once("k", "r"), wanted.clone()).await.unwrap();
    let of = |outcomes: &[Outcome], code| codes(outcomes).iter().take_while(|other| **other == code).count();
    assert_eq!(of(&outcomes, "new"), 500);
    assert_eq!(of(&outcomes[500..], "store_unavailable"), 202, "each of the rest says so");
    assert_eq!(authority.state().revoked_tokens(), 500);
    panics.store(false, Ordering::SeqCst);
    let outcomes = authority.revoke_many(&once("k", "r"), wanted.clone()).await.unwrap();
    assert_eq!((of(&outcomes, "before"), of(&outcomes[500..], "new")), (500, 202));
    // Nothing of it is in force where the first part fails, and the call says so.
    panics.store(true, Ordering::SeqCst);
    let failed = authority.revoke_many(&once("l", "r"), vec![id("new", None), subject("t")]).await;
    assert_eq!(code(failed), "store_unavailable");
    assert_eq!(authority.state().revoked_tokens(), 701);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_batches_at_once_are_all_carried_out() {
    let world = World::new().await;
    let authority = Arc::new(world.beside(1));
    let tasks: Vec<_> = (0..10)
        .map(|batch| {
            let authority = Arc::clone(&authority);
            let wanted = (0..600).map(|number| id(format!("{}", batch * 500 + number), Some(60))).collect();
            tokio::spawn(async move { authority.revoke_many(&caller(), wanted).await.unwrap() })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().iter().all(Result::is_ok));
    }
    assert_eq!(authority.state().revoked_tokens(), 5100);
}

/// Entries and the log, but for the ids of keys, which differ.
type Written = (Vec<(RevocationId, Option<UnixTime>, bool, String)>, Vec<(Position, String, String)>);

async fn written(world: &World) -> Written {
    let (entries, log) = (world.authority.revocations(None, 100).await, world.authority.log(None, 1000).await);
    let entries = entries.unwrap().into_iter().map(|entry| {
        let RevokedToken { id, expires_at, key_id, reason, .. } = entry;
        (id, expires_at, key_id.is_some(), reason)
    });
    let log = log.unwrap().into_iter().map(|change| (change.position, change.action, change.detail));
    (entries.collect(), log.take_while(|(_, action, _)| action == "token.revoked").collect())
}

#[tokio::test]
async fn what_has_expired_goes_from_the_store_bit_by_bit_without_being_asked_for() {
    let world = World::new().await;
    let wanted = (0..1200).map(|number| id(number, Some(60))).chain([id("later", Some(86_400))]).collect();
    world.authority.revoke_many(&caller(), wanted).await.unwrap();
    world.settled_at(3600 + TERMS.leeway).await;
    assert_eq!(world.authority.state().revoked_tokens(), 1, "in memory at once");
    let started = std::time::Instant::now();
    while world.authority.revocations(None, 2).await.unwrap().len() > 1 {
        assert!(started.elapsed().as_secs() < 60, "it never went");
    }
    assert_eq!(world.restart().await.authority.state().revoked_tokens(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Ids that repeat, with and without an expiry, in batches of any length.
    #[test]
    fn a_batch_does_what_one_by_one_does(batches in proptest::collection::vec(
        proptest::collection::vec((0_u8..12, proptest::option::of(-1_i64..5)), 1..20), 1..4,
    )) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (one, many) = (World::new().await, World::new().await);
            for batch in batches {
                let wanted = batch.iter().map(|(number, expires_in)| id(number, *expires_in)).collect();
                let outcomes = many.authority.revoke_many(&caller(), wanted).await.unwrap();
                for ((number, expires_in), outcome) in batch.into_iter().zip(outcomes) {
                    let expires_at = expires_in.map(|seconds| UnixTime(START + seconds));
                    let alone = one.authority.revoke_token_id(&caller(), &number.to_string(), expires_at, "lost").await;
                    let outcome = outcome.map(|created| matches!(created, Created::Now(_)));
                    assert_eq!(outcome, alone.map(|created| matches!(created, Created::Now(_))));
                }
            }
            assert_eq!(written(&one).await, written(&many).await);
        });
    }
}

#[tokio::test]
async fn whoever_is_among_those_that_they_revoke_has_all_of_them_revoked() {
    let world = World::new().await;
    let own = world.client("c").await;
    let token = world.token(&own);
    let accepted = world.authority.state().accept_access_token(&token, None, world.authority.now()).unwrap();
    let caller = Caller { credential: Some(Credential::of(&accepted)), ..caller() };
    let wanted = [client("c")].into_iter().chain((0..1200).map(|number| subject(&number.to_string()))).collect();
    let outcomes = world.authority.revoke_many(&caller, wanted).await.unwrap();
    assert_eq!((outcomes.len(), outcomes.iter().filter(|outcome| outcome.is_err()).count()), (1201, 0));
    let again = world.authority.revoke_many(&caller, vec![subject("more")]).await;
    assert_eq!(again.map(drop).map_err(|error| error.code()), Err("caller_revoked"), "and none after that");
}
