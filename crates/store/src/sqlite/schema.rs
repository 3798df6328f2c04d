//! The versions of the schema. A store knows its own (`user_version`) and whose it is (`application_id`); version N is
//! made from the one before in one transaction, and no released version is ever edited.

use authority::error::StoreError;
use rusqlite::{Connection, TransactionBehavior};

use crate::failure::Failure;

/// "jotd", in the header of each of our files.
const APPLICATION_ID: i32 = 0x6a6f_7464;

const MIGRATIONS: &[&str] = &[include_str!("migrations/0001.sql"), include_str!("migrations/0002.sql")];

/// The newest version known here.
const KNOWN: u32 = MIGRATIONS.len() as u32;

/// Makes an empty database one of ours, still without tables.
pub(crate) fn claim(connection: &Connection) -> Result<(), Failure> {
    Ok(connection.pragma_update(None, "application_id", APPLICATION_ID)?)
}

/// The version of a store.
///
/// # Errors
/// [`StoreError::NotAStore`] and [`StoreError::Newer`], and what keeps it from being read.
pub(crate) fn version(connection: &Connection) -> Result<u32, Failure> {
    let application: i32 = connection.prepare_cached("PRAGMA application_id")?.query_row((), |row| row.get(0))?;
    if application != APPLICATION_ID {
        return Err(StoreError::NotAStore.into());
    }
    let version: i32 = connection.prepare_cached("PRAGMA user_version")?.query_row((), |row| row.get(0))?;
    match u32::try_from(version) {
        Ok(found) if found > KNOWN => Err(StoreError::Newer { found, known: KNOWN }.into()),
        Ok(found) => Ok(found),
        Err(_) => Err(StoreError::Corrupt("its schema has a negative version".to_owned()).into()),
    }
}

/// Brings a store to the newest version known here. Any number of processes may try at once.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), Failure> {
    while version(connection)? < KNOWN {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have come first.
        let from = version(&transaction)?;
        if let Some(migration) = MIGRATIONS.get(from as usize) {
            transaction.execute_batch(migration)?;
            transaction.pragma_update(None, "user_version", from + 1)?;
            transaction.commit()?;
        }
    }
    Ok(())
}
