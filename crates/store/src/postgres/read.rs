//! Reading. Each of these is one statement, so that what it finds is of one moment; many changes are several.

use authority::error::StoreError;
use authority::ports::UnixTime;
use authority::store::{Change, Changed, Kind, Position, Record, RevocationId, RevokedToken, Stored};
use tokio_postgres::{Client, Row, Statement};

use crate::failure::Failure;
use crate::postgres::failure::corrupt;
use crate::postgres::marks::Marks;
use crate::postgres::schema::Known;
use crate::postgres::session::{STEP, Session, column, prepare_all};

/// Whoever is behind by more than this had better load everything.
const MOST_BEHIND: i64 = 100_000;

/// Changes of one statement, so that each comes in time over a slow way, too: whoever gets on gets there.
const PAGE: i64 = 5_000;

/// The head, and each of the next changes after a position with what is stored under its id. A row without a change where there is
/// none: the head is always one of what comes back. What is stored is looked up change by change, however many.
const CHANGED: &str = "SELECT h.version, h.oldest, h.identity, coalesce(n.position, 0), coalesce(n.mark, 0), h.trimmed, \
    CASE $1 WHEN n.position THEN n.mark WHEN h.trimmed THEN h.trimmed_mark \
        ELSE (SELECT m.mark FROM changes m WHERE m.position = $1) END, \
    c.position, c.at, c.actor, c.action, c.kind, c.id, c.detail, \
    r.body, t.id, t.expires_at, t.key_id, t.revoked_at, t.actor, t.reason, c.mark \
    FROM head h \
    LEFT JOIN LATERAL (SELECT position, mark FROM changes ORDER BY position DESC LIMIT 1) n ON true \
    LEFT JOIN LATERAL (SELECT position, at, actor, action, kind, id, detail, mark FROM changes \
        WHERE position > $1 AND $1 >= h.trimmed AND n.position - $1 <= $2 ORDER BY position LIMIT $3) c ON true \
    LEFT JOIN LATERAL (SELECT body FROM records WHERE kind = c.kind AND id = c.id LIMIT 1) r ON true \
    LEFT JOIN LATERAL (SELECT id, expires_at, key_id, revoked_at, actor, reason FROM revoked_tokens \
        WHERE id = CASE c.kind WHEN 'token' THEN decode(convert_from(c.id, 'UTF8'), 'hex') END LIMIT 1) t ON true \
    ORDER BY c.position";

const LOG: &str = "SELECT position, at, actor, action, kind, id, detail FROM changes \
    WHERE position < $1 ORDER BY position DESC LIMIT $2";

const TOKEN: &str = "SELECT id, expires_at, key_id, revoked_at, actor, reason FROM revoked_tokens WHERE id = $1";

const TIME: &str = "SELECT floor(extract(epoch FROM clock_timestamp()))::bigint";

const TOKENS_OF: &str =
    "SELECT id, expires_at, key_id, revoked_at, actor, reason FROM revoked_tokens WHERE id = ANY ($1)";

const TOKENS: &str = "SELECT id, expires_at, key_id, revoked_at, actor, reason FROM revoked_tokens \
    WHERE id > $1 ORDER BY id LIMIT $2";

pub(crate) struct Statements {
    changed: Statement,
    log: Statement,
    token: Statement,
    tokens_of: Statement,
    tokens: Statement,
    time: Statement,
}

impl Statements {
    pub(crate) async fn prepare(client: &Client) -> Result<Self, Failure> {
        let [changed, log, token, tokens_of, tokens, time] =
            prepare_all(client, [CHANGED, LOG, TOKEN, TOKENS_OF, TOKENS, TIME]).await?;
        Ok(Self { changed, log, token, tokens_of, tokens, time })
    }

    /// Some of the changes after a position.
    async fn page(&self, client: &Client, after: Position, known: &Known, marks: &Marks) -> Result<Page, Failure> {
        let rows = client.query(&self.changed, &[&number(after), &MOST_BEHIND, &PAGE]).await?;
        let head = rows.first().ok_or_else(|| corrupt("its head is gone"))?;
        known.see(head)?;
        let (newest, trimmed, mark_there) = (position(head, 3)?, position(head, 5)?, column(head, 6)?);
        // A position that was never given, or was given to another change, is one of another history of this store.
        if after > newest || after < trimmed || !marks.agree(after, mark_there) {
            return Err(StoreError::Trimmed.into());
        }
        if newest.0 - after.0 > MOST_BEHIND.unsigned_abs() {
            return Err(StoreError::Trimmed.into());
        }
        if after == newest {
            return Ok(Page { changes: Vec::new(), mark_before: mark_there, end: (newest, column(head, 4)?), newest });
        }
        let last = rows.last().unwrap_or(head);
        let end = (position(last, 7)?, column(last, 21)?);
        let changes: Result<_, Failure> = rows.iter().map(changed).filter_map(Result::transpose).collect();
        Ok(Page { changes: changes?, mark_before: mark_there, end, newest })
    }

    /// The log, newest first: at most `limit` entries before `before`.
    pub(crate) async fn log(
        &self,
        client: &Client,
        before: Option<Position>,
        limit: usize,
    ) -> Result<Vec<Change>, Failure> {
        let rows = client.query(&self.log, &[&before.map_or(i64::MAX, number), &count(limit)]).await?;
        rows.iter().map(|row| change(row, 0)).filter_map(Result::transpose).collect()
    }

    pub(crate) async fn find_token(&self, client: &Client, id: RevocationId) -> Result<Option<RevokedToken>, Failure> {
        let row = client.query_opt(&self.token, &[&&id.0[..]]).await?;
        row.map(|row| token(&row, 0)).transpose()
    }

    /// What the server's clock shows.
    pub(crate) async fn time(&self, client: &Client) -> Result<UnixTime, Failure> {
        Ok(UnixTime(column(&client.query_one(&self.time, &[]).await?, 0)?))
    }

    pub(crate) async fn find_tokens(
        &self,
        client: &Client,
        ids: &[RevocationId],
    ) -> Result<Vec<RevokedToken>, Failure> {
        let ids: Vec<&[u8]> = ids.iter().map(|id| &id.0[..]).collect();
        client.query(&self.tokens_of, &[&ids]).await?.iter().map(|row| token(row, 0)).collect()
    }

    /// Revoked tokens in the order of their ids: at most `limit` after `after`.
    pub(crate) async fn tokens(
        &self,
        client: &Client,
        after: Option<RevocationId>,
        limit: usize,
    ) -> Result<Vec<RevokedToken>, Failure> {
        let after = after.as_ref().map_or(&[][..], |id| &id.0[..]);
        let rows = client.query(&self.tokens, &[&after, &count(limit)]).await?;
        rows.iter().map(|row| token(row, 0)).collect()
    }
}

/// Changes that follow each other.
struct Page {
    changes: Vec<Changed>,
    mark_before: Option<i64>,
    /// The last one's position and mark, whether its kind is known here or not.
    end: (Position, i64),
    /// The position of the newest one of all.
    newest: Position,
}

/// All changes after a position, up to the one that is the newest at first, or beyond it. What is stored under the id of
/// each is as it was when its page was read: whatever has changed it since is among these, or comes next.
pub(crate) async fn changes_after(
    session: &Session,
    after: Position,
    known: &Known,
    marks: &mut Marks,
) -> Result<Vec<Changed>, Failure> {
    let (client, reading, from) = (&session.client, &session.reading, marks.next(after));
    let Page { mut changes, mark_before, mut end, newest } =
        session.within(STEP, reading.page(client, from, known, marks)).await?;
    while end.0 < newest {
        let mut passed = Marks::default();
        passed.note(end.0, end.1);
        let next = session.within(STEP, reading.page(client, end.0, known, &passed)).await?;
        changes.extend(next.changes);
        end = next.end;
    }
    // Whoever fails to apply these asks from the same place again.
    if let Some(mark) = mark_before {
        marks.note(from, mark);
    }
    marks.note(end.0, end.1);
    if changes.is_empty() && end.0 > after {
        marks.pass(after, end.0);
    }
    Ok(changes)
}

/// As PostgreSQL counts.
pub(crate) fn number(position: Position) -> i64 {
    i64::try_from(position.0).unwrap_or(i64::MAX)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The position in a column.
pub(crate) fn position(row: &Row, index: usize) -> Result<Position, Failure> {
    let stored: i64 = column(row, index)?;
    Ok(Position(u64::try_from(stored).map_err(|_| corrupt("a negative position"))?))
}

/// The text in a column of bytes.
pub(crate) fn text(row: &Row, index: usize) -> Result<String, Failure> {
    owned(column(row, index)?)
}

fn owned(bytes: &[u8]) -> Result<String, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| corrupt("a text that is not UTF-8"))?;
    Ok(text.to_owned())
}

/// An entry of the log from seven columns, the first of which is `from`; `None` for a kind that a newer program has
/// brought: nothing that is known here depends on it.
fn change(row: &Row, from: usize) -> Result<Option<Change>, Failure> {
    let Some(kind) = Kind::find_by_name(column(row, from + 4)?) else { return Ok(None) };
    Ok(Some(Change {
        position: position(row, from)?,
        at: UnixTime(column(row, from + 1)?),
        actor: text(row, from + 2)?,
        action: column(row, from + 3)?,
        kind,
        id: text(row, from + 5)?,
        detail: text(row, from + 6)?,
    }))
}

fn changed(row: &Row) -> Result<Option<Changed>, Failure> {
    let Some(change) = change(row, 7)? else { return Ok(None) };
    let stored = if change.kind == Kind::Token {
        column::<Option<&[u8]>>(row, 15)?.map(|_| token(row, 15)).transpose()?.map(Stored::Token)
    } else {
        let body = column::<Option<&[u8]>>(row, 14)?.map(owned).transpose()?;
        body.map(|body| Stored::Record(Record { kind: change.kind, id: change.id.clone(), body }))
    };
    Ok(Some(Changed { change, stored }))
}

/// A revoked token from six columns, the first of which is `from`.
fn token(row: &Row, from: usize) -> Result<RevokedToken, Failure> {
    Ok(RevokedToken {
        id: id(column(row, from)?)?,
        expires_at: column::<Option<i64>>(row, from + 1)?.map(UnixTime),
        key_id: column::<Option<&[u8]>>(row, from + 2)?.map(owned).transpose()?,
        revoked_at: UnixTime(column(row, from + 3)?),
        actor: text(row, from + 4)?,
        reason: text(row, from + 5)?,
    })
}

/// The id of a token.
pub(crate) fn id(bytes: &[u8]) -> Result<RevocationId, Failure> {
    bytes.try_into().map(RevocationId).map_err(|_| corrupt("an id that is not 16 bytes long"))
}
