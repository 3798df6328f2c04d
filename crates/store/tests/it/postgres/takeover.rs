//! A server that was replaced by another and comes back, writable and with an old history.

use authority::error::StoreError;
use authority::store::Store as _;
use jotd_pgserver::{Proxy, Server, Shutdown};
use std::time::Instant;

use super::{Stranger, client, open, parts, until};
use crate::{content, write};

#[test]
fn no_connection_goes_back_to_a_server_that_was_replaced() {
    let mut old = Server::start();
    let url = old.new_store();
    let mut first = open(&url);
    write(&mut first, [client("before")]).unwrap();
    drop(first);
    old.stop(Shutdown::Fast);
    let new = old.taken_over();
    let (_, schema) = parts(&url);
    let credentials = url.split("://").nth(1).unwrap().split('@').next().unwrap().to_owned();
    let both =
        format!("postgres://{credentials}@127.0.0.1:{},127.0.0.1:{}/postgres?schema={schema}", old.port(), new.port());
    // The old one is down: all of it leads to the new one.
    let mut store = open(&both);
    write(&mut store, [client("after")]).unwrap();
    let on_new = url.replace(&format!(":{}/", old.port()), &format!(":{}/", new.port()));
    assert_eq!(content(&mut open(&on_new)).0.len(), 2);
    assert_eq!(store.changes_after(authority::store::Position(0)).unwrap().len(), 2);

    // Now it is the first that is tried, and lets itself be read and written.
    old.start_again();
    assert_eq!(content(&mut open(&url)).0.len(), 1, "it lacks what came after");
    let harm = Stranger::of(&on_new);
    let ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE application_name LIKE 'jotd%' AND pid <> pg_backend_pid() AND query LIKE ";
    for (round, pattern) in ["'SELECT h.version%'", "'COMMIT%'", "'%'"].into_iter().enumerate() {
        let ended = harm.run(&format!("{ends}{pattern}"));
        assert!(ended.iter().any(|ended| ended == "t"), "{pattern}: {ended:?}");
        let id = format!("round-{round}");
        until(|| match write(&mut store, [client(&id)]) {
            Ok(()) => true,
            Err(StoreError::Unavailable(_) | StoreError::Uncertain(_)) => false,
            Err(error) => panic!("{error}"),
        });
        until(|| match store.changes_after(authority::store::Position(0)) {
            Ok(changes) => {
                assert_eq!(changes.last().unwrap().change.id, id, "what was written is what is read");
                true
            }
            Err(StoreError::Unavailable(_)) => false,
            Err(error) => panic!("{error}"),
        });
    }
    assert_eq!(content(&mut open(&on_new)).0.len(), 5);
    assert_eq!(content(&mut open(&url)).0.len(), 1, "nothing went to the old one");
}

#[test]
fn where_one_connection_gets_no_answer_the_others_are_given_up_too() {
    let server = Server::shared();
    let proxy = Proxy::to(server.port());
    let url = server.new_store();
    let through = url.replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port()));
    let mut store = open(&through);
    write(&mut store, [client("before")]).unwrap();
    proxy.hold();
    let started = Instant::now();
    assert!(matches!(store.changes_after(authority::store::Position(0)), Err(StoreError::Unavailable(_))));
    let looked = started.elapsed();
    assert!(matches!(write(&mut store, [client("lost")]), Err(StoreError::Unavailable(_))));
    // Not after another limit, which would be as long again.
    assert!(started.elapsed() < looked + looked / 2, "{looked:?}, then {:?}", started.elapsed());
    proxy.pass();
    until(|| write(&mut store, [client("after")]).is_ok());
}
