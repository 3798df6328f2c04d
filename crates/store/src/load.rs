//! Loading the revoked tokens, of which there may be many millions: from two indexes that hold all that is wanted of them,
//! so that no more of the file is read than that.
//!
//! What is read is held against what must be there. Each index is strictly ascending, so no page of it stands twice or in
//! another one's place; together they have as many entries as were counted when they were written.

use authority::error::StoreError;
use authority::ports::UnixTime;
use authority::store::{Loaded, RevocationId, Until};
use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Row};

use crate::failure::{Failure, unexpected};
use crate::read;

/// Of what expires. An error rather than another index.
const BY_EXPIRY: &str = "SELECT expires_at, id FROM revoked_tokens INDEXED BY revoked_tokens_by_expiry \
    WHERE expires_at IS NOT NULL ORDER BY expires_at, id";

/// Of what does not.
const BY_KEY: &str = "SELECT key_id, id FROM revoked_tokens INDEXED BY revoked_tokens_by_key \
    WHERE expires_at IS NULL ORDER BY key_id, id";

pub(crate) fn tokens(connection: &Connection, each: &mut dyn FnMut(Loaded<'_>)) -> Result<(), Failure> {
    let counted = read::revoked_tokens(connection)?;
    counted.into_iter().filter(|counted| *counted > 0).for_each(|counted| each(Loaded::Tokens(counted)));
    let found = by_expiry(connection, each)? + by_key(connection, each)?;
    match counted {
        Some(counted) if counted != found => {
            Err(corrupt(format!("{counted} tokens were revoked, and {found} are found")))
        }
        _ => Ok(()),
    }
}

fn by_expiry(connection: &Connection, each: &mut dyn FnMut(Loaded<'_>)) -> Result<u64, Failure> {
    let mut statement = connection.prepare_cached(BY_EXPIRY)?;
    let mut rows = statement.query(())?;
    let (mut found, mut before) = (0, None);
    while let Some(row) = rows.next()? {
        let present: (i64, [u8; 16]) = (row.get(0)?, id(row, 1)?);
        see_order(before.is_none_or(|before| before < present))?;
        each(Loaded::Token(RevocationId(present.1), Until::Expiry(UnixTime(present.0))));
        (found, before) = (found + 1, Some(present));
    }
    Ok(found)
}

fn by_key(connection: &Connection, each: &mut dyn FnMut(Loaded<'_>)) -> Result<u64, Failure> {
    let mut statement = connection.prepare_cached(BY_KEY)?;
    let mut rows = statement.query(())?;
    let (mut found, mut key, mut before): (_, Option<String>, _) = (0, None, None);
    while let Some(row) = rows.next()? {
        let id = id(row, 1)?;
        let present = match row.get_ref(0)? {
            ValueRef::Null => None,
            value => Some(value.as_str().map_err(|_| unexpected(0, Type::Text, "a key id that is not a text"))?),
        };
        // There are few keys, and many of each.
        if key.as_deref() != present {
            see_order(key.as_deref() < present)?;
            (key, before) = (present.map(str::to_owned), None);
        }
        see_order(before.is_none_or(|before| before < id))?;
        each(Loaded::Token(RevocationId(id), Until::KeyRetired(key.as_deref())));
        (found, before) = (found + 1, Some(id));
    }
    Ok(found)
}

fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<[u8; 16]> {
    let blob = row.get_ref(column)?.as_blob().ok().and_then(|blob| blob.try_into().ok());
    blob.ok_or_else(|| unexpected(column, Type::Blob, "an id that is not 16 bytes long"))
}

fn see_order(is_ascending: bool) -> Result<(), Failure> {
    if is_ascending { Ok(()) } else { Err(corrupt("revoked tokens are out of order".to_owned())) }
}

fn corrupt(what: String) -> Failure {
    StoreError::Corrupt(what).into()
}
