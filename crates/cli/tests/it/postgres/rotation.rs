//! Keys rotate by schedule while nodes die: once for each turn, and no caller that caches the key set as it may meets a
//! token that it cannot verify.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use jose::{Algorithm, JwkSet, UnverifiedJws, Verifier};
use jotd_pgserver::Server;

use super::caller::{Caller, FORM, json};
use super::cluster::{Cluster, NODES};
use super::load::random;
use super::{Ending, PATIENCE, alone, seed};
use crate::administration::text;

/// As fast as keys may rotate: twice the time that callers cache the set, and clocks may be apart.
const TURN: i64 = 4;
const SETTINGS: [&str; 8] =
    ["--rotate-every", "4s", "--jwks-max-age", "1s", "--clock-leeway", "1s", "--max-token-lifetime", "30s"];
const RUN: Duration = Duration::from_secs(26);
/// So many verifications say something.
const ENOUGH: usize = 500;

/// A caller that caches the key set for as long as it may, and asks again, once, for a key that it does not know.
struct Verifying {
    cached: Option<(JwkSet, Instant)>,
    ignorant: usize,
}

impl Verifying {
    /// The set, from whichever node answers.
    fn fetch(&mut self, callers: &mut [Caller], seed: &mut u64) {
        let answer = (0..200).find_map(|_| {
            let node = usize::try_from(random(seed)).unwrap() % callers.len();
            let answer = callers[node].ask("GET", "/.well-known/jwks.json", &[], "").answer();
            answer.filter(|answer| answer.status == 200).or_else(|| {
                sleep(Duration::from_millis(20));
                None
            })
        });
        let answer = answer.expect("some node answers");
        let max_age = answer.header("cache-control").and_then(|value| value.split("max-age=").nth(1)?.parse().ok());
        let until = Instant::now() + Duration::from_secs(max_age.expect("how long it may be cached"));
        self.cached = Some((JwkSet::parse(&answer.body).unwrap(), until));
    }

    fn knows(&self, key: &str) -> bool {
        let set = self.cached.as_ref().map(|(set, _)| set);
        set.is_some_and(|set| set.keys().iter().any(|known| known.key_id() == Some(key)))
    }

    fn verify(&mut self, token: &str, callers: &mut [Caller], seed: &mut u64) -> Result<String, String> {
        if self.cached.as_ref().is_none_or(|(_, until)| Instant::now() > *until) {
            self.fetch(callers, seed);
        }
        let parsed = UnverifiedJws::parse(token.as_bytes()).unwrap();
        let key = parsed.header().key_id().expect("a token names its key").to_owned();
        if !self.knows(&key) {
            self.ignorant += 1;
            self.fetch(callers, seed);
        }
        if !self.knows(&key) {
            return Err(format!("{key} is not published"));
        }
        let verifier = Verifier::from_jwk_set(&self.cached.as_ref().unwrap().0, &[Algorithm::ES256]).unwrap();
        parsed.verify(&verifier).map(|_| key.clone()).map_err(|error| format!("{key}: {error}"))
    }
}

#[test]
fn keys_rotate_once_for_each_turn_and_every_token_can_be_verified_while_nodes_die() {
    let _alone = alone();
    let mut cluster = Cluster::start(Server::shared(), &SETTINGS);
    let added = cluster.lines(&["clients", "add", "short", "--id", "short", "--audience", "api", "--ttl", "20s"]);
    let client = format!("client_id=short&client_secret={}", text(&added[0]["secret"]));
    let addresses = cluster.addresses();
    let (stop, verified) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut seed = seed(0x5eed_0004);
    let ignorant: usize = std::thread::scope(|scope| {
        let ending = Ending(&stop);
        let verifying = (0..2 * NODES).map(|number| {
            let (addresses, client, stop, verified) = (&addresses, &client, &stop, &verified);
            scope.spawn(move || {
                let mut seed = 0x5eed_0100 + number as u64;
                let mut callers: Vec<_> = addresses.iter().map(|&address| Caller::to(address)).collect();
                let mut verifying = Verifying { cached: None, ignorant: 0 };
                let body = format!("{client}&grant_type=client_credentials");
                // Tokens are verified when they are new, and again later.
                let mut tokens: Vec<(String, Instant)> = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let node = usize::try_from(random(&mut seed)).unwrap() % NODES;
                    let minted = callers[node].ask("POST", "/oauth2/token", &[FORM], &body).answer();
                    if let Some(minted) = minted.filter(|answer| answer.status == 200) {
                        tokens.push((text(&json(&minted)["access_token"]).to_owned(), Instant::now()));
                        verifying.verify(&tokens[tokens.len() - 1].0, &mut callers, &mut seed).unwrap();
                    }
                    tokens.retain(|(_, minted)| minted.elapsed() < Duration::from_secs(19));
                    if !tokens.is_empty() {
                        let any = usize::try_from(random(&mut seed)).unwrap() % tokens.len();
                        verifying.verify(&tokens[any].0, &mut callers, &mut seed).unwrap();
                        verified.fetch_add(1, Ordering::SeqCst);
                    }
                    sleep(Duration::from_millis(20));
                }
                verifying.ignorant
            })
        });
        let verifying: Vec<_> = verifying.collect();
        let end = Instant::now() + RUN;
        // Longer where it is slow.
        while Instant::now() < end || verified.load(Ordering::SeqCst) <= ENOUGH {
            assert!(Instant::now() < end + PATIENCE, "{} verified", verified.load(Ordering::SeqCst));
            sleep(Duration::from_millis(random(&mut seed) % 1500));
            let node = usize::try_from(random(&mut seed)).unwrap() % NODES;
            cluster.nodes[node].kill();
            sleep(Duration::from_millis(random(&mut seed) % 500));
            cluster.nodes[node].start();
        }
        drop(ending);
        verifying.into_iter().map(|thread| thread.join().unwrap()).sum()
    });

    let mut log = cluster.lines(&["audit", "--limit", "1000000"]);
    log.reverse();
    let times = |action: &str| {
        let changes =
            log.iter().filter(|change| change["action"] == action && change["detail"]["algorithm"] == "ES256");
        changes.map(|change| change["at"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    let (published, activated) = (times("key.published"), times("key.activated"));
    println!(
        "{} verified, {ignorant} keys asked for, published {published:?}, activated {activated:?}",
        verified.load(Ordering::SeqCst)
    );
    for pair in published.windows(2) {
        assert!(pair[1] - pair[0] >= TURN, "{published:?}");
    }
    for pair in activated.windows(2) {
        assert!(pair[1] - pair[0] >= TURN, "{activated:?}");
    }
    assert!(activated.len() >= 4, "{activated:?}");
}
