//! Several handles on one store.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use authority::ports::UnixTime;
use authority::store::{Kind, Position, Stored};

use super::{Open, State, draft, follow, load, put, refused, whole_log, write};

/// Transactions of each writer.
const ROUNDS: usize = 40;

pub(super) fn tending_writes(open: Open<'_>) {
    let (mut store, mut other) = (open(), open());
    let tended = draft(put(Kind::Client, "tended", "{}"));
    let failed = store.tend(&mut |transaction| {
        transaction.write(UnixTime(1), "tender", &tended)?;
        Err(refused())
    });
    assert_eq!(failed, Err(refused()));
    assert_eq!(whole_log(&mut *other), []);
    for round in 1..=3 {
        for tender in [&mut store, &mut other] {
            let mut calls = 0;
            let done = tender.tend(&mut |transaction| {
                calls += 1;
                transaction.write(UnixTime(round), "tender", &tended).map(drop)
            });
            assert_eq!((done, calls), (Ok(true), 1), "nobody else is at it");
        }
    }
    assert_eq!(whole_log(&mut *store).len(), 6);
    assert_eq!(load(&mut *store), load(&mut *other));
}

pub(super) fn woken_or_looking(open: Open<'_>) {
    let (mut store, mut other) = (open(), open());
    let (waker, woken) = mpsc::channel();
    store.wake_by(Box::new(move || {
        let _ = waker.send(());
    }));
    let mut position = Position(0);
    for round in 0..5 {
        let written = write(&mut *other, put(Kind::Client, &round.to_string(), "{}"));
        let start = Instant::now();
        while position < written {
            assert!(start.elapsed() < Duration::from_secs(60), "{round}");
            // Whichever comes first.
            let _ = woken.recv_timeout(store.look_every());
            position = store.changes_after(position).unwrap().last().map_or(position, |last| last.change.position);
        }
        assert_eq!(position, written);
    }
}

pub(super) fn what_is_read_is_confirmed(open: Open<'_>) {
    let mut store = open();
    for (read, often) in [(1, 0), (2, 0), (3, 1), (9, 5)].map(|(read, often)| (read, Duration::from_secs(often))) {
        let read = Duration::from_secs(read);
        let start = Instant::now();
        store.changes_after(Position(0)).unwrap();
        while store.confirm(read, often) < Some(read) {
            assert!(start.elapsed() < Duration::from_secs(60), "{read:?}");
            thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(store.confirm(read, often), Some(read), "and no later one");
    }
}

pub(super) fn handles_see_each_other(open: Open<'_>) {
    let mut stores = [open(), open(), open()];
    let mut seen = [(Position(0), State::new()), (Position(0), State::new()), (Position(0), State::new())];
    for step in 0..12 {
        let position = write(&mut *stores[step % 3], put(Kind::Client, &step.to_string(), "{}"));
        for (store, (newest, state)) in stores.iter_mut().zip(&mut seen) {
            *newest = follow(&mut **store, *newest, state);
            assert_eq!((*newest, state.len()), (position, step + 1));
            assert_eq!(store.changes_after(position), Ok(vec![]));
            assert_eq!(store.changes_after(position), Ok(vec![]));
        }
    }
}

pub(super) fn handle_sees_its_own(open: Open<'_>) {
    let (mut store, mut other) = (open(), open());
    let mut newest = Position(0);
    for step in 0..6 {
        assert_eq!(store.changes_after(newest), Ok(vec![]));
        let written = write(&mut *store, put(Kind::Client, "a", "{}"));
        if step % 2 == 0 {
            other.probe().unwrap();
            store.probe().unwrap();
        }
        let changes = store.changes_after(newest).unwrap();
        assert_eq!(changes.iter().map(|changed| changed.change.position).collect::<Vec<_>>(), [written]);
        newest = written;
    }
}

pub(super) fn tailing_reader_misses_nothing(open: Open<'_>) {
    let (mut reader, writers) = (open(), ["left", "right"].map(|name| (name, open())));
    let mut state = State::new();
    let mut seen: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut position = Position(0);
    thread::scope(|scope| {
        for (name, mut store) in writers {
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let one = draft(put(Kind::Client, &format!("{name}-{round}"), "{}"));
                    let same = draft(put(Kind::Setting, "same", name));
                    let written = store.transact(&mut |transaction| {
                        transaction.write(UnixTime(1), name, &one)?;
                        transaction.write(UnixTime(1), "both", &same).map(drop)
                    });
                    written.unwrap();
                }
            });
        }
        let start = Instant::now();
        while seen.values().map(Vec::len).sum::<usize>() < 2 * ROUNDS {
            assert!(start.elapsed() < Duration::from_secs(120), "{seen:?}");
            let changes = reader.changes_after(position).unwrap();
            for changed in &changes {
                assert!(changed.change.position > position);
                position = changed.change.position;
                if let Some((name, round)) = changed.change.id.split_once('-') {
                    seen.entry(name.to_owned()).or_default().push(round.parse().unwrap());
                }
            }
            assert_eq!(changes.len() % 2, 0, "a transaction is seen whole or not at all");
            if changes.is_empty() {
                thread::yield_now();
            }
        }
    });
    assert!(seen.len() == 2 && seen.values().all(|rounds| rounds.iter().copied().eq(0..ROUNDS)));
    let last = follow(&mut *reader, Position(0), &mut state);
    assert_eq!((last, state), load(&mut *open()));
}

pub(super) fn no_update_is_lost(open: Open<'_>) {
    let writers = [open(), open()];
    thread::scope(|scope| {
        for mut store in writers {
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let counted = store.transact(&mut |transaction| {
                        let last = transaction.changes_after(Position(0))?.pop().and_then(|changed| changed.stored);
                        let count = match last {
                            Some(Stored::Record(record)) => record.body.parse::<usize>().unwrap(),
                            _ => 0,
                        };
                        let next = draft(put(Kind::Setting, "count", &(count + 1).to_string()));
                        transaction.write(UnixTime(1), "", &next).map(drop)
                    });
                    counted.unwrap();
                }
            });
        }
    });
    let (_, state) = load(&mut *open());
    let count = state.into_values().next();
    assert_eq!(count, Some(Stored::Record(super::record(Kind::Setting, "count", &(2 * ROUNDS).to_string()))));
}
