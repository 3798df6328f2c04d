//! Standbys: commits that wait for them, and those that take over.

use std::thread;
use std::time::{Duration, Instant};

use authority::error::StoreError;
use authority::store::{Position, Store as _};
use jotd_pgserver::Server;
use jotd_store::PostgresStore;

use super::{Stranger, client, open, until};
use crate::{content, write};

#[test]
fn a_commit_that_did_not_get_to_the_standby_is_not_acknowledged() {
    let server = Server::start();
    let url = server.new_store();
    let mut store = open(&url);
    write(&mut store, [client("before")]).unwrap();
    let _ = server.query("ALTER SYSTEM SET synchronous_standby_names = 'nobody'; SELECT pg_reload_conf()");
    let stranger = Stranger::of(&url);
    until(|| stranger.run("SHOW synchronous_standby_names") == ["nobody"]);
    thread::scope(|scope| {
        let writing = scope.spawn(|| write(&mut store, [client("waits")]));
        until(|| {
            writing.is_finished()
                || stranger.run("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
                    == ["t"]
        });
        let written = writing.join().unwrap();
        assert!(matches!(&written, Err(StoreError::Uncertain(why)) if why.contains("warning")), "{written:?}");
    });
    let _ = server.query("ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()");
    until(|| stranger.run("SHOW synchronous_standby_names") == [""]);
    write(&mut store, [client("after")]).unwrap();
    assert_eq!(content(&mut store).0.len(), 3, "the server that was asked has it");
}

/// Whether what was read at this time is confirmed, looking all the while as a node does.
fn confirmed(store: &mut PostgresStore, read: Duration) -> bool {
    store.changes_after(Position(0)).unwrap();
    store.confirm(read, Duration::ZERO) >= read
}

#[test]
fn what_was_read_is_confirmed_by_a_server_that_commits_and_by_no_other() {
    let server = Server::start();
    let url = server.new_store();
    let mut store = open(&url);
    until(|| confirmed(&mut store, Duration::from_secs(1)));
    let waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let listening = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'jotd%' \
        AND (query LIKE '%LISTEN%' OR query LIKE '%pg_logical_emit_message%') AND pid <> pg_backend_pid()";
    let _ = server.query("ALTER SYSTEM SET synchronous_standby_names = 'nobody'; SELECT pg_reload_conf()");
    let stranger = Stranger::of(&url);
    until(|| stranger.run("SHOW synchronous_standby_names") == ["nobody"]);
    let first = stranger.run(listening);
    assert_eq!(first.len(), 1, "{first:?}");

    // It is read as well as ever. What was on its way may still be confirmed.
    let mut read = Duration::from_secs(2);
    until(|| {
        read += Duration::from_secs(1);
        confirmed(&mut store, read);
        stranger.run(waiting) == first
    });
    read += Duration::from_secs(1);
    let mut refused = None;
    until(|| {
        assert!(!confirmed(&mut store, read));
        // As soon as that is known, nobody waits in vain.
        let started = Instant::now();
        if store.look_every() < Duration::from_millis(100) && refused.is_none() {
            let written = write(&mut store, [client("in vain")]);
            assert!(matches!(written, Err(StoreError::Unavailable(_))), "{written:?}");
            refused = Some(started.elapsed());
        }
        // Those that have waited for long make room for others.
        let waits = stranger.run(waiting);
        assert!(waits.len() <= 1, "{waits:?}");
        waits.len() == 1 && waits != first
    });
    assert!(refused.unwrap() < Duration::from_secs(1), "{refused:?}");

    let _ = server.query("ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()");
    until(|| confirmed(&mut store, read));
    until(|| write(&mut store, [client("after")]).is_ok());
    assert_eq!(content(&mut store).0.len(), 1);
}
