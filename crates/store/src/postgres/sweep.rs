//! Removing what is not needed any more: a bounded part per call, so that nobody waits long for the right to write.

use authority::store::Sweep;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use crate::failure::Failure;
use crate::postgres::link::Link;
use crate::postgres::session::{STEP, Session, column, prepare_all};
use crate::postgres::turn::Turn;

/// Rows of each sort that one call removes at most.
const MOST: i64 = 10_000;

/// Revoked tokens that one call removes at most, while nobody can write.
const MOST_TOKENS: i64 = 5_000;

/// Answers that are kept for repeats and removed at most: those to batches are long.
const MOST_ANSWERS: i64 = 100;

/// What is there to remove: of what nobody waits for, and of what others must not write meanwhile.
const IS_NEEDED: &str = "SELECT \
    EXISTS (SELECT 1 FROM assertions WHERE expires_at <= $1) OR EXISTS (SELECT 1 FROM answers WHERE expires_at <= $1), \
    EXISTS (SELECT 1 FROM revoked_tokens WHERE expires_at / 3600 < $1::bigint / 3600 AND expires_at IS NOT NULL) \
    OR EXISTS (SELECT 1 FROM unnest($2::bytea[]) AS k (id) WHERE \
        EXISTS (SELECT 1 FROM revoked_tokens t WHERE t.key_id = k.id AND t.expires_at IS NULL)) \
    OR EXISTS (SELECT 1 FROM (SELECT at FROM changes WHERE position < (SELECT max(position) FROM changes) \
        ORDER BY position LIMIT 1) AS o WHERE o.at < $3)";

const ASSERTIONS: &str =
    "DELETE FROM assertions WHERE id = ANY (ARRAY(SELECT id FROM assertions WHERE expires_at <= $1 LIMIT $2))";

const ANSWERS: &str =
    "DELETE FROM answers WHERE key = ANY (ARRAY(SELECT key FROM answers WHERE expires_at <= $1 LIMIT $2))";

/// Hours that are over, and what was signed by keys that are retired.
const TOKENS: &str = "WITH gone AS (DELETE FROM revoked_tokens WHERE id = ANY (ARRAY( \
        (SELECT id FROM revoked_tokens WHERE expires_at / 3600 < $1::bigint / 3600 AND expires_at IS NOT NULL LIMIT $2) \
        UNION ALL \
        (SELECT t.id FROM unnest($3::bytea[]) AS k (id) \
            JOIN revoked_tokens t ON t.key_id = k.id AND t.expires_at IS NULL LIMIT $2))) RETURNING 1) \
    UPDATE head SET removed_tokens = removed_tokens + (SELECT count(*) FROM gone)";

/// Of the oldest entries of the log, but for the newest, those up to the last one from before a time. Their times never
/// go back.
const LOG: &str = "WITH last AS MATERIALIZED ( \
        SELECT position, mark FROM (SELECT position, at, mark FROM changes \
            WHERE position < (SELECT max(position) FROM changes) ORDER BY position LIMIT $2) AS o \
        WHERE o.at < $1 ORDER BY position DESC LIMIT 1), \
    gone AS (DELETE FROM changes WHERE position <= (SELECT position FROM last)) \
    UPDATE head SET trimmed = last.position, trimmed_mark = last.mark FROM last";

const PROBE: &str = "UPDATE probe SET room = decode(repeat(md5(random()::text), 64), 'hex')";

pub(crate) struct Statements {
    is_needed: Statement,
    assertions: Statement,
    answers: Statement,
    tokens: Statement,
    log: Statement,
    pub(crate) probe: Statement,
}

impl Statements {
    pub(crate) async fn prepare(client: &Client) -> Result<Self, Failure> {
        let texts = [IS_NEEDED, ASSERTIONS, ANSWERS, TOKENS, LOG, PROBE];
        let [is_needed, assertions, answers, tokens, log, probe] = prepare_all(client, texts).await?;
        Ok(Self { is_needed, assertions, answers, tokens, log, probe })
    }
}

/// Removes a part of it; `false` where there is nothing, or another process is at it.
pub(crate) fn run(link: &Link, reader: &Session, writer: &Session, sweep: &Sweep) -> Result<bool, Failure> {
    let keys: Vec<&[u8]> = sweep.retired_keys.iter().map(|key| key.as_bytes()).collect();
    let (expired_at, log_before) = (sweep.expired_at.0, sweep.log_before.0);
    let look = async {
        let parameters: [&(dyn ToSql + Sync); 3] = [&expired_at, &keys, &log_before];
        let row = reader.client.query_one(&reader.sweeping.is_needed, &parameters).await?;
        Ok::<_, Failure>((column::<bool>(&row, 0)?, column::<bool>(&row, 1)?))
    };
    let (others, ordered) = link.wait(reader.within(STEP, look))?;
    let (client, statements) = (&writer.client, &writer.sweeping);
    if others {
        let Some(turn) = Turn::begin_alone(link, writer)? else { return Ok(false) };
        turn.commit(async |pipeline| {
            for (statement, most) in [(&statements.assertions, MOST), (&statements.answers, MOST_ANSWERS)] {
                pipeline.send(async move { client.execute(statement, &[&expired_at, &most]).await }).await;
            }
        })?;
    }
    if ordered {
        let Some(turn) = Turn::begin_alone(link, writer)? else { return Ok(false) };
        // Whoever revokes a token that is just being removed must find either all of it or nothing.
        turn.lock()?;
        turn.commit(async |pipeline| {
            let tokens = async move { client.execute(&statements.tokens, &[&expired_at, &MOST_TOKENS, &keys]).await };
            pipeline.send(tokens).await;
            pipeline.send(async move { client.execute(&statements.log, &[&log_before, &MOST]).await }).await;
        })?;
    }
    Ok(others || ordered)
}
