//! A start on the store, revocations in batches, and what has expired.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use authority::store::{Store as _, Sweep};
use authority::{Caller, NewRevocation, Revocable, UnixTime};
use jotd_bench::{LIFETIME, NOW, expires_at, id, open};
use jotd_store::SqliteStore;

/// So many are revoked for each size of a batch.
const REVOKED: u64 = 100_000;

/// Numbers of tokens that are not in the store yet.
pub(crate) const NEW: u64 = 1 << 40;

/// Starts three times, in a process that has one core where there is a program for that.
pub(crate) fn start(path: &Path) {
    let own = std::env::current_exe().expect("a path");
    let arguments = [own.as_os_str(), "load".as_ref(), path.as_os_str()];
    for _ in 0..3 {
        let pinned = Command::new("taskset").args(["-c", "0"]).args(arguments).status();
        if !pinned.is_ok_and(|status| status.success()) {
            let status = Command::new(&own).args(arguments.iter().skip(1)).status();
            assert!(status.is_ok_and(|status| status.success()));
        }
    }
}

pub(crate) fn load(path: &Path) {
    let started = Instant::now();
    let authority = open(Box::new(SqliteStore::open(path).expect("the store")));
    let (took, state) = (started.elapsed(), authority.state());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map(str::trim).unwrap_or("?");
    let (count, size) = (state.revoked_tokens(), state.revoked_tokens_size() / 1_000_000);
    println!(
        "opened and loaded {count} in {:.2} s; the index {size} MB, the process at most {peak}",
        took.as_secs_f64()
    );
}

pub(crate) fn batches(path: &Path) {
    let authority = open(Box::new(SqliteStore::open(path).expect("the store")));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (caller, mut next) = (Caller::new("bench"), NEW);
    for size in [100, 1_000, 10_000] {
        let started = Instant::now();
        for _ in 0..REVOKED / size {
            let revocation = |number| NewRevocation {
                of: Revocable::TokenId(id(number).to_string(), Some(UnixTime(expires_at(number).0 + 1))),
                reason: String::new(),
            };
            let outcomes =
                runtime.block_on(authority.revoke_many(&caller, (next..next + size).map(revocation).collect()));
            assert!(outcomes.is_ok_and(|outcomes| outcomes.iter().all(Result::is_ok)));
            next += size;
        }
        let rate = REVOKED as f64 / started.elapsed().as_secs_f64();
        println!("by the authority, in batches of {size}: {rate:.0} durable revocations a second");
    }
}

fn counted(path: &Path) -> i64 {
    let connection = rusqlite::Connection::open(path).expect("the store");
    let count = "SELECT value FROM meta WHERE name = 'revoked_tokens'";
    connection.query_row(count, (), |row| row.get(0)).expect("a count")
}

/// The first three hours expire, and then all the rest, for as long as a minute.
pub(crate) fn expiry(path: &Path) {
    let mut store = SqliteStore::open(path).expect("the store");
    for hours in [3, LIFETIME / 3600 + 1] {
        let sweep = Sweep { expired_at: UnixTime(NOW + hours * 3600), ..Sweep::default() };
        let before = counted(path);
        let (started, mut parts) = (Instant::now(), Vec::new());
        while started.elapsed() < Duration::from_secs(60) {
            let part = Instant::now();
            if !store.sweep(&sweep).expect("swept") {
                break;
            }
            parts.push(part.elapsed());
        }
        let took = started.elapsed().as_secs_f64();
        parts.sort();
        let at = |percent: usize| parts.get(parts.len() * percent / 100).copied().unwrap_or_default();
        println!(
            "expired: {} removed in {took:.1} s, in {} parts; a part takes {:.1?}, of a hundred the longest {:.1?}",
            before - counted(path),
            parts.len(),
            at(50),
            at(99)
        );
    }
}
