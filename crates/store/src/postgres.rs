//! A store on PostgreSQL, which any number of nodes share.
//!
//! Every transaction locks one row, the head, before anything else. So writers of all nodes come one after the other, and
//! positions are given without gaps and in the order of commits: whoever has seen a position has seen all before it.

mod address;
pub(crate) mod connect;
pub(crate) mod copied;
mod drafts;
pub(crate) mod failure;
pub(crate) mod lead;
mod link;
mod listen;
mod load;
mod marks;
mod pipeline;
mod proof;
pub(crate) mod read;
pub(crate) mod schema;
pub(crate) mod session;
mod sweep;
mod tls;
mod turn;
mod write;

use std::fmt;
use std::time::Duration;

use authority::error::StoreError;
use authority::ports::UnixTime;
use authority::store::{
    Change, Changed, Loaded, Position, RevocationId, RevokedToken, Store, Sweep, Transaction, Waker,
};

use self::lead::Origin;
use self::link::Link;
use self::marks::Marks;
use self::schema::{MIGRATIONS, Migration};
use self::session::{STEP, Session};
use self::turn::{Head, Turn};
use self::write::Writing;
use crate::failure::Failure;

pub use self::address::{Address as PostgresAddress, AddressError as PostgresAddressError};

/// While the server tells of changes, a look only makes sure.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// And while it does not.
const LOOK_EVERY_UNTOLD: Duration = Duration::from_millis(50);

/// A store in a schema of a PostgreSQL database; each handle has connections of its own, and is for one thread at a time.
///
/// While the server is out of reach every call fails at once, and connecting goes on in the background. After an error
/// the handle can be used again: nothing of what failed was written, unless it says that this is not known.
pub struct PostgresStore {
    address: PostgresAddress,
    link: Link,
    marks: Marks,
    /// The server that was read last.
    read_from: Option<Origin>,
}

impl PostgresStore {
    /// Opens the store at this address, makes a new one where there is none, and brings an older one up to date. Not for
    /// use within an asynchronous runtime, like every other call.
    ///
    /// # Errors
    /// [`StoreError`]; at once where no server can be reached.
    pub fn open(address: &PostgresAddress) -> Result<Self, StoreError> {
        Self::open_with(address, MIGRATIONS)
    }

    /// What cannot be read may have been changed by a newer program.
    fn explain(&self, session: &Session, Failure(error): Failure) -> StoreError {
        if !matches!(error, StoreError::Unavailable(_)) || session.check().is_err() {
            return error;
        }
        let same = schema::see_same(&session.client, &self.address.schema, self.link.known());
        match self.link.wait(session.within(STEP, same)) {
            Err(Failure(newer @ StoreError::Newer { .. })) => newer,
            _ => error,
        }
    }

    /// Opens the store at this address where there is one, and brings an older one up to date.
    ///
    /// # Errors
    /// As [`Self::open`], and [`StoreError::Missing`].
    pub fn open_existing(address: &PostgresAddress) -> Result<Self, StoreError> {
        Self::open_with(&address.of_existing(), MIGRATIONS)
    }

    /// As programs of another version do.
    fn open_with(address: &PostgresAddress, migrations: &'static [Migration]) -> Result<Self, StoreError> {
        let link = Link::open(address, migrations)?;
        Ok(Self { address: address.clone(), link, marks: Marks::default(), read_from: None })
    }
}

impl Store for PostgresStore {
    fn load(&mut self, each: &mut dyn FnMut(Loaded<'_>)) -> Result<Position, StoreError> {
        let session = self.link.reader()?;
        let loaded = self.link.wait(load::load(&session, self.link.known(), &mut self.marks, each));
        self.read_from = session.origin;
        if loaded.is_err() {
            load::give_up(&self.link, &session);
        }
        loaded.map_err(|failure| self.explain(&session, failure))
    }

    fn changes_after(&mut self, position: Position) -> Result<Vec<Changed>, StoreError> {
        let session = self.link.reader()?;
        let look = read::changes_after(&session, position, self.link.known(), &mut self.marks);
        let changes = self.link.wait(look);
        self.read_from = session.origin;
        changes.map_err(|failure| self.explain(&session, failure))
    }

    fn transact(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let session = self.link.writer()?;
        let (turn, head) = Turn::begin(&self.link, &session)?;
        self.marks = write(turn, head, &self.marks, work)?;
        Ok(())
    }

    fn tend(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        let session = self.link.writer()?;
        let Some(turn) = Turn::begin_alone(&self.link, &session)? else { return Ok(false) };
        let head = turn.lock()?;
        self.marks = write(turn, head, &self.marks, work)?;
        Ok(true)
    }

    fn wake_by(&mut self, waker: Waker) {
        self.link.wake_by(waker);
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn look_every(&self) -> Duration {
        if self.link.listens() { LOOK_EVERY } else { LOOK_EVERY_UNTOLD }
    }

    fn confirm(&mut self, read: Duration, often: Duration) -> Option<Duration> {
        self.link.confirm(read, self.read_from, often)
    }

    fn log(&mut self, before: Option<Position>, limit: usize) -> Result<Vec<Change>, StoreError> {
        let session = self.link.reader()?;
        Ok(self.link.wait(session.within(STEP, session.reading.log(&session.client, before, limit)))?)
    }

    fn find_token(&mut self, id: RevocationId) -> Result<Option<RevokedToken>, StoreError> {
        let session = self.link.reader()?;
        Ok(self.link.wait(session.within(STEP, session.reading.find_token(&session.client, id)))?)
    }

    fn find_tokens(&mut self, ids: &[RevocationId]) -> Result<Vec<RevokedToken>, StoreError> {
        let session = self.link.reader()?;
        Ok(self.link.wait(session.within(STEP, session.reading.find_tokens(&session.client, ids)))?)
    }

    fn tokens(&mut self, after: Option<RevocationId>, limit: usize) -> Result<Vec<RevokedToken>, StoreError> {
        let session = self.link.reader()?;
        Ok(self.link.wait(session.within(STEP, session.reading.tokens(&session.client, after, limit)))?)
    }

    fn sweep(&mut self, sweep: &Sweep) -> Result<bool, StoreError> {
        let (reader, writer) = (self.link.reader()?, self.link.writer()?);
        Ok(sweep::run(&self.link, &reader, &writer, sweep)?)
    }

    fn time(&mut self) -> Result<UnixTime, StoreError> {
        let session = self.link.reader()?;
        Ok(self.link.wait(session.within(STEP, session.reading.time(&session.client)))?)
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        let session = self.link.writer()?;
        let written = self.link.wait(session.within(STEP, session.client.execute(&session.sweeping.probe, &[])));
        Ok(written.map(drop)?)
    }
}

/// Does the work in a transaction that has the right to write, and commits it. Answers what is known of the log then.
fn write(
    turn: Turn<'_>,
    head: Head,
    marks: &Marks,
    work: &mut dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError>,
) -> Result<Marks, StoreError> {
    let mut writing = Writing::new(turn, head, marks.clone());
    work(&mut writing)?;
    Ok(writing.finish()?)
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("address", &self.address).finish_non_exhaustive()
    }
}
