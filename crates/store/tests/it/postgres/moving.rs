//! Stores that are moved.

use std::path::Path;
use std::process::{Command, Stdio};

use authority::UnixTime;
use authority::error::StoreError;
use authority::store::{Answer, Change, Kind, Loaded, Position, RevocationId, RevokedToken, Store, Sweep, Transaction};
use jotd_pgserver::Server;
use jotd_store::{Location, MoveError, Moved, PostgresStore, SqliteStore, migrate};

use super::{Stranger, address, client, open, parts, until};
use crate::{content, draft, put, token, write};

fn file(path: &Path) -> Location {
    Location::Sqlite(path.to_owned())
}

fn server(url: &str) -> Location {
    Location::Postgres(Box::new(address(url)))
}

const ANSWER: &str = "caller\0key";

fn answer() -> Answer {
    let (request, created) = ("digest".to_owned(), "{\"a\":1}".to_owned());
    Answer { key: ANSWER.to_owned(), request, created, expires_at: UnixTime(1_000_000) }
}

/// Something of everything, with a log that does not begin at the beginning.
fn fill(store: &mut dyn Store) {
    write(store, (0..50).map(|id| client(&format!("client {id}")))).unwrap();
    let sweep = Sweep { log_before: UnixTime(i64::MAX), ..Sweep::default() };
    assert!(store.sweep(&sweep).unwrap());
    write(store, [put(Kind::Key, "k\0ü", "body\0ü"), token(1), token(1)]).unwrap();
    let tokens = (0..2500_u32).map(|number| {
        let mut id = [7; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let expires_at = (number % 3 > 0).then(|| UnixTime(i64::from(number) - 1000));
        let key_id = (number % 2 == 0).then(|| format!("key {}", number % 5));
        let (actor, reason) = (format!("actor {number}"), "theft\0".repeat((number % 4) as usize));
        let revoked_at = UnixTime(i64::from(number));
        authority::store::Put::Token(RevokedToken {
            id: RevocationId(id),
            expires_at,
            key_id,
            revoked_at,
            actor,
            reason,
        })
    });
    write(store, tokens).unwrap();
    store
        .transact(&mut |transaction| {
            assert!(transaction.remember_assertion(RevocationId([3; 16]), UnixTime(1_000_000))?);
            transaction.remember_answer(&answer())
        })
        .unwrap();
}

/// All that the port tells of a store, but for assertions and answers.
type Everything = (Position, Vec<String>, Vec<RevokedToken>, Vec<Change>);

fn everything(store: &mut dyn Store) -> Everything {
    let mut loaded = Vec::new();
    let position = store.load(&mut |entity| match entity {
        Loaded::Record(record) => loaded.push(format!("{record:?}")),
        Loaded::Tokens(_) => {}
        Loaded::Token(id, until) => loaded.push(format!("{id} {until:?}")),
    });
    loaded.sort();
    (position.unwrap(), loaded, store.tokens(None, usize::MAX).unwrap(), store.log(None, usize::MAX).unwrap())
}

/// Assertions and answers are there, too, and the log goes on where it was.
fn see_in_use(store: &mut dyn Store, position: Position) {
    assert_eq!(store.changes_after(Position(0)), Err(StoreError::Trimmed));
    assert_eq!(store.changes_after(position), Ok(vec![]));
    let mut next = None;
    let mut work = |transaction: &mut dyn Transaction| {
        assert!(!transaction.remember_assertion(RevocationId([3; 16]), UnixTime(1_000_000))?);
        assert_eq!(transaction.find_answer(ANSWER, UnixTime(1))?, Some(answer()));
        next = Some(transaction.write(UnixTime(1), "", &draft(client("next")))?);
        Ok(())
    };
    store.transact(&mut work).unwrap();
    assert_eq!(next, Some(Position(position.0 + 1)));
}

#[test]
fn a_store_goes_to_a_server_to_another_one_and_back_with_all_that_it_holds() {
    let directory = tempfile::tempdir().unwrap();
    let [start, end] = ["start.db", "end.db"].map(|name| directory.path().join(name));
    let (first, second) = (Server::shared().new_store(), Server::shared().new_store());
    fill(&mut SqliteStore::open(&start).unwrap());
    let expected = everything(&mut SqliteStore::open(&start).unwrap());
    let moved = Moved { records: 51, revoked_tokens: 2501, changes: 2504, position: Position(2553) };
    assert_eq!(expected.0, moved.position);
    for (from, to) in [(file(&start), server(&first)), (server(&first), server(&second)), (server(&second), file(&end))]
    {
        assert_eq!(migrate(&from, &to), Ok(moved.clone()), "{from} {to}");
    }
    let mut stores: [Box<dyn Store>; 4] = [
        Box::new(SqliteStore::open(&start).unwrap()),
        Box::new(open(&first)),
        Box::new(open(&second)),
        Box::new(SqliteStore::open(&end).unwrap()),
    ];
    for store in &mut stores {
        assert!(everything(&mut **store) == expected);
        see_in_use(&mut **store, expected.0);
    }
}

#[test]
fn an_empty_store_is_moved_too() {
    let directory = tempfile::tempdir().unwrap();
    let (path, url) = (directory.path().join("jotd.db"), Server::shared().new_store());
    drop(SqliteStore::open(&path).unwrap());
    let moved = migrate(&file(&path), &server(&url)).unwrap();
    assert_eq!(moved, Moved { records: 0, revoked_tokens: 0, changes: 0, position: Position(0) });
    write(&mut open(&url), [client("a")]).unwrap();
}

#[test]
fn only_an_empty_store_that_nobody_uses_is_written_and_only_a_store_is_moved() {
    let directory = tempfile::tempdir().unwrap();
    let [source, full, nowhere] = ["source.db", "full.db", "nowhere.db"].map(|name| directory.path().join(name));
    let (full_url, empty_url, nowhere_url) =
        (Server::shared().new_store(), Server::shared().new_store(), Server::shared().new_store());
    write(&mut SqliteStore::open(&source).unwrap(), [client("a"), token(1)]).unwrap();
    write(&mut SqliteStore::open(&full).unwrap(), [client("b")]).unwrap();
    write(&mut open(&full_url), [client("b")]).unwrap();
    for (from, to) in
        [(file(&source), file(&full)), (file(&source), server(&full_url)), (server(&full_url), file(&full))]
    {
        assert_eq!(migrate(&from, &to), Err(MoveError::NotEmpty), "{from} {to}");
    }
    for from in [file(&nowhere), server(&nowhere_url)] {
        let error = migrate(&from, &server(&empty_url)).unwrap_err();
        assert!(matches!(error, MoveError::Source(StoreError::Unavailable(_))), "{error}");
    }
    assert!(!nowhere.exists());
    let (open_file, open_full) = (SqliteStore::open(&source).unwrap(), open(&full_url));
    for (from, to) in [
        (file(&source), server(&empty_url)),
        (server(&full_url), server(&empty_url)),
        (file(&full), server(&full_url)),
        (file(&full), file(&source)),
    ] {
        let error = migrate(&from, &to).unwrap_err();
        assert_eq!(error.code(), "store_in_use", "{from} {to}: {error}");
    }
    drop((open_file, open_full));
    let same = migrate(&server(&full_url), &server(&full_url)).unwrap_err();
    assert_eq!(same.code(), "store_in_use");
    assert_eq!(content(&mut open(&empty_url)).0.len(), 0);
    for mut store in [Box::new(SqliteStore::open(&full).unwrap()) as Box<dyn Store>, Box::new(open(&full_url))] {
        assert_eq!(content(&mut *store).0.into_keys().collect::<Vec<_>>(), ["b"]);
    }
}

#[test]
fn a_damaged_store_is_not_moved() {
    let (from, to) = (Server::shared().new_store(), Server::shared().new_store());
    write(&mut open(&from), [client("a"), token(1)]).unwrap();
    Stranger::of(&from).run("UPDATE head SET removed_tokens = -1");
    let error = migrate(&server(&from), &server(&to)).unwrap_err();
    assert!(matches!(error, MoveError::Source(StoreError::Corrupt(_))), "{error}");
    assert_eq!(everything(&mut open(&to)).0, Position(0));
}

/// Not a test by itself: the process that the test below kills.
#[test]
fn moves_when_told_to() {
    let Some(to) = std::env::var_os("JOTD_TEST_MOVE_TO") else { return };
    let from = std::env::var_os("JOTD_TEST_MOVE_FROM").unwrap();
    migrate(&server(from.to_str().unwrap()), &server(to.to_str().unwrap())).unwrap();
}

#[test]
fn a_move_that_is_killed_leaves_the_target_empty() {
    let (from, to) = (Server::shared().new_store(), Server::shared().new_store());
    fill(&mut open(&from));
    drop(open(&to));
    let expected = everything(&mut open(&from));
    // It stops in the middle: whoever has this lock lets nobody write the log of the target.
    let stranger = Stranger::of(&to);
    stranger.run("BEGIN; LOCK TABLE assertions IN ACCESS EXCLUSIVE MODE");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["postgres::moving::moves_when_told_to", "--exact"])
        .env("JOTD_TEST_MOVE_FROM", &from)
        .env("JOTD_TEST_MOVE_TO", &to)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let moving = format!(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{}.assertions'::regclass",
        parts(&to).1
    );
    until(|| stranger.run(&moving) == ["1"]);
    // Nobody can come in between.
    let error = PostgresStore::open(&address(&from)).unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("is being moved")), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
    stranger.run("ROLLBACK");
    let mut target = None;
    until(|| {
        target = PostgresStore::open(&address(&to)).ok();
        target.is_some()
    });
    assert_eq!(everything(&mut target.unwrap()).0, Position(0));
    assert_eq!(content(&mut open(&to)), Default::default());
    until(|| PostgresStore::open(&address(&from)).is_ok());
    assert!(everything(&mut open(&from)) == expected);
    // The next one succeeds.
    until(|| migrate(&server(&from), &server(&to)).is_ok());
    assert!(everything(&mut open(&to)) == expected);
}
