//! The authority as others see it: a state to read, and orders that change it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use aws_lc_rs::digest::{Context, SHA256};
use jose::base64url;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, oneshot};

use crate::credential::Credential;
use crate::error::{AdminError, OpenError, StoreError};
use crate::freshness::{Freshness, Seen, Staleness, Standing};
use crate::ignorance::LastIssued;
use crate::ledger::{CommitObserver, Errand, Ledger};
use crate::order::{Desk, Order};
use crate::ports::{Clock, MasterKeySource, Randomness, UnixTime};
use crate::record::to_json;
use crate::scope::Scopes;
use crate::state::{State, Vault};
use crate::store::{Answer, Expected, Position, Store};

/// Orders that may wait at a time; more are refused as [`StoreError::Busy`].
const MOST_WAITING: usize = 8192;

/// Calls that revoke many at a time and are carried out at once: so many parts of theirs share a transaction at most.
const MOST_BATCHES: usize = 4;

/// How long an idempotency key is remembered, in seconds.
const ANSWER_KEPT: i64 = 24 * 60 * 60;

/// What an authority works with.
pub struct Parts {
    /// Keeps the state.
    pub store: Box<dyn Store>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives random bytes.
    pub randomness: Arc<dyn Randomness>,
    /// Knows the master key.
    pub master_key: Arc<dyn MasterKeySource>,
    /// Told the position in the log that is in force here, whenever it moves.
    pub applied: Box<dyn Fn(Position) + Send>,
    /// Told how long each commit took, and whether it succeeded.
    pub commits: CommitObserver,
    /// How old what is known here may be.
    pub staleness: Staleness,
    /// How long the log of changes is kept.
    pub log_kept: Duration,
}

/// Clients, keys, tokens and revocations, over one store.
///
/// Reading is free: the state is in memory. Changes go through a thread of its own, which ends when this is dropped.
pub struct Authority {
    readers: Arc<ArcSwap<State>>,
    /// Gone when this is being dropped, which ends the thread.
    errands: Option<Arc<SyncSender<Errand>>>,
    thread: Option<JoinHandle<()>>,
    follows: Arc<AtomicBool>,
    freshness: Arc<Freshness>,
    /// When a token was last minted here with a subject of the caller's choice.
    pub(crate) minted: Arc<LastIssued>,
    is_shared: bool,
    /// Whoever revokes many at a time waits here for those before.
    pub(crate) batches: Semaphore,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) randomness: Arc<dyn Randomness>,
}

impl Authority {
    /// Loads what is stored, and starts the thread.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(parts: Parts) -> Result<Self, OpenError> {
        let vault = Vault::new(Arc::clone(&parts.master_key))?;
        let (clock, randomness) = (Arc::clone(&parts.clock), Arc::clone(&parts.randomness));
        let mut ledger = Ledger::open(parts, vault)?;
        let (readers, follows, freshness) = (ledger.readers(), ledger.follows(), ledger.freshness());
        let (is_shared, minted) = (ledger.is_shared(), ledger.minted());
        let (errands, errand) = sync_channel(MOST_WAITING);
        let errands = Arc::new(errands);
        // The store is the thread's own, and must not keep it from ending.
        let waking = Arc::downgrade(&errands);
        ledger.wake_by(Box::new(move || {
            // Where there is no room, the thread is busy and follows anyway.
            if let Some(errands) = waking.upgrade() {
                let _ = errands.try_send(Errand::Follow(None));
            }
        }));
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || ledger.run(&errand))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let batches = Semaphore::new(MOST_BATCHES);
        Ok(Self {
            readers,
            errands: Some(errands),
            thread: Some(thread),
            follows,
            freshness,
            minted,
            is_shared,
            batches,
            clock,
            randomness,
        })
    }

    /// The state as it is now.
    #[must_use]
    pub fn state(&self) -> Guard<Arc<State>> {
        self.readers.load()
    }

    /// The time of day.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Whether what other processes change is taken in; otherwise the state may be old.
    #[must_use]
    pub fn follows(&self) -> bool {
        self.follows.load(Ordering::Relaxed)
    }

    /// Whether the store takes changes, as far as the newest that was ordered here has shown.
    #[must_use]
    pub fn takes_changes(&self) -> bool {
        !self.freshness.has_just_failed()
    }

    /// Whether processes of other machines use the store, too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// When the store was last looked at. Whoever answers asks for it first, then reads the state, and then asks whether it
    /// [may be used](Self::may_use).
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.freshness.seen()
    }

    /// Whether an answer from a state that is at least as young as that may leave at this moment.
    #[must_use]
    pub fn may_use(&self, seen: Seen) -> bool {
        self.freshness.standing(seen) != Standing::Refusing
    }

    /// How old the state is at most.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.freshness.age(self.seen())
    }

    /// How that stands to the limits.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.freshness.standing(self.seen())
    }

    /// The limits.
    #[must_use]
    pub fn staleness(&self) -> Staleness {
        self.freshness.limits()
    }

    /// Does what is due by now; otherwise it is done within a second.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tidy(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Errand::Tidy(reply))?;
        answer.await.unwrap_or(Err(stopped()))
    }

    /// Takes in what others have changed up to now; otherwise it is done within moments.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Errand::Follow(Some(reply)))?;
        answer.await.unwrap_or(Err(stopped()))
    }

    /// Reads what is not in memory.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        // Whoever asked may have left.
        self.send(Errand::Read(Box::new(move |store| drop(reply.send(read(store))))))?;
        answer.await.unwrap_or(Err(stopped()))
    }

    /// Decides and writes, if the caller may still have that done: it may have been revoked on another node a moment ago.
    pub(crate) async fn order<T: Send + 'static>(
        &self,
        caller: &Caller,
        work: impl FnOnce(&mut Desk<'_>) -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, AdminError> {
        self.order_by(caller, None, work).await
    }

    async fn order_by<T: Send + 'static>(
        &self,
        caller: &Caller,
        expects: Option<Expected>,
        work: impl FnOnce(&mut Desk<'_>) -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, AdminError> {
        let credential = caller.credential.clone();
        self.order_as(&caller.name, expects, move |desk| {
            if credential.is_some_and(|credential| !credential.is_good(desk.state)) {
                return Err(AdminError::CallerRevoked);
            }
            work(desk)
        })
        .await
    }

    /// Decides and writes, in the name of whoever has just authenticated. What the store will be asked for is known before, or
    /// nothing of it.
    pub(crate) async fn order_as<T, E>(
        &self,
        actor: &str,
        expects: Option<Expected>,
        work: impl FnOnce(&mut Desk<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let task = Task { actor: actor.to_owned(), expects, work: Some(work), result: None, reply };
        self.send(Errand::Order(Box::new(task)))?;
        answer.await.unwrap_or_else(|_| Err(stopped().into()))
    }

    /// Decides and writes once for an idempotency key; a repeat is answered with what was created then.
    pub(crate) async fn order_once<T>(
        &self,
        caller: &Caller,
        work: impl FnOnce(&mut Desk<'_>) -> Result<T, AdminError> + Send + 'static,
    ) -> Result<Created<T>, AdminError>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let Some(once) = caller.once.clone() else {
            return self.order(caller, work).await.map(Created::Now);
        };
        let key = format!("{} {}", caller.name, once.key);
        let expects = Some(Expected::Answer(key.clone()));
        let work = move |desk: &mut Desk<'_>| -> Result<Created<T>, AdminError> {
            if let Some(answer) = desk.find_answer(&key)? {
                if answer.request != once.request {
                    return Err(AdminError::KeyReused);
                }
                return serde_json::from_str(&answer.created)
                    .map(Created::Before)
                    .map_err(|error| StoreError::Corrupt(error.to_string()).into());
            }
            let created = work(desk)?;
            let expires_at = desk.now.plus(ANSWER_KEPT);
            desk.remember_answer(Answer { key, request: once.request, created: to_json(&created), expires_at });
            Ok(Created::Now(created))
        };
        self.order_by(caller, expects, work).await
    }

    fn send(&self, errand: Errand) -> Result<(), StoreError> {
        let errands = self.errands.as_ref().ok_or_else(stopped)?;
        errands.try_send(errand).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => stopped(),
        })
    }
}

impl Drop for Authority {
    /// Waits until the store is closed, so that nothing of it is left but its file.
    fn drop(&mut self) {
        self.errands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the thread that writes has stopped".to_owned())
}

/// Whoever orders a change.
#[derive(Debug, Clone)]
pub struct Caller {
    /// As it stands in the log.
    pub name: String,
    /// Where the order must not be carried out twice.
    pub once: Option<Once>,
    /// The scopes that it has itself: of those that open jotd, it can give away no others. `None` is whoever has the
    /// data directory, and so everything.
    pub scopes: Option<Scopes>,
    /// What it was let in by, which must still be good when the order is decided. `None` is whoever has the data directory.
    pub credential: Option<Credential>,
}

impl Caller {
    /// Whoever has the data directory, and repeats orders at their own risk.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), once: None, scopes: None, credential: None }
    }
}

/// An idempotency key.
#[derive(Debug, Clone)]
pub struct Once {
    /// As the caller gave it.
    pub key: String,
    /// A digest of the request that it came with.
    pub request: String,
}

impl Once {
    /// The key, for a request that consists of these parts.
    #[must_use]
    pub fn new(key: impl Into<String>, request: &[&[u8]]) -> Self {
        let mut digest = Context::new(&SHA256);
        for part in request {
            digest.update(&part.len().to_be_bytes());
            digest.update(part);
        }
        Self { key: key.into(), request: base64url::encode(digest.finish().as_ref()) }
    }
}

/// What an order created, or had created when it came for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created<T> {
    /// By this order.
    Now(T),
    /// By the same order, earlier.
    Before(T),
}

impl<T> Created<T> {
    /// What was created.
    pub fn get(&self) -> &T {
        match self {
            Self::Now(created) | Self::Before(created) => created,
        }
    }

    /// What was created.
    pub fn into_inner(self) -> T {
        match self {
            Self::Now(created) | Self::Before(created) => created,
        }
    }
}

/// An order made of a function, and the place for its answer.
struct Task<T, E, W> {
    actor: String,
    expects: Option<Expected>,
    work: Option<W>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, W> Order for Task<T, E, W>
where
    T: Send,
    E: From<StoreError> + Send,
    W: FnOnce(&mut Desk<'_>) -> Result<T, E> + Send,
{
    fn expects(&self) -> Option<Expected> {
        self.expects.clone()
    }

    fn decide(&mut self, desk: &mut Desk<'_>) -> Result<bool, StoreError> {
        // After a failure the orders are decided anew where the transaction can be; this one is spent.
        let Some(work) = self.work.take() else { return Err(StoreError::Busy) };
        desk.act_as(&self.actor);
        let result = work(desk);
        desk.check()?;
        let is_to_be_written = result.is_ok();
        self.result = Some(result);
        Ok(is_to_be_written)
    }

    fn refuse(&mut self, error: StoreError) {
        self.result = Some(Err(error.into()));
    }

    fn done(self: Box<Self>, committed: Result<(), StoreError>) {
        let result = match (committed, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(StoreError::Busy.into()),
            (Err(error), _) => Err(error.into()),
        };
        // Whoever asked may have left.
        drop(self.reply.send(result));
    }
}
