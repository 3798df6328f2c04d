//! Programs that a benchmark starts: each on a core of its own, measured through `/proc`, and gone when the benchmark
//! ends, however it ends. They stay in the process group of the terminal, so that Ctrl-C reaches them too.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use jotd_pgserver::processes::{family, time_of_ended_children, time_of_family};
use rustix::process::{Pid, Signal, kill_process};

/// Longer than any program here needs to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that runs until this is dropped.
pub(crate) struct Running {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts the program; what it prints goes into the file.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: PathBuf) -> io::Result<Self> {
        let file = std::fs::File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().map_err(|error| io::Error::other(format!("cannot run {name}: {error}")))?;
        Ok(Self { name, child, log })
    }

    /// Waits until `GET path` is answered with 200, and says how long that took.
    pub(crate) fn until_it_answers(&mut self, address: SocketAddr, path: &str) -> io::Result<Duration> {
        let started = Instant::now();
        loop {
            if jotd_wire::ask(address, "GET", path, &[], "").is_ok_and(|answer| answer.status == 200) {
                return Ok(started.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failure(&format!("ended ({status})")));
            }
            if started.elapsed() > PATIENCE {
                return Err(self.failure("does not answer"));
            }
            sleep(Duration::from_micros(100));
        }
    }

    /// Processor time so far, of the program and what it has started.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        time_of_family(self.child.id()).as_secs_f64()
    }

    /// Resident memory.
    pub(crate) fn resident_bytes(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse().ok());
        kib.map(|kib: u64| kib * 1024).ok_or_else(|| self.failure("has no VmRSS"))
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> io::Result<ExitStatus> {
        self.end()
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        let family = family(self.child.id());
        let signal = |id: u32, signal| {
            if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
                let _ = kill_process(id, signal);
            }
        };
        signal(self.child.id(), Signal::TERM);
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            sleep(Duration::from_millis(5));
        }
        family.into_iter().for_each(|id| signal(id, Signal::KILL));
        self.child.wait()
    }

    fn failure(&self, what: &str) -> io::Error {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        io::Error::other(format!("{} {what}\n{log}", self.name))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Processor time of what this process has started and waited for, in seconds.
pub(crate) fn cpu_seconds_of_ended_children() -> f64 {
    time_of_ended_children(std::process::id()).as_secs_f64()
}
