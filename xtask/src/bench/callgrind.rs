//! A server under valgrind's callgrind, which counts the instructions that it executes.

use std::io;
use std::path::Path;

use jotd_wire::Wire;

use super::cores::{Cores, on};
use super::jotd::Home;
use super::load::Load;
use crate::steps::root;

/// Requests of each kind before anything is counted, so that what is done once is done.
const WARMING: u32 = 50;
/// Requests that are counted, of the cheap ones of the simple contract and of those with signatures. A start does not
/// always take as many instructions as the one before; over so many requests that hardly shows.
const COUNTED: [u32; 2] = [12_000, 1_500];

/// Instructions a request of each path takes, all threads of the server together: the difference between a run with
/// so many more of these requests and a run without them.
pub(crate) fn count(binary: &Path) -> io::Result<Vec<(&'static str, u64)>> {
    std::fs::create_dir_all(root().join("target/bench"))?;
    let home = Home::with_client(binary)?;
    let (running, address) = home.serve(&[], &[])?;
    let loads = Load::all(address, &home.signing_key()?, &home.secret)?;
    running.stop()?;
    let without = total(&home, &loads, None)?;
    let counts = loads.iter().map(|load| {
        let times = if load.is_simple() { COUNTED[0] } else { COUNTED[1] };
        let with = total(&home, &loads, Some((load, times)))?;
        Ok((load.path, with.saturating_sub(without) / u64::from(times)))
    });
    counts.collect()
}

/// Instructions from the start of a server to its end. The profile stays in `target/bench`, for callgrind_annotate.
fn total(home: &Home, loads: &[Load], counted: Option<(&Load, u32)>) -> io::Result<u64> {
    eprintln!("== counting {}", counted.map_or("what is there without requests", |(load, _)| load.path));
    let name = counted.map_or("start".to_owned(), |(load, _)| load.path.trim_start_matches('/').replace('/', "-"));
    let profile = root().join("target/bench").join(format!("callgrind.{name}.out"));
    // On one core the server has one worker, also when it cannot be told so.
    let mut prefix = on(Cores::find().server);
    prefix.extend(["valgrind".to_owned(), "--tool=callgrind".to_owned()]);
    prefix.push(format!("--callgrind-out-file={}", profile.display()));
    let (running, address) = home.serve(&prefix, &[])?;
    // One connection for all, and always in the same order.
    let mut wire = Wire::connect(address)?;
    for load in loads {
        load.repeat(&mut wire, WARMING)?;
    }
    if let Some((load, times)) = counted {
        load.repeat(&mut wire, times)?;
    }
    drop(wire);
    let status = running.stop()?;
    let text = std::fs::read_to_string(&profile)?;
    totals(&text).ok_or_else(|| io::Error::other(format!("callgrind gave no totals ({status})")))
}

/// The sum in a profile.
fn totals(profile: &str) -> Option<u64> {
    profile.lines().rev().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::totals;

    #[test]
    fn totals_are_read() {
        assert_eq!(totals("events: Ir\nsummary: 12\n\nfn=(1)\n1 2\n\ntotals: 21000412\n"), Some(21_000_412));
        assert_eq!(totals("events: Ir\n"), None);
    }
}
