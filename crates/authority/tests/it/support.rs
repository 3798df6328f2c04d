//! An authority on a store of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use authority::error::{AdminError, MasterKeyError, RandomnessError};
use authority::ports::{Clock, MasterKeySource, Randomness, UnixTime};
use authority::{
    Authority, Caller, Client, KeyRecord, KeyState, LOG_KEPT, MasterKey, NewClient, Parts, PublishedKey, Scopes, Setup,
    SimpleKey, Staleness, Terms,
};
use jose::Algorithm;
use jotd_store::SqliteStore;
use tempfile::TempDir;

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const API: &str = "https://api.example";
pub(crate) const START: i64 = 1_800_000_000;
pub(crate) const TERMS: Terms = Terms { max_age: 300, longest_token: 7200, leeway: 60 };

/// A clock that stands still until it is set.
pub(crate) struct ManualClock {
    now: AtomicI64,
    up: AtomicU64,
}

impl ManualClock {
    /// So many seconds after the start.
    pub(crate) fn set(&self, seconds: i64) {
        self.now.store(START + seconds, Ordering::SeqCst);
    }
}

impl ManualClock {
    /// So many seconds since the machine was started.
    pub(crate) fn set_uptime(&self, seconds: u64) {
        self.up.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.now.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(self.up.load(Ordering::SeqCst))
    }
}

/// Counts instead of being random, each from a place of its own.
struct Counter(AtomicU64);

impl Randomness for Counter {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomnessError> {
        let count = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes();
        bytes.iter_mut().zip(count.iter().cycle()).for_each(|(to, from)| *to = *from);
        Ok(())
    }
}

/// The master keys that there are, the present one first.
pub(crate) struct TestMasterKeys(pub(crate) Vec<MasterKey>);

impl MasterKeySource for TestMasterKeys {
    fn load(&self, id: Option<&str>) -> Result<MasterKey, MasterKeyError> {
        let meant = self.0.iter().find(|key| id.is_none_or(|id| key.id() == id));
        meant.cloned().ok_or(MasterKeyError)
    }
}

pub(crate) fn master_key(byte: u8) -> MasterKey {
    MasterKey::parse(&format!("{byte:02x}").repeat(32)).unwrap()
}

pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) authority: Authority,
    started: u64,
}

pub(crate) fn open(path: &Path, clock: &Arc<ManualClock>, keys: Vec<MasterKey>, from: u64) -> Authority {
    Authority::open(Parts {
        store: Box::new(SqliteStore::open(path).unwrap()),
        clock: Arc::<ManualClock>::clone(clock),
        randomness: Arc::new(Counter(AtomicU64::new(from << 32))),
        master_key: Arc::new(TestMasterKeys(keys)),
        applied: Box::new(drop),
        commits: Box::new(|_, _| ()),
        staleness: Staleness::DEFAULT,
        log_kept: LOG_KEPT,
    })
    .unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(TERMS, None).await
    }

    pub(crate) async fn with(terms: Terms, rotate_every: Option<i64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock { now: AtomicI64::new(START), up: AtomicU64::new(0) });
        let authority = open(&folder.path().join("jotd.db"), &clock, vec![master_key(1)], 1);
        let simple_key = Some(simple_key("a"));
        let setup = Setup {
            issuer: Some(ISSUER.to_owned()),
            terms: Some(terms),
            rotate_every,
            schedule: None,
            simple_key,
            ..Setup::default()
        };
        authority.set_up(&caller(), setup).await.unwrap();
        Self { folder, clock, authority, started: 1 }
    }

    /// Closes the store and opens it again, as a restart does.
    pub(crate) async fn restart(self) -> Self {
        self.restart_with(Setup::default()).await
    }

    pub(crate) async fn restart_with(self, setup: Setup) -> Self {
        let Self { folder, clock, authority, started } = self;
        drop(authority);
        let started = started + 1;
        let authority = open(&folder.path().join("jotd.db"), &clock, vec![master_key(1)], started);
        authority.set_up(&caller(), setup).await.unwrap();
        Self { folder, clock, authority, started }
    }

    /// Another process on the same store.
    pub(crate) fn beside(&self, number: u64) -> Authority {
        open(&self.folder.path().join("jotd.db"), &self.clock, vec![master_key(1)], 100 + number)
    }

    /// Sets the clock, and lets what is due happen.
    pub(crate) async fn at(&self, seconds: i64) {
        self.set(seconds);
        self.authority.tidy().await.unwrap();
    }

    /// Sets the clock, and lets so much time pass that nobody doubts it.
    pub(crate) async fn settled_at(&self, seconds: i64) {
        for _ in 0..3 {
            self.at(seconds).await;
            self.clock.up.fetch_add(3600, Ordering::SeqCst);
        }
    }

    /// Sets the clock only.
    pub(crate) fn set(&self, seconds: i64) {
        self.clock.set(seconds);
    }

    /// The state of each key of an algorithm, in the order in which they came.
    pub(crate) fn states(&self, algorithm: Algorithm) -> Vec<&'static str> {
        let state = self.authority.state();
        let mut keys: Vec<&KeyRecord> = state.keys().filter(|key| key.algorithm == algorithm).collect();
        keys.sort_by_key(|key| (key.created_at, matches!(key.state, KeyState::Pending { .. })));
        keys.iter().map(|key| key.state.name()).collect()
    }

    pub(crate) fn key(&self, algorithm: Algorithm, state: &str) -> KeyRecord {
        let all = self.authority.state();
        let mut keys = all.keys().filter(|key| key.algorithm == algorithm && key.state.name() == state);
        keys.next().unwrap_or_else(|| panic!("no {algorithm} key is {state}")).clone()
    }

    pub(crate) async fn client(&self, id: &str) -> Client {
        self.authority.create_client(&caller(), new_client(id)).await.unwrap().0.into_inner()
    }

    pub(crate) fn token(&self, client: &Client) -> String {
        self.authority.grant(client, None, &[]).unwrap().token
    }

    /// Why a token is not accepted; `ok` where it is.
    pub(crate) fn verdict(&self, token: &str) -> &'static str {
        verdict(&self.authority, token)
    }
}

pub(crate) fn verdict(authority: &Authority, token: &str) -> &'static str {
    match authority.state().accept_token(token, None, authority.now()) {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

pub(crate) fn caller() -> Caller {
    Caller::new("tester")
}

pub(crate) fn simple_key(letter: &str) -> SimpleKey {
    SimpleKey::new(letter.repeat(64).into(), PublishedKey::Refused).unwrap()
}

pub(crate) fn new_client(id: &str) -> NewClient {
    NewClient {
        id: Some(id.to_owned()),
        name: "for tests".to_owned(),
        scopes: Scopes::parse("read write").unwrap(),
        audiences: vec![API.to_owned(), "https://other.example".to_owned()],
        token_lifetime: Some(3600),
        algorithm: None,
        jwks: None,
    }
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, AdminError>) -> &'static str {
    result.unwrap_err().code()
}
