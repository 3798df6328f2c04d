//! The versions of the schema. Version N is made from the one before in one transaction, and no released version is ever
//! edited. Each says which is the first version whose programs can still work with it, so that nodes go on while others
//! are brought up to date.

use std::time::Duration;

use authority::error::StoreError;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, Row};

use crate::failure::Failure;
use crate::postgres::failure::{corrupt, unavailable};
use crate::postgres::session::column;

/// "jotd": the first of the two numbers of each of our advisory locks.
pub(crate) const LOCKS: i32 = 0x6a6f_7464;

/// How often, and how long after each other, to try to use a store that another one has.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// A version of the schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    /// Makes it from the version before.
    pub(crate) statements: &'static str,
    /// The first version whose programs can work with it.
    pub(crate) oldest: u32,
}

pub(crate) const MIGRATIONS: &[Migration] = &[Migration { statements: include_str!("migrations/0001.sql"), oldest: 1 }];

/// The store that was opened, by what stands in its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// The newest version of the schema that is known here.
    pub(crate) version: u32,
    /// Of this store alone.
    pub(crate) identity: Vec<u8>,
}

impl Known {
    /// Sees that a row, which begins with the head's version, oldest version and identity, is of the store that was
    /// opened, and that it may still be used.
    pub(crate) fn see(&self, row: &Row) -> Result<(), Failure> {
        see_version(column(row, 0)?, column(row, 1)?, self.version)?;
        if column::<&[u8]>(row, 2)? == self.identity { Ok(()) } else { Err(replaced()) }
    }
}

/// A name in a statement; addresses allow no quotes in it.
pub(crate) fn quoted(schema: &str) -> String {
    format!("\"{schema}\"")
}

/// Sees that programs of version `known` may use a store.
fn see_version(version: i32, oldest: i32, known: u32) -> Result<u32, Failure> {
    let number = |number: i32| u32::try_from(number).map_err(|_| corrupt("its schema has a negative version"));
    let (found, oldest) = (number(version)?, number(oldest)?);
    if oldest > known { Err(StoreError::Newer { found, known }.into()) } else { Ok(found) }
}

/// What is in the schema, as version and identity; `None` where nothing is.
pub(crate) async fn find(client: &Client, schema: &str, known: u32) -> Result<Option<(u32, Vec<u8>)>, Failure> {
    // By the tables of the catalog: whatever else knows of names may not have heard yet of what others have made.
    let there = "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = $1 AND c.relname = 'head'";
    if client.query_opt(there, &[&schema]).await?.is_none() {
        return Ok(None);
    }
    let head = format!("SELECT version, oldest, identity FROM {}.head", quoted(schema));
    let rows = match client.query(&head, &[]).await {
        Err(error) if is_of_others(&error) => return Err(StoreError::NotAStore.into()),
        rows => rows?,
    };
    let [row] = &*rows else { return Err(corrupt("its head is not one row")) };
    let identity = row.try_get::<_, Vec<u8>>(2).map_err(|_| StoreError::NotAStore)?;
    Ok(Some((see_version(column(row, 0)?, column(row, 1)?, known)?, identity)))
}

/// Sees that the store that was opened is still there. It is never made anew: what was revoked would be forgotten.
pub(crate) async fn see_same(client: &Client, schema: &str, known: &Known) -> Result<(), Failure> {
    match find(client, schema, known.version).await? {
        Some((_, identity)) if identity == known.identity => Ok(()),
        Some(_) => Err(replaced()),
        None => Err(unavailable("the store is not there any more")),
    }
}

fn replaced() -> Failure {
    unavailable("another store has taken the place of the one that was opened")
}

/// Brings what is in the schema to the newest version known here. Any number of nodes may try at once.
pub(crate) async fn migrate(client: &Client, schema: &str, migrations: &[Migration]) -> Result<Known, Failure> {
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    if let Some((version, identity)) = find(client, schema, known).await?
        && version >= known
    {
        return Ok(Known { version: known, identity });
    }
    // It may take as long as whoever opens the store waits.
    client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = 0").await?;
    // Others come one after the other, and find the store as the first has left it.
    client.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", &[&LOCKS, &format!("migrate {schema}")]).await?;
    let from = match find(client, schema, known).await? {
        Some((version, _)) => version,
        None => {
            make_room(client, schema).await?;
            0
        }
    };
    for (version, migration) in (1_i32..).zip(migrations).skip(from as usize) {
        let oldest = i32::try_from(migration.oldest).unwrap_or(i32::MAX);
        client.batch_execute(migration.statements).await.map_err(of_migration)?;
        client.execute("UPDATE head SET version = $1, oldest = $2", &[&version, &oldest]).await?;
    }
    client.batch_execute("COMMIT").await?;
    let (_, identity) =
        find(client, schema, known).await?.ok_or_else(|| unavailable("the store went away while it was being made"))?;
    Ok(Known { version: known, identity })
}

/// Says for as long as the connection lasts that the store is in use.
pub(crate) async fn use_store(client: &Client, schema: &str) -> Result<(), Failure> {
    let is_had = have(client, schema, "SELECT pg_try_advisory_lock_shared($1, hashtext($2))").await?;
    if is_had { Ok(()) } else { Err(unavailable("the store is being moved")) }
}

/// Says for as long as the connection lasts that nobody else may use the store.
///
/// # Errors
/// [`StoreError::Busy`] where somebody does.
pub(crate) async fn have_alone(client: &Client, schema: &str) -> Result<(), Failure> {
    let is_had = have(client, schema, "SELECT pg_try_advisory_lock($1, hashtext($2))").await?;
    if is_had { Ok(()) } else { Err(StoreError::Busy.into()) }
}

/// Whoever has just left may still be known to the server.
async fn have(client: &Client, schema: &str, lock: &str) -> Result<bool, Failure> {
    for _ in 0..TRIES {
        let row = client.query_one(lock, &[&LOCKS, &format!("use {schema}")]).await?;
        if column(&row, 0)? {
            return Ok(true);
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    Ok(false)
}

/// Sees that there is a store, and of the newest version.
pub(crate) async fn see_newest(client: &Client, schema: &str) -> Result<(), Failure> {
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    match find(client, schema, known).await? {
        Some((version, _)) if version == known => Ok(()),
        Some((version, _)) => {
            Err(unavailable(format!("its schema has version {version}, and this program moves version {known}")))
        }
        None => Err(unavailable(format!("there is no store in the schema {schema}"))),
    }
}

/// A schema to make tables in. `CREATE SCHEMA IF NOT EXISTS` would need the right to create one even where it exists.
async fn make_room(client: &Client, schema: &str) -> Result<(), Failure> {
    let found = client.query_opt("SELECT 1 FROM pg_namespace WHERE nspname = $1", &[&schema]).await?;
    if found.is_none() {
        client.batch_execute(&format!("CREATE SCHEMA {}", quoted(schema))).await?;
    }
    Ok(())
}

/// Something else is there under the name of one of our tables.
fn of_migration(error: Error) -> Failure {
    let taken = [SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_OBJECT];
    match error.code() {
        Some(code) if taken.contains(code) => StoreError::NotAStore.into(),
        _ => error.into(),
    }
}

fn is_of_others(error: &Error) -> bool {
    let others = [SqlState::UNDEFINED_COLUMN, SqlState::WRONG_OBJECT_TYPE, SqlState::CANNOT_COERCE];
    error.code().is_some_and(|code| others.contains(code))
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod postgres_tests;
