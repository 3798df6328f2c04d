//! Ports that can be had again: below those that the kernel gives to outgoing connections, so that whoever listens on
//! one can stop and come back.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// The lowest port that is tried.
const LOWEST: u16 = 10_000;

/// A port of 127.0.0.1 on which nobody listens at present, and which this process was not given before: whoever was may
/// not listen yet.
#[must_use]
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let outgoing = range.split_whitespace().next().and_then(|low| low.parse().ok()).unwrap_or(32_768);
    let room = u16::max(outgoing, LOWEST + 1000) - LOWEST;
    for _ in 0..1000 {
        let [low, high] = random();
        let port = LOWEST + u16::from_le_bytes([low, high]) % room;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && given.insert(port) {
            return port;
        }
    }
    panic!("no port is free")
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes)).expect("random bytes");
    bytes
}

/// Sixteen digits that nobody can guess.
pub(crate) fn random_word() -> String {
    format!("{:016x}", u64::from_le_bytes(random()))
}
