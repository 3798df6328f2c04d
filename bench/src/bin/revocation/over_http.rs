//! Revocations over HTTP: many at a time, and single ones, alone and beside them.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use authority::{Caller, Scopes, Setup, Terms};
use jotd_bench::{expires_at, id, open};
use jotd_http::{Access, Limits, Metrics, Router, Server, Surface};
use jotd_store::SqliteStore;
use jotd_wire::{Wire, request};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::store::NEW;

/// So many are revoked for each size of a batch.
const REVOKED: u64 = 100_000;

/// Single ones: so many callers, and so many by each.
const CALLERS: usize = 8;
const BY_EACH: usize = 500;

struct Target {
    address: SocketAddr,
    bearer: String,
    next: AtomicU64,
}

pub(crate) fn measure(path: &Path) {
    let authority = Arc::new(open(Box::new(SqliteStore::open(path).expect("the store"))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let terms = Some(Terms { max_age: 300, longest_token: 86_400, leeway: 60 });
    let setup = Setup { issuer: Some("https://issuer.example".to_owned()), terms, ..Setup::default() };
    runtime.block_on(authority.set_up(&Caller::new("bench"), setup)).expect("set up");
    let scopes = Scopes::parse("jotd:revoke").expect("a scope");
    let bearer = authority.grant_locally("bench", &scopes, &[], None, None).expect("a token").token;
    let router = Router::new(authority, Limits::default(), Arc::new(Metrics::default()), Access::default());
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    let address = listener.local_addr().expect("an address");
    let target = Target { address, bearer: format!("Bearer {bearer}"), next: AtomicU64::new(NEW << 1) };
    let (stop, stopped) = oneshot::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            runtime.block_on(async {
                let mut server = Server::new(router, 2);
                server.listen(listener, Surface::Public).expect("listening");
                server.run(async { drop(stopped.await) }).await
            })
        });
        for size in [100, 1_000, 10_000] {
            let (started, mut wire) = (Instant::now(), target.connect());
            (0..REVOKED / size).for_each(|_| target.batch(&mut wire, size));
            let rate = REVOKED as f64 / started.elapsed().as_secs_f64();
            println!("over HTTP, in batches of {size}: {rate:.0} durable revocations a second");
        }
        singles(&target, "alone");
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut wire = target.connect();
                while !done.load(Ordering::Relaxed) {
                    target.batch(&mut wire, 10_000);
                }
            });
            singles(&target, "beside batches of 10000");
            done.store(true, Ordering::Relaxed);
        });
        drop(stop);
    });
}

fn singles(target: &Target, how: &str) {
    let one = || {
        let mut wire = target.connect();
        let times = (0..BY_EACH).map(|_| {
            let number = target.next.fetch_add(1, Ordering::Relaxed);
            let started = Instant::now();
            assert_eq!(target.ask(&mut wire, "/v1/revocations", &revocation(number)).0, 201);
            started.elapsed()
        });
        times.collect::<Vec<Duration>>()
    };
    let started = Instant::now();
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(one)).collect();
        callers.into_iter().flat_map(|caller| caller.join().expect("answers")).collect()
    });
    let rate = times.len() as f64 / started.elapsed().as_secs_f64();
    times.sort();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
    println!(
        "over HTTP, single ones by {CALLERS} callers, {how}: {rate:.0} a second, p50 {:.2?}, p99 {:.2?}",
        at(50),
        at(99)
    );
}

fn revocation(number: u64) -> Value {
    json!({ "token_id": id(number).to_string(), "expires_at": expires_at(number).0 + 1 })
}

impl Target {
    fn connect(&self) -> Wire {
        Wire::connect(self.address).expect("a connection")
    }

    fn ask(&self, wire: &mut Wire, path: &str, body: &Value) -> (u16, Value) {
        let headers = [("Content-Type", "application/json"), ("Authorization", self.bearer.as_str())];
        wire.send(request("POST", path, &headers, body.to_string())).expect("sent");
        let answer = wire.receive().expect("an answer");
        (answer.status, serde_json::from_slice(&answer.body).expect("JSON"))
    }

    fn batch(&self, wire: &mut Wire, size: u64) {
        let first = self.next.fetch_add(size, Ordering::Relaxed);
        let revocations: Vec<_> = (first..first + size).map(revocation).collect();
        let (status, answer) = self.ask(wire, "/v1/revocations/batch", &json!({ "revocations": revocations }));
        assert_eq!((status, answer["revoked"].as_u64()), (200, Some(size)), "{answer}");
    }
}
