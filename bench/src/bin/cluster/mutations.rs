//! How many durable revocations a second there can be through one node and through three, and how long one takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use jotd_pgserver::Server;
use serde_json::json;
use tokio::task::JoinSet;

use crate::cost::Cost;
use crate::node::{Node, runtime};
use crate::sync;
use crate::table::{Table, Times, millis, rounded};

/// The one in which most are revoked counts: others on the machine only make it less.
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_millis(1500);
const BATCH: u64 = 1000;
const CALLERS: [usize; 3] = [1, 16, 256];

/// What goes on on the other nodes.
const BESIDE: [(&str, Other); 3] = [
    ("nothing", Other::Nothing),
    ("16 callers on each of two others", Other::Singles),
    ("batches on two others", Other::Batches),
];

#[derive(Clone, Copy, PartialEq)]
enum Other {
    Nothing,
    Singles,
    Batches,
}

/// A number for a token that nobody else has revoked.
struct Numbers(AtomicU64);

impl Numbers {
    fn take(&self, count: u64) -> u64 {
        self.0.fetch_add(count, Ordering::Relaxed)
    }
}

pub(crate) fn measure(server: &Server) {
    let url = server.new_store();
    let nodes: Vec<Arc<Node>> = Node::open_many(&url, 3).into_iter().map(Arc::new).collect();
    let numbers = Arc::new(Numbers(AtomicU64::new(0)));
    rates(server, &nodes, &numbers);
    latencies(&nodes, &numbers);
}

fn rates(server: &Server, nodes: &[Arc<Node>], numbers: &Arc<Numbers>) {
    let mut table = Table::new(
        "durable revocations",
        &[
            "through nodes",
            "by",
            "a second",
            "one call: p50 (ms)",
            "p99 (ms)",
            "processor time of the nodes for each (µs)",
            "of PostgreSQL (µs)",
            "a sync of the disk (ms)",
        ],
    );
    let singles = CALLERS.map(|callers| (format!("{callers} at each"), callers, 1));
    let batches = [(format!("batches of {BATCH}"), 1, BATCH)];
    for (name, callers, size) in singles.into_iter().chain(batches) {
        for count in [1, 3] {
            let round = || {
                let disk = sync::measure();
                let (times, cost) = Cost::of(server, || through(&nodes[..count], callers, size, numbers));
                (times.len() as f64 * size as f64, times, cost, disk)
            };
            let rounds: Vec<_> = (0..ROUNDS).map(|_| round()).collect();
            let rate = |(revoked, _, cost, _): &(f64, Times, Cost, Duration)| revoked / cost.elapsed.as_secs_f64();
            let best = rounds.into_iter().max_by(|a, b| rate(a).total_cmp(&rate(b))).expect("a round");
            let (revoked, times, cost, disk) = &best;
            let each = |time: Duration| rounded(time.as_secs_f64() * 1e6 / revoked, 0);
            table.add([
                json!(count),
                json!(name),
                rounded(rate(&best), 0),
                millis(times.at(50)),
                millis(times.at(99)),
                each(cost.nodes),
                each(cost.postgres),
                millis(*disk),
            ]);
        }
    }
    table.print();
}

/// All call these nodes as often as they can, each after the answer to its call before.
fn through(nodes: &[Arc<Node>], callers: usize, size: u64, numbers: &Arc<Numbers>) -> Times {
    let end = Instant::now() + ROUND;
    let times = scope(|scope| {
        let threads: Vec<_> = nodes
            .iter()
            .map(|node| {
                scope.spawn(move || {
                    runtime().block_on(async {
                        let mut calls = JoinSet::new();
                        for _ in 0..callers {
                            calls
                                .spawn(call(Arc::clone(node), size, Arc::clone(numbers), move || Instant::now() < end));
                        }
                        calls.join_all().await.into_iter().flatten().collect::<Vec<_>>()
                    })
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("they are revoked")).collect()
    });
    Times::new(times)
}

async fn call(node: Arc<Node>, size: u64, numbers: Arc<Numbers>, goes_on: impl Fn() -> bool) -> Vec<Duration> {
    let mut times = Vec::new();
    while goes_on() {
        let (number, started) = (numbers.take(size), Instant::now());
        let revoked = if size == 1 { node.revoke(number).await } else { node.revoke_many(number, size).await };
        revoked.expect("they are revoked");
        times.push(started.elapsed());
    }
    times
}

fn latencies(nodes: &[Arc<Node>], numbers: &Arc<Numbers>) {
    let mut table = Table::new(
        "one revocation on one node",
        &["beside", "p50 (ms)", "p99 (ms)", "most (ms)", "a sync of the disk (ms)"],
    );
    for (name, other) in BESIDE {
        let rounds = (0..ROUNDS).map(|_| (sync::measure(), single_beside(nodes, numbers, other)));
        let (disk, times) = rounds.min_by_key(|(_, times)| times.at(50)).expect("a round");
        table.add([json!(name), millis(times.at(50)), millis(times.at(99)), millis(times.at(100)), millis(disk)]);
    }
    table.print();
}

/// One every few milliseconds.
fn single_beside(nodes: &[Arc<Node>], numbers: &Arc<Numbers>, other: Other) -> Times {
    let is_done = Arc::new(AtomicBool::new(false));
    scope(|scope| {
        for node in nodes.iter().skip(1).filter(|_| other != Other::Nothing) {
            let (callers, size) = if other == Other::Singles { (16, 1) } else { (1, BATCH) };
            let is_done = &is_done;
            scope.spawn(move || {
                runtime().block_on(async {
                    let mut calls = JoinSet::new();
                    for _ in 0..callers {
                        let is_done = Arc::clone(is_done);
                        let goes_on = move || !is_done.load(Ordering::Relaxed);
                        calls.spawn(call(Arc::clone(node), size, Arc::clone(numbers), goes_on));
                    }
                    drop(calls.join_all().await);
                });
            });
        }
        let (runtime, end, mut times) = (runtime(), Instant::now() + ROUND, Vec::new());
        while Instant::now() < end {
            sleep(Duration::from_millis(5));
            let started = Instant::now();
            runtime.block_on(nodes[0].revoke(numbers.take(1))).expect("it is revoked");
            times.push(started.elapsed());
        }
        is_done.store(true, Ordering::Relaxed);
        Times::new(times)
    })
}
