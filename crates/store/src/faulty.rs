//! A store that fails when a test says so, around one that works.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use authority::error::StoreError;
use authority::ports::UnixTime;
use authority::store::{
    Change, Changed, Loaded, Position, RevocationId, RevokedToken, Store, Sweep, Transaction, Waker,
};

/// What is about to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// To read.
    Read,
    /// To begin a transaction.
    Begin,
    /// To make what was written in it durable.
    Commit,
    /// To confirm what was read.
    Confirm,
}

/// Asked before everything that is done; an error is what comes of it instead.
pub type Fault = Box<dyn FnMut(Call) -> Result<(), StoreError> + Send>;

/// The store.
pub struct Faulty {
    /// Works.
    pub store: Box<dyn Store>,
    /// Fails.
    pub fault: Fault,
    /// As what it passes itself off.
    pub is_shared: bool,
    /// What its own clock shows.
    pub time: Arc<AtomicI64>,
}

type Work<'w> = &'w mut dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError>;

impl Faulty {
    fn read(&mut self) -> Result<&mut dyn Store, StoreError> {
        (self.fault)(Call::Read)?;
        Ok(&mut *self.store)
    }
}

impl Store for Faulty {
    fn load(&mut self, each: &mut dyn FnMut(Loaded<'_>)) -> Result<Position, StoreError> {
        self.read()?.load(each)
    }

    fn changes_after(&mut self, position: Position) -> Result<Vec<Changed>, StoreError> {
        self.read()?.changes_after(position)
    }

    fn transact(&mut self, work: Work<'_>) -> Result<(), StoreError> {
        (self.fault)(Call::Begin)?;
        let fault = &mut self.fault;
        self.store.transact(&mut |transaction| {
            work(transaction)?;
            fault(Call::Commit)
        })
    }

    fn tend(&mut self, work: Work<'_>) -> Result<bool, StoreError> {
        (self.fault)(Call::Begin)?;
        let fault = &mut self.fault;
        self.store.tend(&mut |transaction| {
            work(transaction)?;
            fault(Call::Commit)
        })
    }

    fn wake_by(&mut self, waker: Waker) {
        self.store.wake_by(waker);
    }

    fn is_shared(&self) -> bool {
        self.is_shared
    }

    fn look_every(&self) -> Duration {
        self.store.look_every()
    }

    fn confirm(&mut self, read: Duration, often: Duration) -> Option<Duration> {
        (self.fault)(Call::Confirm).ok()?;
        self.store.confirm(read, often)
    }

    fn log(&mut self, before: Option<Position>, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.read()?.log(before, limit)
    }

    fn find_token(&mut self, id: RevocationId) -> Result<Option<RevokedToken>, StoreError> {
        self.read()?.find_token(id)
    }

    fn find_tokens(&mut self, ids: &[RevocationId]) -> Result<Vec<RevokedToken>, StoreError> {
        self.read()?.find_tokens(ids)
    }

    fn tokens(&mut self, after: Option<RevocationId>, limit: usize) -> Result<Vec<RevokedToken>, StoreError> {
        self.read()?.tokens(after, limit)
    }

    fn sweep(&mut self, sweep: &Sweep) -> Result<bool, StoreError> {
        (self.fault)(Call::Begin)?;
        self.store.sweep(sweep)
    }

    fn time(&mut self) -> Result<UnixTime, StoreError> {
        (self.fault)(Call::Read)?;
        Ok(UnixTime(self.time.load(Ordering::SeqCst)))
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        (self.fault)(Call::Begin)?;
        self.store.probe()
    }
}
