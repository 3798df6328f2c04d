//! `cargo xtask bench http [SECONDS]`: requests a second beside nginx with a constant answer, beside the same contract
//! in Flask, and beside what one core does without HTTP; then what the server takes when nothing happens.
//!
//! Every server has one worker on one core, the load comes from another core over 32 connections that are kept. They
//! take turns, in several rounds. A ratio is taken within each round, and the median counts. The figure that a noisy
//! machine disturbs least is the one by processor time of the server.

use std::io;
use std::net::SocketAddr;

use super::child::Running;
use super::cores::{Cores, on};
use super::figures::{Figures, shown};
use super::footprint::{self, Footprint};
use super::jotd::{Home, binary};
use super::load::Load;
use super::wrk::{Round, Wrk};
use super::{peers, rates, wrk};
use crate::steps::root;

const ROUNDS: u32 = 5;
const CONNECTIONS: u32 = 32;
/// A server that always has something to answer takes at least so much of its core, unless others want it too.
const BUSY: f64 = 0.9;

/// What is asked for: in words, at least how much, and the two figures whose ratio it is.
const RATIOS: [(&str, &str, &str, &str); 8] = [
    ("`/generateToken` to nginx with a constant answer", "0.9, aim 1.0", "jotd /generateToken", "nginx /generateToken"),
    ("`/verifyToken` to nginx with a constant answer", "0.8, aim 0.95", "jotd /verifyToken", "nginx /verifyToken"),
    ("`/oauth2/token` to bare ES256 signatures", "0.6, aim 0.75", "jotd /oauth2/token", "bare ES256 signature"),
    ("`/oauth2/introspect` to bare ES256 verifications", "", "jotd /oauth2/introspect", "bare ES256 verification"),
    ("`/v1/tokens/mint-batch` to minting ES256 without HTTP", "0.7", "jotd /v1/tokens/mint-batch", "jose ES256 mint"),
    (
        "`/v1/tokens/verify-batch` to verifying HS512 without HTTP",
        "0.7",
        "jotd /v1/tokens/verify-batch",
        "jose HS512 verify",
    ),
    ("`/generateToken` to Flask behind gunicorn", "", "jotd /generateToken", "Flask /generateToken"),
    ("`/verifyToken` to Flask behind gunicorn", "", "jotd /verifyToken", "Flask /verifyToken"),
];

pub(crate) fn run(seconds: &str) -> bool {
    let Ok(seconds @ 1..=60) = seconds.parse() else {
        eprintln!("{seconds:?} is not a number of seconds from 1 to 60");
        return false;
    };
    match measure(seconds) {
        Ok(()) => true,
        Err(error) => {
            eprintln!("== failed: {error}");
            false
        }
    }
}

fn measure(seconds: u32) -> io::Result<()> {
    let binary = binary()?;
    let rates = rates::build()?;
    let cores = Cores::find();
    let mut left_out = Vec::new();
    let mut figures = Figures::default();
    let field = if wrk::is_there() {
        Some(Field::new(&binary, cores, &mut left_out)?)
    } else {
        left_out.push("everything over HTTP, because wrk is not installed (Debian: wrk)".to_owned());
        None
    };
    // The first round only warms up.
    for round in 0..=ROUNDS {
        eprintln!("== round {round} of {ROUNDS}");
        let seconds = if round == 0 { 1 } else { seconds };
        let mut measured = match &field {
            Some(field) => field.round(seconds)?,
            None => Vec::new(),
        };
        measured.extend(rates::run(&rates, cores.server)?);
        if round > 0 {
            measured.into_iter().for_each(|(name, round)| figures.add(&name, round));
        }
    }
    drop(field);
    eprintln!("== starts and memory");
    let footprint = footprint::measure(&binary)?;
    print(&figures, &footprint);
    for reason in &left_out {
        println!("left out: {reason}");
    }
    keep(&figures, &footprint, &left_out)
}

/// Everything that takes part.
struct Field {
    servers: Vec<(Running, SocketAddr)>,
    /// The servers' files, which go after them.
    home: Home,
    /// Name, which of the servers, path, load.
    loads: Vec<(String, usize, &'static str, Wrk)>,
}

impl Field {
    fn new(binary: &std::path::Path, cores: Cores, left_out: &mut Vec<String>) -> io::Result<Self> {
        let home = Home::with_client(binary)?;
        if !home.knows_workers() && cores.server.is_none() {
            left_out.push("a limit to one worker: the binary has no --workers, and is not kept on one core".to_owned());
        }
        let (jotd, address) = home.serve(&on(cores.server), &[])?;
        let key = home.signing_key()?;
        let mut loads = Load::all(address, &key, &home.secret)?;
        loads.extend(Load::batches(address, &home.bearer()?)?);
        let mut lengths = Vec::new();
        for load in loads.iter().filter(|load| load.is_simple()) {
            lengths.push((load.path, load.answer(address)?.len()));
        }
        let mut field = Self { home, servers: Vec::new(), loads: Vec::new() };
        let nginx = peers::nginx(&field.home.file("nginx"), cores.server, &lengths)?;
        let flask = peers::flask(&field.home.file(""), cores.server, &key)?;
        for (name, peer) in [("nginx", nginx), ("jotd", Ok((jotd, address))), ("Flask", flask)] {
            let (running, address) = match peer {
                Ok(peer) => peer,
                Err(reason) => {
                    left_out.push(format!("{name}, because {reason}"));
                    continue;
                }
            };
            for load in loads.iter().filter(|load| name == "jotd" || load.is_simple()) {
                load.answer(address)?;
                let script = field.home.file(&format!("{}.lua", field.loads.len()));
                let wrk = Wrk::new(load, script, cores.load)?;
                field.loads.push((format!("{name} {}", load.path), field.servers.len(), load.path, wrk));
            }
            field.servers.push((running, address));
        }
        // Whoever is measured against each other comes one after the other.
        let order = |path: &str| loads.iter().position(|load| load.path == path);
        field.loads.sort_by_key(|(_, server, path, _)| (order(path), *server));
        Ok(field)
    }

    fn round(&self, seconds: u32) -> io::Result<Vec<(String, Round)>> {
        let mut measured = Vec::new();
        for (name, server, path, wrk) in &self.loads {
            let (running, address) = &self.servers[*server];
            let round = wrk.run(running, *address, path, CONNECTIONS, seconds)?;
            if round.failed > 0 {
                return Err(io::Error::other(format!("{name}: {} requests failed", round.failed)));
            }
            measured.push((name.clone(), round));
        }
        Ok(measured)
    }
}

fn print(figures: &Figures, footprint: &Footprint) {
    println!("| what | at least | by the clock | by processor time |");
    println!("| --- | --- | ---: | ---: |");
    for (what, asked, above, below) in RATIOS {
        let clock = figures.ratio(above, below, |round| round.per_second);
        let cpu = figures.ratio(above, below, |round| round.per_cpu_second);
        println!("| {what} | {asked} | {} | {} |", shown(clock, 2), shown(cpu, 2));
    }
    println!();
    println!("| who | calls/s | calls per CPU second | half within | 99 of 100 within | server busy | load busy |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for name in figures.names() {
        let over_http = figures.median(name, |round| round.p99).filter(|p99| *p99 > 0.0).is_some();
        let wire = |of: fn(&Round) -> f64| figures.median(name, of).filter(|_| over_http);
        let millis =
            |of: fn(&Round) -> f64| wire(of).map_or("–".to_owned(), |value| format!("{:.2} ms", value * 1e3));
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} |",
            shown(figures.median(name, |round| round.per_second), 0),
            shown(figures.median(name, |round| round.per_cpu_second), 0),
            millis(|round| round.p50),
            millis(|round| round.p99),
            shown(wire(|round| round.per_second / round.per_cpu_second), 2),
            shown(wire(|round| round.load_busy), 2),
        );
    }
    println!();
    let busy = figures.median("nginx /generateToken", |round| round.per_second / round.per_cpu_second);
    if let Some(busy) = busy.filter(|busy| *busy < BUSY) {
        println!(
            "Others kept this machine busy (nginx got {:.0} % of its core): go by processor time.\n",
            busy * 100.0
        );
    }
    println!("| what | at most | measured |");
    println!("| --- | --- | ---: |");
    println!("| resident memory of an idle server | 12 MB | {:.1} MB |", footprint.idle / 1e6);
    println!("| start to first answer | 25 ms | {:.1} ms |", footprint.start * 1e3);
    println!("| the same, with keys and store to be made | | {:.1} ms |", footprint.first_start * 1e3);
    println!("| binary, stripped | 12 MB | {:.1} MB |", footprint.binary / 1e6);
    println!();
}

fn keep(figures: &Figures, footprint: &Footprint, left_out: &[String]) -> io::Result<()> {
    let raw = serde_json::json!({
        "rounds": figures.to_json(),
        "idle_bytes": footprint.idle, "binary_bytes": footprint.binary,
        "start_seconds": footprint.start, "first_start_seconds": footprint.first_start,
        "left_out": left_out,
    });
    let file = root().join("target/bench/http.json");
    std::fs::create_dir_all(root().join("target/bench"))?;
    std::fs::write(file, serde_json::to_string_pretty(&raw)?)?;
    println!("every round is in target/bench/http.json");
    Ok(())
}
