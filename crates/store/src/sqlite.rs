//! A handle on a store in a file.

pub(crate) mod connection;
mod copy;
mod failure;
mod load;
pub(crate) mod read;
pub(crate) mod schema;
mod sweep;
mod write;

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use authority::error::StoreError;
use authority::store::{
    Change, Changed, Loaded, Position, RevocationId, RevokedToken, Store, Sweep, Transaction as StoreTransaction, Waker,
};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use self::failure::of_io;
use self::write::Writing;
use crate::failure::Failure;

pub use self::copy::{Checked, backup, check, restore};

/// A look is one read of a number in shared memory.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// A store in a file that any number of processes of one machine may have open; each handle is for one thread at a time.
///
/// After an error the handle can be used again: nothing of what failed was written.
///
/// ```
/// use authority::store::Store as _;
/// use jotd_store::SqliteStore;
///
/// let directory = tempfile::tempdir()?;
/// let mut store = SqliteStore::open(&directory.path().join("jotd.db"))?;
/// let mut entities = 0;
/// let position = store.load(&mut |_| entities += 1)?;
/// assert_eq!((position.0, entities), (0, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SqliteStore {
    connection: Connection,
    /// Where it is, and which file that was.
    file: File,
    /// The state that the last look at the log found; forgotten before this handle writes.
    seen: Option<Seen>,
}

/// What was found in one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// Changes when another handle commits.
    data_version: i64,
    newest: Position,
}

/// A file by its name, and which one that was.
#[derive(Debug)]
struct File {
    path: PathBuf,
    identity: (u64, u64),
}

/// Tells a file from others that may have its name later.
fn identity(path: &Path) -> Result<(u64, u64), Failure> {
    let metadata = std::fs::metadata(path).map_err(|error| of_io("looking at the file", &error))?;
    Ok((metadata.dev(), metadata.ino()))
}

impl SqliteStore {
    /// Opens the store in the file `path`, or makes a new one where there is no file; its directory must exist. Only the
    /// owner of a new file can read it. An older version of the schema is brought up to date.
    ///
    /// Sees that it is not damaged: reads all of it where it is small, and else what decides about tokens.
    ///
    /// # Errors
    /// [`StoreError`]; the file is then as it was before.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = connection::open_or_create(path)?;
        let file = File { path: connection::absolute(path)?, identity: identity(path)? };
        Ok(Self { connection, file, seen: None })
    }

    fn begin_read(&mut self) -> Result<Transaction<'_>, Failure> {
        Ok(self.connection.transaction_with_behavior(TransactionBehavior::Deferred)?)
    }

    /// Waits until nobody else writes.
    fn begin_write(&mut self) -> Result<Transaction<'_>, Failure> {
        self.seen = None;
        // What is written into a file that has no name any more is lost when it is closed.
        if identity(&self.file.path).ok() != Some(self.file.identity) {
            return Err(StoreError::Unavailable(
                "the store's file was removed or replaced while it was in use".to_owned(),
            )
            .into());
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // A newer program may have changed the schema since.
        schema::version(&transaction)?;
        Ok(transaction)
    }

    fn read_changes(&mut self, position: Position) -> Result<Vec<Changed>, Failure> {
        // Whatever this handle wrote itself made it forget what it had seen.
        let seen = Seen { data_version: read::data_version(&self.connection)?, newest: position };
        if self.seen == Some(seen) {
            return Ok(Vec::new());
        }
        let transaction = self.begin_read()?;
        let newest = read::newest(&transaction)?.position;
        let data_version = read::data_version(&transaction)?;
        let changes = read::changes_after(&transaction, position, newest)?;
        drop(transaction);
        self.seen = Some(Seen { data_version, newest });
        Ok(changes)
    }

    fn run_sweep(&mut self, sweep: &Sweep) -> Result<bool, Failure> {
        let reading = self.begin_read()?;
        let is_needed = sweep::is_needed(&reading, sweep)?;
        drop(reading);
        if !is_needed {
            return Ok(false);
        }
        let transaction = self.begin_write()?;
        sweep::run(&transaction, sweep)?;
        transaction.commit()?;
        Ok(true)
    }

    fn write_probe(&mut self) -> Result<(), Failure> {
        let transaction = self.begin_write()?;
        transaction.prepare_cached("UPDATE probe SET room = randomblob(length(room))")?.execute(())?;
        Ok(transaction.commit()?)
    }
}

impl Store for SqliteStore {
    fn load(&mut self, each: &mut dyn FnMut(Loaded<'_>)) -> Result<Position, StoreError> {
        let transaction = self.begin_read()?;
        Ok(read::load(&transaction, each)?)
    }

    fn changes_after(&mut self, position: Position) -> Result<Vec<Changed>, StoreError> {
        Ok(self.read_changes(position)?)
    }

    fn transact(
        &mut self,
        work: &mut dyn FnMut(&mut dyn StoreTransaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let transaction = self.begin_write()?;
        let mut writing = Writing::new(&transaction);
        work(&mut writing)?;
        writing.finish()?;
        Ok(transaction.commit().map_err(Failure::from)?)
    }

    /// The right to write is right enough: there is one file, on one machine.
    fn tend(
        &mut self,
        work: &mut dyn FnMut(&mut dyn StoreTransaction) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        self.transact(work).map(|()| true)
    }

    /// Nobody tells: looking costs next to nothing.
    fn wake_by(&mut self, _: Waker) {}

    fn is_shared(&self) -> bool {
        false
    }

    fn look_every(&self) -> Duration {
        LOOK_EVERY
    }

    fn log(&mut self, before: Option<Position>, limit: usize) -> Result<Vec<Change>, StoreError> {
        Ok(read::log(&self.connection, before, limit)?)
    }

    fn find_token(&mut self, id: RevocationId) -> Result<Option<RevokedToken>, StoreError> {
        Ok(read::find_token(&self.connection, id)?)
    }

    fn tokens(&mut self, after: Option<RevocationId>, limit: usize) -> Result<Vec<RevokedToken>, StoreError> {
        Ok(read::tokens(&self.connection, after, limit)?)
    }

    fn sweep(&mut self, sweep: &Sweep) -> Result<bool, StoreError> {
        Ok(self.run_sweep(sweep)?)
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        Ok(self.write_probe()?)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("seen", &self.seen).finish_non_exhaustive()
    }
}
