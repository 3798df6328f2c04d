//! Which core serves and which makes the load. They are kept apart, so that neither slows the other down.

use std::process::Command;

use rustix::thread::{CpuSet, sched_getaffinity};

use crate::steps::answers;

/// Where programs run.
#[derive(Clone, Copy)]
pub(crate) struct Cores {
    /// The server's core.
    pub(crate) server: Option<usize>,
    /// The core of the load.
    pub(crate) load: Option<usize>,
}

impl Cores {
    /// The first two cores that this process may use. Says so when they cannot be kept apart.
    pub(crate) fn find() -> Self {
        let allowed = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let none = Self { server: None, load: None };
        let (Some(server), Some(load)) = (cores.next(), cores.next()) else {
            eprintln!("== there is one core: server and load share it, and all figures are lower for that");
            return none;
        };
        if !answers("taskset", &["--version"]) {
            eprintln!("== taskset is not installed (Debian: util-linux): server and load are not kept apart");
            return none;
        }
        Self { server: Some(server), load: Some(load) }
    }
}

/// The words before a command that keep it on a core.
pub(crate) fn on(core: Option<usize>) -> Vec<String> {
    core.map_or_else(Vec::new, |core| vec!["taskset".to_owned(), "--cpu-list".to_owned(), core.to_string()])
}

/// A command behind the words of a prefix.
pub(crate) fn prefixed(prefix: &[String], program: impl AsRef<std::ffi::OsStr>) -> Command {
    match prefix.split_first() {
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
        None => Command::new(program),
    }
}
