//! Revocations at scale: what a check costs and what an entry takes up, over a thousand to ten million revoked tokens;
//! and how long they take to be loaded from a store.
//!
//! `revocation [MOST_IN_STORE]`: so many are written into a store and loaded from it, a million where nothing is said.
//! `revocation --json`: the checks alone, as JSON.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use authority::error::{MasterKeyError, RandomnessError, StoreError};
use authority::ports::{Clock, MasterKeySource, Randomness, UnixTime};
use authority::store::{
    Change, Changed, Draft, Position, Put, RevocationId, RevokedToken, Store, Stored, Sweep, Transaction,
};
use authority::{Authority, MasterKey, Parts};
use jotd_store::SqliteStore;

/// What a check costs and an entry takes up, over so many revoked tokens.
struct Checked {
    count: u64,
    bytes: f64,
    misses: f64,
    hits: f64,
}

fn main() {
    let argument = std::env::args().nth(1);
    let counts = [1_000, 10_000, 100_000, 1_000_000, 10_000_000].into_iter().map(checked);
    if argument.as_deref() == Some("--json") {
        let rows: Vec<_> = counts
            .map(|row| {
                serde_json::json!({
                    "revoked": row.count, "bytes_an_entry": row.bytes,
                    "nanoseconds_found_nothing": row.misses, "nanoseconds_found": row.hits,
                })
            })
            .collect();
        println!("{}", serde_json::Value::from(rows));
        return;
    }
    println!("| revoked tokens | bytes an entry | a check that finds nothing | a check that finds it |");
    println!("| --- | --- | --- | --- |");
    for row in counts {
        println!("| {} | {:.1} | {:.0} ns | {:.0} ns |", row.count, row.bytes, row.misses, row.hits);
    }
    store(argument.map_or(1_000_000, |text| text.parse().expect("a number")));
}

fn checked(count: u64) -> Checked {
    let authority = open(Box::new(Made(count)));
    let state = authority.state();
    assert_eq!(state.revoked_tokens() as u64, count);
    let bytes = state.revoked_tokens_size() as f64 / count as f64;
    Checked { count, bytes, misses: check(&authority, count, count), hits: check(&authority, 0, count) }
}

/// How long so many take to be written into a store and loaded from it.
fn store(most: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jotd.db");
    let mut store = SqliteStore::open(&path).expect("a store");
    let started = Instant::now();
    for first in (0..most).step_by(10_000) {
        let mut write = |transaction: &mut dyn Transaction| {
            for number in first..(first + 10_000).min(most) {
                let put = Put::Token(token(number));
                transaction.write(
                    UnixTime(0),
                    "bench",
                    &Draft { action: "token.revoked", detail: "{}".to_owned(), put },
                )?;
            }
            Ok(())
        };
        store.transact(&mut write).expect("written");
    }
    let written = started.elapsed();
    drop(store);
    let started = Instant::now();
    let authority = open(Box::new(SqliteStore::open(&path).expect("the store")));
    let loaded = started.elapsed();
    assert_eq!(authority.state().revoked_tokens() as u64, most);
    println!();
    println!(
        "{most} in a store: {:.0} written a second in transactions of 10000, opened and loaded in {:.2} s",
        most as f64 / written.as_secs_f64(),
        loaded.as_secs_f64()
    );
}

/// The mean time of a check, in nanoseconds, of ids that were made from these numbers on.
fn check(authority: &Authority, from: u64, count: u64) -> f64 {
    const CHECKS: u64 = 2_000_000;
    let state = authority.state();
    // In an order in which no two are near each other, as tokens come.
    let ids: Vec<RevocationId> =
        (0..CHECKS).map(|number| id(from + number.wrapping_mul(2_654_435_761) % count)).collect();
    let mut best = f64::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        let found = ids.iter().filter(|id| state.is_revoked(black_box(**id))).count() as u64;
        best = best.min(started.elapsed().as_nanos() as f64 / CHECKS as f64);
        assert_eq!(found, if from == 0 { CHECKS } else { 0 });
    }
    best
}

/// An id that looks random.
fn id(number: u64) -> RevocationId {
    let mut state = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut half = || {
        state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ state >> 31
    };
    let (high, low) = (half(), half());
    RevocationId((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
}

fn token(number: u64) -> RevokedToken {
    RevokedToken {
        id: id(number),
        expires_at: Some(UnixTime(4_000_000_000)),
        key_id: Some("0123456789012345678901234567890123456789012".to_owned()),
        revoked_at: UnixTime(0),
        actor: "bench".to_owned(),
        reason: String::new(),
    }
}

fn open(store: Box<dyn Store>) -> Authority {
    Authority::open(Parts {
        store,
        clock: Arc::new(Fixed),
        randomness: Arc::new(Fixed),
        master_key: Arc::new(Fixed),
        applied: Box::new(drop),
        commits: Box::new(|_, _| ()),
    })
    .expect("an authority")
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixTime {
        UnixTime(0)
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }
}

impl Randomness for Fixed {
    fn fill(&self, _: &mut [u8]) -> Result<(), RandomnessError> {
        Err(RandomnessError)
    }
}

impl MasterKeySource for Fixed {
    fn load(&self, _: Option<&str>) -> Result<MasterKey, MasterKeyError> {
        MasterKey::parse(&"00".repeat(32))
    }
}

/// A store that holds so many revoked tokens, made as they are asked for.
struct Made(u64);

impl Store for Made {
    fn load(&mut self, each: &mut dyn FnMut(Stored)) -> Result<Position, StoreError> {
        (0..self.0).for_each(|number| each(Stored::Token(token(number))));
        Ok(Position(self.0))
    }

    fn changes_after(&mut self, _: Position) -> Result<Vec<Changed>, StoreError> {
        Ok(Vec::new())
    }

    fn transact(
        &mut self,
        _: &mut dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        Err(StoreError::Busy)
    }

    fn log(&mut self, _: Option<Position>, _: usize) -> Result<Vec<Change>, StoreError> {
        Ok(Vec::new())
    }

    fn find_token(&mut self, _: RevocationId) -> Result<Option<RevokedToken>, StoreError> {
        Ok(None)
    }

    fn tokens(&mut self, _: Option<RevocationId>, _: usize) -> Result<Vec<RevokedToken>, StoreError> {
        Ok(Vec::new())
    }

    fn sweep(&mut self, _: &Sweep) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
