//! Orders that come at once, from one process or several, and a store that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use authority::error::StoreError;
use authority::{Authority, ClientChange, Custom, LOG_KEPT, Parts, Staleness, Standing, UnixTime};
use jotd_store::SqliteStore;
use jotd_store::faulty::{Call, Faulty};

use crate::support::{START, TERMS, TestMasterKeys, World, caller, code, master_key, new_client};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_at_the_same_time_are_all_carried_out() {
    let world = World::new().await;
    let (first, second) = (Arc::new(world.beside(1)), Arc::new(world.beside(2)));
    let mut tasks = Vec::new();
    for number in 0..200 {
        let authority = Arc::clone(if number % 2 == 0 { &first } else { &second });
        tasks.push(tokio::spawn(async move {
            authority.create_client(&caller(), new_client(&format!("c{number}"))).await.unwrap();
            // One of two that want the same id gets it.
            authority.create_client(&caller(), new_client(&format!("same{}", number / 2))).await.is_ok()
        }));
    }
    let mut won = 0;
    for task in tasks {
        won += usize::from(task.await.unwrap());
    }
    assert_eq!(won, 100);
    world.authority.tidy().await.unwrap();
    assert_eq!(world.authority.state().clients().count(), 300);
    let log = world.authority.log(None, 1000).await.unwrap();
    let positions: Vec<u64> = log.iter().rev().map(|change| change.position.0).collect();
    assert_eq!(positions, (1..=positions.len() as u64).collect::<Vec<_>>(), "without gaps");
    assert!(log.iter().rev().map(|change| change.at).is_sorted());
}

/// An authority beside the world's, on a store of which this says what fails.
pub(crate) fn over(world: &World, fault: impl FnMut(Call) -> Result<(), StoreError> + Send + 'static) -> Authority {
    over_with_clock(world, fault, &Arc::new(AtomicI64::new(i64::MAX)))
}

/// The same, where the store has a clock of its own.
fn over_with_clock(
    world: &World,
    fault: impl FnMut(Call) -> Result<(), StoreError> + Send + 'static,
    time: &Arc<AtomicI64>,
) -> Authority {
    Authority::open(parts(world, fault, time)).unwrap()
}

fn parts(
    world: &World,
    fault: impl FnMut(Call) -> Result<(), StoreError> + Send + 'static,
    time: &Arc<AtomicI64>,
) -> Parts {
    let store = SqliteStore::open(&world.folder.path().join("jotd.db")).unwrap();
    Parts {
        store: Box::new(Faulty {
            store: Box::new(store),
            fault: Box::new(fault),
            is_shared: true,
            time: Arc::clone(time),
        }),
        clock: Arc::<crate::support::ManualClock>::clone(&world.clock),
        randomness: Arc::new(Constant),
        master_key: Arc::new(TestMasterKeys(vec![master_key(1)])),
        applied: Box::new(drop),
        commits: Box::new(|_, _| ()),
        staleness: Staleness { fresh_within: Duration::from_secs(5), refuse_after: Some(Duration::from_secs(300)) },
        log_kept: LOG_KEPT,
    }
}

/// The way to a store that can be out of reach.
#[derive(Default)]
struct Network {
    is_away: AtomicBool,
    looks: AtomicUsize,
}

impl Network {
    fn allow(&self, call: Call) -> Result<(), StoreError> {
        if !self.is_away.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.looks.fetch_add(usize::from(call == Call::Read), Ordering::SeqCst);
        Err(StoreError::Unavailable("the network".to_owned()))
    }

    /// A look that had begun before may still succeed; from the second one that failed on, none has.
    async fn lose(&self) {
        self.looks.store(0, Ordering::SeqCst);
        self.is_away.store(true, Ordering::SeqCst);
        while self.looks.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
    }

    fn find(&self) {
        self.is_away.store(false, Ordering::SeqCst);
    }
}

/// An authority beside the world's that can be cut off from the store.
fn far(world: &World) -> (Authority, Arc<Network>) {
    let network = Arc::new(Network::default());
    let way = Arc::clone(&network);
    (over(world, move |call| way.allow(call)), network)
}

#[tokio::test]
async fn what_is_known_is_as_old_as_the_last_look_at_the_store() {
    let world = World::new().await;
    let (authority, network) = far(&world);
    network.lose().await;
    let seen = authority.seen();
    for (uptime, standing) in [
        (0, Standing::Fresh),
        (5, Standing::Fresh),
        (6, Standing::Stale),
        (300, Standing::Stale),
        (301, Standing::Refusing),
        (1_000_000, Standing::Refusing),
    ] {
        world.clock.set_uptime(uptime);
        assert_eq!(authority.standing(), standing, "{uptime}");
        assert_eq!(authority.age(), Duration::from_secs(uptime));
        assert_eq!(authority.may_use(seen), standing != Standing::Refusing);
        assert_eq!(code(authority.revoke_subject(&caller(), "s", "").await), "store_unavailable");
    }
    assert!(!authority.takes_changes());
    network.find();
    authority.tidy().await.unwrap();
    assert_eq!(authority.standing(), Standing::Fresh);
    // That it can be looked at does not say that it takes changes; a success does, or that the failure is long ago.
    assert!(!authority.takes_changes());
    world.clock.set_uptime(1_000_030);
    assert!(authority.takes_changes());
    world.clock.set_uptime(1_000_000);
    authority.tidy().await.unwrap();
    assert_eq!(authority.age(), Duration::ZERO);
    // Whatever was read before is as old as it was.
    assert!(!authority.may_use(seen));
    // A transaction sees everything, too.
    world.clock.set_uptime(1_000_010);
    authority.revoke_subject(&caller(), "s", "").await.unwrap();
    assert_eq!(authority.age(), Duration::ZERO);
    assert!(authority.takes_changes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_written_is_not_in_force_and_the_next_order_works() {
    let world = World::new().await;
    let client = world.client("c").await;
    let (fails, transactions) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (told, counted) = (Arc::clone(&fails), Arc::clone(&transactions));
    let waits = Arc::new(AtomicBool::new(false));
    let held = Arc::clone(&waits);
    let authority = over(&world, move |call| {
        counted.fetch_add(usize::from(call == Call::Begin), Ordering::SeqCst);
        while held.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let fails = call == Call::Commit && told.load(Ordering::SeqCst);
        if fails { Err(StoreError::Full("the disk".to_owned())) } else { Ok(()) }
    });
    let authority = Arc::new(authority);
    let token = authority.grant(&client, None, &[]).unwrap().token;
    fails.store(true, Ordering::SeqCst);
    assert_eq!(code(authority.revoke_token(&caller(), &token, "").await), "store_full");
    assert_eq!(code(authority.create_client(&caller(), new_client("d")).await), "store_full");
    assert_eq!(crate::support::verdict(&authority, &token), "ok");
    assert!(authority.state().find_client("d").is_none());
    fails.store(false, Ordering::SeqCst);
    authority.revoke_token(&caller(), &token, "").await.unwrap();
    assert_eq!(crate::support::verdict(&authority, &token), "revoked");

    // Many at once share transactions: the first ones begin when nearly all have been ordered.
    let before = transactions.load(Ordering::SeqCst);
    let ordered = Arc::new(AtomicUsize::new(0));
    waits.store(true, Ordering::SeqCst);
    let tasks: Vec<_> = (0..500)
        .map(|number| {
            let authority = Arc::clone(&authority);
            let expires_at = Some(UnixTime(authority.now().0 + 60));
            let ordered = Arc::clone(&ordered);
            tokio::spawn(async move {
                ordered.fetch_add(1, Ordering::SeqCst);
                authority.revoke_token_id(&caller(), &format!("id {number}"), expires_at, "").await.unwrap();
            })
        })
        .collect();
    while ordered.load(Ordering::SeqCst) < tasks.len() {
        tokio::task::yield_now().await;
    }
    waits.store(false, Ordering::SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    let used = transactions.load(Ordering::SeqCst) - before;
    assert!(used < 400, "{used} transactions for 500 orders");
    assert_eq!(authority.state().revoked_tokens(), 501);
}

#[tokio::test]
async fn what_is_revoked_up_to_now_is_revoked_up_to_the_end_of_the_wait_for_others() {
    let world = World::new().await;
    let client = world.client("c").await;
    let clock = Arc::clone(&world.clock);
    let authority = over(&world, move |call| {
        if call == Call::Begin {
            clock.set(3);
        }
        Ok(())
    });
    let asked = authority.now();
    let rule = authority.revoke_client(&caller(), &client.id, "").await.unwrap().into_inner();
    assert_eq!(rule.until, UnixTime(asked.0 + 3), "tokens were issued while others held the store");
}

#[tokio::test]
async fn an_order_that_panics_is_told_so_and_the_next_one_works() {
    let world = World::new().await;
    let client = world.client("c").await;
    let store = SqliteStore::open(&world.folder.path().join("jotd.db")).unwrap();
    let panics = Arc::new(AtomicBool::new(false));
    let authority = Authority::open(Parts {
        store: Box::new(store),
        clock: Arc::<crate::support::ManualClock>::clone(&world.clock),
        randomness: Arc::new(Panicking(Arc::clone(&panics))),
        master_key: Arc::new(TestMasterKeys(vec![master_key(1)])),
        applied: Box::new(drop),
        commits: Box::new(|_, _| ()),
        staleness: Staleness::DEFAULT,
        log_kept: LOG_KEPT,
    })
    .unwrap();
    panics.store(true, Ordering::SeqCst);
    assert_eq!(code(authority.revoke_subject(&caller(), "s", "").await), "store_unavailable");
    panics.store(false, Ordering::SeqCst);
    authority.revoke_client(&caller(), &client.id, "").await.unwrap();
    assert_eq!(authority.state().rule_count(), 1);
    assert!(authority.follows());
}

/// Gives the same bytes each time, or panics in the thread that writes.
pub(crate) struct Panicking(pub(crate) Arc<AtomicBool>);

impl authority::ports::Randomness for Panicking {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), authority::error::RandomnessError> {
        assert!(!self.0.load(Ordering::SeqCst), "it was told to");
        bytes.fill(0x66);
        Ok(())
    }
}

struct Constant;

impl authority::ports::Randomness for Constant {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), authority::error::RandomnessError> {
        bytes.fill(0x77);
        Ok(())
    }
}

#[tokio::test]
async fn a_rule_covers_what_was_issued_in_ignorance_of_it() {
    let world = World::new().await;
    let (client, other) = (world.client("c").await, world.client("d").await);
    let (far, network) = far(&world);
    network.lose().await;
    world.authority.revoke_client(&caller(), &client.id, "").await.unwrap();
    world.authority.revoke_subject(&caller(), "s", "").await.unwrap();
    world.clock.set(10);
    let custom = |subject: &str| {
        let claims = serde_json::json!({ "sub": subject, "aud": crate::support::API });
        let serde_json::Value::Object(claims) = claims else { panic!("an object") };
        Custom { claims, lifetime: None, algorithm: None }
    };
    let here = world.authority.grant(&client, None, &[]).unwrap().token;
    let late = [far.grant(&client, None, &[]).unwrap().token, far.mint(&other.id, &custom("s")).unwrap().token];
    let untouched = [far.grant(&other, None, &[]).unwrap().token, far.mint(&other.id, &custom("t")).unwrap().token];
    world.clock.set(20);
    let after = world.authority.grant(&client, None, &[]).unwrap().token;
    network.find();
    far.tidy().await.unwrap();
    // The errand after it comes when that is done.
    far.tidy().await.unwrap();
    world.authority.tidy().await.unwrap();
    for authority in [&far, &world.authority] {
        for token in late.iter().chain([&here]) {
            assert_eq!(crate::support::verdict(authority, token), "revoked");
        }
        for token in untouched.iter().chain([&after]) {
            assert_eq!(crate::support::verdict(authority, token), "ok");
        }
    }
    let log = world.authority.log(None, 10).await.unwrap();
    assert_eq!(log.iter().filter(|change| change.action == "rule.extended").count(), 2);
    // Whoever has heard of it issues nothing that it should cover.
    world.authority.revoke_client(&caller(), &client.id, "").await.unwrap();
    far.tidy().await.unwrap();
    far.tidy().await.unwrap();
    let refused = far.grant(&client, None, &[]);
    assert!(matches!(refused, Err(authority::error::GrantError::JustRevoked { seconds: 1 })), "{refused:?}");
    assert!(world.authority.log(None, 1).await.unwrap()[0].action != "rule.extended");
}

#[tokio::test]
async fn what_was_just_made_on_another_node_is_known_here_before_it_is_refused() {
    let world = World::new().await;
    let (far, network) = far(&world);
    for round in 0..20 {
        let new = new_client(&format!("c{round}"));
        let (client, secret) = world.authority.create_client(&caller(), new).await.unwrap();
        let secret = secret.unwrap();
        let client = client.into_inner();
        let token = world.authority.grant(&client, None, &[]).unwrap().token;
        if round % 2 == 0 {
            assert!(far.authenticate(&client.id, secret.expose()).await.is_ok());
        }
        far.revoke_token(&caller(), &token, "").await.unwrap();
        world.authority.tidy().await.unwrap();
        assert_eq!(crate::support::verdict(&world.authority, &token), "revoked");
    }
    network.lose().await;
    let (client, secret) = world.authority.create_client(&caller(), new_client("late")).await.unwrap();
    let token = world.authority.grant(&client.into_inner(), None, &[]).unwrap().token;
    assert!(far.authenticate("late", secret.unwrap().expose()).await.is_err());
    // Nobody is told that there is nothing to revoke, when that is not known.
    assert_eq!(code(far.revoke_token(&caller(), &token, "").await), "store_unavailable");
}

#[tokio::test]
async fn a_rule_covers_what_was_issued_by_a_clock_that_is_ahead_whatever_became_of_the_client_since() {
    let world = World::new().await;
    let client = world.client("c").await;
    let far = over(&world, |_| Ok(()));
    far.tidy().await.unwrap();
    world.clock.set(20);
    let token = far.grant(&client, None, &[]).unwrap().token;
    // By the clock of the others it is earlier.
    world.clock.set(5);
    let change = ClientChange { name: Some("another".to_owned()), ..ClientChange::default() };
    world.authority.update_client(&caller(), &client.id, change).await.unwrap();
    far.tidy().await.unwrap();
    let rule = world.authority.revoke_client(&caller(), &client.id, "").await.unwrap().into_inner();
    assert!(rule.until < UnixTime(world.authority.now().0 + 15), "{rule:?}");
    far.tidy().await.unwrap();
    far.tidy().await.unwrap();
    world.authority.tidy().await.unwrap();
    for authority in [&far, &world.authority] {
        assert_eq!(crate::support::verdict(authority, &token), "revoked");
    }
}

#[tokio::test]
async fn a_rule_covers_what_was_issued_before_a_restart_by_a_clock_that_is_ahead() {
    // So far is the clock ahead, and the rule covers that, if it is no more than is allowed.
    for (ahead, is_covered) in [(1, true), (TERMS.leeway, true), (TERMS.leeway + 1, false)] {
        let world = World::new().await;
        let (client, minter) = (world.client("c").await, world.client("d").await);
        world.clock.set(5);
        let found = world.authority.revoke_client(&caller(), &minter.id, "").await.unwrap().into_inner();
        let far = over(&world, |_| Ok(()));
        world.clock.set(10 + ahead);
        let custom = Custom {
            claims: serde_json::json!({ "sub": "s", "aud": crate::support::API }).as_object().unwrap().clone(),
            ..Custom::default()
        };
        let tokens = [far.grant(&client, None, &[]).unwrap().token, far.mint(&minter.id, &custom).unwrap().token];
        drop(far);
        let far = over(&world, |_| Ok(()));
        world.clock.set(10);
        world.authority.revoke_client(&caller(), &client.id, "").await.unwrap();
        world.authority.revoke_subject(&caller(), "s", "").await.unwrap();
        // What is extended is so at the end of the turn, and the errand after it comes when that is done.
        far.tidy().await.unwrap();
        far.tidy().await.unwrap();
        world.authority.tidy().await.unwrap();
        world.clock.set(10 + ahead);
        for authority in [&far, &world.authority] {
            let verdicts = tokens.each_ref().map(|token| crate::support::verdict(authority, token));
            assert_eq!(verdicts, [if is_covered { "revoked" } else { "ok" }; 2], "{ahead}");
            let rules = authority.state().rules(None, 10, |rule| rule.id == found.id);
            assert_eq!(rules, std::slice::from_ref(&found), "it was there when the process started");
            assert!(authority.state().rules(None, 10, |rule| rule.until > UnixTime(START + 10 + ahead)).is_empty());
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_ahead_does_not_put_the_others_into_its_time() {
    let world = World::new().await;
    let client = world.client("c").await;
    let (ahead, right) = (over(&world, |_| Ok(())), over(&world, |_| Ok(())));
    world.clock.set(86_400);
    ahead.create_client(&caller(), new_client("d")).await.unwrap();
    world.clock.set(10);
    let rule = right.revoke_client(&caller(), &client.id, "").await.unwrap().into_inner();
    assert_eq!(rule.until, right.now());
    world.clock.set(11);
    assert!(right.grant(&client, None, &[]).is_ok(), "it is revoked up to then, and no longer");
}

#[tokio::test]
async fn what_is_revoked_for_all_is_forgotten_only_when_the_store_agrees_what_time_it_is() {
    let world = World::new().await;
    let client = world.client("c").await;
    let time = Arc::new(AtomicI64::new(START));
    let node = over_with_clock(&world, |_| Ok(()), &time);
    let token = world.token(&client);
    world.authority.revoke_token(&caller(), &token, "").await.unwrap();
    let is_stored = async || !world.authority.revocations(None, 10).await.unwrap().is_empty();
    // A day ahead, and for hours: this node has no doubt.
    for hour in 0..4 {
        world.clock.set(2 * 86_400);
        world.clock.set_uptime(hour * 3600);
        node.tidy().await.unwrap();
    }
    assert!(is_stored().await && node.state().revoked_tokens() == 1);
    time.store(START + 2 * 86_400, Ordering::SeqCst);
    world.clock.set_uptime(5 * 3600);
    node.tidy().await.unwrap();
    assert!(!is_stored().await && node.state().revoked_tokens() == 0);
}

#[tokio::test]
async fn the_log_is_kept_for_as_long_as_it_is_told() {
    let days = |days: i64| days * 86_400;
    for (kept, gone_after) in [(LOG_KEPT, 400), (Duration::from_secs(3 * 86_400), 3)] {
        let world = World::new().await;
        world.client("a").await;
        let entries = world.authority.log(None, 100).await.unwrap().len();
        assert!(entries > 1);
        let time = Arc::new(AtomicI64::new(i64::MAX));
        let node = Authority::open(Parts { log_kept: kept, ..parts(&world, |_| Ok(()), &time) }).unwrap();
        for (hours, after, left) in [(0, days(gone_after) - 1, entries), (2, days(gone_after) + 1, 1)] {
            // A time is certain when the clock has gone on from there for an hour.
            for hour in [hours, hours + 1] {
                world.clock.set(after);
                world.clock.set_uptime(hour * 3600);
                node.tidy().await.unwrap();
            }
            assert_eq!(node.log(None, 100).await.unwrap().len(), left, "{kept:?}, {after}");
        }
    }
}

#[tokio::test]
async fn a_node_whose_clock_is_ahead_takes_no_key_to_its_next_step() {
    let day = 86_400;
    let world = World::with(TERMS, Some(day)).await;
    let time = Arc::new(AtomicI64::new(START));
    let node = over_with_clock(&world, |_| Ok(()), &time);
    let steps = async || node.log(None, 100).await.unwrap().len();
    let before = steps().await;
    world.clock.set(3 * day);
    world.clock.set_uptime(1);
    node.tidy().await.unwrap();
    assert_eq!(steps().await, before, "the store says that it is not time");
    // By the leeway they may be apart; and the store's time goes on between two looks at it.
    time.store(START + 3 * day - TERMS.leeway - 10, Ordering::SeqCst);
    world.clock.set_uptime(61);
    node.tidy().await.unwrap();
    assert_eq!(steps().await, before);
    world.clock.set_uptime(71);
    node.tidy().await.unwrap();
    assert!(steps().await > before);
}

#[tokio::test]
async fn what_was_never_confirmed_is_not_used_whatever_the_limits() {
    for refuse_after in [None, Some(Duration::from_secs(1_000_000))] {
        let world = World::new().await;
        let confirms = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&confirms);
        let fault = move |call| match call {
            Call::Confirm if !told.load(Ordering::SeqCst) => {
                Err(StoreError::Unavailable("it does not commit".to_owned()))
            }
            _ => Ok(()),
        };
        let staleness = Staleness { refuse_after, ..Staleness::DEFAULT };
        let time = Arc::new(AtomicI64::new(i64::MAX));
        let node = Authority::open(Parts { staleness, ..parts(&world, fault, &time) }).unwrap();
        assert_eq!(node.standing(), Standing::Refusing);
        assert!(!node.may_use(node.seen()));
        confirms.store(true, Ordering::SeqCst);
        node.tidy().await.unwrap();
        assert_eq!(node.standing(), Standing::Fresh);
    }
}

#[tokio::test]
async fn a_revocation_that_was_removed_when_its_time_was_over_is_not_brought_back() {
    let world = World::new().await;
    let client = world.client("c").await;
    let is_trimmed = Arc::new(AtomicBool::new(false));
    let (told, looks) = (Arc::clone(&is_trimmed), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&looks);
    let node = over(&world, move |call| {
        counted.fetch_add(usize::from(call == Call::Read), Ordering::SeqCst);
        if call == Call::Read && told.swap(false, Ordering::SeqCst) { Err(StoreError::Trimmed) } else { Ok(()) }
    });
    node.revoke_client(&caller(), &client.id, "").await.unwrap();
    node.revoke_subject(&caller(), "s", "").await.unwrap();
    let end = 10 * TERMS.longest_token;
    world.at(end).await;
    // No key from before is left.
    world.authority.rotate(&caller(), None).await.unwrap();
    world.settled_at(2 * end).await;
    world.settled_at(3 * end).await;
    world.authority.tidy().await.unwrap();
    assert_eq!(world.authority.state().rule_count(), 0);
    // It loads everything anew, as after a failover, whether it has heard of that or not.
    is_trimmed.store(true, Ordering::SeqCst);
    while is_trimmed.load(Ordering::SeqCst) {
        node.catch_up().await.unwrap();
    }
    node.tidy().await.unwrap();
    let log = node.log(None, 100).await.unwrap();
    assert!(log.iter().any(|change| change.action == "rule.expired"));
    assert!(!log.iter().any(|change| change.action == "revocation.restored"), "{log:?}");
}
