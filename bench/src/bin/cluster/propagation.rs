//! How soon a revocation is in force on all nodes: from the moment at which it is on the one that was asked, just before
//! the caller is answered, to the moment at which it is on each of the others.

use std::collections::HashMap;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use authority::store::{Position, RevocationId};
use jotd_bench::id;
use jotd_pgserver::Server;
use serde_json::json;

use crate::cost::Cost;
use crate::node::{Node, runtime};
use crate::table::{Table, Times, millis, rounded};

const NODES: [usize; 3] = [2, 10, 50];
const REVOCATIONS: usize = 1000;
/// The one with the lowest p99 counts: others on the machine only make it slower.
const ROUNDS: u64 = 2;

/// How revocations come.
#[derive(Clone, Copy)]
enum Load {
    /// One at a time, each when the one before is long known to all.
    Single,
    /// So many a second, from up to three nodes.
    Steady(u32),
}

/// A pause after a single one, and as much again at most, so that no rhythm of the nodes is met.
const PAUSE: Duration = Duration::from_millis(12);

const COLUMNS: [&str; 11] = [
    "nodes",
    "revocations",
    "a second",
    "answered after: p50 (ms)",
    "p99 (ms)",
    "on one other node: p50 (ms)",
    "on all nodes: p50 (ms)",
    "p99 (ms)",
    "most (ms)",
    "processor time of a node for each (ms)",
    "of PostgreSQL (ms)",
];

/// One revocation.
struct Sent {
    writer: usize,
    took: Duration,
    id: RevocationId,
}

/// What came of a round.
struct Round {
    answered: Times,
    one_other: Times,
    everywhere: Times,
    cost: Cost,
}

pub(crate) fn measure(server: &Server) {
    let mut table = Table::new("propagation", &COLUMNS);
    for load in [Load::Single, Load::Steady(200)] {
        for count in NODES {
            let url = server.new_store();
            let nodes = Node::open_many(&url, count);
            let rounds = (0..ROUNDS).map(|number| round(server, &nodes, load, number));
            let best = rounds.min_by_key(|round| round.everywhere.at(99));
            let Round { answered, one_other, everywhere, cost } = best.expect("a round");
            let each = |time: Duration| time.as_secs_f64() * 1e3 / answered.len() as f64;
            table.add([
                json!(count),
                json!(match load {
                    Load::Single => "one at a time".to_owned(),
                    Load::Steady(rate) => format!("{rate} a second from {}", count.min(3)),
                }),
                rounded(answered.len() as f64 / cost.elapsed.as_secs_f64(), 0),
                millis(answered.at(50)),
                millis(answered.at(99)),
                millis(one_other.at(50)),
                millis(everywhere.at(50)),
                millis(everywhere.at(99)),
                millis(everywhere.at(100)),
                rounded(each(cost.nodes) / count as f64, 3),
                rounded(each(cost.postgres), 3),
            ]);
        }
    }
    table.print();
}

fn round(server: &Server, nodes: &[Node], load: Load, number: u64) -> Round {
    let first = number * REVOCATIONS as u64;
    let (sent, cost) = Cost::of(server, || match load {
        Load::Single => send(nodes, 0, (first..).take(REVOCATIONS), |number| {
            let spread = PAUSE.mul_f64((id(number).0[0] % 128) as f64 / 128.0);
            sleep(PAUSE + spread);
        }),
        Load::Steady(rate) => steady(nodes, first, rate),
    });
    let positions: HashMap<RevocationId, Position> = nodes[0].positions(REVOCATIONS).collect();
    let last = positions.values().max().copied().expect("some were revoked");
    let patience = Instant::now() + Duration::from_secs(10);
    while nodes.iter().any(|node| node.authority.state().position() < last) {
        assert!(Instant::now() < patience, "a node does not follow");
        sleep(Duration::from_millis(1));
    }
    let (mut one_other, mut everywhere) = (Vec::new(), Vec::new());
    for Sent { writer, id, .. } in &sent {
        let position = positions[id];
        let since = |node: &Node| node.in_force_since(position).expect("it is in force");
        let answered = since(&nodes[*writer]);
        let others = nodes.iter().enumerate().filter(|(index, _)| index != writer);
        let after: Vec<_> = others.map(|(_, node)| since(node).saturating_duration_since(answered)).collect();
        everywhere.push(after.iter().max().copied().unwrap_or_default());
        one_other.extend(after);
        assert!(nodes.iter().all(|node| node.authority.state().is_revoked(*id)));
    }
    let answered = Times::new(sent.iter().map(|sent| sent.took).collect());
    Round { answered, one_other: Times::new(one_other), everywhere: Times::new(everywhere), cost }
}

/// Revokes tokens of these numbers one after the other.
fn send(nodes: &[Node], writer: usize, numbers: impl Iterator<Item = u64>, pause: impl Fn(u64)) -> Vec<Sent> {
    let runtime = runtime();
    let sent = numbers.map(|number| {
        pause(number);
        let started = Instant::now();
        runtime.block_on(nodes[writer].revoke(number)).expect("it is revoked");
        Sent { writer, took: started.elapsed(), id: id(number) }
    });
    sent.collect()
}

/// Revokes tokens from this number on, each when its time has come.
fn steady(nodes: &[Node], first: u64, rate: u32) -> Vec<Sent> {
    let (writers, started) = (nodes.len().min(3), Instant::now());
    let of = |writer: usize| {
        let numbers = (writer..REVOCATIONS).step_by(writers).map(|number| first + number as u64);
        send(nodes, writer, numbers, |number| {
            let due = started + Duration::from_secs_f64((number - first) as f64 / f64::from(rate));
            sleep(due.saturating_duration_since(Instant::now()));
        })
    };
    scope(|scope| {
        let writers: Vec<_> = (0..writers).map(|writer| scope.spawn(move || of(writer))).collect();
        writers.into_iter().flat_map(|writer| writer.join().expect("they are revoked")).collect()
    })
}
