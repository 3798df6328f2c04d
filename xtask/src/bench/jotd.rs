//! The server under test: the release binary, a data directory of its own with one client, and a free port.
//! Nothing is known of it here but its command line and what it answers over HTTP.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::child::Running;
use super::cores::prefixed;
use super::load::CLIENT;
use crate::steps::{cargo, root, succeeds};

/// The variable that names another binary than the one built from this tree.
const OTHER_BINARY: &str = "JOTD_BENCH_BINARY";

/// The release binary: built now, or the one that `JOTD_BENCH_BINARY` names.
pub(crate) fn binary() -> io::Result<PathBuf> {
    if let Some(path) = std::env::var_os(OTHER_BINARY) {
        eprintln!("== measuring {}, because {OTHER_BINARY} says so", path.display());
        return Ok(path.into());
    }
    let mut build = cargo(&["build", "--release", "--locked", "--quiet", "--package", "jotd"]);
    if !succeeds("building jotd for release", &mut build) {
        return Err(io::Error::other("there is no release binary to measure"));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("release/jotd"))
}

/// A data directory, and what is in it.
pub(crate) struct Home {
    binary: PathBuf,
    folder: TempDir,
    workers: bool,
    /// Where the store is, where that is not in the data directory.
    store: Option<String>,
    /// The secret of the client, empty where there is none.
    pub(crate) secret: String,
}

impl Home {
    /// An empty one.
    pub(crate) fn empty(binary: &Path) -> io::Result<Self> {
        let mut home = Self {
            binary: binary.to_owned(),
            folder: tempfile::tempdir()?,
            workers: false,
            store: None,
            secret: String::new(),
        };
        home.workers = home.output(&["serve", "--help"])?.contains("--workers");
        Ok(home)
    }

    /// One with a client that may get access tokens and introspect.
    pub(crate) fn with_client(binary: &Path) -> io::Result<Self> {
        Self::empty(binary)?.and_client()
    }

    /// The same over the PostgreSQL of this URL.
    pub(crate) fn over(binary: &Path, store: String) -> io::Result<Self> {
        let mut home = Self::empty(binary)?;
        home.store = Some(store);
        // No command makes one but this.
        home.serve(&[], &[])?.0.stop()?;
        home.and_client()
    }

    fn and_client(mut self) -> io::Result<Self> {
        let added = self.output(&[
            "clients",
            "add",
            CLIENT,
            "--id",
            CLIENT,
            "--audience",
            "https://api.example",
            "--scope",
            "read",
        ])?;
        let added: serde_json::Value = serde_json::from_str(&added)?;
        self.secret = added["secret"].as_str().unwrap_or_default().to_owned();
        Ok(self)
    }

    /// The key that the first start has made.
    pub(crate) fn signing_key(&self) -> io::Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join("data/signing.key"))?.trim_end().to_owned())
    }

    /// A token for the administration of the server.
    pub(crate) fn bearer(&self) -> io::Result<String> {
        Ok(self.output(&["token", "--scope", "jotd:*"])?.trim_end().to_owned())
    }

    /// A file for this home's use.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Whether the server can be told how many workers it is to have.
    pub(crate) fn knows_workers(&self) -> bool {
        self.workers
    }

    /// Starts a server with one worker behind the words of `prefix`, and does not wait for it. Where the binary has no
    /// `--workers`, the core that it is kept on decides.
    pub(crate) fn start(&self, prefix: &[String], options: &[&str]) -> io::Result<(Running, SocketAddr)> {
        let address = free_address()?;
        let mut command = prefixed(prefix, &self.binary);
        self.surroundings(&mut command);
        command.args(["serve", "--listen", &address.to_string()]).args(options);
        if self.workers {
            command.args(["--workers", "1"]);
        }
        let log = self.file(&format!("log-{}", address.port()));
        Ok((Running::start("jotd serve", &mut command, log)?, address))
    }

    /// Starts a server and waits until it answers.
    pub(crate) fn serve(&self, prefix: &[String], options: &[&str]) -> io::Result<(Running, SocketAddr)> {
        let (mut running, address) = self.start(prefix, options)?;
        running.until_it_answers(address, "/healthz")?;
        Ok((running, address))
    }

    /// Runs a command of the binary, and gives what it prints.
    pub(crate) fn output(&self, arguments: &[&str]) -> io::Result<String> {
        let mut command = Command::new(&self.binary);
        self.surroundings(&mut command);
        let done = command.args(arguments).output()?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            return Err(io::Error::other(format!("jotd {}: {said}", arguments.join(" "))));
        }
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    /// Nothing of the environment of whoever measures, but where programs are.
    fn surroundings(&self, command: &mut Command) {
        command.env_clear().env("HOME", self.folder.path()).env("JOTD_DATA_DIR", self.file("data"));
        if let Some(store) = &self.store {
            command.env("JOTD_STORE", store);
        }
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
    }
}

/// A loopback address that nobody listens on.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
