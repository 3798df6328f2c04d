//! Removing what is not needed any more: a bounded part per call, so that nobody waits long for the right to write.

use authority::store::Sweep;
use rusqlite::{Connection, OptionalExtension as _};

use crate::failure::Failure;
use crate::sqlite::write::count_tokens;

/// Rows of each sort that one call removes at most.
const MOST: i64 = 10_000;

/// Revoked tokens that one call removes at most: each is on a page of its own.
const MOST_TOKENS: i64 = 250;

/// Answers that are kept for repeats and removed at most: those to batches are long.
const MOST_ANSWERS: i64 = 100;

/// Hours that are over.
const TOKENS: (&str, &str) = (
    "SELECT EXISTS (SELECT 1 FROM revoked_tokens INDEXED BY revoked_tokens_by_expiry \
     WHERE expires_at / 3600 < ?1 / 3600 AND expires_at IS NOT NULL)",
    "DELETE FROM revoked_tokens WHERE id IN (SELECT id FROM revoked_tokens INDEXED BY revoked_tokens_by_expiry \
     WHERE expires_at / 3600 < ?1 / 3600 AND expires_at IS NOT NULL LIMIT ?2)",
);

const OTHERS: [(&str, &str); 2] = [
    (
        "SELECT EXISTS (SELECT 1 FROM assertions WHERE expires_at <= ?1)",
        "DELETE FROM assertions WHERE id IN (SELECT id FROM assertions WHERE expires_at <= ?1 LIMIT ?2)",
    ),
    (
        "SELECT EXISTS (SELECT 1 FROM answers WHERE expires_at <= ?1)",
        "DELETE FROM answers WHERE key IN (SELECT key FROM answers WHERE expires_at <= ?1 LIMIT ?2)",
    ),
];

const OF_KEY: (&str, &str) = (
    "SELECT EXISTS (SELECT 1 FROM revoked_tokens WHERE key_id = ?1 AND expires_at IS NULL)",
    "DELETE FROM revoked_tokens WHERE id IN \
     (SELECT id FROM revoked_tokens WHERE key_id = ?1 AND expires_at IS NULL LIMIT ?2)",
);

/// Of the oldest entries of the log, but for the newest, the last one from before a time. Their times never go back.
const OLD: &str = "SELECT max(position) FROM (SELECT position, at FROM changes \
    WHERE position < (SELECT max(position) FROM changes) ORDER BY position LIMIT ?2) WHERE at < ?1";

/// Whether there is anything to remove, by a look at the indexes.
pub(crate) fn is_needed(connection: &Connection, sweep: &Sweep) -> Result<bool, Failure> {
    for (exists, _) in [TOKENS].into_iter().chain(OTHERS) {
        if connection.prepare_cached(exists)?.query_row([sweep.expired_at.0], |row| row.get(0))? {
            return Ok(true);
        }
    }
    let mut of_key = connection.prepare_cached(OF_KEY.0)?;
    for key in &sweep.retired_keys {
        if of_key.query_row([key], |row| row.get(0))? {
            return Ok(true);
        }
    }
    Ok(old(connection, sweep, 1)?.is_some())
}

/// Removes a part of it; within a transaction.
pub(crate) fn run(connection: &Connection, sweep: &Sweep) -> Result<(), Failure> {
    let mut tokens = connection.prepare_cached(TOKENS.1)?.execute((sweep.expired_at.0, MOST_TOKENS))?;
    for ((_, delete), most) in OTHERS.into_iter().zip([MOST, MOST_ANSWERS]) {
        connection.prepare_cached(delete)?.execute((sweep.expired_at.0, most))?;
    }
    let mut of_key = connection.prepare_cached(OF_KEY.1)?;
    let mut left = MOST_TOKENS;
    for key in &sweep.retired_keys {
        let removed = of_key.execute((key, left))?;
        left = left.saturating_sub(i64::try_from(removed).unwrap_or(i64::MAX)).max(0);
        tokens += removed;
    }
    if tokens > 0 {
        count_tokens(connection, -i64::try_from(tokens).unwrap_or(i64::MAX))?;
    }
    if let Some(last) = old(connection, sweep, MOST)? {
        connection.prepare_cached("DELETE FROM changes WHERE position <= ?1")?.execute([last])?;
        connection.prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'trimmed'")?.execute([last])?;
    }
    Ok(())
}

fn old(connection: &Connection, sweep: &Sweep, most: i64) -> Result<Option<i64>, Failure> {
    let mut statement = connection.prepare_cached(OLD)?;
    Ok(statement.query_row((sweep.log_before.0, most), |row| row.get(0)).optional()?.flatten())
}
