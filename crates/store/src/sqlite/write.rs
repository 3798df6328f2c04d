//! The transaction in which a mutation and its entry in the log are written.

use std::borrow::Cow;

use authority::error::StoreError;
use authority::ports::UnixTime;
use authority::store::{Answer, Changed, Draft, Kind, Position, Put, Record, RevocationId, RevokedToken, Transaction};
use rusqlite::{Connection, OptionalExtension as _};

use crate::failure::Failure;
use crate::sqlite::read;

const PUT_TOKEN: &str = "INSERT INTO revoked_tokens \
    (id, expires_at, key_id, revoked_at, actor, reason, position) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING";

/// The later time, where none is the latest, and the key by whose retirement such an entry goes.
const EXTEND_TOKEN: &str = "UPDATE revoked_tokens SET expires_at = max(expires_at, ?2), \
    key_id = CASE WHEN ?2 IS NULL THEN coalesce(?3, key_id) ELSE coalesce(key_id, ?3) END WHERE id = ?1";

const PUT_RECORD: &str = "INSERT INTO records (kind, id, body) VALUES (?1, ?2, ?3) \
    ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body";

const APPEND: &str =
    "INSERT INTO changes (at, actor, action, kind, id, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING position";

const PUT_ANSWER: &str = "INSERT INTO answers (key, request, created, expires_at) VALUES (?1, ?2, ?3, ?4) \
    ON CONFLICT (key) DO UPDATE \
    SET request = excluded.request, created = excluded.created, expires_at = excluded.expires_at";

/// A transaction that has the right to write.
pub(crate) struct Writing<'c> {
    connection: &'c Connection,
    /// Tokens that were not revoked before.
    new_tokens: usize,
    /// The time of the newest entry of the log, where it is known.
    newest_at: Option<UnixTime>,
    /// After an error nothing is written any more, nor committed: SQLite may have rolled back by itself.
    failed: Option<StoreError>,
}

impl<'c> Writing<'c> {
    pub(crate) fn new(connection: &'c Connection) -> Self {
        Self { connection, new_tokens: 0, newest_at: None, failed: None }
    }

    /// Writes what is left to be written. Fails with what went wrong, even where the one who wrote went on.
    pub(crate) fn finish(self) -> Result<(), StoreError> {
        self.failed.map_or(Ok(()), Err)?;
        let new_tokens = i64::try_from(self.new_tokens).unwrap_or(i64::MAX);
        if new_tokens > 0 { Ok(count_tokens(self.connection, new_tokens)?) } else { Ok(()) }
    }

    fn attempt<T>(&mut self, act: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T, StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        act(self.connection).map_err(|failure| {
            let error = StoreError::from(failure);
            if error != StoreError::Trimmed {
                self.failed = Some(error.clone());
            }
            error
        })
    }
}

impl Transaction for Writing<'_> {
    fn changes_after(&mut self, position: Position) -> Result<Vec<Changed>, StoreError> {
        self.attempt(|connection| {
            let newest = read::newest(connection)?.position;
            if position == newest { Ok(Vec::new()) } else { read::changes_after(connection, position, newest) }
        })
    }

    fn write(&mut self, at: UnixTime, actor: &str, draft: &Draft) -> Result<Position, StoreError> {
        let (mut is_new, former) = (false, self.newest_at);
        let written = self.attempt(|connection| {
            let (kind, id) = match &draft.put {
                Put::Record(record) => (record.kind, Cow::Borrowed(&*record.id)),
                Put::Remove(kind, id) => (*kind, Cow::Borrowed(&**id)),
                Put::Token(token) => (Kind::Token, Cow::Owned(token.id.to_string())),
            };
            if kind == Kind::Token && !matches!(draft.put, Put::Token(_)) {
                return Err(StoreError::Unavailable("a revoked token is not a record".to_owned()).into());
            }
            // The clocks of those who write may differ; the log's times never go back.
            let newest = if former.is_some() { former } else { read::newest(connection)?.at };
            let at = newest.map_or(at, |newest| newest.max(at));
            let row = (at.0, actor, draft.action, kind.name(), &*id, &draft.detail);
            let mut append = connection.prepare_cached(APPEND)?;
            let position = append.query_row(row, |row| crate::sqlite::failure::position(row, 0))?;
            match &draft.put {
                Put::Token(token) => is_new = put_token(connection, token, position)?,
                Put::Record(record) => put_record(connection, record)?,
                Put::Remove(..) => {
                    let mut remove = connection.prepare_cached("DELETE FROM records WHERE kind = ?1 AND id = ?2")?;
                    remove.execute((kind.name(), &*id))?;
                }
            }
            Ok((position, at))
        });
        let (position, at) = written?;
        self.new_tokens += usize::from(is_new);
        self.newest_at = Some(at);
        Ok(position)
    }

    fn remember_assertion(&mut self, id: RevocationId, expires_at: UnixTime) -> Result<bool, StoreError> {
        self.attempt(|connection| {
            let mut insert = connection
                .prepare_cached("INSERT INTO assertions (id, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
            Ok(insert.execute((id.0, expires_at.0))? == 1)
        })
    }

    fn find_answer(&mut self, key: &str, now: UnixTime) -> Result<Option<Answer>, StoreError> {
        self.attempt(|connection| {
            let mut find = connection.prepare_cached(
                "SELECT request, created, expires_at FROM answers WHERE key = ?1 AND expires_at > ?2",
            )?;
            let answer = find.query_row((key, now.0), |row| {
                let (request, created, expires_at) = (row.get(0)?, row.get(1)?, UnixTime(row.get(2)?));
                Ok(Answer { key: key.to_owned(), request, created, expires_at })
            });
            Ok(answer.optional()?)
        })
    }

    fn remember_answer(&mut self, answer: &Answer) -> Result<(), StoreError> {
        self.attempt(|connection| {
            let mut insert = connection.prepare_cached(PUT_ANSWER)?;
            insert.execute((&answer.key, &answer.request, &answer.created, answer.expires_at.0))?;
            Ok(())
        })
    }
}

fn put_record(connection: &Connection, record: &Record) -> Result<(), Failure> {
    let mut insert = connection.prepare_cached(PUT_RECORD)?;
    insert.execute((record.kind.name(), &record.id, &record.body))?;
    Ok(())
}

/// Answers whether it was not revoked before.
fn put_token(connection: &Connection, token: &RevokedToken, position: Position) -> Result<bool, Failure> {
    let expires_at = token.expires_at.map(|time| time.0);
    let mut insert = connection.prepare_cached(PUT_TOKEN)?;
    let (revoked_at, position) = (token.revoked_at.0, read::number(position));
    let row = (token.id.0, expires_at, &token.key_id, revoked_at, &token.actor, &token.reason, position);
    if insert.execute(row)? == 1 {
        return Ok(true);
    }
    connection.prepare_cached(EXTEND_TOKEN)?.execute((token.id.0, expires_at, &token.key_id))?;
    Ok(false)
}

/// Counts what was added to the revoked tokens, or removed from them.
pub(crate) fn count_tokens(connection: &Connection, more: i64) -> Result<(), Failure> {
    let mut count = connection.prepare_cached("UPDATE meta SET value = value + ?1 WHERE name = 'revoked_tokens'")?;
    count.execute([more])?;
    Ok(())
}
