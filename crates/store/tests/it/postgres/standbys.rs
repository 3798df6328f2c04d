//! Standbys: commits that wait for them, and those that take over.

use std::thread;

use authority::error::StoreError;
use jotd_pgserver::Server;

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
