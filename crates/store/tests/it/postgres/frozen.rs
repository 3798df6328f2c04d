//! Writers that freeze while they have the right to write.

use std::sync::mpsc;
use std::thread;

use authority::error::StoreError;
use authority::store::Store as _;
use jotd_pgserver::Server;
use jotd_store::PostgresStore;

use super::{Stranger, client, open, until};
use crate::{content, draft, write};

/// Writes as soon as that is possible; whoever is in the way is so for some time.
fn write_at_last(store: &mut PostgresStore, id: &str) {
    until(|| match write(store, [client(id)]) {
        Ok(()) => true,
        Err(StoreError::Busy) => false,
        Err(error) => panic!("{error}"),
    });
}

#[test]
fn a_frozen_writer_is_thrown_out_and_has_written_nothing() {
    let url = Server::shared().new_store();
    let (mut frozen, mut other) = (open(&url), open(&url));
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    thread::scope(|scope| {
        let frozen = scope.spawn(move || {
            let drafts = [draft(client("frozen")), draft(client("more"))];
            let written = frozen.transact(&mut |transaction| {
                transaction.write(authority::UnixTime(1), "frozen", &drafts[0])?;
                begun.send(()).unwrap();
                may_go_on.recv().unwrap();
                transaction.write(authority::UnixTime(1), "frozen", &drafts[1]).map(drop)
            });
            (written, frozen)
        });
        has_begun.recv().unwrap();
        write_at_last(&mut other, "other");
        go_on.send(()).unwrap();
        let (written, mut frozen) = frozen.join().unwrap();
        // The lock goes before the connection does: what is sent in between is not answered.
        assert!(matches!(written, Err(StoreError::Unavailable(_) | StoreError::Uncertain(_))), "{written:?}");
        assert_eq!(content(&mut other).0.into_keys().collect::<Vec<_>>(), ["other"]);
        // It works again by itself.
        until(|| write(&mut frozen, [client("again")]).is_ok());
    });
    assert_eq!(content(&mut other).0.into_keys().collect::<Vec<_>>(), ["again", "other"]);
}

#[test]
fn a_session_that_the_server_does_not_end_is_ended_by_whoever_waits() {
    let url = Server::shared().new_store();
    let mut store = open(&url);
    let stranger = Stranger::of(&url);
    stranger.run("SET idle_in_transaction_session_timeout = 0; BEGIN; SELECT trimmed FROM head FOR UPDATE");
    write_at_last(&mut store, "a");
    assert!(stranger.client.is_closed());
    assert_eq!(content(&mut store).0.len(), 1);
}
