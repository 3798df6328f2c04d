//! The data directory as commands use it: the store with its master key, opened as a server opens it, with or without one
//! running beside.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use authority::error::OpenError;
use authority::store::Position;
use authority::{Authority, Caller, CommitObserver, LOCAL_CLIENT, Parts, Setup};

use crate::config::{Config, KeySource};
use crate::master_key::MasterKeyHome;
use crate::store_home::{self, Patience};
use crate::system::{SystemClock, SystemRandomness};
use crate::{master_key, secret_file, serving, signing_key};

/// Whoever is told the position in the log that is in force.
pub(crate) type Applied = Box<dyn Fn(Position) + Send>;

/// What whoever opens the store is told while it is used.
pub(crate) struct Told {
    pub(crate) applied: Applied,
    pub(crate) commits: CommitObserver,
}

/// Opens the store. `further` is a file with another master key that may be meant.
pub(crate) fn open(config: &Config, further: Option<&Path>, patience: Patience, told: Told) -> Result<Authority> {
    let directory = &config.data_dir;
    let cannot = || format!("cannot use {}", store_home::place(config));
    if needs_directory(config) {
        secret_file::make_directory(directory).with_context(cannot)?;
    }
    let (store, age) = store_home::open(config, patience).with_context(cannot)?;
    let master_key = master_key::source(config, further, age)?;
    let authority = Authority::open(Parts {
        store,
        clock: Arc::new(SystemClock),
        randomness: Arc::new(SystemRandomness),
        master_key,
        applied: told.applied,
        commits: told.commits,
        staleness: config.staleness,
        log_kept: config.audit_retention,
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
    if !config.store.is_shared()
        && matches!(config.key_source, KeySource::DataDir)
        && let Some(_lock) = secret_file::try_lock(directory)?
    {
        signing_key::finish(directory, |key| authority.state().signs_with(key))?;
    }
    Ok(authority)
}

/// Whether anything is kept in the data directory.
fn needs_directory(config: &Config) -> bool {
    !config.store.is_shared() || matches!(config.master_key, MasterKeyHome::DataDir)
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
        let told = Told { applied: Box::new(drop), commits: Box::new(|_, _| ()) };
        let authority = open(&config, further, Patience::Fail, told)?;
        Ok(Self { config, authority })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Runs a command, and waits until what it changed is in force in every server on the directory. Those that share the
    /// store over PostgreSQL take it up by themselves.
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
        if !self.config.store.is_shared() && after > before && !serving::wait(&self.config.data_dir, after)? {
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
