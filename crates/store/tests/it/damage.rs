//! What is damaged, foreign or too new is refused by name, and not touched.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use authority::store::{Position, Store as _};
use jotd_store::{SqliteStore, check};
use rusqlite::Connection;

use crate::{files, make};

fn sql(path: &Path, batch: &str) {
    Connection::open(path).unwrap().execute_batch(batch).unwrap();
}

fn cut(path: &Path, len: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, offset).unwrap();
}

/// Bytes without a pattern, but the same every time.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

/// Its name, what is done to a store, and the code of the error.
type Damage = (&'static str, fn(&Path), &'static str);

#[test]
fn what_is_no_whole_store_of_ours_is_refused_and_not_touched() {
    let rows: [Damage; 13] = [
        ("noise", |path| fs::write(path, noise(50_000)).unwrap(), "store_not_ours"),
        ("a text", |path| fs::write(path, "[server]\n").unwrap(), "store_not_ours"),
        ("nothing", |path| cut(path, 0), "store_corrupt"),
        ("half a header", |path| cut(path, 50), "store_corrupt"),
        ("half a page", |path| cut(path, 2048), "store_corrupt"),
        ("half of the pages", |path| cut(path, path.metadata().unwrap().len() / 8192 * 4096), "store_corrupt"),
        ("all but one byte", |path| cut(path, path.metadata().unwrap().len() - 1), "store_corrupt"),
        ("another program's database", |path| other(path, "PRAGMA application_id = 7"), "store_not_ours"),
        ("a database of nobody", |path| other(path, "PRAGMA application_id = 0"), "store_not_ours"),
        ("a foreign log", |path| other(path, "PRAGMA journal_mode = WAL"), "store_not_ours"),
        ("a newer version", |path| sql(path, "PRAGMA user_version = 99"), "store_newer"),
        ("a negative version", |path| sql(path, "PRAGMA user_version = -1"), "store_corrupt"),
        ("noise in the middle", |path| overwrite(path, 4096 * 5 + 2000, &noise(4096)), "store_corrupt"),
    ];
    for (name, damage, code) in rows {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jotd.db");
        make(&path);
        damage(&path);
        let before = files(directory.path());
        let error = SqliteStore::open(&path).map(drop).unwrap_err();
        assert_eq!(error.code(), code, "{name}: {error}");
        assert!(files(directory.path()) == before, "{name}");
        assert_eq!(check(&path).unwrap_err().code(), code, "{name}");
        assert!(files(directory.path()) == before, "{name}");
    }
}

fn other(path: &Path, batch: &str) {
    fs::remove_file(path).unwrap();
    sql(path, "CREATE TABLE notes (text); INSERT INTO notes VALUES ('keep')");
    sql(path, batch);
}

#[test]
fn a_damaged_page_is_found_when_the_store_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jotd.db");
    make(&path);
    let pages = path.metadata().unwrap().len() / 4096;
    assert!(pages > 15);
    for page in 0..pages {
        fs::remove_file(&path).unwrap();
        make(&path);
        let start = if page == 0 { 100 } else { page * 4096 };
        overwrite(&path, start, &[0xff; 16]);
        let before = files(directory.path());
        let error = SqliteStore::open(&path).map(drop).unwrap_err();
        assert_eq!(error.code(), "store_corrupt", "page {page}: {error}");
        assert!(files(directory.path()) == before, "page {page}");
    }
}

#[test]
fn a_newer_store_says_both_versions() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jotd.db");
    make(&path);
    sql(&path, "PRAGMA user_version = 7");
    let error = SqliteStore::open(&path).map(drop).unwrap_err();
    let text = "the store was written by a newer version (its schema is 7, this program knows up to 2)";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_program_stops_writing_when_a_newer_one_has_changed_the_schema() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jotd.db");
    let mut store = SqliteStore::open(&path).unwrap();
    store.probe().unwrap();
    sql(&path, "PRAGMA user_version = 7");
    assert_eq!(store.probe().unwrap_err().code(), "store_newer");
    assert_eq!(store.transact(&mut |_| Ok(())).unwrap_err().code(), "store_newer");
    assert_eq!(store.changes_after(Position(0)), Ok(vec![]));
}

#[test]
fn a_place_where_no_store_can_be_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("directory")).unwrap();
    fs::write(at("file"), "x").unwrap();
    fs::write(at("gone.db-wal"), "a log").unwrap();
    let before = files(directory.path());
    for (name, code) in [
        ("directory", "store_not_ours"),
        ("missing/jotd.db", "store_unavailable"),
        ("file/jotd.db", "store_unavailable"),
        ("gone.db", "store_corrupt"),
        ("nul\0.db", "store_unavailable"),
    ] {
        let error = SqliteStore::open(&at(name)).map(drop).unwrap_err();
        assert_eq!(error.code(), code, "{name}: {error}");
    }
    assert!(files(directory.path()) == before);
}

#[test]
fn odd_names_are_only_names() {
    let directory = tempfile::tempdir().unwrap();
    for name in [":memory:", "file:x?mode=memory", "a b%20c#d?immutable=1", "ü", "-"] {
        let path = directory.path().join(name);
        make(&path);
        assert_eq!(check(&path).unwrap().clients, 100, "{name}");
        assert!(path.is_file());
    }
}
