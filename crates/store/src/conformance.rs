//! What any store must do, as cases that assert. Each gets a way to open handles on one store, which is new and empty.
//!
//! ```ignore
//! for (name, case) in jotd_store::conformance::CASES {
//!     let directory = tempfile::tempdir()?;
//!     eprintln!("{name}");
//!     case(&mut || Box::new(SqliteStore::open(&directory.path().join("jotd.db")).unwrap()));
//! }
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "these are tests, in a library so that each store can run them"
)]

mod answers;
mod log;
mod records;
mod sharing;
mod tokens;

use std::collections::BTreeMap;

use authority::error::StoreError;
use authority::ports::UnixTime;
use authority::store::{Change, Draft, Kind, Loaded, Position, Put, Record, RevocationId, RevokedToken, Store, Stored};

/// Opens another handle on the case's store.
pub type Open<'a> = &'a mut dyn FnMut() -> Box<dyn Store>;

/// A case: what it shows, and what shows it.
pub type Case = (&'static str, fn(Open<'_>));

/// All of them.
pub static CASES: &[Case] = &[
    ("a new store is empty", records::new_store_is_empty),
    ("records are put, replaced and removed", records::put_replaced_removed),
    ("the same id under two kinds is two records", records::same_id_under_two_kinds),
    ("any text comes back as it was", records::any_text_comes_back),
    ("a record is never a token", records::record_is_never_a_token),
    ("a transaction sees what it wrote", records::transaction_sees_what_it_wrote),
    ("nothing is written when the work fails", records::nothing_is_written_when_work_fails),
    ("loading equals applying every change", records::loading_equals_applying_changes),
    ("changes come with what is stored now", records::changes_come_with_what_is_stored_now),
    ("positions increase and times never go back", log::positions_increase_and_times_never_go_back),
    ("the log is read newest first in pages", log::newest_first_in_pages),
    ("trimming leaves the newest and says where the log begins", log::trimming),
    ("a position that was never given asks for loading", log::position_never_given),
    ("sweeping does not touch what is still needed", log::sweeping_keeps_what_is_needed),
    ("a probe changes nothing", log::probe_changes_nothing),
    ("a token revoked twice stays revoked for longer", tokens::revoked_twice),
    ("tokens are found and paged", tokens::found_and_paged),
    ("expired tokens go, and those of retired keys", tokens::swept),
    ("an assertion is remembered once", answers::assertion_is_remembered_once),
    ("an answer is kept until it expires", answers::answer_is_kept_until_it_expires),
    ("what was expected is found the same", answers::what_is_expected_is_found_the_same),
    ("tending writes as any transaction does", sharing::tending_writes),
    ("who is woken or looks again sees what others did", sharing::woken_or_looking),
    ("what was read is confirmed soon", sharing::what_is_read_is_confirmed),
    ("handles see each other's changes", sharing::handles_see_each_other),
    ("a handle sees its own changes", sharing::handle_sees_its_own),
    ("a tailing reader misses nothing that two threads write", sharing::tailing_reader_misses_nothing),
    ("read, change and write in one transaction loses no update", sharing::no_update_is_lost),
];

fn record(kind: Kind, id: &str, body: &str) -> Record {
    Record { kind, id: id.to_owned(), body: body.to_owned() }
}

fn put(kind: Kind, id: &str, body: &str) -> Put {
    Put::Record(record(kind, id, body))
}

fn token(id: u8, expires_at: Option<i64>, key_id: Option<&str>) -> RevokedToken {
    RevokedToken {
        id: RevocationId([id; 16]),
        expires_at: expires_at.map(UnixTime),
        key_id: key_id.map(str::to_owned),
        revoked_at: UnixTime(10),
        actor: "someone".to_owned(),
        reason: String::new(),
    }
}

fn draft(put: Put) -> Draft {
    Draft { action: "test.done", detail: "{}".to_owned(), put }
}

/// Writes in a transaction of its own.
fn write_at(store: &mut dyn Store, at: i64, put: Put) -> Position {
    let (draft, mut position) = (draft(put), None);
    let written = store.transact(&mut |transaction| {
        position = Some(transaction.write(UnixTime(at), "tester", &draft)?);
        Ok(())
    });
    written.unwrap();
    position.unwrap()
}

fn write(store: &mut dyn Store, put: Put) -> Position {
    write_at(store, 100, put)
}

type State = BTreeMap<(&'static str, String), Stored>;

fn key_of(stored: &Stored) -> (&'static str, String) {
    match stored {
        Stored::Record(record) => (record.kind.name(), record.id.clone()),
        Stored::Token(token) => (Kind::Token.name(), token.id.to_string()),
    }
}

fn load(store: &mut dyn Store) -> (Position, State) {
    let (mut state, mut tokens, mut announced) = (State::new(), Vec::new(), None);
    let position = store.load(&mut |loaded| match loaded {
        Loaded::Record(record) => insert(&mut state, Stored::Record(record)),
        Loaded::Tokens(count) => announced = Some(count),
        Loaded::Token(id, until) => tokens.push((id, format!("{until:?}"))),
    });
    assert!(announced.is_none_or(|count| count == tokens.len() as u64), "{announced:?}");
    for (id, until) in tokens {
        let token = store.find_token(id).unwrap().expect("what is loaded is stored");
        assert_eq!(format!("{:?}", token.until()), until);
        insert(&mut state, Stored::Token(token));
    }
    (position.unwrap(), state)
}

fn insert(state: &mut State, stored: Stored) {
    assert_eq!(state.insert(key_of(&stored), stored), None, "each entity once");
}

/// Applies what changed after `position`, and answers the newest position.
fn follow(store: &mut dyn Store, position: Position, state: &mut State) -> Position {
    let changes = store.changes_after(position).unwrap();
    for changed in &changes {
        let key = (changed.change.kind.name(), changed.change.id.clone());
        match &changed.stored {
            Some(stored) => {
                assert_eq!(key_of(stored), key);
                state.insert(key, stored.clone())
            }
            None => state.remove(&key),
        };
    }
    changes.last().map_or(position, |changed| changed.change.position)
}

fn whole_log(store: &mut dyn Store) -> Vec<Change> {
    store.log(None, usize::MAX).unwrap()
}

/// Any error.
fn refused() -> StoreError {
    StoreError::Unavailable("refused by the test".to_owned())
}
