//! Connections that break, networks that swallow, and servers that stop.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use authority::error::StoreError;
use authority::store::{Position, Store as _};
use jotd_pgserver::{Proxy, Server, Shutdown};
use jotd_store::PostgresStore;

use super::{Stranger, client, open, parts, until};
use crate::{content, write};

/// Well below the time limit of any step.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Writes and counts what is acknowledged, while `harm` is done again and again; then nothing of it may be missing.
fn write_through(url: &str, harmed: &str, rounds: usize, mut harm: impl FnMut()) {
    let (acknowledged, ends) = (Mutex::new(BTreeSet::new()), AtomicBool::new(false));
    let is_over = &|| ends.load(Ordering::Relaxed);
    let count = || acknowledged.lock().unwrap().len();
    let mut unknown = BTreeSet::new();
    let (mut writing, mut following) = (open(harmed), open(harmed));
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (store, mut unknown) = (&mut writing, BTreeSet::new());
            for number in 0_u32.. {
                if is_over() {
                    break;
                }
                let id = format!("{number:06}");
                match write(store, [client(&id), crate::token((number % 256) as u8)]) {
                    Ok(()) => drop(acknowledged.lock().unwrap().insert(id)),
                    Err(StoreError::Uncertain(_)) => {
                        unknown.insert(id);
                    }
                    // Fails at once while there is no connection.
                    Err(StoreError::Unavailable(_)) => thread::sleep(Duration::from_millis(1)),
                    Err(error) => panic!("{error}"),
                }
            }
            unknown
        });
        let followed = &mut following;
        let follower = scope.spawn(move || {
            let (mut position, mut seen) = (Position(0), BTreeSet::new());
            while !is_over() {
                let Ok(changes) = followed.changes_after(position) else {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                };
                for changed in changes {
                    assert_eq!(changed.change.position.0, position.0 + 1, "no gaps");
                    position = changed.change.position;
                    seen.insert(changed.change.id);
                }
            }
            (followed, position, seen)
        });
        for _ in 0..rounds {
            let before = count();
            until(|| writer.is_finished() || count() > before + 3);
            harm();
        }
        let before = count();
        until(|| writer.is_finished() || count() > before + 3);
        ends.store(true, Ordering::Relaxed);
        unknown.extend(writer.join().unwrap());
        let (following, position, mut seen) = follower.join().unwrap();
        until(|| match following.changes_after(position) {
            Ok(rest) => {
                seen.extend(rest.into_iter().map(|changed| changed.change.id));
                true
            }
            Err(_) => false,
        });
        assert!(acknowledged.lock().unwrap().is_subset(&seen));
    });
    let mut store = open(url);
    let (records, tokens) = content(&mut store);
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.iter().all(|id| records.contains_key(id)), "nothing that was acknowledged is lost");
    let others = records.keys().filter(|id| !acknowledged.contains(*id));
    assert!(others.cloned().collect::<BTreeSet<_>>().is_subset(&unknown), "nothing else was written");
    // Of each transaction either all or nothing.
    assert_eq!(store.changes_after(Position(0)).unwrap().len(), 2 * records.len());
    assert_eq!(tokens, records.keys().map(|id| id.parse::<u32>().unwrap() % 256).collect::<BTreeSet<_>>().len());
}

#[test]
fn ended_sessions_lose_nothing_that_was_acknowledged() {
    let url = Server::shared().new_store();
    drop(open(&url));
    let stranger = Stranger::of(&url);
    let terminate = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'jotd/{}'",
        parts(&url).1
    );
    write_through(&url, &url, 25, || drop(stranger.run(&terminate)));
}

#[test]
fn cut_connections_lose_nothing_that_was_acknowledged() {
    let url = Server::shared().new_store();
    let proxy = Proxy::to(Server::shared().port());
    let harmed = through(&url, &proxy);
    write_through(&url, &harmed, 25, || {
        proxy.cut();
        proxy.pass();
    });
}

/// The same store by way of a proxy.
fn through(url: &str, proxy: &Proxy) -> String {
    let (main, schema) = parts(url);
    let (before, after) = main.rsplit_once(':').unwrap();
    let (_, database) = after.split_once('/').unwrap();
    format!("{before}:{}/{database}?schema={schema}", proxy.port())
}

/// Every call fails as what it is, and at once; where others have the processors meanwhile, another time.
fn see_away(store: &mut PostgresStore) {
    until(|| {
        let start = Instant::now();
        see_errors(store);
        start.elapsed() < AT_ONCE
    });
}

fn see_errors(store: &mut PostgresStore) {
    for error in [
        write(store, [client("x")]).unwrap_err(),
        store.changes_after(Position(0)).unwrap_err(),
        store.load(&mut |_| ()).unwrap_err(),
        store.log(None, 1).unwrap_err(),
        store.probe().unwrap_err(),
        store.tend(&mut |_| Ok(())).unwrap_err(),
    ] {
        assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("is not connected: ")), "{error}");
    }
}

#[test]
fn a_network_that_swallows_everything_is_noticed_and_then_fails_at_once() {
    let url = Server::shared().new_store();
    let proxy = Proxy::to(Server::shared().port());
    let mut store = open(&through(&url, &proxy));
    write(&mut store, [client("before")]).unwrap();
    proxy.hold();
    let start = Instant::now();
    for error in [write(&mut store, [client("held")]).unwrap_err(), store.changes_after(Position(1)).unwrap_err()] {
        assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("no answer within")), "{error}");
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    see_away(&mut store);
    proxy.pass();
    until(|| write(&mut store, [client("after")]).is_ok());
    let written = content(&mut open(&url)).0.len();
    until(|| store.changes_after(Position(0)).is_ok_and(|changes| changes.len() == written));
    proxy.refuse();
    proxy.cut();
    until(|| store.changes_after(Position(1)).is_err() && write(&mut store, [client("refused")]).is_err());
    see_away(&mut store);
    proxy.pass();
    until(|| write(&mut store, [client("last")]).is_ok());
}

#[test]
fn a_server_that_comes_back_is_found_again_with_all_that_was_acknowledged() {
    let mut server = Server::start();
    let url = server.new_store();
    let mut stores = [open(&url), open(&url)];
    for (number, how) in [Shutdown::Fast, Shutdown::Immediate].into_iter().enumerate() {
        write(&mut stores[0], [client(&number.to_string())]).unwrap();
        server.stop(how);
        for store in &mut stores {
            until(|| store.changes_after(Position(0)).is_err() && store.probe().is_err());
            see_away(store);
            assert!(matches!(
                PostgresStore::open(&super::address(&url)),
                Err(StoreError::Unavailable(why)) if why.contains("127.0.0.1")
            ));
        }
        server.start_again();
        for store in &mut stores {
            until(|| store.changes_after(Position(0)).is_ok_and(|changes| changes.len() == number + 1));
            until(|| store.probe().is_ok());
        }
    }
}

#[test]
fn a_handle_takes_its_connections_with_it() {
    let url = Server::shared().new_store();
    let mut store = open(&url);
    write(&mut store, [client("a")]).unwrap();
    let stranger = Stranger::of(&url);
    let sessions = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'jotd/{}'", parts(&url).1);
    until(|| stranger.run(&sessions) == ["3"]);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.transact(&mut |_| panic!("within a transaction"))
    }));
    assert!(panicked.is_err());
    let open = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND application_name = ";
    assert_eq!(stranger.run(&format!("{open}'jotd/{}'", parts(&url).1)), ["0"]);
    write(&mut store, [client("b")]).unwrap();
    drop(store);
    until(|| stranger.run(&sessions) == ["0"]);
}
