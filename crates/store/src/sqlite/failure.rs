//! What SQLite and the file system report, as the errors of the port. Messages are SQLite's own, which name tables and
//! columns but no values.

use std::io;

use authority::error::StoreError;
use authority::store::{Kind, Position};
use rusqlite::types::Type;
use rusqlite::{ErrorCode, ffi};

use crate::failure::Failure;

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        Self(match error {
            E::SqliteFailure(code, ref text) => of_code(code, text.as_deref()),
            E::SqlInputError { error: code, ref msg, .. } => of_code(code, Some(msg)),
            // What is stored is not of the form that was written.
            E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::InvalidColumnType(..)
            | E::Utf8Error(..)
            | E::QueryReturnedNoRows => StoreError::Corrupt(error.to_string()),
            _ => StoreError::Unavailable(error.to_string()),
        })
    }
}

fn of_code(code: ffi::Error, text: Option<&str>) -> StoreError {
    let text = text.map_or_else(|| code.to_string(), str::to_owned);
    match code.code {
        ErrorCode::DiskFull => StoreError::Full(text),
        ErrorCode::DatabaseCorrupt => StoreError::Corrupt(text),
        ErrorCode::NotADatabase => StoreError::NotAStore,
        ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => StoreError::ReadOnly(text),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => StoreError::Busy,
        ErrorCode::SystemIoFailure => match code.extended_code {
            // A part of the file is not there.
            ffi::SQLITE_IOERR_SHORT_READ => StoreError::Corrupt(text),
            ffi::SQLITE_IOERR_WRITE
            | ffi::SQLITE_IOERR_FSYNC
            | ffi::SQLITE_IOERR_DIR_FSYNC
            | ffi::SQLITE_IOERR_TRUNCATE
            | ffi::SQLITE_IOERR_SHMSIZE
            | ffi::SQLITE_IOERR_SHMOPEN
            | ffi::SQLITE_IOERR_SHMMAP => {
                StoreError::Unavailable(format!("writing failed, the disk may be full or failing: {text}"))
            }
            _ => StoreError::Unavailable(format!("{text} ({})", code.extended_code)),
        },
        _ => StoreError::Unavailable(text),
    }
}

/// An error of the file system while `doing` something.
pub(crate) fn of_io(doing: &str, error: &io::Error) -> StoreError {
    let text = format!("{doing}: {error}");
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly(text),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(text),
        _ => StoreError::Unavailable(text),
    }
}

/// A column holds what was never written there.
pub(crate) fn unexpected(column: usize, kind: Type, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, what.into())
}

/// The position in a column.
pub(crate) fn position(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Position> {
    let stored: i64 = row.get(column)?;
    let position = u64::try_from(stored).map_err(|_| unexpected(column, Type::Integer, "a negative position"))?;
    Ok(Position(position))
}

/// The kind named in a column.
pub(crate) fn kind(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Kind> {
    let name: String = row.get(column)?;
    Kind::find_by_name(&name).ok_or_else(|| unexpected(column, Type::Text, "an unknown kind of entity"))
}
