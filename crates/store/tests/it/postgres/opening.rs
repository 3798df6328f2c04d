//! Stores that are made, and what is no store of ours.

use std::sync::Barrier;
use std::thread;

use authority::error::StoreError;
use authority::store::{Position, Store as _};
use jotd_pgserver::Server;
use jotd_store::PostgresStore;

use super::{Stranger, address, client, open, parts};
use crate::{content, write};

#[test]
fn eight_threads_open_a_new_store_at_once_and_write() {
    for _ in 0..3 {
        let url = Server::shared().new_store();
        let barrier = Barrier::new(8);
        thread::scope(|scope| {
            for name in 0..8 {
                let (url, barrier) = (&url, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let mut store = open(url);
                    for round in 0..5 {
                        write(&mut store, [client(&format!("{name}-{round}"))]).unwrap();
                    }
                });
            }
        });
        let mut store = open(&url);
        assert_eq!(content(&mut store).0.len(), 40);
        assert_eq!(store.changes_after(Position(0)).unwrap().len(), 40);
    }
}

#[test]
fn what_is_no_store_of_ours_is_refused_and_not_touched() {
    for (name, sql, code) in [
        ("a head of others", "CREATE TABLE head (id bigint)", "store_not_ours"),
        (
            "another sort of head",
            "CREATE VIEW head AS SELECT 1 AS version, 1 AS oldest, 1 AS identity",
            "store_not_ours",
        ),
        ("records of others", "CREATE TABLE records (id bigint)", "store_not_ours"),
    ] {
        let url = Server::shared().new_store();
        let (main, schema) = parts(&url);
        let stranger = Stranger::of(&url);
        stranger.run(&format!("CREATE SCHEMA {schema}"));
        stranger.run(sql);
        let error = PostgresStore::open(&address(&url)).unwrap_err();
        assert_eq!(error.code(), code, "{name}: {error} {main}");
        let tables =
            stranger.run(&format!("SELECT count(*) FROM pg_class WHERE relnamespace = '{schema}'::regnamespace"));
        assert_eq!(tables, ["1"], "{name}");
    }
}

#[test]
fn a_store_without_what_must_be_there_is_damaged() {
    for (sql, code) in [
        ("DELETE FROM head", "store_corrupt"),
        ("UPDATE head SET version = -1", "store_corrupt"),
        ("UPDATE head SET version = 99, oldest = 99", "store_newer"),
    ] {
        let url = Server::shared().new_store();
        let mut store = open(&url);
        Stranger::of(&url).run(sql);
        assert_eq!(PostgresStore::open(&address(&url)).unwrap_err().code(), code, "{sql}");
        for error in [
            store.changes_after(Position(0)).unwrap_err(),
            write(&mut store, [client("a")]).unwrap_err(),
            store.load(&mut |_| ()).unwrap_err(),
        ] {
            assert_eq!(error.code(), code, "{sql}");
        }
    }
    let url = Server::shared().new_store();
    let mut store = open(&url);
    write(&mut store, [client("a")]).unwrap();
    Stranger::of(&url).run("UPDATE records SET body = '\\xff'");
    assert!(matches!(store.load(&mut |_| ()), Err(StoreError::Corrupt(_))));
    assert!(matches!(store.changes_after(Position(0)), Err(StoreError::Corrupt(_))));
    // It goes on working.
    write(&mut store, [client("a")]).unwrap();
    assert_eq!(content(&mut store).0.len(), 1);
}

#[test]
fn kinds_that_a_newer_program_has_brought_are_left_alone() {
    let url = Server::shared().new_store();
    let mut store = open(&url);
    write(&mut store, [client("1")]).unwrap();
    Stranger::of(&url).run(
        "INSERT INTO records VALUES ('novelty', 'n', '{}');
         INSERT INTO changes VALUES (2, 100, 'a', 'b', 'novelty', 'n', '{}', 7, 0);
         UPDATE head SET version = 99",
    );
    assert_eq!(store.changes_after(Position(1)), Ok(vec![]));
    write(&mut store, [client("3")]).unwrap();
    let positions = |store: &mut PostgresStore| {
        let changes = store.changes_after(Position(0)).unwrap();
        changes.iter().map(|changed| changed.change.position.0).collect::<Vec<_>>()
    };
    assert_eq!(positions(&mut store), [1, 3]);
    assert_eq!(store.log(None, 10).unwrap().len(), 2);
    assert_eq!(content(&mut open(&url)).0.into_keys().collect::<Vec<_>>(), ["1", "3"]);
}
