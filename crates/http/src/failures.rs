//! Limits on failed authentication, per address and per client.
//!
//! An address that failed too often is not heard for a while. A client under whose name somebody failed too often is
//! still served when its secret is right: otherwise anybody could lock it out.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::refusal::Reason;

/// More than this many at a time are not told apart.
const MOST: usize = 20_000;

/// How long it takes until all failures are forgotten.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts failures.
pub(crate) struct Failures {
    /// As many may fail at once; `None` is no limit.
    allowed: Option<u32>,
    started: Instant,
    /// When all of them will be forgotten, in milliseconds since the start: from then on there is nothing to look up.
    until: AtomicU64,
    addresses: Mutex<Counts<IpAddr>>,
    clients: Mutex<Counts<String>>,
}

impl Failures {
    pub(crate) fn new(allowed: Option<u32>) -> Self {
        let (started, until) = (Instant::now(), AtomicU64::new(0));
        Self { allowed, started, until, addresses: Mutex::default(), clients: Mutex::default() }
    }

    /// Whether `address` is heard.
    pub(crate) fn hear(&self, address: IpAddr) -> Result<(), Reason> {
        let Some(allowed) = self.allowed else { return Ok(()) };
        let until = self.until.load(Ordering::SeqCst);
        if until == 0 || self.millis() > until {
            return Ok(());
        }
        let counts = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        counts.check(&network(address), allowed, Instant::now())
    }

    fn millis(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Notes a failure, and answers how it is told.
    pub(crate) fn note(&self, address: IpAddr, client: Option<&str>, reason: Reason) -> Reason {
        let Some(allowed) = self.allowed else { return reason };
        let now = Instant::now();
        self.until.fetch_max(self.millis() + WINDOW.as_millis() as u64, Ordering::SeqCst);
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).add(network(address), allowed, now);
        let Some(client) = client.filter(|client| client.len() <= 128) else { return reason };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let checked = clients.check(client, allowed, now);
        clients.add(client.to_owned(), allowed, now);
        checked.err().unwrap_or(reason)
    }
}

/// Whoever has one IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => IpAddr::V4(address),
            None => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        },
    }
}

/// Failures, each forgotten at a steady rate.
struct Counts<K>(HashMap<K, Count>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[derive(Clone, Copy)]
struct Count {
    failures: f64,
    at: Instant,
}

impl Count {
    fn now(self, allowed: u32, now: Instant) -> f64 {
        let forgotten = now.duration_since(self.at).as_secs_f64() / WINDOW.as_secs_f64() * f64::from(allowed);
        (self.failures - forgotten).max(0.0)
    }
}

impl<K: Hash + Eq> Counts<K> {
    fn check<Q: Hash + Eq + ?Sized>(&self, who: &Q, allowed: u32, now: Instant) -> Result<(), Reason>
    where
        K: std::borrow::Borrow<Q>,
    {
        let failures = self.0.get(who).map_or(0.0, |count| count.now(allowed, now));
        let excess = failures + 1.0 - f64::from(allowed);
        if excess <= 0.0 {
            return Ok(());
        }
        let seconds = excess / f64::from(allowed) * WINDOW.as_secs_f64();
        Err(Reason::TooManyFailures { retry_after: (seconds.ceil() as u64).max(1) })
    }

    fn add(&mut self, who: K, allowed: u32, now: Instant) {
        if self.0.len() >= MOST && !self.0.contains_key(&who) {
            self.0.retain(|_, count| count.now(allowed, now) > 0.0);
            if self.0.len() >= MOST {
                // So many at a time are one attack; those that fail now matter more than those that failed before.
                self.0.clear();
            }
        }
        let failures = self.0.get(&who).map_or(0.0, |count| count.now(allowed, now));
        let failures = (failures + 1.0).min(f64::from(allowed));
        self.0.insert(who, Count { failures, at: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test(start_paused = true)]
    async fn an_address_is_not_heard_after_too_many_failures_until_some_are_forgotten() {
        let failures = Failures::new(Some(6));
        for _ in 0..6 {
            assert_eq!(failures.hear(ADDRESS), Ok(()));
            failures.note(ADDRESS, None, Reason::InvalidClient);
        }
        assert_eq!(failures.hear(ADDRESS), Err(Reason::TooManyFailures { retry_after: 10 }));
        assert_eq!(failures.hear("127.0.0.2".parse().unwrap()), Ok(()));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(failures.hear(ADDRESS), Ok(()));
        failures.note(ADDRESS, None, Reason::InvalidClient);
        assert!(failures.hear(ADDRESS).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_under_a_clients_name_are_told_as_too_many_wherever_they_come_from() {
        let failures = Failures::new(Some(3));
        let from = |last: u8| IpAddr::V4([127, 0, 0, last].into());
        let told: Vec<_> = (1..=4).map(|last| failures.note(from(last), Some("c"), Reason::InvalidClient)).collect();
        assert_eq!(told[..3], [Reason::InvalidClient, Reason::InvalidClient, Reason::InvalidClient]);
        assert_eq!(told[3], Reason::TooManyFailures { retry_after: 20 });
        assert_eq!(failures.note(from(9), Some("d"), Reason::InvalidClient), Reason::InvalidClient);
    }

    #[test]
    fn ipv6_addresses_count_by_network() {
        let same = |a: &str, b: &str| network(a.parse().unwrap()) == network(b.parse().unwrap());
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::2"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(same("::ffff:127.0.0.1", "127.0.0.1"));
        assert!(!same("127.0.0.1", "127.0.0.2"));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let mut counts = Counts::default();
        for who in 0..3 * MOST {
            counts.add(who, 3, Instant::now());
        }
        assert!(counts.0.len() <= MOST);
    }
}
