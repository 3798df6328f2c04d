//! Many handles, in threads and in processes of their own, and processes that are killed.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::thread;

use authority::store::{Kind, Position, Store as _};
use jotd_store::SqliteStore;

use crate::{content, put, write};

const WRITES: usize = 20;

#[test]
fn eight_threads_open_a_new_store_at_once_and_write() {
    for _ in 0..5 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jotd.db");
        let barrier = Barrier::new(8);
        thread::scope(|scope| {
            for name in 0..8 {
                let (path, barrier) = (&path, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let mut store = SqliteStore::open(path).unwrap();
                    for round in 0..5 {
                        write(&mut store, [put(Kind::Client, &format!("{name}-{round}"), "{}")]).unwrap();
                    }
                });
            }
        });
        let mut store = SqliteStore::open(&path).unwrap();
        assert_eq!(content(&mut store).0.len(), 40);
        assert_eq!(store.changes_after(Position(0)).unwrap().len(), 40);
        drop(store);
        let names: Vec<_> = crate::files(directory.path()).into_keys().collect();
        assert_eq!(names, ["jotd.db"], "nothing else is left");
    }
}

#[test]
fn processes_open_a_new_store_at_once_and_write() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jotd.db");
    let children: Vec<_> = (0..4).map(|name| spawn(&path, &name.to_string(), WRITES)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(content(&mut SqliteStore::open(&path).unwrap()).0.len(), 4 * WRITES);
}

#[test]
fn what_a_killed_process_had_acknowledged_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jotd.db");
    let mut acknowledged = BTreeSet::new();
    for round in 0..6 {
        let mut child = spawn(&path, &round.to_string(), usize::MAX);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.by_ref() {
            acknowledged.extend(line.unwrap().strip_prefix("wrote ").map(str::to_owned));
            if acknowledged.len() > 30 * (round + 1) {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had still said before it ended.
        acknowledged
            .extend(lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("wrote ").map(str::to_owned)));
        let mut store = SqliteStore::open(&path).unwrap();
        let (records, _) = content(&mut store);
        assert!(acknowledged.iter().all(|id| records.contains_key(id)));
        assert_eq!(store.changes_after(Position(0)).unwrap().len(), records.len());
    }
}

fn spawn(path: &Path, name: &str, writes: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["processes::writes_when_told_to", "--exact", "--nocapture"])
        .env("JOTD_TEST_WRITER", path)
        .env("JOTD_TEST_WRITER_NAME", name)
        .env("JOTD_TEST_WRITER_WRITES", writes.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Not a test by itself: the other processes of the tests above.
#[test]
fn writes_when_told_to() {
    let Some(path) = std::env::var_os("JOTD_TEST_WRITER") else { return };
    let told = |name| std::env::var(name).unwrap();
    let mut store = SqliteStore::open(Path::new(&path)).unwrap();
    for round in 0..told("JOTD_TEST_WRITER_WRITES").parse::<usize>().unwrap() {
        let id = format!("{}-{round}", told("JOTD_TEST_WRITER_NAME"));
        write(&mut store, [put(Kind::Client, &id, "{}")]).unwrap();
        let mut out = std::io::stdout();
        writeln!(out, "\nwrote {id}").and_then(|()| out.flush()).unwrap();
    }
}
