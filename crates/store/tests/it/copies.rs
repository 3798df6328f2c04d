//! Backing up, checking and restoring.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use authority::ports::UnixTime;
use authority::store::{Kind, Position, Store as _};
use jotd_store::{Checked, CopyError, SqliteStore, backup, check, restore};

use crate::{content, files, make, put, token, write};

/// What `make` makes.
const MADE: Checked =
    Checked { keys: 1, clients: 100, revoked_tokens: 100, position: Position(201), newest_at: Some(UnixTime(100)) };

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn a_backup_made_while_others_write_is_of_one_moment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jotd.db");
    make(&path);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut store = SqliteStore::open(&path).unwrap();
            let mut round = 0;
            while !done.load(Ordering::Relaxed) {
                let body = format!("{round}");
                write(&mut store, [put(Kind::Setting, "left", &body), put(Kind::Setting, "right", &body)]).unwrap();
                round += 1;
            }
        });
        let mut last = Position(0);
        for copy in 0..10 {
            let copy = directory.path().join(format!("copy-{copy}"));
            backup(&path, &copy).unwrap();
            let checked = check(&copy).unwrap();
            assert!(checked.position >= last && checked.revoked_tokens == 100, "{checked:?}");
            last = checked.position;
            let (records, _) = content(&mut SqliteStore::open(&copy).unwrap());
            assert_eq!(records.get("left"), records.get("right"));
            // The log and the state agree.
            assert_eq!(records.contains_key("left"), last > MADE.position);
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn only_the_owner_can_read_any_of_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let mut store = SqliteStore::open(&at("jotd.db")).unwrap();
    write(&mut store, [token(1)]).unwrap();
    backup(&at("jotd.db"), &at("copy")).unwrap();
    restore(&at("copy"), &at("restored")).unwrap();
    for name in ["jotd.db", "jotd.db-wal", "jotd.db-shm", "copy", "restored"] {
        assert_eq!(mode(&at(name)), 0o600, "{name}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 5, "nothing else is left");
}

#[test]
fn a_backup_replaces_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    make(&at("jotd.db"));
    fs::write(at("copy"), "mine").unwrap();
    let before = files(directory.path());
    for (from, to, code) in [
        ("jotd.db", "copy", "copy_exists"),
        ("jotd.db", "jotd.db", "copy_exists"),
        ("copy", "new", "store_not_ours"),
        ("missing", "new", "store_missing"),
        ("jotd.db", "missing/new", "copy_failed"),
    ] {
        assert_eq!(backup(&at(from), &at(to)).unwrap_err().code(), code, "{from} to {to}");
        assert!(files(directory.path()) == before, "{from} to {to}");
    }
}

#[test]
fn a_check_counts_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jotd.db");
    let mut store = SqliteStore::open(&path).unwrap();
    let none = Checked { keys: 0, clients: 0, revoked_tokens: 0, position: Position(0), newest_at: None };
    assert_eq!(check(&path).unwrap(), none);
    write(&mut store, [token(1)]).unwrap();
    // What is only in the log yet counts, too.
    assert_eq!(check(&path).unwrap().revoked_tokens, 1);
    drop(store);
    fs::remove_file(&path).unwrap();
    make(&path);
    let before = files(directory.path());
    assert_eq!(check(&path).unwrap(), MADE);
    assert!(files(directory.path()) == before);
}

#[test]
fn restoring_puts_the_former_store_aside() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    make(&at("jotd.db"));
    backup(&at("jotd.db"), &at("copy")).unwrap();
    for round in 1..=3 {
        let mut store = SqliteStore::open(&at("jotd.db")).unwrap();
        write(&mut store, [token(200)]).unwrap();
        drop(store);
        let aside = restore(&at("copy"), &at("jotd.db")).unwrap();
        assert_eq!(aside, Some(at(&format!("jotd.db.before-restore-{round}"))));
        assert_eq!(check(&aside.unwrap()).unwrap().revoked_tokens, 101);
        assert_eq!(check(&at("jotd.db")).unwrap(), MADE);
    }
    // It works as before; what others applied meanwhile is loaded anew.
    let mut store = SqliteStore::open(&at("jotd.db")).unwrap();
    assert_eq!(store.changes_after(Position(202)).unwrap_err().code(), "store_trimmed");
    write(&mut store, [token(200)]).unwrap();
    assert_eq!(store.changes_after(MADE.position).unwrap().len(), 1);
}

#[test]
fn a_damaged_backup_is_not_restored() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    make(&at("jotd.db"));
    backup(&at("jotd.db"), &at("copy")).unwrap();
    let mut bytes = fs::read(at("copy")).unwrap();
    bytes[4096 * 5..4096 * 5 + 8].fill(0xff);
    fs::write(at("copy"), bytes).unwrap();
    let before = files(directory.path());
    assert_eq!(restore(&at("copy"), &at("jotd.db")).unwrap_err().code(), "store_corrupt");
    assert_eq!(restore(&at("missing"), &at("jotd.db")).unwrap_err().code(), "store_missing");
    assert!(files(directory.path()) == before);
}

#[test]
fn a_damaged_store_is_put_aside_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    make(&at("source"));
    backup(&at("source"), &at("copy")).unwrap();
    for (round, present) in [&["jotd.db", "jotd.db-wal"][..], &["jotd.db-wal"], &["jotd.db"]].into_iter().enumerate() {
        for name in ["jotd.db", "jotd.db-wal", "jotd.db-shm"] {
            let _ = fs::remove_file(at(name));
        }
        for name in present {
            fs::write(at(name), format!("damaged {name}")).unwrap();
        }
        let aside = restore(&at("copy"), &at("jotd.db")).unwrap().unwrap();
        assert_eq!(check(&at("jotd.db")).unwrap(), MADE);
        for name in present {
            let moved = name.replace("jotd.db", aside.file_name().unwrap().to_str().unwrap());
            assert_eq!(fs::read_to_string(at(&moved)).unwrap(), format!("damaged {name}"), "round {round}");
        }
    }
}

#[test]
fn a_restored_store_belongs_to_whom_the_former_one_did() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    make(&at("jotd.db"));
    backup(&at("jotd.db"), &at("copy")).unwrap();
    if chown(at("jotd.db"), Some(1234), Some(2345)).is_err() {
        println!("left out: only root can give files away");
        return;
    }
    restore(&at("copy"), &at("jotd.db")).unwrap();
    let restored = at("jotd.db").metadata().unwrap();
    assert_eq!((restored.uid(), restored.gid(), mode(&at("jotd.db"))), (1234, 2345, 0o600));
}

#[test]
fn a_store_in_use_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    make(&at("jotd.db"));
    backup(&at("jotd.db"), &at("copy")).unwrap();
    let mut store = SqliteStore::open(&at("jotd.db")).unwrap();
    write(&mut store, [token(200)]).unwrap();
    let refused = restore(&at("copy"), &at("jotd.db"));
    assert!(matches!(refused, Err(CopyError::InUse(_))), "{refused:?}");
    write(&mut store, [token(201)]).unwrap();
    drop(store);
    assert_eq!(check(&at("jotd.db")).unwrap().revoked_tokens, 102);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing else is left");
}
