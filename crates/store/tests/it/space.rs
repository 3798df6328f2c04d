//! File systems that are full, or may only be read. They are mounted for it, which only root may do.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use authority::error::StoreError;
use authority::store::{Kind, Store as _};
use jotd_store::{SqliteStore, backup};
use tempfile::TempDir;

use crate::{content, make, put, write};

/// A file system of a megabyte in memory.
struct Mounted(TempDir);

impl Mounted {
    fn new() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(directory.path()).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(directory));
        }
        println!("left out: no file system can be mounted here");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// Takes all the space that is left.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let Some(mounted) = Mounted::new() else { return };
    let (path, filler) = (mounted.path().join("jotd.db"), mounted.path().join("filler"));
    let mut store = SqliteStore::open(&path).unwrap();
    let mut acknowledged = 0;
    for round in 0..3 {
        let mut error = None;
        while error.is_none() {
            let body = "x".repeat(2000);
            match write(&mut store, [put(Kind::Client, &acknowledged.to_string(), &body)]) {
                Ok(()) => acknowledged += 1,
                Err(other) => error = Some(other),
            }
            if acknowledged % 10 == 5 {
                fill(&filler);
            }
        }
        assert!(matches!(error, Some(StoreError::Full(_))), "{error:?}");
        assert!(matches!(store.probe(), Err(StoreError::Full(_))));
        assert_eq!(backup(&path, &mounted.path().join("copy")).unwrap_err().code(), "copy_failed");
        for store in [&mut store, &mut SqliteStore::open(&path).unwrap()] {
            let (records, _) = content(store);
            assert!((0..acknowledged).all(|id| records.contains_key(&id.to_string())), "round {round}");
            assert_eq!(records.len(), acknowledged, "round {round}");
        }
        fs::remove_file(&filler).unwrap();
        write(&mut store, [put(Kind::Client, &acknowledged.to_string(), "there is space again")]).unwrap();
        acknowledged += 1;
        store.probe().unwrap();
    }
    drop(store);
    assert_eq!(content(&mut SqliteStore::open(&path).unwrap()).0.len(), acknowledged);
}

#[test]
fn a_full_disk_makes_no_new_store() {
    let Some(mounted) = Mounted::new() else { return };
    fill(&mounted.path().join("filler"));
    let error = SqliteStore::open(&mounted.path().join("jotd.db")).map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    assert_eq!(fs::read_dir(mounted.path()).unwrap().count(), 1);
}

#[test]
fn what_may_only_be_read_is_said_to_be() {
    let Some(mounted) = Mounted::new() else { return };
    let path = mounted.path().join("jotd.db");
    make(&path);
    assert!(Command::new("mount").args(["-o", "remount,ro"]).arg(mounted.path()).status().unwrap().success());
    for name in ["jotd.db", "new.db"] {
        let error = SqliteStore::open(&mounted.path().join(name)).map(drop).unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly(_)), "{name}: {error:?}");
    }
    assert_eq!(jotd_store::check(&path).unwrap().clients, 100);
    // A copy can be made of it elsewhere.
    let elsewhere = tempfile::tempdir().unwrap();
    assert_eq!(jotd_store::restore(&path, &elsewhere.path().join("jotd.db")).unwrap(), None);
}

#[test]
fn modes_that_forbid_writing_are_respected() {
    let directory = tempfile::tempdir().unwrap();
    if directory.path().metadata().unwrap().uid() == 0 {
        println!("left out: modes do not bind root");
        return;
    }
    let path = directory.path().join("jotd.db");
    make(&path);
    for (what, mode) in [(&*path, 0o400), (directory.path(), 0o500)] {
        fs::set_permissions(what, Permissions::from_mode(mode)).unwrap();
        let error = SqliteStore::open(&path).map(drop).unwrap_err();
        fs::set_permissions(what, Permissions::from_mode(0o700)).unwrap();
        assert!(matches!(error, StoreError::ReadOnly(_)), "{error:?}");
    }
}
