//! How soon all nodes follow the store again, and how soon each can change something again: after PostgreSQL was away,
//! and after it has thrown out all connections.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use jotd_pgserver::{Server, Shutdown};
use serde_json::json;

use crate::node::{Node, runtime};
use crate::table::{Table, Times, millis};

const NODES: usize = 10;
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);
/// Long enough for the longest pause between two attempts to connect.
const AWAY: Duration = Duration::from_secs(4);

const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
    WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";

const COLUMNS: [&str; 5] =
    ["after", "all follow again: p50 (ms)", "most (ms)", "all can write again: p50 (ms)", "most (ms)"];

/// Until all of them.
#[derive(Clone, Copy)]
struct Recovered {
    /// Have looked at the store.
    follow: Duration,
    /// Have changed something.
    change: Duration,
}

pub(crate) fn measure(mut server: Server) {
    let url = server.new_store();
    let nodes = Node::open_many(&url, NODES);
    let next = AtomicU64::new(0);
    let mut table = Table::new("recovery of 10 nodes", &COLUMNS);
    let mut add = |name: &str, rounds: &[Recovered]| {
        let times = |of: fn(&Recovered) -> Duration| Times::new(rounds.iter().map(of).collect());
        let (follow, change) = (times(|round| round.follow), times(|round| round.change));
        let [middle, most] = [50, 100].map(|percent| millis(follow.at(percent)));
        table.add([json!(name), middle, most, millis(change.at(50)), millis(change.at(100))]);
    };
    for (name, how) in [("a restart (4 s)", Shutdown::Fast), ("a crash (4 s)", Shutdown::Immediate)] {
        let rounds: Vec<_> = (0..ROUNDS)
            .map(|_| {
                server.stop(how);
                let gone = Instant::now();
                sleep(AWAY);
                server.start_again();
                recovered(&nodes, gone, Instant::now(), &next)
            })
            .collect();
        add(name, &rounds);
    }
    let rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            sleep(Duration::from_millis(500));
            let thrown_out = server.query(TERMINATE);
            assert_eq!(thrown_out, (3 * NODES).to_string());
            let now = Instant::now();
            recovered(&nodes, now, now, &next)
        })
        .collect();
    add("pg_terminate_backend of all", &rounds);
    table.print();
}

/// Waits until all nodes have looked at what came after `gone`, and have changed something; counts from `back` on.
fn recovered(nodes: &[Node], gone: Instant, back: Instant, next: &AtomicU64) -> Recovered {
    let until = back + PATIENCE;
    let within = |what: &str| assert!(Instant::now() < until, "a node does not {what} again");
    scope(|scope| {
        let writing: Vec<_> = nodes
            .iter()
            .map(|node| {
                scope.spawn(move || {
                    let runtime = runtime();
                    while runtime.block_on(node.revoke(next.fetch_add(1, Ordering::Relaxed))).is_err() {
                        within("write");
                        sleep(Duration::from_millis(5));
                    }
                    back.elapsed()
                })
            })
            .collect();
        for node in nodes {
            while node.authority.age() > gone.elapsed() {
                within("follow");
                sleep(Duration::from_millis(1));
            }
        }
        let follow = back.elapsed();
        let change = writing.into_iter().map(|thread| thread.join().expect("it writes")).max();
        Recovered { follow, change: change.unwrap_or_default() }
    })
}
