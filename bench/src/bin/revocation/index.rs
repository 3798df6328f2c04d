//! The index of revoked tokens in memory.

use std::hint::black_box;
use std::time::{Duration, Instant};

use authority::Authority;
use authority::error::StoreError;
use authority::store::{
    Change, Changed, Loaded, Position, RevocationId, RevokedToken, Store, Sweep, Transaction, Until, Waker,
};
use jotd_bench::{expires_at, id, open};

/// What a check costs and an entry takes up, over so many revoked tokens.
struct Checked {
    count: u64,
    bytes: f64,
    misses: f64,
    hits: f64,
}

fn all() -> impl Iterator<Item = Checked> {
    [1_000, 10_000, 100_000, 1_000_000, 10_000_000].into_iter().map(|count| {
        let authority = open(Box::new(Made(count)));
        let state = authority.state();
        assert_eq!(state.revoked_tokens() as u64, count);
        let bytes = state.revoked_tokens_size() as f64 / count as f64;
        Checked { count, bytes, misses: check(&authority, count, count), hits: check(&authority, 0, count) }
    })
}

pub(crate) fn measure() {
    println!("| revoked tokens | bytes an entry | a check that finds nothing | a check that finds it |");
    println!("| --- | --- | --- | --- |");
    for Checked { count, bytes, misses, hits } in all() {
        println!("| {count} | {bytes:.1} | {misses:.0} ns | {hits:.0} ns |");
    }
    println!();
}

pub(crate) fn as_json() -> serde_json::Value {
    let rows = all().map(|row| {
        serde_json::json!({
            "revoked": row.count, "bytes_an_entry": row.bytes,
            "nanoseconds_found_nothing": row.misses, "nanoseconds_found": row.hits,
        })
    });
    rows.collect()
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

/// A store that holds so many revoked tokens, made as they are asked for.
struct Made(u64);

impl Store for Made {
    fn load(&mut self, each: &mut dyn FnMut(Loaded<'_>)) -> Result<Position, StoreError> {
        each(Loaded::Tokens(self.0));
        (0..self.0).for_each(|number| each(Loaded::Token(id(number), Until::Expiry(expires_at(number)))));
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

    fn tend(&mut self, _: &mut dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError>) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn wake_by(&mut self, _: Waker) {}

    fn is_shared(&self) -> bool {
        false
    }

    fn look_every(&self) -> Duration {
        Duration::from_secs(1)
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
