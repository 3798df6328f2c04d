//! Damage to a store that is too large to be read whole: it is found, or nothing of what decides about tokens is missing.

use std::fs;
use std::path::Path;

use authority::store::{Draft, Put, RevokedToken, Store as _};

use super::*;
use crate::SqliteStore;
use crate::sqlite::connection::{open_unchanging, see_usable};

const PAGE: usize = 4096;

/// What is loaded, as texts.
fn load(path: &Path) -> Result<Vec<String>, Failure> {
    let connection = open_unchanging(path)?;
    see_usable(&connection, path, 0)?;
    let mut loaded = Vec::new();
    read::load(&connection, &mut |item| loaded.push(format!("{item:?}")))?;
    Ok(loaded)
}

fn make(path: &Path) {
    let token = |number: u64| {
        let id =
            RevocationId(u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes());
        let expires_at = (!number.is_multiple_of(3)).then_some(UnixTime(1_000_000 + (number % 7 * 1000) as i64));
        let key_id = Some(format!("key {}", number % 2));
        let (actor, reason) = ("someone".to_owned(), "lost".to_owned());
        Put::Token(RevokedToken { id, expires_at, key_id, revoked_at: UnixTime(1), actor, reason })
    };
    let client = |number| Record { kind: Kind::Client, id: format!("c{number}"), body: "x".repeat(100) };
    let drafts: Vec<_> = (0..2500)
        .map(token)
        .chain((0..100).map(|number| Put::Record(client(number))))
        .map(|put| Draft { action: "test.done", detail: "{}".to_owned(), put })
        .collect();
    let mut store = SqliteStore::open(path).unwrap();
    let written = store.transact(&mut |transaction| {
        drafts.iter().try_for_each(|draft| transaction.write(UnixTime(1), "tester", draft).map(drop))
    });
    written.unwrap();
}

#[test]
fn no_damaged_page_takes_a_revoked_token_away_unseen() {
    let directory = tempfile::tempdir().unwrap();
    let (path, damaged) = (directory.path().join("jotd.db"), directory.path().join("damaged.db"));
    make(&path);
    let whole = fs::read(&path).unwrap();
    let expected = load(&path).unwrap();
    assert_eq!(expected.len(), 1 + 2500 + 100);
    let (pages, mut seen) = (whole.len() / PAGE, 0);
    assert!(pages > 100);
    for page in 1..pages {
        let (at, other) = (page * PAGE, (page % (pages - 1) + 1) * PAGE);
        for number in 0..4 {
            let mut file = whole.clone();
            match number {
                0 => file[at..at + 16].fill(0xff),
                1 => file[at..at + PAGE].fill(0),
                // Another page in its place.
                2 => file.copy_within(other..other + PAGE, at),
                // All of its cells but one.
                _ => file[at + 3..at + 5].copy_from_slice(&[0, 1]),
            }
            fs::write(&damaged, &file).unwrap();
            match load(&damaged).map_err(StoreError::from) {
                Ok(loaded) => assert!(loaded == expected, "page {page}, damage {number}"),
                Err(StoreError::Corrupt(_) | StoreError::NotAStore) => seen += 1,
                Err(error) => panic!("page {page}, damage {number}: {error}"),
            }
        }
    }
    assert!(seen > 100, "{seen} of {}", 4 * pages);
}

#[test]
fn both_indexes_are_all_that_is_read() {
    let directory = tempfile::tempdir().unwrap();
    make(&directory.path().join("jotd.db"));
    let connection = open_unchanging(&directory.path().join("jotd.db")).unwrap();
    for statement in [BY_EXPIRY, BY_KEY] {
        let mut plan = connection.prepare(&format!("EXPLAIN {statement}")).unwrap();
        let codes = plan.query_map((), |row| row.get::<_, String>(1)).unwrap();
        let opened = codes.map(Result::unwrap).filter(|code| code == "OpenRead" || code == "SorterOpen").count();
        assert_eq!(opened, 1, "{statement}");
    }
}
