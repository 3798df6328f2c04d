//! Load by wrk: one thread, connections that are kept, on a core of its own.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::child::{Running, cpu_seconds_of_ended_children};
use super::cores::{on, prefixed};
use super::load::Load;

/// What has been measured in one round.
#[derive(Clone, Copy, Default)]
pub(crate) struct Round {
    /// Calls a second of the clock.
    pub(crate) per_second: f64,
    /// Calls a second of processor time of the server.
    pub(crate) per_cpu_second: f64,
    /// How long half of the requests took at most, in seconds.
    pub(crate) p50: f64,
    /// How long 99 of 100 took at most, in seconds.
    pub(crate) p99: f64,
    /// The part of the time that the load was busy itself: at 1 it is the load that is measured.
    pub(crate) load_busy: f64,
    /// Requests that got no answer within the time, or whose connection failed.
    pub(crate) failed: u64,
}

/// Whether wrk is there; it has no option that succeeds without doing anything.
pub(crate) fn is_there() -> bool {
    Command::new("wrk").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// What wrk needs for one kind of request.
pub(crate) struct Wrk {
    script: PathBuf,
    core: Option<usize>,
    calls: u32,
}

impl Wrk {
    /// Writes the script to the file.
    pub(crate) fn new(load: &Load, script: PathBuf, core: Option<usize>) -> io::Result<Self> {
        std::fs::write(&script, load.script())?;
        Ok(Self { script, core, calls: load.calls })
    }

    /// Sends requests to `address` for so many seconds.
    pub(crate) fn run(
        &self,
        server: &Running,
        address: SocketAddr,
        path: &str,
        connections: u32,
        seconds: u32,
    ) -> io::Result<Round> {
        let (server_before, load_before) = (server.cpu_seconds(), cpu_seconds_of_ended_children());
        let mut command = prefixed(&on(self.core), "wrk");
        command.args(["--threads", "1", "--timeout", "10s", "--connections", &connections.to_string()]);
        command.args(["--duration", &format!("{seconds}s"), "--script"]).arg(&self.script);
        let done = command.arg(format!("http://{address}{path}")).stdin(Stdio::null()).output()?;
        let (server_cpu, load_cpu) =
            (server.cpu_seconds() - server_before, cpu_seconds_of_ended_children() - load_before);
        let printed = String::from_utf8_lossy(&done.stdout);
        let report = printed.lines().find(|line| line.starts_with('{'));
        let report = report
            .ok_or_else(|| io::Error::other(format!("wrk: {}{}", printed, String::from_utf8_lossy(&done.stderr))))?;
        let report: serde_json::Value = serde_json::from_str(report)?;
        let number = |name: &str| report[name].as_f64().unwrap_or(0.0);
        if number("refused") > 0.0 {
            return Err(io::Error::other(format!("{path} was answered with errors: {report}")));
        }
        let (calls, elapsed) = (number("requests") * f64::from(self.calls), number("micros") / 1e6);
        Ok(Round {
            per_second: calls / elapsed,
            per_cpu_second: calls / server_cpu,
            p50: number("p50") / 1e6,
            p99: number("p99") / 1e6,
            load_busy: load_cpu / elapsed,
            failed: number("failed") as u64,
        })
    }
}
