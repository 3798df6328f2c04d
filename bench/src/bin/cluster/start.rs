//! A start over very many revoked tokens.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jotd_bench::{LIFETIME, NOW};
use jotd_pgserver::Server;
use serde_json::{Value, json};

use crate::cost::Cost;
use crate::node::Node;
use crate::table::{Table, rounded, seconds};

const COUNTS: [u64; 2] = [1_000_000, 10_000_000];
/// More are not made where that would take longer.
const LONGEST: Duration = Duration::from_secs(120);
/// The quickest counts.
const ROUNDS: usize = 2;

pub(crate) fn measure(server: &Server) {
    let mut table = Table::new(
        "start",
        &[
            "revoked tokens",
            "nodes at once",
            "seconds",
            "processor time of a node (s)",
            "of PostgreSQL (s)",
            "memory of a node at most (MB)",
            "table of tokens in PostgreSQL (MB)",
            "made in (s)",
        ],
    );
    let mut for_each = Duration::ZERO;
    for count in COUNTS {
        if for_each * count.try_into().unwrap_or(u32::MAX) > LONGEST {
            eprintln!("left out: {count} revoked tokens, because it would take too long to make them");
            continue;
        }
        let url = server.new_store();
        let made = fill(server, &url, count);
        for_each = made / count.try_into().unwrap_or(u32::MAX);
        let megabytes = server.query(&format!("SELECT pg_table_size('{}.revoked_tokens') / 1000000", schema(&url)));
        for nodes in [1, 3] {
            let rounds: Vec<_> = (0..ROUNDS).map(|_| Cost::of(server, || start(&url, nodes))).collect();
            let quickest = |(loaded, _): &(Vec<Value>, Cost)| slowest(loaded, "seconds");
            let best = rounds.into_iter().min_by(|a, b| quickest(a).total_cmp(&quickest(b))).expect("a round");
            let (loaded, cost) = &best;
            table.add([
                json!(count),
                json!(nodes),
                rounded(quickest(&best), 2),
                rounded(slowest(loaded, "cpu"), 2),
                seconds(cost.postgres),
                rounded(slowest(loaded, "peak") / 1e6, 0),
                json!(megabytes.parse::<u64>().unwrap_or(0)),
                seconds(made),
            ]);
        }
        let _ = server.query(&format!("DROP SCHEMA {} CASCADE", schema(&url)));
    }
    table.print();
}

/// Of several starts at once the one that had most of it.
fn slowest(loaded: &[Value], what: &str) -> f64 {
    loaded.iter().filter_map(|one| one[what].as_f64()).fold(0.0, f64::max)
}

fn schema(url: &str) -> &str {
    url.rsplit_once("schema=").expect("the URL of a store").1
}

/// The rows, in the order in which they may have come, and without the indexes, which a start does not use. Of their
/// entries in the log only the newest is there, as if they were revoked long ago.
fn fill(server: &Server, url: &str, count: u64) -> Duration {
    drop(Node::open(url));
    let (schema, started) = (schema(url), Instant::now());
    let _ = server.query(&format!(
        "SET search_path TO {schema};
        ALTER TABLE revoked_tokens DROP CONSTRAINT revoked_tokens_pkey;
        DROP INDEX revoked_tokens_by_expiry, revoked_tokens_by_key;
        INSERT INTO revoked_tokens (id, expires_at, key_id, revoked_at, actor, reason, position)
            SELECT decode(md5(n::text), 'hex'), {NOW} + 1 + n % {LIFETIME}, convert_to(repeat('k', 43), 'UTF8'),
                {NOW}, 'bench', '', n
            FROM generate_series(1, {count}) AS n;
        INSERT INTO changes (position, at, actor, action, kind, id, detail, mark, revoked_tokens)
            VALUES ({count}, {NOW}, 'bench', 'token.revoked', 'token', convert_to(md5('{count}'), 'UTF8'), '{{}}', 1, {count});
        UPDATE head SET trimmed = {count} - 1, trimmed_mark = 1;
        ANALYZE revoked_tokens; CHECKPOINT;"
    ));
    started.elapsed()
}

/// Starts so many nodes at the same time.
fn start(url: &str, nodes: usize) -> Vec<Value> {
    let own = std::env::current_exe().expect("a path");
    let start = || Command::new(&own).args(["load", url]).stdout(Stdio::piped()).spawn().expect("it starts");
    let started: Vec<_> = (0..nodes).map(|_| start()).collect();
    let ended = started.into_iter().map(|child| child.wait_with_output().expect("it ends"));
    ended.map(|output| serde_json::from_slice(&output.stdout).expect("what it measured")).collect()
}

/// One start, in this process.
pub(crate) fn load(url: &str) {
    let started = Instant::now();
    let node = Node::open(url);
    let took = started.elapsed().as_secs_f64();
    let cpu = jotd_pgserver::processes::time_of_threads(std::process::id()).as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    let (peak, tokens) = (peak.unwrap_or(0_u64) * 1024, node.authority.state().revoked_tokens());
    println!("{}", json!({ "seconds": took, "cpu": cpu, "peak": peak, "tokens": tokens }));
    // Not what it would do next.
    std::process::exit(0);
}
