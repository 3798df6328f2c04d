//! Servers that share a PostgreSQL: what a request costs each of them while one, two and three run, all under the same
//! load, and what they cost when nothing happens. By processor time: so many servers, those that ask them and PostgreSQL
//! share the machine.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use jotd_pgserver::Server;
use jotd_pgserver::processes::time_of_family;
use serde_json::{Value, json};

use super::child::Running;
use super::figures::median;
use super::jotd::Home;
use super::load::CLIENT;

const ROUNDS: usize = 3;
/// Requests a second to each server, over four connections: less than half of what one core can do for three.
const RATE: u32 = 2000;
const SECONDS: &str = "1500ms";
const ROUTES: [&str; 4] = ["generateToken", "verifyToken", "token", "introspect"];
const NODES: [usize; 3] = [1, 2, 3];

/// How often, and how long, nothing happens. The least counts: others only add to it.
const IDLE_ROUNDS: usize = 2;
const IDLE: Duration = Duration::from_secs(8);
/// Until a start is over.
const REST: Duration = Duration::from_millis(1500);

/// A table of what a request costs: microseconds of processor time of the server that answers it.
pub(crate) fn serving(binary: &Path, server: &Server) -> io::Result<Value> {
    let home = Home::over(binary, server.new_store())?;
    let secret = home.file("secret");
    std::fs::write(&secret, &home.secret)?;
    let mut measured = vec![vec![Vec::new(); NODES.len()]; ROUTES.len()];
    // The first round only warms up.
    for round in 0..=ROUNDS {
        eprintln!("== requests to one, two and three nodes: round {round} of {ROUNDS}");
        for (count, index) in NODES.into_iter().zip(0..) {
            let nodes = start(&home, count)?;
            for (route, costs) in ROUTES.iter().zip(&mut measured) {
                let each = ask(&home, &nodes, route, &secret)?;
                if round > 0 {
                    costs[index].extend(each);
                }
            }
        }
    }
    let figure =
        |costs: &Vec<f64>| median(costs.clone()).map_or(Value::Null, |cost| json!((cost * 1e7).round() / 10.0));
    let rows = ROUTES
        .iter()
        .zip(&measured)
        .map(|(route, costs)| [json!(route)].into_iter().chain(costs.iter().map(figure)).collect::<Vec<_>>());
    let columns = ["route", "one node (µs)", "each of two (µs)", "each of three (µs)"];
    let name = "processor time of a node for each request";
    Ok(json!({ "name": name, "columns": columns, "rows": rows.collect::<Vec<_>>() }))
}

fn start(home: &Home, count: usize) -> io::Result<Vec<(Running, SocketAddr)>> {
    (0..count).map(|_| home.serve(&[], &[])).collect()
}

/// Asks all of them at the same time, and gives the processor seconds of each for a request.
fn ask(home: &Home, nodes: &[(Running, SocketAddr)], route: &str, secret: &Path) -> io::Result<Vec<f64>> {
    let (rate, secret) = (RATE.to_string(), secret.to_string_lossy());
    let one = |running: &Running, address: &SocketAddr| -> io::Result<f64> {
        let url = format!("http://{address}");
        let mut arguments = vec!["bench", url.as_str(), "--route", route, "--rate", rate.as_str()];
        arguments.extend(["--connections", "4", "--duration", SECONDS, "--warmup", "0s", "--format", "json"]);
        if ["token", "introspect"].contains(&route) {
            arguments.extend(["--client", CLIENT, "--client-secret-file", &*secret]);
        }
        let before = running.cpu_seconds();
        let report: Value = serde_json::from_str(&home.output(&arguments)?)?;
        let (spent, answered) = (running.cpu_seconds() - before, report["succeeded"].as_f64().unwrap_or(0.0));
        if report["failed"] != 0 {
            return Err(io::Error::other(format!("{route}: requests failed: {report}")));
        }
        Ok(spent / answered)
    };
    scope(|scope| {
        let asking: Vec<_> = nodes.iter().map(|(running, address)| scope.spawn(|| one(running, address))).collect();
        let ended = asking.into_iter().map(|thread| thread.join());
        ended.map(|cost| cost.unwrap_or_else(|_| Err(io::Error::other("asking failed")))).collect()
    })
}

/// A table of what is spent while nothing happens: thousandths of a core.
pub(crate) fn idle(binary: &Path, server: &Server) -> io::Result<Value> {
    let home = Home::over(binary, server.new_store())?;
    let mut rows = Vec::new();
    for count in [0, 1, 3] {
        eprintln!("== {count} nodes, idle");
        let nodes = start(&home, count)?;
        sleep(REST);
        let (mut least, mut least_of_server) = (f64::MAX, f64::MAX);
        for _ in 0..IDLE_ROUNDS {
            let started = Instant::now();
            let of_nodes = || nodes.iter().map(|(running, _)| running.cpu_seconds()).sum::<f64>();
            let of_server = || time_of_family(server.pid()).as_secs_f64();
            let before = (of_nodes(), of_server());
            sleep(IDLE);
            let a_second = |spent: f64| spent * 1e3 / started.elapsed().as_secs_f64();
            least = least.min(a_second(of_nodes() - before.0));
            least_of_server = least_of_server.min(a_second(of_server() - before.1));
        }
        let shown = |spent: f64| json!((spent * 100.0).round() / 100.0);
        let each = if count == 0 { Value::Null } else { shown(least / count as f64) };
        rows.push(vec![json!(count), each, shown(least_of_server)]);
    }
    let columns = ["idle nodes", "each of them (ms a second)", "PostgreSQL (ms a second)"];
    Ok(json!({ "name": "processor time when nothing happens", "columns": columns, "rows": rows }))
}
