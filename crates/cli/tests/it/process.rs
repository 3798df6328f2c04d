//! A real `jotd` process in a folder of its own, with nothing of the tester's environment.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use jotd_wire::Answer;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Longer than anything that a test waits for on purpose.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, to be run with `home` as its home and its working directory.
pub(crate) fn jotd(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jotd"));
    command.env_clear().env("HOME", home).current_dir(home).stdin(Stdio::null());
    command
}

/// Runs a command that ends by itself.
pub(crate) fn run(home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    jotd(home).args(arguments).envs(variables.iter().copied()).output().unwrap()
}

/// Runs a command that must fail with one line on standard error and nothing on standard output.
#[track_caller]
pub(crate) fn fails(home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = run(home, arguments, variables);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{error}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    let complaint: Vec<_> = error.lines().filter(|line| !line.starts_with('{')).collect();
    let [line] = complaint[..] else { panic!("one line is wanted: {error}") };
    assert!(line.starts_with("jotd: "), "{line}");
    line.to_owned()
}

pub(crate) fn new_home() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn default_key_file(home: &Path) -> PathBuf {
    home.join(".local/share/jotd/signing.key")
}

/// A running server.
pub(crate) struct Serving {
    child: Child,
    lines: Receiver<String>,
    pub(crate) log: Vec<String>,
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Serving {
    /// Starts `jotd serve` on free ports and waits until it listens.
    pub(crate) fn start(home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let listens = arguments.contains(&"--listen") || variables.iter().any(|(name, _)| *name == "JOTD_LISTEN");
        let listen = if listens { &[][..] } else { &["--listen", "127.0.0.1:0"] };
        let mut command = jotd(home);
        command.arg("serve").args(listen).args(arguments).envs(variables.iter().copied());
        Self::spawn(command)
    }

    /// Starts a server by this command, and waits until it listens.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut serving = Self { child, lines, log: Vec::new(), addresses: Vec::new() };
        // All sockets are bound before the first is announced, and announced before the first request is answered.
        while serving.addresses.is_empty() {
            serving.wait_for("listening on");
            let line: Value = serde_json::from_str(serving.log.last().unwrap()).unwrap();
            serving.addresses.push(line["address"].as_str().unwrap().parse().unwrap());
        }
        serving
    }

    /// Waits for the next log line that holds `text`.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("{text:?} was never logged: {:#?}", self.log)
            };
            self.log.push(line);
            if self.log.last().is_some_and(|line| line.contains(text)) {
                return;
            }
        }
    }

    /// The address of the listener announced next.
    pub(crate) fn next_address(&mut self) -> SocketAddr {
        self.wait_for("listening on");
        let line: Value = serde_json::from_str(self.log.last().unwrap()).unwrap();
        line["address"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        jotd_wire::ask(self.address(), method, path, headers, body).unwrap()
    }

    pub(crate) fn mint(&self, user_data: &str) -> String {
        let body = serde_json::json!({ "user_data": user_data }).to_string();
        let answer = self.ask("POST", "/generateToken", &[JSON], body);
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        answer["JWT Token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn holds(&self, token: &str, key: &str) -> bool {
        let body = serde_json::json!({ "Token": token, "Signing_key": key }).to_string();
        let answer = self.ask("GET", "/verifyToken", &[JSON], body);
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        answer["Signature Verification"].as_bool().unwrap()
    }

    /// What the process has used of a processor so far, in seconds.
    pub(crate) fn processor_time(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name of the program is in parentheses, and may hold anything.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64
    }

    /// The memory that the process holds at present, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The most memory that the process has held so far, in MiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
    }

    /// Whether the process is stopped by a signal.
    pub(crate) fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        stat.rsplit(')').next().unwrap().trim_start().starts_with('T')
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end of the process and of its log.
    pub(crate) fn ended(mut self) -> (ExitStatus, Vec<String>) {
        let status = self.child.wait().unwrap();
        let mut log = std::mem::take(&mut self.log);
        log.extend(self.lines.iter());
        (status, log)
    }

    pub(crate) fn stop(self) -> Vec<String> {
        self.signal(Signal::TERM);
        let (status, log) = self.ended();
        assert!(status.success(), "{status}: {log:#?}");
        log
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
