//! Programs that a benchmark starts: each on a core of its own, measured through `/proc`, and gone when the benchmark
//! ends, however it ends. They stay in the process group of the terminal, so that Ctrl-C reaches them too.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

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
        let ticks: u64 = self.family().iter().filter_map(|id| ticks(&stat(*id)?)).sum();
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64
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
        let family = self.family();
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

    /// The program and all that came of it.
    fn family(&self) -> Vec<u32> {
        let all: Vec<(u32, u32)> = std::fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|id| Some((id, field(&stat(id)?, 4)?.try_into().ok()?)))
            .collect();
        let mut family = vec![self.child.id()];
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            family.extend(all.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
            next += 1;
        }
        family
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
    let ticks = stat(std::process::id()).and_then(|stat| Some(field(&stat, 16)? + field(&stat, 17)?));
    ticks.unwrap_or(0) as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn stat(id: u32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{id}/stat")).ok()
}

/// User and system time.
fn ticks(stat: &str) -> Option<u64> {
    Some(field(stat, 14)? + field(stat, 15)?)
}

/// A numbered field of `/proc/PID/stat`, after the name, in which anything may stand.
fn field(stat: &str, number: usize) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_the_end_of_the_name() {
        let stat = "4242 (a) b (c) S 17 4242 1 0 -1 4194304 99 0 0 0 250 31 5 6 20 0 1 0 777";
        assert_eq!((field(stat, 4), field(stat, 16), ticks(stat)), (Some(17), Some(5), Some(281)));
        assert_eq!(field("broken", 4), None);
    }
}
