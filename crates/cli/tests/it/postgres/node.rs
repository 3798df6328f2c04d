//! One node of a cluster: a process on a port of its own, behind a proxy of its own to PostgreSQL.

use std::net::SocketAddr;

use jotd_pgserver::{Proxy, free_port};
use jotd_wire::Answer;
use rustix::process::Signal;
use tempfile::TempDir;

use super::until;
use crate::process::{Serving, new_home};

pub(super) struct Node {
    /// Its way to the store.
    pub(super) proxy: Proxy,
    home: TempDir,
    port: u16,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    serving: Option<Serving>,
}

impl Node {
    /// A node that is not running yet.
    pub(super) fn new(proxy: Proxy, arguments: &[&str], variables: Vec<(String, String)>) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self { proxy, home: new_home(), port: free_port(), arguments, variables, serving: None }
    }

    pub(super) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Starts it, on the same port as ever, and waits until it listens.
    pub(super) fn start(&mut self) {
        let listen = self.address().to_string();
        let mut arguments = vec!["--listen", &listen, "--workers", "1"];
        arguments.extend(self.arguments.iter().map(String::as_str));
        let variables: Vec<_> = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.serving = Some(Serving::start(self.home.path(), &arguments, &variables));
    }

    pub(super) fn serving(&self) -> &Serving {
        self.serving.as_ref().expect("it runs")
    }

    /// Kills it: it has no time for anything.
    pub(super) fn kill(&mut self) {
        self.serving().signal(Signal::KILL);
        self.serving.take().expect("it runs").ended();
    }

    /// Tells it to end, and waits for that; answers what it has logged.
    pub(super) fn stop(&mut self) -> Vec<String> {
        self.serving.take().expect("it runs").stop()
    }

    /// Stops the process where it is, and waits until that is so.
    pub(super) fn pause(&self) {
        self.serving().signal(Signal::STOP);
        until("it is stopped", || self.serving().is_stopped());
    }

    pub(super) fn resume(&self) {
        self.serving().signal(Signal::CONT);
    }

    pub(super) fn ready(&self) -> Option<Answer> {
        jotd_wire::ask(self.address(), "GET", "/readyz", &[], "").ok()
    }

    pub(super) fn until_ready(&self) {
        until("it is ready", || self.ready().is_some_and(|answer| answer.status == 200));
    }
}
