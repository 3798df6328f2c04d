//! Whole stores: backing one up, checking a backup, and restoring it.
//!
//! A copy is one file without a log beside it. It is made under another name and only put in place when it is on disk
//! and found whole. Nothing here replaces a file that it has not first put aside.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use authority::error::StoreError;
use authority::ports::UnixTime;
use authority::store::{Kind, Loaded, Position};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempPath;

use crate::error::CopyError;
use crate::failure::Failure;
use crate::sqlite::connection::{absolute, beside, open, open_unchanging, see_whole, sync_directory};
use crate::sqlite::failure::of_io;
use crate::sqlite::{read, schema};

/// What SQLite keeps next to a file; a log would be taken for that of whatever file has the name.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// What a whole store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Signing keys.
    pub keys: u64,
    /// Clients.
    pub clients: u64,
    /// Revoked tokens.
    pub revoked_tokens: u64,
    /// The newest entry of the log.
    pub position: Position,
    /// When that was; `None` where the log is empty.
    pub newest_at: Option<UnixTime>,
}

/// Copies the store `from`, as it is at one moment, while others may read and write it, to the new file `to`, which only
/// its owner can read.
///
/// # Errors
/// [`CopyError`]; there is then no file `to`, or the one that was there.
pub fn backup(from: &Path, to: &Path) -> Result<(), CopyError> {
    let (from, to) = (whole_path(from)?, whole_path(to)?);
    if to.symlink_metadata().is_ok() {
        return Err(CopyError::Exists(to));
    }
    see_there(&from)?;
    let source = open(&from).map_err(source)?;
    let copy = copy_beside(&source, &to)?;
    match copy.persist_noclobber(&to) {
        Ok(()) => sync(&to),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(CopyError::Exists(to)),
        Err(error) => Err(CopyError::File { doing: "the copy cannot be put in place", source: error.error }),
    }
}

/// Reads all of a store, and sees that it is whole and of a version known here. Writes nothing; nobody should write the
/// store meanwhile unless they have it open already.
///
/// # Errors
/// [`CopyError::Missing`] and [`CopyError::Source`].
pub fn check(path: &Path) -> Result<Checked, CopyError> {
    let path = whole_path(path)?;
    see_there(&path)?;
    open_checked(&path).map(|(_, checked)| checked).map_err(source)
}

/// Puts a copy of the store `from` in place of the store `to`, if there is one, and answers where that one went: beside
/// it, under a name that was not taken. No program may have `to` open. What was written to it since `from` was copied
/// from it, revocations too, is in force no more.
///
/// # Errors
/// [`CopyError`]; the store `to` is then still in place.
pub fn restore(from: &Path, to: &Path) -> Result<Option<PathBuf>, CopyError> {
    let (from, to) = (whole_path(from)?, whole_path(to)?);
    see_there(&from)?;
    let (connection, _) = open_checked(&from).map_err(source)?;
    let copy = copy_beside(&connection, &to)?;
    drop(connection);
    fold_log(&to)?;
    keep_owner(&to, &copy)?;
    let aside = put_aside(&to)?;
    copy.persist(&to)
        .map_err(|error| CopyError::File { doing: "the copy cannot be put in place", source: error.error })?;
    sync(&to)?;
    Ok(aside)
}

/// Opens without writing anything, and reads everything.
fn open_checked(path: &Path) -> Result<(Connection, Checked), Failure> {
    // Where there is a log, the newest state is in it.
    let connection = if beside(path, "-wal").exists() {
        // Reads the header first, as what is not a store must stay as it is.
        schema::version(&open_unchanging(path)?)?;
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?
    } else {
        open_unchanging(path)?
    };
    let transaction = connection.unchecked_transaction()?;
    schema::version(&transaction)?;
    see_whole(&transaction, path, "integrity_check(1)")?;
    let newest = read::newest(&transaction)?;
    let mut checked =
        Checked { keys: 0, clients: 0, revoked_tokens: 0, position: newest.position, newest_at: newest.at };
    read::load(&transaction, &mut |stored| match stored {
        Loaded::Record(record) if record.kind == Kind::Key => checked.keys += 1,
        Loaded::Record(record) if record.kind == Kind::Client => checked.clients += 1,
        Loaded::Record(_) | Loaded::Tokens(_) => {}
        Loaded::Token(..) => checked.revoked_tokens += 1,
    })?;
    drop(transaction);
    Ok((connection, checked))
}

/// A copy on disk, found whole, in the directory of `to`.
fn copy_beside(source: &Connection, to: &Path) -> Result<TempPath, CopyError> {
    let failed = |doing, error| CopyError::Copy(of_io(doing, &error));
    // Only its owner may read it: mode 0600.
    let made = tempfile::Builder::new().prefix(".jotd-copy-").tempfile_in(to.parent().unwrap_or(Path::new("/")));
    let copy = made.map_err(|error| failed("creating the file", error))?.into_temp_path();
    let name = copy.to_str().ok_or_else(|| failed("its name is not UTF-8", io::ErrorKind::InvalidFilename.into()))?;
    source.execute("VACUUM INTO ?1", [name]).map_err(|error| CopyError::Copy(Failure::from(error).into()))?;
    // SQLite leaves that to others; nothing has the file open.
    let synced = File::open(&copy).and_then(|file| file.sync_all());
    synced.map_err(|error| failed("syncing the file", error))?;
    open_checked(&copy).map_err(|failure| CopyError::Copy(failure.into()))?;
    Ok(copy)
}

/// Makes the store at `to` one file, so that it can be moved. One that is damaged or not a store stays as it is.
fn fold_log(to: &Path) -> Result<(), CopyError> {
    let folded = (|| {
        let connection = open(to)?;
        connection.busy_timeout(std::time::Duration::from_millis(500))?;
        // Fails when anyone else has it open.
        connection.query_row("PRAGMA locking_mode = EXCLUSIVE", (), |_| Ok(()))?;
        Ok(connection.execute_batch("BEGIN EXCLUSIVE; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")?)
    })();
    match folded.map_err(|failure: Failure| StoreError::from(failure)) {
        Err(StoreError::Busy) => Err(CopyError::InUse(to.to_owned())),
        // Whatever else it is, the files are moved as they are.
        _ => Ok(()),
    }
}

/// Gives the store at `to`, if there is one, a second name, and moves what else belongs to it there.
fn put_aside(to: &Path) -> Result<Option<PathBuf>, CopyError> {
    let refused = |source| CopyError::File { doing: "the former store cannot be put aside", source };
    let present = |path: &Path| path.symlink_metadata().is_ok();
    if !present(to) && !BESIDE.iter().any(|suffix| present(&beside(to, suffix))) {
        return Ok(None);
    }
    let names = (1_u32..).map(|number| beside(to, &format!(".before-restore-{number}")));
    let free = |aside: &PathBuf| !present(aside) && !BESIDE.iter().any(|suffix| present(&beside(aside, suffix)));
    let aside = names.into_iter().find(free).ok_or_else(|| refused(io::ErrorKind::AlreadyExists.into()))?;
    // A link, so that there is a store at `to` at every moment.
    missing_is_fine(fs::hard_link(to, &aside)).map_err(refused)?;
    sync(&aside)?;
    for suffix in BESIDE {
        missing_is_fine(fs::rename(beside(to, suffix), beside(&aside, suffix))).map_err(refused)?;
    }
    Ok(Some(aside))
}

/// Whoever could open the former store can open the new one, where root restores it for a service.
fn keep_owner(to: &Path, copy: &Path) -> Result<(), CopyError> {
    let refused =
        |source| CopyError::File { doing: "the copy cannot be given to the owner of the former store", source };
    let (Ok(former), Ok(new)) = (to.metadata(), copy.metadata()) else { return Ok(()) };
    if (former.uid(), former.gid()) != (new.uid(), new.gid()) {
        chown(copy, Some(former.uid()), Some(former.gid())).map_err(refused)?;
    }
    Ok(())
}

fn missing_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn sync(path: &Path) -> Result<(), CopyError> {
    sync_directory(path).map_err(|source| CopyError::File { doing: "the directory cannot be synced", source })
}

fn see_there(path: &Path) -> Result<(), CopyError> {
    if path.exists() { Ok(()) } else { Err(CopyError::Missing(path.to_owned())) }
}

fn whole_path(path: &Path) -> Result<PathBuf, CopyError> {
    absolute(path).map_err(source)
}

fn source(failure: Failure) -> CopyError {
    CopyError::Source(failure.into())
}
