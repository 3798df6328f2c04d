//! Other histories: a standby took over that had not got the last commits, or a backup was restored.

use authority::error::StoreError;
use authority::store::{Position, Store};
use jotd_pgserver::Server;

use super::{Stranger, client, open, until};
use crate::{content, write};

/// Within a transaction, too.
fn see_trimmed(store: &mut dyn Store, position: u64, name: &str) {
    for _ in 0..2 {
        assert_eq!(store.changes_after(Position(position)), Err(StoreError::Trimmed), "{name}");
        let within = store.transact(&mut |transaction| transaction.changes_after(Position(position)).map(drop));
        assert_eq!(within, Err(StoreError::Trimmed), "{name}");
    }
}

/// A name, what happens to five changes, and how many a position was the last of in both histories.
const LOST: [(&str, &str, u64); 5] = [
    ("the last one was lost", "DELETE FROM changes WHERE position = 5", 4),
    ("the last one became another", "UPDATE changes SET mark = 7 WHERE position = 5", 4),
    (
        "the last two became others, and more came",
        "UPDATE changes SET mark = 7 WHERE position > 3;
         INSERT INTO changes SELECT 6, at, actor, action, kind, id, detail, 8, 0 FROM changes WHERE position = 5",
        3,
    ),
    (
        "the last ones became others, of which some are trimmed",
        "UPDATE changes SET mark = 7 WHERE position > 3;
         INSERT INTO changes SELECT 6, at, actor, action, kind, id, detail, 8, 0 FROM changes WHERE position = 5;
         DELETE FROM changes WHERE position < 6; UPDATE head SET trimmed = 5, trimmed_mark = 7",
        0,
    ),
    ("all was lost", "DELETE FROM changes", 0),
];

#[test]
fn nobody_goes_on_from_a_change_that_became_another() {
    for (name, lost, common) in LOST {
        let url = Server::shared().new_store();
        let (mut wrote, mut followed, mut loaded, mut behind) = (open(&url), open(&url), open(&url), open(&url));
        for number in 1..=5_u64 {
            write(&mut wrote, [client(&number.to_string())]).unwrap();
            if number == common {
                assert_eq!(behind.changes_after(Position(0)).unwrap().len() as u64, common);
            }
        }
        assert_eq!(followed.changes_after(Position(0)).unwrap().len(), 5);
        assert_eq!(loaded.load(&mut |_| ()), Ok(Position(5)));
        let stranger = Stranger::of(&url);
        stranger.run(lost);
        see_trimmed(&mut wrote, 5, name);
        see_trimmed(&mut followed, 5, name);
        see_trimmed(&mut loaded, 5, name);
        if common > 0 {
            // In the part that both have in common.
            assert!(behind.changes_after(Position(common)).is_ok(), "{name}");
        }
        // What is lost is found out even where others go on to the same position.
        write(&mut behind, [client("new")]).unwrap();
        see_trimmed(&mut followed, 5, name);
        for store in [&mut wrote, &mut followed, &mut loaded] {
            let position = store.load(&mut |_| ()).unwrap();
            assert_eq!(store.changes_after(position), Ok(vec![]), "{name}");
            assert_eq!(store.transact(&mut |transaction| transaction.changes_after(position).map(drop)), Ok(()));
        }
    }
}

#[test]
fn a_failed_transaction_does_not_make_a_handle_forget_where_it_was() {
    let url = Server::shared().new_store();
    let (mut store, mut other) = (open(&url), open(&url));
    write(&mut store, [client("1")]).unwrap();
    write(&mut other, [client("2")]).unwrap();
    let failed = store.transact(&mut |transaction| {
        assert_eq!(transaction.changes_after(Position(1))?.len(), 1);
        Err(StoreError::Busy)
    });
    assert_eq!(failed, Err(StoreError::Busy));
    Stranger::of(&url).run("UPDATE changes SET mark = 7");
    see_trimmed(&mut store, 1, "the position from before");
}

#[test]
fn what_cannot_be_loaded_is_not_gone_on_from() {
    let url = Server::shared().new_store();
    let mut store = open(&url);
    write(&mut store, [client("1"), crate::token(1)]).unwrap();
    let stranger = Stranger::of(&url);
    stranger.run("UPDATE changes SET mark = 7; UPDATE head SET removed_tokens = -1");
    see_trimmed(&mut store, 2, "before");
    let error = store.load(&mut |_| ()).unwrap_err();
    assert_eq!(error.to_string(), "the store is damaged: 2 tokens were revoked, and 1 are found");
    see_trimmed(&mut store, 2, "after");
    stranger.run("UPDATE head SET removed_tokens = 0");
    assert_eq!(store.load(&mut |_| ()), Ok(Position(2)));
    assert_eq!(store.changes_after(Position(2)), Ok(vec![]));
}

#[test]
fn another_store_in_its_place_is_not_taken_for_it() {
    let url = Server::shared().new_store();
    let mut store = open(&url);
    write(&mut store, [client("1")]).unwrap();
    let stranger = Stranger::of(&url);
    let (_, schema) = super::parts(&url);
    let terminate =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'jotd/{schema}'");
    for (what, says) in [
        (format!("DROP SCHEMA {schema} CASCADE"), "the store is not there any more"),
        (String::new(), "another store has taken the place of the one that was opened"),
    ] {
        if what.is_empty() {
            drop(open(&url));
        } else {
            stranger.run(&what);
        }
        stranger.run(&terminate);
        until(|| match store.load(&mut |_| ()) {
            Err(StoreError::Unavailable(error)) => error.contains(says),
            other => panic!("{other:?}"),
        });
        assert!(matches!(write(&mut store, [client("2")]), Err(StoreError::Unavailable(_))));
    }
    assert_eq!(content(&mut open(&url)).0.len(), 0);
}

#[test]
fn changes_that_only_newer_programs_know_are_read_once() {
    let url = Server::shared().new_store();
    let (mut store, mut other) = (open(&url), open(&url));
    write(&mut store, [client("a")]).unwrap();
    assert_eq!(other.changes_after(Position(0)).unwrap().len(), 1);
    let stranger = Stranger::of(&url);
    let insert = |from: i32, to: i32| {
        stranger.run(&format!(
            "INSERT INTO changes SELECT n, 1, '', 'new', 'unheard_of', '', '{{}}', 5, 0 FROM generate_series({from}, {to}) AS n"
        ))
    };
    insert(2, 300);
    assert_eq!(other.changes_after(Position(1)), Ok(vec![]));
    // Those that were passed are not needed any more; those that come are found, from the place that was reached with the
    // last that is known.
    stranger.run("DELETE FROM changes WHERE position < 300; UPDATE head SET trimmed = 299, trimmed_mark = 5");
    assert_eq!(other.changes_after(Position(1)), Ok(vec![]));
    insert(301, 302);
    write(&mut store, [client("b")]).unwrap();
    let changes = other.changes_after(Position(1)).unwrap();
    assert_eq!(changes.iter().map(|changed| changed.change.position).collect::<Vec<_>>(), [Position(303)]);
    assert_eq!(other.changes_after(Position(303)), Ok(vec![]));
}
