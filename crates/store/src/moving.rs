//! Moving a store from one kind of database to the other, or from one server to another: everything in it, the log with
//! its positions too.
//!
//! The source is only read, as it is at one moment, and nobody writes to it meanwhile. The target must be empty, and is
//! written in one transaction, so that a move which is broken off leaves it empty. Before that is committed both are read
//! again, and what was found in each is compared.

mod digest;
mod postgres;
mod sqlite;
mod tables;

use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use authority::error::StoreError;
use authority::store::Position;

use self::digest::Digest;
use self::postgres::PostgresEnd;
use self::sqlite::SqliteEnd;
use self::tables::{Head, TABLES, Table};
use crate::error::MoveError;
use crate::failure::Failure;
use crate::postgres::PostgresAddress;

/// Rows that are handed over together.
const BATCH: usize = 1000;

/// Batches that wait at most, so that millions of rows need no room.
const WAITING: usize = 4;

/// A value as PostgreSQL has it: numbers are eight bytes, the highest first. `None` for NULL.
type Value = Option<Vec<u8>>;

/// The values of a row in the order of its table's columns.
type Row = Vec<Value>;

/// Where a store is.
#[derive(Debug, Clone)]
pub enum Location {
    /// In this file.
    Sqlite(PathBuf),
    /// In this schema of a database.
    Postgres(Box<PostgresAddress>),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Postgres(address) => address.fmt(f),
        }
    }
}

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Settings, keys, slots, clients and rules.
    pub records: u64,
    /// Revoked tokens.
    pub revoked_tokens: u64,
    /// Entries of the log.
    pub changes: u64,
    /// The newest of them; the target goes on from there.
    pub position: Position,
}

/// One of the two stores of a move, in a transaction of its own in which nobody else writes.
trait End: Send {
    fn head(&mut self) -> Result<Head, Failure>;

    /// Hands out every row of a table.
    fn read(&mut self, table: &Table, each: &mut dyn FnMut(Row) -> Result<(), Failure>) -> Result<(), Failure>;

    fn is_empty(&mut self) -> Result<bool, Failure>;

    /// Writes the rows that come until there are no more.
    fn write(&mut self, table: &Table, rows: &Receiver<Vec<Row>>) -> Result<(), Failure>;

    fn set_head(&mut self, head: Head) -> Result<(), Failure>;

    fn commit(self: Box<Self>) -> Result<(), Failure>;
}

/// Moves the store `from` to the new or empty store `to`. No program may have either open. What is in `from` stays as it
/// is, but nobody should use it any more.
///
/// # Errors
/// [`MoveError`]; the target is then empty.
pub fn migrate(from: &Location, to: &Location) -> Result<Moved, MoveError> {
    let mut source = open(from, false).map_err(|failure| refused(failure, from, MoveError::Source))?;
    let mut target = open(to, true).map_err(|failure| refused(failure, to, MoveError::Target))?;
    if !target.is_empty().map_err(of_target)? {
        return Err(MoveError::NotEmpty);
    }
    let head = source.head().map_err(of_source)?;
    for table in TABLES {
        copy(&mut *source, &mut *target, table)?;
    }
    target.set_head(head).map_err(of_target)?;
    let counts = compare(&mut *source, &mut *target)?;
    target.commit().map_err(of_target)?;
    let [records, revoked_tokens, changes, ..] = counts;
    Ok(Moved { records, revoked_tokens, changes, position: head.position })
}

fn open(location: &Location, is_target: bool) -> Result<Box<dyn End>, Failure> {
    Ok(match location {
        Location::Sqlite(path) => Box::new(SqliteEnd::open(path, is_target)?),
        Location::Postgres(address) => Box::new(PostgresEnd::open(address, is_target)?),
    })
}

/// One reads while the other writes.
fn copy(source: &mut dyn End, target: &mut dyn End, table: &Table) -> Result<(), MoveError> {
    let (sender, receiver) = sync_channel(WAITING);
    thread::scope(|scope| {
        let reading = scope.spawn(move || read_batches(source, table, &sender));
        let written = target.write(table, &receiver);
        // Whoever reads stops where nobody writes any more.
        drop(receiver);
        let read = reading.join().unwrap_or_else(|_| Err(broken_off()));
        // Without the end of what is read there is no end of what is written either; so the writing's error comes first.
        written.map_err(of_target)?;
        read.map_err(of_source)
    })
}

fn read_batches(source: &mut dyn End, table: &Table, sender: &SyncSender<Vec<Row>>) -> Result<(), Failure> {
    let mut batch = Vec::new();
    source.read(table, &mut |row| {
        batch.push(row);
        if batch.len() < BATCH {
            return Ok(());
        }
        sender.send(std::mem::take(&mut batch)).map_err(|_| broken_off())
    })?;
    sender.send(batch).map_err(|_| broken_off())
}

fn broken_off() -> Failure {
    StoreError::Unavailable("moving was broken off".to_owned()).into()
}

/// Reads both again, and sees that they hold the same. Answers how many rows each table has.
fn compare(source: &mut dyn End, target: &mut dyn End) -> Result<[u64; TABLES.len()], MoveError> {
    let (here, there) = thread::scope(|scope| {
        let here = scope.spawn(|| read_all(source));
        let there = read_all(target);
        (here.join().unwrap_or_else(|_| Err(broken_off())), there)
    });
    let (here, there) = (here.map_err(of_source)?, there.map_err(of_target)?);
    if here.0.position != there.0.position || here.0.at != there.0.at || here.0.trimmed != there.0.trimmed {
        return Err(MoveError::Differs("head"));
    }
    for ((table, here), there) in TABLES.iter().zip(&here.1).zip(&there.1) {
        if here != there {
            return Err(MoveError::Differs(table.name));
        }
    }
    Ok(here.1.map(|digest| digest.rows))
}

type Content = (Head, [Digest; TABLES.len()]);

fn read_all(end: &mut dyn End) -> Result<Content, Failure> {
    let head = end.head()?;
    let mut digests = [Digest::default(); TABLES.len()];
    for (table, digest) in TABLES.iter().zip(&mut digests) {
        end.read(table, &mut |row| {
            digest.add(table, &row);
            Ok(())
        })?;
    }
    let counted = digests.iter().zip(TABLES).find(|(_, table)| table.name == "revoked_tokens");
    if counted.is_some_and(|(digest, _)| digest.rows != head.revoked_tokens) {
        return Err(StoreError::Corrupt("there are not as many revoked tokens as were counted".to_owned()).into());
    }
    Ok((head, digests))
}

/// Whoever has a store open is in the way.
fn refused(Failure(error): Failure, location: &Location, of: fn(StoreError) -> MoveError) -> MoveError {
    if error == StoreError::Busy { MoveError::InUse(location.to_string()) } else { of(error) }
}

fn of_source(Failure(error): Failure) -> MoveError {
    MoveError::Source(error)
}

fn of_target(Failure(error): Failure) -> MoveError {
    MoveError::Target(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_did_not_arrive_as_it_was_is_noticed() {
        let changes = "INSERT INTO changes VALUES (3, 1, 'a', 'b', 'client', 'c', '{}')";
        for (name, here, there, expected) in [
            ("nothing", "", "", None),
            ("the same", changes, changes, None),
            ("a record", "INSERT INTO records VALUES ('client', 'a', '1')", "", Some("records")),
            (
                "another body",
                "INSERT INTO records VALUES ('client', 'a', '1')",
                "INSERT INTO records VALUES ('client', 'a', '2')",
                Some("records"),
            ),
            ("an assertion", "", "INSERT INTO assertions VALUES (zeroblob(16), 1)", Some("assertions")),
            ("an answer", "INSERT INTO answers VALUES ('k', 'r', 'c', 1)", "", Some("answers")),
            ("a change", changes, "", Some("head")),
            ("what was trimmed", "UPDATE meta SET value = 1 WHERE name = 'trimmed'", "", Some("head")),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let [mut source, mut target] = [("source", here), ("target", there)].map(|(file, sql)| {
                let path = directory.path().join(file);
                let store = crate::SqliteStore::open(&path).unwrap();
                drop(store);
                rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
                SqliteEnd::open(&path, false).unwrap()
            });
            let found = compare(&mut source, &mut target).err();
            assert_eq!(found, expected.map(MoveError::Differs), "{name}");
        }
    }
}
