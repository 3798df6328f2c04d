//! Positions are in the order of commits, whatever the order in which transactions began.

use std::sync::mpsc;
use std::thread;

use authority::store::{Position, Store};
use jotd_pgserver::Server;
use jotd_store::PostgresStore;

use super::{Stranger, client, open, until};
use crate::write;

/// The ids that changed after a position, which moves on; positions have no gaps.
fn look(reader: &mut PostgresStore, position: &mut Position) -> Vec<String> {
    let changes = reader.changes_after(*position).unwrap();
    for changed in &changes {
        assert_eq!(changed.change.position.0, position.0 + 1, "no gaps, and in order");
        *position = changed.change.position;
    }
    changes.into_iter().map(|changed| changed.change.id).collect()
}

#[test]
fn whoever_begins_later_waits_and_a_reader_misses_nothing() {
    let url = Server::shared().new_store();
    let (mut reader, mut first, mut second) = (open(&url), open(&url), open(&url));
    let stranger = Stranger::of(&url);
    let mut position = Position(0);
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let (entered, has_entered) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let draft = crate::draft(client("first"));
            let written = first.transact(&mut |transaction| {
                begun.send(()).unwrap();
                may_go_on.recv().unwrap();
                transaction.write(authority::UnixTime(1), "first", &draft).map(drop)
            });
            written.unwrap();
        });
        has_begun.recv().unwrap();
        scope.spawn(move || {
            let draft = crate::draft(client("second"));
            let written = second.transact(&mut |transaction| {
                entered.send(()).unwrap();
                transaction.write(authority::UnixTime(1), "second", &draft).map(drop)
            });
            written.unwrap();
        });
        // It waits for the first one's lock on the head.
        let waiting = "SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_locks h ON h.pid = l.pid \
             WHERE NOT l.granted AND l.locktype = 'transactionid' AND h.relation = 'head'::regclass";
        until(|| stranger.run(waiting) == ["1"]);
        assert!(has_entered.try_recv().is_err());
        assert!(look(&mut reader, &mut position).is_empty());
        go_on.send(()).unwrap();
        has_entered.recv().unwrap();
        // The first has committed when the second begins.
        let mut seen = look(&mut reader, &mut position);
        assert_eq!(seen.first().map(String::as_str), Some("first"));
        until(|| {
            seen.extend(look(&mut reader, &mut position));
            seen.len() == 2
        });
        assert_eq!(seen, ["first", "second"]);
    });
    assert_eq!(look(&mut reader, &mut Position(0)), ["first", "second"]);
}

/// Writes as a program does that is slow between any two of its statements.
const LOCK: &str = "SELECT trimmed FROM head FOR UPDATE";
const WRITE: &str = "INSERT INTO changes (position, at, actor, action, kind, id, detail, mark, revoked_tokens) \
    SELECT max(position) + 1, 100, 'a', 'b', 'client', 'slow', '{}', 7, 0 FROM changes";

#[test]
fn a_transaction_that_began_earlier_and_commits_later_has_the_later_position() {
    let url = Server::shared().new_store();
    let (mut reader, mut writer) = (open(&url), open(&url));
    let stranger = Stranger::of(&url);
    let (mut position, mut seen) = (Position(0), Vec::new());
    // With an id of a transaction that is older than those to come.
    stranger.run("BEGIN; SELECT txid_current()");
    seen.extend(look(&mut reader, &mut position));
    write(&mut writer, [client("1")]).unwrap();
    seen.extend(look(&mut reader, &mut position));
    assert_eq!(stranger.run(LOCK), ["0"]);
    seen.extend(look(&mut reader, &mut position));
    stranger.run(WRITE);
    seen.extend(look(&mut reader, &mut position));
    assert_eq!(seen, ["1"], "what is not committed is not seen");
    stranger.run("COMMIT");
    seen.extend(look(&mut reader, &mut position));
    assert_eq!(seen, ["1", "slow"]);
    write(&mut writer, [client("3")]).unwrap();
    seen.extend(look(&mut reader, &mut position));
    assert_eq!((seen, position), (["1", "slow", "3"].map(str::to_owned).to_vec(), Position(3)));
}
