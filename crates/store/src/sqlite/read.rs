//! Reading, always within a transaction of the caller where several reads must agree.

use authority::error::StoreError;
use authority::ports::UnixTime;
use authority::store::{Change, Changed, Kind, Loaded, Position, Record, RevocationId, RevokedToken, Stored};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::failure::Failure;
use crate::sqlite::failure::{kind, position, unexpected};
use crate::sqlite::load;

const TOKENS: &str = "SELECT id, expires_at, key_id, revoked_at, actor, reason FROM revoked_tokens";

const CHANGES: &str = "SELECT position, at, actor, action, kind, id, detail FROM changes";

/// One statement for both kinds of entities: the first seven columns are the entry of the log, then come the record's
/// body and the token's columns.
const CHANGED: &str = "SELECT c.position, c.at, c.actor, c.action, c.kind, c.id, c.detail, \
    r.body, t.id, t.expires_at, t.key_id, t.revoked_at, t.actor, t.reason FROM changes c \
    LEFT JOIN records r ON r.kind = c.kind AND r.id = c.id \
    LEFT JOIN revoked_tokens t ON t.id = CASE c.kind WHEN 'token' THEN unhex(c.id) END \
    WHERE c.position > ?1 ORDER BY c.position";

/// The newest entry of the log.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Newest {
    pub(crate) position: Position,
    pub(crate) at: Option<UnixTime>,
}

/// A number that changes with every commit of another connection.
pub(crate) fn data_version(connection: &Connection) -> Result<i64, Failure> {
    Ok(connection.prepare_cached("PRAGMA data_version")?.query_row((), |row| row.get(0))?)
}

pub(crate) fn newest(connection: &Connection) -> Result<Newest, Failure> {
    let mut statement = connection.prepare_cached("SELECT position, at FROM changes ORDER BY position DESC LIMIT 1")?;
    let newest =
        statement.query_row((), |row| Ok(Newest { position: position(row, 0)?, at: Some(UnixTime(row.get(1)?)) }));
    Ok(newest.optional()?.unwrap_or_default())
}

/// The newest position that was removed from the log.
pub(crate) fn trimmed(connection: &Connection) -> Result<Position, Failure> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = 'trimmed'")?;
    Ok(statement.query_row((), |row| position(row, 0))?)
}

/// Everything that is stored, as of the position answered.
pub(crate) fn load(connection: &Connection, each: &mut dyn FnMut(Loaded<'_>)) -> Result<Position, Failure> {
    load::records(connection, each)?;
    load::tokens(connection, each)?;
    Ok(newest(connection)?.position)
}

/// The changes after a position, where the log's newest entry has position `newest`.
pub(crate) fn changes_after(
    connection: &Connection,
    after: Position,
    newest: Position,
) -> Result<Vec<Changed>, Failure> {
    // A position that was never given is one of another store, or of this one before a backup of it was restored.
    if after > newest || after < trimmed(connection)? {
        return Err(StoreError::Trimmed.into());
    }
    let mut statement = connection.prepare_cached(CHANGED)?;
    let rows = statement.query_map([number(after)], |row| {
        let change = change(row)?;
        let stored = if change.kind == Kind::Token {
            row.get::<_, Option<[u8; 16]>>(8)?.map(|_| token(row, 8)).transpose()?.map(Stored::Token)
        } else {
            let record = |body| Stored::Record(Record { kind: change.kind, id: change.id.clone(), body });
            row.get::<_, Option<String>>(7)?.map(record)
        };
        Ok(Changed { change, stored })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The log, newest first: at most `limit` entries before `before`.
pub(crate) fn log(connection: &Connection, before: Option<Position>, limit: usize) -> Result<Vec<Change>, Failure> {
    let mut statement =
        connection.prepare_cached(&format!("{CHANGES} WHERE position < ?1 ORDER BY position DESC LIMIT ?2"))?;
    let rows = statement.query_map([before.map_or(i64::MAX, number), count(limit)], change)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn find_token(connection: &Connection, id: RevocationId) -> Result<Option<RevokedToken>, Failure> {
    let mut statement = connection.prepare_cached(&format!("{TOKENS} WHERE id = ?1"))?;
    Ok(statement.query_row([id.0], |row| token(row, 0)).optional()?)
}

/// Revoked tokens in the order of their ids: at most `limit` after `after`.
pub(crate) fn tokens(
    connection: &Connection,
    after: Option<RevocationId>,
    limit: usize,
) -> Result<Vec<RevokedToken>, Failure> {
    let mut statement =
        connection.prepare_cached(&format!("{TOKENS} WHERE id > coalesce(?1, x'') ORDER BY id LIMIT ?2"))?;
    let rows = statement.query_map((after.map(|id| id.0), count(limit)), |row| token(row, 0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many tokens are revoked; `None` in a store from before that was counted.
pub(crate) fn revoked_tokens(connection: &Connection) -> Result<Option<u64>, Failure> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = 'revoked_tokens'")?;
    let count: Option<i64> = statement.query_row((), |row| row.get(0)).optional()?;
    Ok(count.map(|count| u64::try_from(count).unwrap_or(u64::MAX)))
}

/// As SQLite counts.
pub(crate) fn number(position: Position) -> i64 {
    i64::try_from(position.0).unwrap_or(i64::MAX)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn change(row: &Row<'_>) -> rusqlite::Result<Change> {
    Ok(Change {
        position: position(row, 0)?,
        at: UnixTime(row.get(1)?),
        actor: row.get(2)?,
        action: row.get(3)?,
        kind: kind(row, 4)?,
        id: row.get(5)?,
        detail: row.get(6)?,
    })
}

/// A revoked token from six columns, the first of which is `from`.
fn token(row: &Row<'_>, from: usize) -> rusqlite::Result<RevokedToken> {
    let id: Vec<u8> = row.get(from)?;
    let id = id.try_into().map_err(|_| unexpected(from, Type::Blob, "an id that is not 16 bytes long"))?;
    Ok(RevokedToken {
        id: RevocationId(id),
        expires_at: row.get::<_, Option<i64>>(from + 1)?.map(UnixTime),
        key_id: row.get(from + 2)?,
        revoked_at: UnixTime(row.get(from + 3)?),
        actor: row.get(from + 4)?,
        reason: row.get(from + 5)?,
    })
}
