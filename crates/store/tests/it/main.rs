//! The store on real files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers outside of test functions may fail the test too"
)]

mod conformance;
mod copies;
mod damage;
mod migration;
mod postgres;
mod processes;
mod space;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use authority::error::StoreError;
use authority::ports::UnixTime;
use authority::store::{Draft, Kind, Loaded, Put, Record, RevocationId, RevokedToken, Store};
use jotd_store::SqliteStore;

fn put(kind: Kind, id: &str, body: &str) -> Put {
    Put::Record(Record { kind, id: id.to_owned(), body: body.to_owned() })
}

fn token(id: u8) -> Put {
    let id = RevocationId([id; 16]);
    let (actor, reason) = ("someone".to_owned(), "lost".to_owned());
    Put::Token(RevokedToken {
        id,
        expires_at: None,
        key_id: Some("k".to_owned()),
        revoked_at: UnixTime(1),
        actor,
        reason,
    })
}

fn draft(put: Put) -> Draft {
    Draft { action: "test.done", detail: "{}".to_owned(), put }
}

/// Writes all of it in one transaction.
fn write(store: &mut dyn Store, puts: impl IntoIterator<Item = Put>) -> Result<(), StoreError> {
    let drafts: Vec<_> = puts.into_iter().map(draft).collect();
    store.transact(&mut |transaction| {
        drafts.iter().try_for_each(|draft| transaction.write(UnixTime(100), "tester", draft).map(drop))
    })
}

/// The bodies of all records by their ids, and how many tokens are revoked.
fn content(store: &mut dyn Store) -> (BTreeMap<String, String>, usize) {
    let (mut records, mut tokens) = (BTreeMap::new(), 0);
    let loaded = store.load(&mut |stored| match stored {
        Loaded::Record(record) => drop(records.insert(record.id, record.body)),
        Loaded::Token(..) => tokens += 1,
        Loaded::Tokens(_) => {}
    });
    loaded.unwrap();
    (records, tokens)
}

/// A store of some 20 pages, closed.
fn make(path: &Path) {
    let mut store = SqliteStore::open(path).unwrap();
    let clients = (0..100).map(|id| put(Kind::Client, &format!("client {id}"), &"body ".repeat(100)));
    write(&mut store, clients.chain([put(Kind::Key, "k", "{}")]).chain((0..100).map(token))).unwrap();
}

/// Every file in a directory. No store in it may be open: reading its file would release its locks.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    files.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}
