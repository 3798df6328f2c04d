//! Loading what is stored, as of one moment. Revoked tokens, of which there may be many millions, are streamed.

use std::time::Duration;

use authority::error::StoreError;
use authority::ports::UnixTime;
use authority::store::{Kind, Loaded, Position, Record, Until};
use futures_util::TryStreamExt as _;
use tokio_postgres::Client;

use crate::failure::Failure;
use crate::postgres::copied::{self, Copied};
use crate::postgres::failure::corrupt;
use crate::postgres::link::Link;
use crate::postgres::marks::Marks;
use crate::postgres::read::{self, position, text};
use crate::postgres::schema::Known;
use crate::postgres::session::{STEP, Session, column};

/// Something of it must come in so long, however long all of it takes.
const PROGRESS: Duration = Duration::from_secs(20);

const HEAD: &str = "SELECT h.version, h.oldest, h.identity, coalesce(n.position, 0), coalesce(n.mark, 0), \
    coalesce(n.revoked_tokens, 0) - h.removed_tokens FROM head h \
    LEFT JOIN LATERAL (SELECT position, mark, revoked_tokens FROM changes ORDER BY position DESC LIMIT 1) n ON true";

const RECORDS: &str = "SELECT kind, id, body FROM records ORDER BY kind, id";

/// Few need their key here, and it is most of what a row has.
const TOKENS: &str = "COPY (SELECT id, expires_at, CASE WHEN expires_at IS NULL THEN key_id END FROM revoked_tokens) \
    TO STDOUT (FORMAT binary)";

/// Everything that is stored, as of the position answered; ends its transaction itself where all went well.
pub(crate) async fn load(
    session: &Session,
    known: &Known,
    marks: &mut Marks,
    each: &mut dyn FnMut(Loaded<'_>),
) -> Result<Position, Failure> {
    let client = &session.client;
    let (position, mark, counted) = session.within(STEP, begin(client, known)).await?;
    let nothing: [&str; 0] = [];
    let mut records = std::pin::pin!(session.within(PROGRESS, client.query_raw(RECORDS, nothing)).await?);
    while let Some(row) = session.within(PROGRESS, records.try_next()).await? {
        // Records of a kind that a newer program has brought are none of ours.
        if let Some(kind) = Kind::find_by_name(column(&row, 0)?) {
            each(Loaded::Record(Record { kind, id: text(&row, 1)?, body: text(&row, 2)? }));
        }
    }
    if counted > 0 {
        each(Loaded::Tokens(counted));
    }
    let mut rows = std::pin::pin!(session.within(PROGRESS, client.copy_out(TOKENS)).await?);
    let (mut copied, mut found) = (Copied::default(), 0);
    while let Some(bytes) = session.within(PROGRESS, rows.try_next()).await? {
        copied.take(&bytes, &mut |fields| {
            let &[id, expires_at, key] = fields else { return Err(copied::malformed()) };
            let id = read::id(id.unwrap_or_default())?;
            let key = key.map(std::str::from_utf8).transpose().map_err(|_| corrupt("a key id that is not UTF-8"))?;
            let expires_at = expires_at.map(copied::number).transpose()?;
            each(Loaded::Token(id, expires_at.map_or(Until::KeyRetired(key), |at| Until::Expiry(UnixTime(at)))));
            found += 1;
            Ok(())
        })?;
    }
    copied.finish()?;
    session.within(STEP, client.batch_execute("COMMIT")).await?;
    if counted != found {
        return Err(StoreError::Corrupt(format!("{counted} tokens were revoked, and {found} are found")).into());
    }
    // Only now: whoever does not get it all goes on from what it had, and must not mistake this for its sequel.
    marks.forget();
    marks.note(position, mark);
    Ok(position)
}

/// Leaves the transaction of a loading that failed.
pub(crate) fn give_up(link: &Link, session: &Session) {
    if session.check().is_ok() && link.wait(session.within(STEP, session.client.batch_execute("ROLLBACK"))).is_err() {
        session.end("loading was broken off");
    }
}

async fn begin(client: &Client, known: &Known) -> Result<(Position, i64, u64), Failure> {
    // All of it is read in the order in which it lies, and it may take long.
    client
        .batch_execute(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
             SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = '60 s'; SET LOCAL enable_seqscan = on",
        )
        .await?;
    let rows = client.query(HEAD, &[]).await?;
    let row = rows.first().ok_or_else(|| corrupt("its head is gone"))?;
    known.see(row)?;
    let counted = u64::try_from(column::<i64>(row, 5)?).map_err(|_| corrupt("a negative count of revoked tokens"))?;
    Ok((position(row, 3)?, column(row, 4)?, counted))
}
