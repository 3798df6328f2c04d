//! What more connections do to the server: to its rate and its times under load, and to its memory when they idle.

use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use jotd_wire::Wire;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::cores::{Cores, on};
use super::figures::Figures;
use super::jotd::Home;
use super::load::Load;
use super::peers;
use super::wrk::Wrk;

/// Connections under load.
pub(crate) const LOADED: [u32; 6] = [1, 10, 32, 100, 1_000, 10_000];
/// Connections that idle, opened one after the other and kept.
pub(crate) const IDLE: [u32; 6] = [0, 100, 1_000, 2_000, 5_000, 10_000];
const ROUNDS: u32 = 3;
/// What a server is told, so that nobody is turned away or sent home.
const OPTIONS: [&str; 4] = ["--max-connections", "20000", "--idle-timeout", "1h"];
/// Descriptors that a process needs besides those of its connections.
const OTHERS: u64 = 100;
/// How long the server is left alone before its memory is read.
const REST: Duration = Duration::from_millis(500);

/// The name of a figure.
pub(crate) fn named(server: &str, connections: u32) -> String {
    format!("{server} {connections}")
}

/// Lets this process and those that it starts have as many connections as the system allows.
pub(crate) fn most() -> u32 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let allowed = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    allowed.map_or(u32::MAX, |most| u32::try_from(most.saturating_sub(OTHERS)).unwrap_or(u32::MAX))
}

/// Rates and times of `/generateToken`, and of nginx with an answer of the same size, in several rounds of which the
/// quietest is to count.
pub(crate) fn under_load(binary: &Path, most: u32, left_out: &mut Vec<String>) -> io::Result<Figures> {
    let cores = Cores::find();
    let home = Home::empty(binary)?;
    let load = Load::generate();
    let (jotd, address) = home.serve(&on(cores.server), &OPTIONS)?;
    let mut servers = vec![("jotd", jotd, address)];
    match peers::nginx(&home.file("nginx"), cores.server, &[(load.path, load.answer(address)?.len())])? {
        Ok((nginx, address)) => servers.push(("nginx", nginx, address)),
        Err(reason) => left_out.push(format!("nginx, because {reason}")),
    }
    let wrk = Wrk::new(&load, home.file("load.lua"), cores.load)?;
    let mut figures = Figures::default();
    for round in 1..=ROUNDS {
        eprintln!("== round {round} of {ROUNDS}");
        for connections in LOADED.into_iter().filter(|connections| *connections <= most) {
            // Opening thousands takes a part of the time.
            let seconds = if connections < 1_000 { 3 } else { 6 };
            for (name, running, address) in &servers {
                let round = wrk.run(running, *address, load.path, connections, seconds)?;
                figures.add(&named(name, connections), round);
            }
        }
    }
    Ok(figures)
}

/// Resident memory in bytes over idle connections, each of which has had one answer.
pub(crate) fn idle(binary: &Path, most: u32) -> io::Result<Vec<(u32, u64)>> {
    let home = Home::empty(binary)?;
    let load = Load::generate();
    let (running, address) = home.serve(&on(Cores::find().server), &OPTIONS)?;
    let (mut open, mut measured) = (Vec::new(), Vec::new());
    for connections in IDLE.into_iter().filter(|connections| *connections <= most) {
        while open.len() < connections as usize {
            let mut wire = Wire::connect(address)?;
            load.repeat(&mut wire, 1)?;
            open.push(wire);
        }
        sleep(REST);
        measured.push((connections, running.resident_bytes()?));
    }
    Ok(measured)
}
