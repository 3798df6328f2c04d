//! The data directory as commands use it: the store with its master key, opened as a server opens it, with or without one
//! running beside.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use authority::error::OpenError;
use authority::store::Position;
use authority::{Authority, Caller, CommitObserver, LOCAL_CLIENT, Parts, Setup, Staleness};
use jotd_store::SqliteStore;

use crate::config::{Config, KeySource};
use crate::system::{SystemClock, SystemRandomness};
use crate::{master_key, secret_file, serving, signing_key};

/// The name of the store in the data directory.
pub(crate) const STORE: &str = "jotd.db";

/// Whoever is told the position in the log that is in force.
pub(crate) type Applied = Box<dyn Fn(Position) + Send>;

/// Opens the store. `further` is a file with another master key that may be meant.
pub(crate) fn open(
    config: &Config,
    further: Option<&Path>,
    applied: Applied,
    commits: CommitObserver,
) -> Result<Authority> {
    let directory = &config.data_dir;
    let cannot = || format!("cannot use the store in {}", directory.display());
    secret_file::make_directory(directory).with_context(cannot)?;
    let master_key = master_key::source(config, further)?;
    let path = directory.join(STORE);
    let is_new = !path.exists();
    let store = SqliteStore::open(&path).with_context(cannot)?;
    if is_new {
        tracing::info!(path = %path.display(), "made a new store");
    }
    for suffix in ["", "-wal", "-shm"] {
        secret_file::give_to_owner(directory, &directory.join(format!("{STORE}{suffix}"))).with_context(cannot)?;
    }
    let authority = Authority::open(Parts {
        store: Box::new(store),
        clock: Arc::new(SystemClock),
        randomness: Arc::new(SystemRandomness),
        master_key,
        applied,
        commits,
        staleness: Staleness::DEFAULT,
    })
    .map_err(|error| {
        let advice = match error {
            OpenError::OtherMasterKey | OpenError::MasterKey(_) => {
                "; give the one that the store was written with, by --master-key-file or as master.key"
            }
            _ => "",
        };
        anyhow::anyhow!("{}: {error}{advice}", cannot())
    })?;
    master_key::finish(config, authority.state().master_key_id())?;
    // One that is under way finishes itself.
    if matches!(config.key_source, KeySource::DataDir)
        && let Some(_lock) = secret_file::try_lock(directory)?
    {
        signing_key::finish(directory, |key| authority.state().signs_with(key))?;
    }
    Ok(authority)
}

/// The store, for one command.
pub(crate) struct Data {
    config: Config,
    authority: Authority,
}

impl Data {
    pub(crate) fn open(config: Config) -> Result<Self> {
        Self::open_with(config, None)
    }

    pub(crate) fn open_with(config: Config, further: Option<&Path>) -> Result<Self> {
        crate::logging::start(tracing::level_filters::LevelFilter::WARN, config.log_format);
        let authority = open(&config, further, Box::new(drop), Box::new(|_, _| ()))?;
        Ok(Self { config, authority })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Runs a command, and waits until what it changed is in force in every server on the directory.
    pub(crate) fn run<T>(&self, command: impl AsyncFnOnce(&Authority, &Caller) -> Result<T>) -> Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let caller = Caller::new(format!("{LOCAL_CLIENT}/{}", local_subject()));
        let before = self.authority.state().position();
        let done = runtime.block_on(async {
            self.authority
                .set_up(&caller, Setup { rotate_every: self.config.rotate_every, ..Setup::default() })
                .await?;
            self.authority.tidy().await?;
            command(&self.authority, &caller).await
        })?;
        let after = self.authority.state().position();
        if after > before && !serving::wait(&self.config.data_dir, after)? {
            let _ = writeln!(
                std::io::stderr(),
                "jotd: it is stored, but a server on this directory has not taken it up within a second; see its log"
            );
        }
        Ok(done)
    }
}

/// Whoever runs the command, by what the system says and not by what the environment says.
pub(crate) fn local_subject() -> String {
    format!("uid-{}", rustix::process::getuid().as_raw())
}
