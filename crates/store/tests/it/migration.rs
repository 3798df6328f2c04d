//! Stores of earlier versions of the schema.

use std::path::Path;

use authority::UnixTime;
use authority::store::{Loaded, RevocationId, Store as _, Sweep};
use jotd_store::{SqliteStore, backup, check};
use rusqlite::Connection;

use crate::{put, token, write};

/// The first version's schema, as it was released.
const FIRST: &str = include_str!("../../src/sqlite/migrations/0001.sql");

/// A store of the first version with three revoked tokens: one expires, two go with their key.
fn make_first(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(FIRST).unwrap();
    connection
        .execute_batch(
            "INSERT INTO revoked_tokens VALUES (zeroblob(16), 100, NULL, 1, 'a', ''),
                 (randomblob(16), NULL, 'k', 1, 'a', ''), (randomblob(16), NULL, 'l', 1, 'a', '');
             INSERT INTO records VALUES ('client', 'c', '{}');
             PRAGMA application_id = 0x6a6f7464; PRAGMA user_version = 1; PRAGMA journal_mode = WAL",
        )
        .unwrap();
}

fn loaded(store: &mut SqliteStore) -> (usize, usize) {
    let (mut records, mut tokens) = (0, 0);
    let load = store.load(&mut |loaded| match loaded {
        Loaded::Record(_) => records += 1,
        Loaded::Token(..) => tokens += 1,
        Loaded::Tokens(_) => {}
    });
    load.unwrap();
    (records, tokens)
}

#[test]
fn a_store_of_the_first_version_is_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jotd.db");
    make_first(&path);
    assert_eq!(check(&path).unwrap().revoked_tokens, 3, "as it is");
    backup(&path, &directory.path().join("copy")).unwrap();
    for path in [&path, &directory.path().join("copy")] {
        let mut store = SqliteStore::open(path).unwrap();
        assert_eq!(loaded(&mut store), (1, 3));
        write(&mut store, [token(7), token(7), token(8)]).unwrap();
        assert_eq!(loaded(&mut store), (1, 5));
        let retired_keys = vec!["l".to_owned()];
        assert!(store.sweep(&Sweep { expired_at: UnixTime(3600), retired_keys, ..Sweep::default() }).unwrap());
        assert_eq!(store.find_token(RevocationId([0; 16])), Ok(None));
        drop(store);
        assert_eq!(loaded(&mut SqliteStore::open(path).unwrap()), (1, 3));
        assert_eq!(check(path).unwrap().revoked_tokens, 3);
    }
}

#[test]
fn a_store_that_does_not_give_all_of_its_revoked_tokens_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jotd.db");
    write(&mut SqliteStore::open(&path).unwrap(), [token(1), token(2), put(authority::store::Kind::Client, "c", "{}")])
        .unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch("DELETE FROM revoked_tokens WHERE id = x'01010101010101010101010101010101'")
        .unwrap();
    let mut store = SqliteStore::open(&path).unwrap();
    let error = store.load(&mut |_| ()).unwrap_err();
    assert_eq!(error.to_string(), "the store is damaged: 2 tokens were revoked, and 1 are found");
    assert_eq!(check(&path).unwrap_err().code(), "store_corrupt");
}
