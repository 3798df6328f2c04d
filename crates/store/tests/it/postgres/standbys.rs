//! Standbys: commits that wait for them, and those that take over.

use std::thread;
use std::time::{Duration, Instant};

use authority::UnixTime;
use authority::error::StoreError;
use authority::store::{Expected, Position, RevocationId, Store as _};
use jotd_pgserver::{Proxy, Server};
use jotd_store::PostgresStore;

use super::{Stranger, client, open, parts, until};
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
        assert!(matches!(&written, Err(StoreError::Uncertain(why)) if why.contains("standbys")), "{written:?}");
    });
    let _ = server.query("ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()");
    until(|| stranger.run("SHOW synchronous_standby_names") == [""]);
    write(&mut store, [client("after")]).unwrap();
    assert_eq!(content(&mut store).0.len(), 3, "the server that was asked has it");
}

/// Whether what was read at this time is confirmed, looking all the while as a node does.
fn confirmed(store: &mut PostgresStore, read: Duration) -> bool {
    store.changes_after(Position(0)).unwrap();
    store.confirm(read, Duration::ZERO) >= Some(read)
}

#[test]
fn what_was_read_is_confirmed_by_a_server_that_commits_and_by_no_other() {
    let server = Server::start();
    let url = server.new_store();
    let mut store = open(&url);
    until(|| store.look_every() > Duration::from_millis(100));
    write(&mut store, [client("before")]).unwrap();
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
    assert_eq!(content(&mut store).0.len(), 2);
}

#[test]
fn what_else_the_server_warns_of_is_no_doubt_about_a_commit() {
    let url = Server::shared().new_store();
    let mut store = open(&url);
    let _ = Stranger::of(&url).run(
        "CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'nothing'; RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER warns AFTER INSERT ON changes DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION warn()",
    );
    write(&mut store, [client("a")]).unwrap();
    assert_eq!(content(&mut store).0.len(), 1);
}

#[test]
fn where_none_can_listen_another_connection_proves_that_the_server_commits() {
    let server = Server::start();
    let url = server.new_store();
    let (main, schema) = parts(&url);
    let _ = server.query(&format!("CREATE ROLE few LOGIN PASSWORD 'few'; CREATE SCHEMA {schema} AUTHORIZATION few"));
    let credentials = main.split("://").nth(1).unwrap().split('@').next().unwrap();
    let mut store = open(&url.replace(credentials, "few:few"));
    until(|| store.look_every() > Duration::from_millis(100));
    write(&mut store, [client("before")]).unwrap();
    until(|| confirmed(&mut store, Duration::from_secs(1)));
    let _ = server.query("ALTER ROLE few CONNECTION LIMIT 2");
    let ended = Stranger::of(&url).run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'few' AND query LIKE '%pg_logical_emit_message%'",
    );
    assert_eq!(ended, ["t"]);
    until(|| store.look_every() < Duration::from_millis(100));
    for read in 2..5 {
        until(|| confirmed(&mut store, Duration::from_secs(read)));
    }
    assert!(store.look_every() < Duration::from_millis(100), "it does not listen");
    write(&mut store, [client("a")]).unwrap();
}

#[test]
fn what_a_transaction_expects_is_looked_up_together() {
    let server = Server::shared();
    let proxy = Proxy::to(server.port());
    let url = server.new_store();
    let mut store = open(&url.replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port())));
    let ids: Vec<_> = (0..200).map(|id| RevocationId([id; 16])).collect();
    let mut expected: Vec<_> = ids.iter().map(|id| Expected::Assertion(*id)).collect();
    expected.extend((0..200).map(|key| Expected::Answer(key.to_string())));
    let written = store.transact(&mut |transaction| {
        transaction.expect(&expected)?;
        // From here on nothing would be answered.
        proxy.hold();
        for (key, id) in ids.iter().enumerate() {
            assert!(transaction.remember_assertion(*id, UnixTime(1))?);
            assert_eq!(transaction.find_answer(&key.to_string(), UnixTime(0))?, None);
        }
        proxy.pass();
        Ok(())
    });
    written.unwrap();
    let again = store.transact(&mut |transaction| {
        assert!(!transaction.remember_assertion(RevocationId([7; 16]), UnixTime(1))?);
        Ok(())
    });
    again.unwrap();
}
