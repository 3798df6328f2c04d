//! Where the store is: a file in the data directory, or PostgreSQL, which several nodes share.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use authority::error::StoreError;
use authority::store::Store;
use jotd_store::{PostgresAddress, PostgresStore, SqliteStore};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::secret_file;
use crate::settings::Origin;

/// The name of the store in the data directory.
pub(crate) const FILE: &str = "jotd.db";

/// No password file is longer.
const LONGEST_PASSWORD: usize = 4096;

/// How long a node that starts waits for a PostgreSQL that is not there yet, and how often it tries.
const PATIENCE: Duration = Duration::from_secs(30);
const TRY_EVERY: Duration = Duration::from_millis(500);

/// Where the store is.
pub(crate) enum StoreHome {
    /// In the data directory.
    DataDir,
    /// In PostgreSQL.
    Postgres(Box<Postgres>),
}

/// A store in PostgreSQL.
pub(crate) struct Postgres {
    url: Zeroizing<String>,
    origin: Origin,
    /// The file with the password, where that is not in the URL. Not read before it is needed.
    password: Option<PathBuf>,
    /// For messages: without who connects, and the password.
    place: String,
    has_password: bool,
}

impl StoreHome {
    /// Reads a URL.
    pub(crate) fn parse(url: Zeroizing<String>, origin: Origin, password: Option<PathBuf>) -> Result<Self> {
        let address = PostgresAddress::parse(&url, None).with_context(|| origin.to_string())?;
        let (place, has_password) = (address.to_string(), address.has_password());
        Ok(Self::Postgres(Box::new(Postgres { url, origin, password, place, has_password })))
    }

    /// Whether nodes on other machines may use it, too.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}

impl fmt::Display for StoreHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataDir => f.write_str(FILE),
            Self::Postgres(postgres) => f.write_str(&postgres.place),
        }
    }
}

/// The password in a file.
pub(crate) fn read_password(path: &Path) -> Result<Zeroizing<String>> {
    secret_file::read(path, "password of the store", LONGEST_PASSWORD)
}

/// Whether anybody has written into a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// Nobody has.
    New,
    /// Somebody has.
    Used,
}

/// Opens the store.
pub(crate) fn open(config: &Config, patience: Patience) -> Result<(Box<dyn Store>, Age)> {
    let mut store: Box<dyn Store> = match &config.store {
        StoreHome::DataDir => Box::new(open_file(config)?),
        StoreHome::Postgres(postgres) => Box::new(postgres.open(patience)?),
    };
    let age = if store.log(None, 1)?.is_empty() { Age::New } else { Age::Used };
    Ok((store, age))
}

/// What happens where the store is not in reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It is waited for a while: whoever serves may have been started before it.
    Wait,
    /// Whoever gave a command is told at once, also where nobody has made a store in PostgreSQL yet.
    Fail,
}

fn open_file(config: &Config) -> Result<SqliteStore> {
    let directory = &config.data_dir;
    let path = directory.join(FILE);
    let is_new = !path.exists();
    let store = SqliteStore::open(&path)?;
    if is_new {
        tracing::info!(path = %path.display(), "made a new store");
    }
    for suffix in ["", "-wal", "-shm"] {
        secret_file::give_to_owner(directory, &directory.join(format!("{FILE}{suffix}")))?;
    }
    Ok(store)
}

impl Postgres {
    fn open(&self, patience: Patience) -> Result<PostgresStore> {
        if matches!(self.origin, Origin::Flag(_)) && self.has_password {
            tracing::warn!(
                "other users of this machine can see the password on the command line; --store-password-file hides it"
            );
        }
        let password = self.password.as_deref().map(read_password).transpose()?;
        let address = PostgresAddress::parse(&self.url, password).with_context(|| self.origin.to_string())?;
        if patience == Patience::Fail {
            // One that is made by a mistake in the URL would be changed instead of the one that is meant.
            return Ok(PostgresStore::open_existing(&address)?);
        }
        let (started, mut is_told) = (Instant::now(), false);
        loop {
            match PostgresStore::open(&address) {
                Ok(store) => return Ok(store),
                Err(error @ (StoreError::Unavailable(_) | StoreError::Busy)) if started.elapsed() < PATIENCE => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::warn!(code = error.code(), %error, "waiting for the store at {address}");
                    }
                    std::thread::sleep(TRY_EVERY);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Where the store is, for messages.
pub(crate) fn place(config: &Config) -> String {
    match &config.store {
        StoreHome::DataDir => format!("the store in {}", config.data_dir.display()),
        StoreHome::Postgres(postgres) => format!("the store at {}", postgres.place),
    }
}

/// Says that a command is about the file only.
pub(crate) fn must_be_file(config: &Config, instead: &str) -> Result<()> {
    match config.store {
        StoreHome::DataDir => Ok(()),
        StoreHome::Postgres(_) => bail!("this is for the store in a data directory; with PostgreSQL, {instead}"),
    }
}
