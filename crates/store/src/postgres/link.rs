//! The way to the servers: a thread with a runtime that connects, keeps connections up, and connects again for ever.
//! Whoever calls uses the connections that are there, and never waits for one.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use authority::error::StoreError;
use authority::store::Waker;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::postgres::address::Address;
use crate::postgres::connect::{self, Connected};
use crate::postgres::failure::unavailable;
use crate::postgres::lead::{Lead, Origin};
use crate::postgres::listen;
use crate::postgres::proof::Proof;
use crate::postgres::schema::{self, Known, Migration};
use crate::postgres::session::{self, STEP, Session};

/// How long to wait before connecting again, at first and at most.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long making or migrating a store may take.
const MIGRATION: Duration = Duration::from_secs(120);

/// What all connections of a store have in common.
pub(crate) struct Shared {
    pub(crate) address: Address,
    pub(crate) known: Known,
    /// The server that all connections lead to.
    pub(crate) lead: Lead,
    pub(crate) channel: String,
    writer: Lane,
    reader: Lane,
    pub(crate) waker: Mutex<Option<Arc<Waker>>>,
    /// Whether changes are told of.
    pub(crate) listens: AtomicBool,
    pub(crate) proof: Proof,
}

/// A connection that is made again when it breaks.
struct Lane {
    session: Mutex<Result<Arc<Session>, StoreError>>,
}

/// The thread, and the connections that it keeps up.
pub(crate) struct Link {
    handle: Handle,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Lane {
    fn set(&self, session: Result<Arc<Session>, StoreError>) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = session;
    }

    fn get(&self) -> Result<Arc<Session>, StoreError> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match session {
            Ok(session) => session.check().map(|()| session),
            Err(error @ StoreError::Newer { .. }) => Err(error),
            Err(StoreError::Unavailable(why)) => Err(session::not_connected(&why)),
            Err(error) => Err(session::not_connected(&error.to_string())),
        }
    }
}

impl Link {
    /// Connects once, to begin with, and brings the store up to date.
    pub(crate) fn open(address: &Address, migrations: &'static [Migration]) -> Result<Self, StoreError> {
        let failed = |error: io::Error| StoreError::Unavailable(format!("starting the thread for PostgreSQL: {error}"));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (handle, address) = (runtime.handle().clone(), address.clone());
        let (opened, first) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("postgres".to_owned()).spawn(move || {
            runtime.block_on(async {
                match begin(address, migrations).await {
                    Ok((shared, writer, reader)) => {
                        drop(opened.send(Ok(Arc::clone(&shared))));
                        let keep = async {
                            tokio::join!(
                                keep(&shared, &shared.writer, writer),
                                keep(&shared, &shared.reader, reader),
                                listen::keep(&shared)
                            );
                        };
                        tokio::select! { () = keep => {}, _ = stopped => {} }
                    }
                    Err(error) => drop(opened.send(Err(StoreError::from(error)))),
                }
            });
        });
        let thread = thread.map_err(failed)?;
        let gone = |_| StoreError::Unavailable("the thread for PostgreSQL ended".to_owned());
        let shared = first.recv().map_err(gone)??;
        Ok(Self { handle, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Waits for an answer. Not for use within a runtime.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.handle.block_on(work)
    }

    pub(crate) fn writer(&self) -> Result<Arc<Session>, StoreError> {
        if self.shared.proof.is_held_up() {
            return Err(StoreError::Unavailable("the server does not finish commits".to_owned()));
        }
        self.shared.get(&self.shared.writer)
    }

    /// Asks for a proof, as [`Proof::ask`], and answers which reading is proven. Where no connection can listen the one that
    /// writes gives it, and that is waited for.
    pub(crate) fn confirm(&self, read: Duration, from: Option<Origin>, often: Duration) -> Option<Duration> {
        let proof = &self.shared.proof;
        if proof.ask(read, from, often)
            && proof.wants_others()
            && let Ok(session) = self.shared.get(&self.shared.writer)
        {
            let given = self.wait(session.within(STEP, async {
                proof.give(&session.client, &session.warnings, session.origin).await;
                Ok::<_, Failure>(())
            }));
            if given.is_err() {
                proof.do_not_wait();
            }
        }
        proof.proven()
    }

    pub(crate) fn reader(&self) -> Result<Arc<Session>, StoreError> {
        self.shared.get(&self.shared.reader)
    }

    /// Which store this is.
    pub(crate) fn known(&self) -> &Known {
        &self.shared.known
    }

    /// Where changes are told of.
    pub(crate) fn channel(&self) -> &str {
        &self.shared.channel
    }

    pub(crate) fn wake_by(&self, waker: Waker) {
        *self.shared.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(waker));
    }

    pub(crate) fn listens(&self) -> bool {
        self.shared.listens.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn get(&self, lane: &Lane) -> Result<Arc<Session>, StoreError> {
        let session = lane.get()?;
        if self.lead.is_followed(session.origin) {
            return Ok(session);
        }
        Err(session::not_connected(&session.end("another server has taken over")))
    }

    /// Gives up all connections: where one gets no answer, the others would not either.
    pub(crate) fn give_up(&self, why: &str) {
        for lane in [&self.writer, &self.reader] {
            if let Ok(session) = lane.get() {
                session.end(why);
            }
        }
    }

    /// The server's process that writes for this store, 0 where there is none.
    pub(crate) fn writer_pid(&self) -> i32 {
        self.writer.get().map_or(0, |session| session.pid)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

type Kept = (Arc<Session>, connect::Driver);

async fn begin(address: Address, migrations: &'static [Migration]) -> Result<(Arc<Shared>, Kept, Kept), Failure> {
    let lead = Lead::default();
    let connected = connect::connect(&address, &lead, &connect::deaf()).await?;
    let migrate = async {
        session::set_up(&connected.client, &address.schema).await?;
        let newest = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
        if address.must_exist && schema::find(&connected.client, &address.schema, newest).await?.is_none() {
            return Err(StoreError::Missing.into());
        }
        schema::migrate(&connected.client, &address.schema, migrations).await
    };
    let slow = |_| unavailable("making the store ready took too long");
    let known = tokio::time::timeout(MIGRATION, migrate).await.map_err(slow)??;
    let channel = format!("jotd_{}", address.schema);
    let lane = || Lane { session: Mutex::new(Err(StoreError::Unavailable("not yet".to_owned()))) };
    let shared = Arc::new(Shared {
        address,
        known,
        lead,
        channel,
        writer: lane(),
        reader: lane(),
        waker: Mutex::new(None),
        listens: AtomicBool::new(false),
        proof: Proof::default(),
    });
    let writer = prepare(&shared, connected).await?;
    let reader = prepare(&shared, connect::connect(&shared.address, &shared.lead, &connect::deaf()).await?).await?;
    shared.writer.set(Ok(Arc::clone(&writer.0)));
    shared.reader.set(Ok(Arc::clone(&reader.0)));
    Ok((shared, writer, reader))
}

/// Makes a connection ready for use.
async fn prepare(shared: &Arc<Shared>, connected: Connected) -> Result<Kept, Failure> {
    let Connected { client, driver, warnings, origin, .. } = connected;
    let ready = async {
        session::set_up(&client, &shared.address.schema).await?;
        schema::use_store(&client, &shared.address.schema).await?;
        schema::see_same(&client, &shared.address.schema, &shared.known).await?;
        shared.lead.follow(origin)?;
        let others = Arc::downgrade(shared);
        Session::prepare(client, driver.abort_handle(), warnings, origin, others).await
    };
    let slow = |_| unavailable("no answer while making a connection ready");
    let session = tokio::time::timeout(STEP, ready).await.map_err(slow)??;
    Ok((Arc::new(session), driver))
}

/// Keeps a connection up, for ever.
async fn keep(shared: &Arc<Shared>, lane: &Lane, first: Kept) {
    let mut kept = Some(first);
    let mut pause = Pause::new();
    loop {
        let ready = match kept.take() {
            Some(kept) => Ok(kept),
            None => match connect::connect(&shared.address, &shared.lead, &connect::deaf()).await {
                Ok(connected) => prepare(shared, connected).await,
                Err(failure) => Err(failure),
            },
        };
        let ended = match ready {
            Ok((session, driver)) => {
                lane.set(Ok(Arc::clone(&session)));
                pause = Pause::new();
                StoreError::Unavailable(session.end(&connect::ended(driver).await))
            }
            Err(Failure(error)) => error,
        };
        lane.set(Err(ended));
        tokio::time::sleep(pause.next()).await;
    }
}

/// Longer and longer times, none of them like another's.
pub(crate) struct Pause(Duration);

impl Pause {
    pub(crate) fn new() -> Self {
        Self(PAUSE)
    }

    pub(crate) fn next(&mut self) -> Duration {
        let longest = self.0;
        self.0 = (longest * 2).min(LONGEST_PAUSE);
        let share = u32::try_from(crate::random::number() % 128).unwrap_or(0);
        longest / 2 + longest * share / 256
    }
}
