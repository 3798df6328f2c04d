//! Rotation under load: whoever caches the key set as its headers allow never meets a key that it does not know, and
//! never a token that it has to refuse.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use authority::Caller;
use jose::{ClaimsPolicy, JwkSet, NumericDate, UnverifiedJws, Verifier};

use crate::support::{FORM, ISSUER, TERMS, TestServer, basic, block_on, form, parse};

/// A resource server that keeps the key set for exactly as long as it may.
struct Caching {
    fetched_at: i64,
    max_age: i64,
    keys: JwkSet,
}

impl Caching {
    fn fetch(server: &TestServer, now: i64) -> Self {
        let answer = server.ask("GET", "/.well-known/jwks.json", &[], "");
        let max_age = answer.header("cache-control").unwrap().rsplit('=').next().unwrap().parse().unwrap();
        Self { fetched_at: now, max_age, keys: JwkSet::parse(&answer.body).unwrap() }
    }

    fn verify(&mut self, server: &TestServer, token: &str, now: i64) -> Result<(), String> {
        if now > self.fetched_at + self.max_age {
            *self = Self::fetch(server, now);
        }
        let algorithms: Vec<_> = authority::asymmetric_algorithms().collect();
        let unverified = UnverifiedJws::parse(token.as_bytes()).unwrap();
        let key_id = unverified.header().key_id().unwrap().to_owned();
        if !self.keys.keys().iter().any(|key| key.key_id() == Some(&key_id)) {
            return Err(format!("unknown kid {key_id}, {} s after fetching", now - self.fetched_at));
        }
        let verified = unverified.verify(&Verifier::from_jwk_set(&self.keys, &algorithms).unwrap());
        let policy = ClaimsPolicy::access_token(ISSUER, "api");
        let verified = verified.map_err(|error| error.to_string())?;
        policy.validate(&verified, NumericDate::from_seconds(now)).map(drop).map_err(|error| error.to_string())
    }
}

#[test]
fn whoever_caches_as_allowed_never_meets_an_unknown_key_across_three_rotations() {
    let server = TestServer::start();
    let secret = server.client("c", "read", &["api"]);
    let authorization = basic("c", &secret);
    let get_token = || {
        let body = form(&[("grant_type", "client_credentials")]);
        let answer = server.ask("POST", "/oauth2/token", &[FORM, ("Authorization", &authorization)], body);
        parse(&answer)["access_token"].as_str().unwrap().to_owned()
    };
    let (stop, load) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut seen = std::collections::BTreeSet::new();
    std::thread::scope(|scope| {
        // Others ask for tokens all the time.
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    get_token();
                    load.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        // Caches that were filled at different times, and a verifier that sees a token as late as it may.
        let mut caches: Vec<Caching> = Vec::new();
        let mut live: Vec<(i64, String)> = Vec::new();
        let span = TERMS.max_age + TERMS.leeway + TERMS.longest_token + TERMS.leeway;
        let step = 37;
        let mut failures = Vec::new();
        for now in (0..3 * span + 2 * step).step_by(usize::try_from(step).unwrap()) {
            server.clock.set(now);
            block_on(server.authority.tidy()).unwrap();
            if now % span < step && now / span < 3 {
                block_on(server.authority.rotate(&Caller::new("tester"), None)).unwrap();
            }
            if caches.len() < 8 {
                caches.push(Caching::fetch(&server, now));
            }
            let token = get_token();
            seen.insert(UnverifiedJws::parse(token.as_bytes()).unwrap().header().key_id().unwrap().to_owned());
            live.push((now, token));
            live.retain(|(issued, _)| now < issued + 3600);
            for cache in &mut caches {
                for (_, token) in live.iter().rev().take(2).chain(live.first()) {
                    failures.extend(cache.verify(&server, token, now).err().map(|error| format!("at {now}: {error}")));
                }
            }
        }
        stop.store(true, Ordering::SeqCst);
        assert_eq!(failures, Vec::<String>::new());
    });
    assert_eq!(seen.len(), 4, "three rotations");
    assert!(load.load(Ordering::SeqCst) > 100);
}
