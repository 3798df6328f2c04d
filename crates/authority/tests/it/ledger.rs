//! Orders that come at once, from one process or several, and a store that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use authority::error::StoreError;
use authority::store::{Changed, Loaded, Position, RevocationId, RevokedToken, Store, Sweep, Transaction, Waker};
use authority::{Authority, Parts, UnixTime};
use jotd_store::SqliteStore;

use crate::support::{TestMasterKeys, World, caller, code, master_key, new_client};

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

/// A store that fails when it is told to, and counts its transactions.
struct Flaky {
    store: SqliteStore,
    fails: Arc<AtomicBool>,
    transactions: Arc<AtomicUsize>,
    /// How long others hold the right to write, by the clock that it is told with.
    wait: Option<(Arc<crate::support::ManualClock>, i64)>,
}

impl Store for Flaky {
    fn load(&mut self, each: &mut dyn FnMut(Loaded<'_>)) -> Result<Position, StoreError> {
        self.store.load(each)
    }

    fn changes_after(&mut self, position: Position) -> Result<Vec<Changed>, StoreError> {
        self.store.changes_after(position)
    }

    fn transact(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.transactions.fetch_add(1, Ordering::SeqCst);
        let fails = self.fails.load(Ordering::SeqCst);
        if let Some((clock, seconds)) = &self.wait {
            clock.set(*seconds);
        }
        self.store.transact(&mut |transaction| {
            work(transaction)?;
            if fails { Err(StoreError::Full("the disk".to_owned())) } else { Ok(()) }
        })
    }

    fn tend(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        self.transact(work).map(|()| true)
    }

    fn wake_by(&mut self, waker: Waker) {
        self.store.wake_by(waker);
    }

    fn look_every(&self) -> Duration {
        self.store.look_every()
    }

    fn log(&mut self, before: Option<Position>, limit: usize) -> Result<Vec<authority::store::Change>, StoreError> {
        self.store.log(before, limit)
    }

    fn find_token(&mut self, id: RevocationId) -> Result<Option<RevokedToken>, StoreError> {
        self.store.find_token(id)
    }

    fn tokens(&mut self, after: Option<RevocationId>, limit: usize) -> Result<Vec<RevokedToken>, StoreError> {
        self.store.tokens(after, limit)
    }

    fn sweep(&mut self, sweep: &Sweep) -> Result<bool, StoreError> {
        self.store.sweep(sweep)
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        self.store.probe()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_written_is_not_in_force_and_the_next_order_works() {
    let world = World::new().await;
    let client = world.client("c").await;
    let (fails, transactions) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let store = SqliteStore::open(&world.folder.path().join("jotd.db")).unwrap();
    let authority = Authority::open(Parts {
        store: Box::new(Flaky {
            store,
            fails: Arc::clone(&fails),
            transactions: Arc::clone(&transactions),
            wait: None,
        }),
        clock: Arc::<crate::support::ManualClock>::clone(&world.clock),
        randomness: Arc::clone(&Arc::new(Constant)) as Arc<dyn authority::ports::Randomness>,
        master_key: Arc::new(TestMasterKeys(vec![master_key(1)])),
        applied: Box::new(drop),
        commits: Box::new(|_, _| ()),
    })
    .unwrap();
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

    // Many at once share transactions.
    let before = transactions.load(Ordering::SeqCst);
    let tasks: Vec<_> = (0..500)
        .map(|number| {
            let authority = Arc::clone(&authority);
            let expires_at = Some(UnixTime(authority.now().0 + 60));
            tokio::spawn(async move {
                authority.revoke_token_id(&caller(), &format!("id {number}"), expires_at, "").await.unwrap();
            })
        })
        .collect();
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
    let store = SqliteStore::open(&world.folder.path().join("jotd.db")).unwrap();
    let wait = Some((Arc::clone(&world.clock), 3));
    let authority = Authority::open(Parts {
        store: Box::new(Flaky { store, fails: Arc::default(), transactions: Arc::default(), wait }),
        clock: Arc::<crate::support::ManualClock>::clone(&world.clock),
        randomness: Arc::new(Constant),
        master_key: Arc::new(TestMasterKeys(vec![master_key(1)])),
        applied: Box::new(drop),
        commits: Box::new(|_, _| ()),
    })
    .unwrap();
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
