//! Opening a store's file, and making a new one.
//!
//! A new store is made complete under another name and then put in place, so that whoever finds a file finds a whole
//! store; an empty file is one that lost its content, and refused. A file that is not a store, or one of a newer version,
//! is looked at without a lock, a log or a change.
//!
//! The file is only ever opened through SQLite: closing any other descriptor of it would release the locks that SQLite
//! holds for this process.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use authority::error::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, MAIN_DB, OpenFlags};

use crate::failure::Failure;
use crate::sqlite::failure::of_io;
use crate::sqlite::schema;

/// How long to wait for others.
const BUSY: Duration = Duration::from_secs(5);

/// The log is folded in when it has so many pages: 64 MiB. Ids have no order, so each of many revocations changes a page
/// of its own; folded in together they are fewer, and the disk gets them in order.
const LOG_PAGES: i64 = 16 << 10;

/// The log is cut back to this after it has been folded in, in bytes.
const JOURNAL_LIMIT: i64 = 64 << 20;

/// Pages in memory, in KiB: as much as a large transaction changes, so that it need not be written in between.
const CACHE: i64 = 16 << 10;

/// A store of so many pages is read whole when it is opened; of a larger one only what is small, which the loading of
/// the revoked tokens completes. Whatever else it holds decides about no token.
const CHECKED_WHOLE: u32 = 16 << 10;

/// The tables that are always read whole, but for `revoked_tokens`.
const DECISIVE: [&str; 3] = ["records", "meta", "sqlite_schema"];

/// Opens a store for reading and writing, in place of none makes a new one.
pub(crate) fn open_or_create(path: &Path) -> Result<Connection, Failure> {
    let path = absolute(path)?;
    if !is_there(&path)? {
        let log = beside(&path, "-wal");
        // Its log would be taken for the new store's. Whoever has just made the store may have made the log, too.
        if is_there(&log)? && !is_there(&path)? {
            return Err(StoreError::Corrupt(format!("the store is gone, but {} is there", log.display())).into());
        }
        create(&path)?;
    }
    let mut connection = open(&path)?;
    if connection.is_readonly(MAIN_DB)? {
        return Err(StoreError::ReadOnly("the file may only be read".to_owned()).into());
    }
    use_log(&connection)?;
    schema::migrate(&mut connection)?;
    Ok(connection)
}

/// Opens an existing store as it is, and sees that it is one of ours, not newer, and whole.
pub(crate) fn open(path: &Path) -> Result<Connection, Failure> {
    let path = absolute(path)?;
    see_file(&path)?;
    let seen = open_unchanging(&path).and_then(|connection| schema::version(&connection));
    if let Err(error) = seen.map_err(StoreError::from) {
        // Others may be writing, so what else it says is not reliable.
        if matches!(error, StoreError::NotAStore | StoreError::Newer { .. }) {
            return Err(error.into());
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&path, flags)?;
    // Until it is found whole, what a log holds stays there.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log(&path))?;
    set_up(&connection)?;
    schema::version(&connection)?;
    see_usable(&connection, &path, CHECKED_WHOLE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(connection)
}

/// Opens a file that nobody writes, without locks and without a file beside it; a log beside it is not read.
pub(crate) fn open_unchanging(path: &Path) -> Result<Connection, Failure> {
    see_file(path)?;
    let mut uri = "file:".to_owned();
    for &byte in absolute(path)?.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri, flags)?;
    set_up(&connection)?;
    Ok(connection)
}

/// Sees that what decides about tokens is whole, all of it in a store of no more than so many pages.
pub(crate) fn see_usable(connection: &Connection, path: &Path, most: u32) -> Result<(), Failure> {
    let pages: u32 = connection.query_row("PRAGMA page_count", (), |row| row.get(0))?;
    if pages <= most {
        return see_whole(connection, path, "quick_check(1)");
    }
    DECISIVE.iter().try_for_each(|table| see_whole(connection, path, &format!("quick_check({table})")))
}

/// Runs `PRAGMA quick_check` or `integrity_check`, for which what is missing of the last page is nothing but zeros.
pub(crate) fn see_whole(connection: &Connection, path: &Path, pragma: &str) -> Result<(), Failure> {
    let page: u64 = connection.query_row("PRAGMA page_size", (), |row| row.get::<_, u32>(0))?.into();
    // What a full disk let through of a page is in the log, too.
    if !has_log(path) && !file_len(path)?.is_multiple_of(page) {
        return Err(StoreError::Corrupt("its last page is cut off".to_owned()).into());
    }
    let found: String = connection.query_row(&format!("PRAGMA {pragma}"), (), |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(StoreError::Corrupt(found.replace('\n', "; ")).into()) }
}

/// Makes what was renamed or created in the directory of `path` durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// The file next to `path` whose name has `suffix` in addition.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// SQLite takes some relative names for something else.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    Ok(std::path::absolute(path).map_err(|error| of_io("finding the file", &error))?)
}

pub(crate) fn is_there(path: &Path) -> Result<bool, Failure> {
    Ok(path.try_exists().map_err(|error| of_io("looking for the file", &error))?)
}

/// Makes a store of the newest version. It is no error when another process comes first.
fn create(path: &Path) -> Result<(), Failure> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    // Only its owner may read it: mode 0600, which SQLite's own files inherit.
    let made = tempfile::Builder::new().prefix(".jotd-new-").tempfile_in(directory);
    let temporary = made.map_err(|error| of_io("creating the file", &error))?.into_temp_path();
    let mut connection =
        Connection::open_with_flags(&temporary, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    set_up(&connection)?;
    schema::claim(&connection)?;
    schema::migrate(&mut connection)?;
    use_log(&connection)?;
    connection.close().map_err(|(_, error)| error)?;
    match temporary.persist_noclobber(path) {
        Ok(()) => Ok(sync_directory(path).map_err(|error| of_io("syncing the directory", &error))?),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(of_io("creating the file", &error.error).into()),
    }
}

/// An empty file is none that SQLite would complain about.
fn see_file(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(StoreError::NotAStore.into());
    }
    if file_len(path)? == 0 {
        return Err(StoreError::Corrupt("the file is empty".to_owned()).into());
    }
    Ok(())
}

fn file_len(path: &Path) -> Result<u64, Failure> {
    Ok(path.metadata().map_err(|error| of_io("looking at the file", &error))?.len())
}

fn has_log(path: &Path) -> bool {
    beside(path, "-wal").metadata().is_ok_and(|log| log.len() > 0)
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE)?;
    connection.query_row(&format!("PRAGMA wal_autocheckpoint = {LOG_PAGES}"), (), |_| Ok(()))?;
    // There may be no directory for temporary files.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.query_row(&format!("PRAGMA journal_size_limit = {JOURNAL_LIMIT}"), (), |_| Ok(()))
}

/// Switches to a write-ahead log, in which readers do not wait for writers. SQLite does not itself wait for others here.
fn use_log(connection: &Connection) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get::<_, String>(0));
        match mode.map_err(|error| StoreError::from(Failure::from(error))) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                let text = format!("its file system does not allow a write-ahead log (journal mode {mode})");
                return Err(StoreError::Unavailable(text).into());
            }
            Err(StoreError::Busy) if start.elapsed() < BUSY => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => return Err(error.into()),
        }
    }
}
