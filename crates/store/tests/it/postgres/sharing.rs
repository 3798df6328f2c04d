//! What nodes do for each other: waking, and what one of them does at a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use authority::UnixTime;
use authority::store::{Store as _, Sweep};
use jotd_pgserver::{Proxy, Server};

use super::{Stranger, client, open, parts, until};
use crate::write;

#[test]
fn a_handle_is_woken_by_others_and_not_by_itself() {
    let url = Server::shared().new_store();
    let (mut store, mut other) = (open(&url), open(&url));
    let woken = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&woken);
    store.wake_by(Box::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    }));
    until(|| store.look_every() > Duration::from_millis(100));
    // Once it listens, it is told so, which may come a little later.
    until(|| {
        woken.store(0, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(500));
        woken.load(Ordering::SeqCst) == 0
    });
    for number in 0..10 {
        write(&mut store, [client(&number.to_string())]).unwrap();
    }
    write(&mut other, [client("other")]).unwrap();
    until(|| woken.load(Ordering::SeqCst) > 0);
    // What the store itself wrote came before and woke nobody.
    assert_eq!(woken.load(Ordering::SeqCst), 1);
    let before = woken.load(Ordering::SeqCst);
    write(&mut other, [client("again")]).unwrap();
    until(|| woken.load(Ordering::SeqCst) > before);
    // Whatever happens without a change wakes nobody, and what happened without a connection does.
    other.probe().unwrap();
    other.transact(&mut |_| Ok(())).unwrap();
    let before = woken.load(Ordering::SeqCst);
    let listening = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'jotd/{}' AND query LIKE 'LISTEN%'",
        parts(&url).1
    );
    Stranger::of(&url).run(&listening);
    until(|| woken.load(Ordering::SeqCst) > before);
}

#[test]
fn without_a_listening_connection_looking_is_more_often() {
    let url = Server::shared().new_store();
    let proxy = Proxy::to(Server::shared().port());
    let (main, schema) = parts(&url);
    let (before, after) = main.rsplit_once(':').unwrap();
    let store = open(&format!("{before}:{}/{}?schema={schema}", proxy.port(), after.split_once('/').unwrap().1));
    until(|| store.look_every() == Duration::from_millis(250));
    proxy.refuse();
    proxy.cut();
    until(|| store.look_every() == Duration::from_millis(50));
    proxy.pass();
    until(|| store.look_every() == Duration::from_millis(250));
}

#[test]
fn one_tends_and_sweeps_at_a_time_and_the_others_do_not_wait() {
    let url = Server::shared().new_store();
    let (mut store, mut other) = (open(&url), open(&url));
    write(&mut store, [client("a"), client("b")]).unwrap();
    let sweep = Sweep { log_before: UnixTime(i64::MAX), ..Sweep::default() };
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    thread::scope(|scope| {
        let tending = scope.spawn(move || {
            let draft = crate::draft(client("tended"));
            store.tend(&mut |transaction| {
                begun.send(()).unwrap();
                may_go_on.recv().unwrap();
                transaction.write(UnixTime(1), "tender", &draft).map(drop)
            })
        });
        has_begun.recv().unwrap();
        assert_eq!(other.tend(&mut |_| panic!("another is at it")), Ok(false));
        assert_eq!(other.sweep(&sweep), Ok(false));
        go_on.send(()).unwrap();
        assert_eq!(tending.join().unwrap(), Ok(true));
    });
    assert_eq!(other.sweep(&sweep), Ok(true));
    assert_eq!(other.sweep(&sweep), Ok(false));
    assert_eq!(other.tend(&mut |_| Ok(())), Ok(true));
    assert_eq!(other.log(None, 10).unwrap().len(), 1);
}
