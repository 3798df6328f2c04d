//! PostgreSQL's programs: where they are, and as whom they run. They refuse to run as root.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;

/// Whether the programs are there.
#[must_use]
pub fn is_installed() -> bool {
    find("postgres").is_some() && find("initdb").is_some() && find("psql").is_some()
}

/// The program of this name: the first in `PATH`, or the newest of those that Debian puts aside.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort();
    folders.extend(versions.into_iter().rev().map(|(_, folder)| folder));
    folders.into_iter().map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// The program, to be run without anything of the tester's environment.
pub(crate) fn program(name: &str) -> Command {
    let found = find(name).unwrap_or_else(|| {
        panic!("there is no `{name}` of PostgreSQL; on Debian `apt-get install postgresql` brings it");
    });
    bare(&found)
}

/// A program that is run without anything of the tester's environment.
pub(crate) fn bare(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path))).env("LC_ALL", "C");
    command
}

/// Whose files the servers' are, and as whom they run: nobody else but root's, for whom there is another.
#[derive(Clone, Copy)]
pub(crate) struct Account(Option<(u32, u32)>);

impl Account {
    /// Us, or the user `postgres` or nobody when we are root.
    pub(crate) fn choose() -> Self {
        if !geteuid().is_root() {
            return Self(None);
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = users.lines().find_map(|line| {
            let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        });
        Self(Some(user.unwrap_or((65_534, 65_534))))
    }

    /// Lets this user have the file or folder.
    pub(crate) fn give(self, path: &Path) {
        if let Self(Some((user, group))) = self {
            chown(path, Some(user), Some(group)).expect("root may give files away");
        }
    }

    /// Runs as this user.
    pub(crate) fn runs(self, command: &mut Command) -> &mut Command {
        if let Self(Some((user, group))) = self {
            command.uid(user).gid(group);
        }
        command
    }
}
