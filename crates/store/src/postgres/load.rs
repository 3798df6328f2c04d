//! Loading what is stored, as of one moment. Revoked tokens, of which there may be many millions, are streamed.

use authority::error::StoreError;
use authority::ports::UnixTime;
use authority::store::{Kind, Loaded, Position, Record, Until};
use futures_util::TryStreamExt as _;
use tokio_postgres::Client;

use crate::failure::Failure;
use crate::postgres::failure::corrupt;
use crate::postgres::link::Link;
use crate::postgres::marks::Marks;
use crate::postgres::read::{id, position, text};
use crate::postgres::schema;
use crate::postgres::session::{STEP, Session, column};

const HEAD: &str = "SELECT version, oldest, position, mark, revoked_tokens FROM head";

const RECORDS: &str = "SELECT kind, id, body FROM records ORDER BY kind, id";

const TOKENS: &str = "SELECT id, expires_at, key_id FROM revoked_tokens";

/// Everything that is stored, as of the position answered; ends its transaction itself where all went well.
pub(crate) async fn load(
    session: &Session,
    known: u32,
    marks: &mut Marks,
    each: &mut dyn FnMut(Loaded<'_>),
) -> Result<Position, Failure> {
    let client = &session.client;
    let (position, mark, counted) = session.within(STEP, begin(client, known)).await?;
    for row in session.within(STEP * 4, client.query(RECORDS, &[])).await? {
        // Records of a kind that a newer program has brought are none of ours.
        if let Some(kind) = Kind::find_by_name(column(&row, 0)?) {
            each(Loaded::Record(Record { kind, id: text(&row, 1)?, body: text(&row, 2)? }));
        }
    }
    if counted > 0 {
        each(Loaded::Tokens(counted));
    }
    let mut rows = std::pin::pin!(session.within(STEP * 4, client.query_raw(TOKENS, &[] as &[&str])).await?);
    let mut found = 0;
    while let Some(row) = session.within(STEP * 4, rows.try_next()).await? {
        let key: Option<&[u8]> = column(&row, 2)?;
        let key = key.map(std::str::from_utf8).transpose().map_err(|_| corrupt("a key id that is not UTF-8"))?;
        let expires_at: Option<i64> = column(&row, 1)?;
        each(Loaded::Token(
            id(column(&row, 0)?)?,
            expires_at.map_or(Until::KeyRetired(key), |at| Until::Expiry(UnixTime(at))),
        ));
        found += 1;
    }
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

async fn begin(client: &Client, known: u32) -> Result<(Position, i64, u64), Failure> {
    // All of it is read in the order in which it lies, and it may take long.
    client
        .batch_execute(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
             SET LOCAL statement_timeout = 0; SET LOCAL enable_seqscan = on",
        )
        .await?;
    let row = client.query_one(HEAD, &[]).await?;
    schema::see_version(column(&row, 0)?, column(&row, 1)?, known)?;
    let counted = u64::try_from(column::<i64>(&row, 4)?).map_err(|_| corrupt("a negative count of revoked tokens"))?;
    Ok((position(&row, 2)?, column(&row, 3)?, counted))
}
