//! Loading what is stored. Of revoked tokens there may be many millions: they come from two indexes that hold all that is
//! wanted of them, so that no more of the file is read than that.
//!
//! What is read is held against what must be there. Tables and indexes are strictly ascending, so no page stands twice or
//! in another one's place; and there are as many revoked tokens as were counted when they were written.

use authority::error::StoreError;
use authority::ports::UnixTime;
use authority::store::{Kind, Loaded, Record, RevocationId, Until};
use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Row};

use crate::failure::Failure;
use crate::sqlite::failure::{kind, unexpected};
use crate::sqlite::read;

/// Of what expires, in the order of the index. An error rather than another index.
const BY_EXPIRY: &str = "SELECT expires_at / 3600, position, expires_at, id FROM revoked_tokens \
    INDEXED BY revoked_tokens_by_expiry WHERE expires_at IS NOT NULL";

/// Of what does not.
const BY_KEY: &str = "SELECT key_id, position, id FROM revoked_tokens \
    INDEXED BY revoked_tokens_by_key WHERE expires_at IS NULL";

/// Of a store from before they were counted and indexed so, which is read as it is to be copied or checked.
const FIRST_VERSION: &str = "SELECT expires_at, key_id, id FROM revoked_tokens";

const RECORDS: &str = "SELECT kind, id, body FROM records";

pub(crate) fn records(connection: &Connection, each: &mut dyn FnMut(Loaded<'_>)) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(RECORDS)?;
    let mut rows = statement.query(())?;
    let mut before: Option<(Kind, String)> = None;
    while let Some(row) = rows.next()? {
        let (kind, id): (Kind, String) = (kind(row, 0)?, row.get(1)?);
        see_order(before.is_none_or(|(last, before)| (last.name(), before) < (kind.name(), id.clone())))?;
        before = Some((kind, id.clone()));
        each(Loaded::Record(Record { kind, id, body: row.get(2)? }));
    }
    Ok(())
}

pub(crate) fn tokens(connection: &Connection, each: &mut dyn FnMut(Loaded<'_>)) -> Result<(), Failure> {
    let Some(counted) = read::revoked_tokens(connection)? else { return first_version(connection, each) };
    if counted > 0 {
        each(Loaded::Tokens(counted));
    }
    let found = by_expiry(connection, each)? + by_key(connection, each)?;
    if counted == found {
        return Ok(());
    }
    Err(corrupt(format!("{counted} tokens were revoked, and {found} are found")))
}

fn by_expiry(connection: &Connection, each: &mut dyn FnMut(Loaded<'_>)) -> Result<u64, Failure> {
    let mut statement = connection.prepare_cached(BY_EXPIRY)?;
    let mut rows = statement.query(())?;
    let (mut found, mut before) = (0, None);
    while let Some(row) = rows.next()? {
        let present: (i64, i64, i64, [u8; 16]) = (row.get(0)?, row.get(1)?, row.get(2)?, id(row, 3)?);
        see_order(before.is_none_or(|before| before < present))?;
        each(Loaded::Token(RevocationId(present.3), Until::Expiry(UnixTime(present.2))));
        (found, before) = (found + 1, Some(present));
    }
    Ok(found)
}

fn by_key(connection: &Connection, each: &mut dyn FnMut(Loaded<'_>)) -> Result<u64, Failure> {
    let mut statement = connection.prepare_cached(BY_KEY)?;
    let mut rows = statement.query(())?;
    let (mut found, mut key, mut before): (_, Option<String>, _) = (0, None, None);
    while let Some(row) = rows.next()? {
        let place: (i64, [u8; 16]) = (row.get(1)?, id(row, 2)?);
        let present = match row.get_ref(0)? {
            ValueRef::Null => None,
            value => Some(value.as_str().map_err(|_| unexpected(0, Type::Text, "a key id that is not a text"))?),
        };
        // There are few keys, and many of each.
        if key.as_deref() != present {
            see_order(key.as_deref() < present)?;
            (key, before) = (present.map(str::to_owned), None);
        }
        see_order(before.is_none_or(|before| before < place))?;
        each(Loaded::Token(RevocationId(place.1), Until::KeyRetired(key.as_deref())));
        (found, before) = (found + 1, Some(place));
    }
    Ok(found)
}

fn first_version(connection: &Connection, each: &mut dyn FnMut(Loaded<'_>)) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(FIRST_VERSION)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let (expires_at, key_id): (Option<i64>, Option<String>) = (row.get(0)?, row.get(1)?);
        let until = expires_at.map_or(Until::KeyRetired(key_id.as_deref()), |at| Until::Expiry(UnixTime(at)));
        each(Loaded::Token(RevocationId(id(row, 2)?), until));
    }
    Ok(())
}

fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<[u8; 16]> {
    let blob = row.get_ref(column)?.as_blob().ok().and_then(|blob| blob.try_into().ok());
    blob.ok_or_else(|| unexpected(column, Type::Blob, "an id that is not 16 bytes long"))
}

fn see_order(is_ascending: bool) -> Result<(), Failure> {
    if is_ascending { Ok(()) } else { Err(corrupt("its content is out of order".to_owned())) }
}

fn corrupt(what: String) -> Failure {
    StoreError::Corrupt(what).into()
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
