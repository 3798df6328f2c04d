//! The log of changes, sweeping and the probe.

use authority::error::StoreError;
use authority::ports::UnixTime;
use authority::store::{Kind, Position, Put, Store, Sweep};

use super::{Open, load, put, token, whole_log, write, write_at};

fn sweep(store: &mut dyn Store, expired_at: i64, log_before: i64) {
    let (expired_at, log_before) = (UnixTime(expired_at), UnixTime(log_before));
    store.sweep(&Sweep { expired_at, retired_keys: vec![], log_before }).unwrap();
}

pub(super) fn positions_increase_and_times_never_go_back(open: Open<'_>) {
    let mut stores = [open(), open()];
    let mut last = Position(0);
    for (index, (at, logged)) in
        [(100, 100), (90, 100), (101, 101), (i64::MIN, 101), (101, 101), (200, 200), (0, 200)].into_iter().enumerate()
    {
        let store = &mut *stores[index % 2];
        let position = write_at(store, at, put(Kind::Client, "a", "{}"));
        assert!(position > last);
        last = position;
        let newest = &store.log(None, 1).unwrap()[0];
        assert_eq!((newest.position, newest.at), (position, UnixTime(logged)), "{at}");
    }
}

pub(super) fn newest_first_in_pages(open: Open<'_>) {
    let mut store = open();
    let mut positions: Vec<_> = (0..7).map(|_| write(&mut *store, put(Kind::Client, "a", "{}"))).collect();
    positions.reverse();
    let mut page = |before, limit| {
        let page = store.log(before, limit).unwrap();
        page.into_iter().map(|change| change.position).collect::<Vec<_>>()
    };
    assert_eq!(page(None, usize::MAX), positions);
    assert_eq!(page(None, 3), positions[..3]);
    assert_eq!(page(Some(positions[2]), 3), positions[3..6]);
    assert_eq!(page(Some(positions[5]), 3), positions[6..]);
    assert_eq!(page(Some(positions[6]), 3), []);
    assert_eq!(page(Some(Position(0)), 3), []);
    assert_eq!(page(Some(Position(u64::MAX)), 1), positions[..1]);
    assert_eq!(page(None, 0), []);
}

pub(super) fn trimming(open: Open<'_>) {
    let (mut store, mut other) = (open(), open());
    let positions: Vec<_> =
        (1..=6).map(|at| write_at(&mut *store, at * 10, put(Kind::Client, &at.to_string(), "{}"))).collect();
    let (newest, state) = load(&mut *store);
    assert_eq!(other.changes_after(Position(0)).unwrap().len(), 6);
    for (log_before, left) in [(10, 6), (11, 5), (30, 4), (30, 4), (35, 3), (1000, 1), (2000, 1)] {
        sweep(&mut *store, 0, log_before);
        let kept = &positions[positions.len() - left..];
        for store in [&mut store, &mut other, &mut open()] {
            let log = whole_log(&mut **store);
            assert!(log.iter().rev().map(|change| &change.position).eq(kept), "{log_before}");
            assert_eq!(load(&mut **store), (newest, state.clone()));
            // Whoever has applied all that was removed can go on, others cannot.
            for (index, &position) in positions.iter().enumerate() {
                let known = index + 1 + left >= positions.len();
                let expected = if known { Ok(positions.len() - index - 1) } else { Err(StoreError::Trimmed) };
                assert_eq!(store.changes_after(position).map(|changes| changes.len()), expected, "{log_before}");
            }
            let all = store.changes_after(Position(0)).map(|changes| changes.len());
            assert_eq!(all, if left == 6 { Ok(6) } else { Err(StoreError::Trimmed) });
        }
    }
    assert!(write_at(&mut *store, 1, put(Kind::Client, "a", "{}")) > newest);
    assert_eq!(store.log(None, 1).unwrap()[0].at, UnixTime(60));
}

pub(super) fn position_never_given(open: Open<'_>) {
    let mut store = open();
    assert_eq!(store.changes_after(Position(1)), Err(StoreError::Trimmed));
    let newest = write(&mut *store, put(Kind::Client, "a", "{}"));
    for position in [newest.0 + 1, i64::MAX as u64, u64::MAX] {
        assert_eq!(store.changes_after(Position(position)), Err(StoreError::Trimmed));
        let within = store.transact(&mut |transaction| transaction.changes_after(Position(position)).map(drop));
        assert_eq!(within, Err(StoreError::Trimmed));
    }
    assert_eq!(store.changes_after(newest), Ok(vec![]));
}

pub(super) fn sweeping_keeps_what_is_needed(open: Open<'_>) {
    let mut store = open();
    sweep(&mut *store, i64::MAX, i64::MAX);
    write_at(&mut *store, 100, put(Kind::Client, "a", "{}"));
    write_at(&mut *store, 100, put(Kind::Key, "k", "{}"));
    write_at(&mut *store, 100, Put::Token(token(1, Some(101), None)));
    write_at(&mut *store, 100, Put::Token(token(2, None, Some("k"))));
    let (before, log) = (load(&mut *store), whole_log(&mut *store));
    sweep(&mut *store, 100, 100);
    assert_eq!((load(&mut *store), whole_log(&mut *store)), (before, log));
    sweep(&mut *store, i64::MAX, i64::MAX);
    assert_eq!(load(&mut *store).1.len(), 3, "only the token that expires goes");
}

pub(super) fn probe_changes_nothing(open: Open<'_>) {
    let mut store = open();
    store.probe().unwrap();
    let position = write(&mut *store, put(Kind::Client, "a", "{}"));
    let before = (load(&mut *store), whole_log(&mut *store));
    let mut other = open();
    for _ in 0..3 {
        store.probe().unwrap();
        other.probe().unwrap();
        assert_eq!(store.changes_after(position), Ok(vec![]));
    }
    assert_eq!((load(&mut *store), whole_log(&mut *store)), before);
}
