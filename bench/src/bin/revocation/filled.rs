//! A store with millions of revoked tokens, in a minute or two instead of many: written past the store, without its
//! syncs, but the same rows in the same order.

use std::path::Path;
use std::time::Instant;

use authority::store::Store as _;
use jotd_bench::{NOW, expires_at, id};
use jotd_store::SqliteStore;
use rusqlite::Connection;

const TOKEN: &str = "INSERT INTO revoked_tokens (id, expires_at, key_id, revoked_at, actor, reason, position) \
    VALUES (?1, ?2, ?3, ?4, 'bench', '', ?5)";

const CHANGE: &str = "INSERT INTO changes (at, actor, action, kind, id, detail) \
    VALUES (?1, 'bench', 'token.revoked', 'token', ?2, ?3)";

const KEY_ID: &str = "0123456789012345678901234567890123456789012";

pub(crate) fn fill(path: &Path, count: u64) {
    let started = Instant::now();
    drop(SqliteStore::open(path).expect("a store"));
    let connection = Connection::open(path).expect("the store");
    connection
        .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -2000000; BEGIN")
        .expect("ready");
    let mut token = connection.prepare(TOKEN).expect("a statement");
    let mut change = connection.prepare(CHANGE).expect("a statement");
    for number in 0..count {
        let (id, expires_at) = (id(number), expires_at(number).0);
        let detail = format!("{{\"expires_at\":{expires_at},\"reason\":\"\"}}");
        change.execute((NOW, id.to_string(), detail)).expect("written");
        token.execute((id.0, expires_at, KEY_ID, NOW, number as i64 + 1)).expect("written");
    }
    drop((token, change));
    let counted = "UPDATE meta SET value = value + ?1 WHERE name = 'revoked_tokens'";
    connection.execute(counted, [count as i64]).expect("counted");
    connection.execute_batch("COMMIT; PRAGMA journal_mode = WAL").expect("committed");
    drop(connection);
    let mut store = SqliteStore::open(path).expect("the store");
    for number in [0, count / 2, count - 1] {
        let found = store.find_token(id(number)).expect("read").expect("it is there");
        assert_eq!((found.expires_at, found.key_id.as_deref()), (Some(expires_at(number)), Some(KEY_ID)));
    }
    let size = path.metadata().map_or(0, |file| file.len()) / 1_000_000;
    println!("a store with {count} revoked tokens: {size} MB, made in {:.0} s", started.elapsed().as_secs_f64());
}
