//! `jotd backup` and `jotd restore`: copies of the store, without the master key.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use authority::{Authority, LOG_KEPT, Parts, Staleness};
use jotd_store::SqliteStore;
use serde_json::json;

use crate::config::Config;
use crate::store_home::{Age, FILE, must_be_file};
use crate::system::{SystemClock, SystemRandomness};
use crate::{master_key, output, secret_file, serving};

pub(crate) fn backup(to: &Path, config: &Config) -> Result<()> {
    must_be_file(config, "use pg_dump or its backups")?;
    let store = config.data_dir.join(FILE);
    jotd_store::backup(&store, to).with_context(|| format!("cannot back up {}", store.display()))?;
    let contents = jotd_store::check(to)?;
    output::json(&json!({
        "backup": to,
        "position": contents.position.0,
        "keys": contents.keys,
        "clients": contents.clients,
        "revoked_tokens": contents.revoked_tokens,
        "note": "the master key is not in it: without master.key, kept elsewhere, the keys in it cannot be used",
    }))
}

pub(crate) fn restore(from: &Path, config: &Config) -> Result<()> {
    must_be_file(config, "restore the database, or move this file with jotd migrate-store")?;
    let directory = &config.data_dir;
    if serving::is_served(directory)? {
        bail!("a server is running on {}; stop it first", directory.display());
    }
    let contents = jotd_store::check(from).with_context(|| format!("{} was not restored", from.display()))?;
    secret_file::make_directory(directory)?;
    opens(from, config).with_context(|| format!("{} was not restored", from.display()))?;
    let store = directory.join(FILE);
    let former = jotd_store::restore(from, &store).with_context(|| format!("cannot restore {}", store.display()))?;
    output::json(&json!({
        "restored": store,
        "position": contents.position.0,
        "keys": contents.keys,
        "clients": contents.clients,
        "revoked_tokens": contents.revoked_tokens,
        "former": former,
        "note": "what was changed after the backup is undone: tokens that were revoked since are accepted again",
    }))
}

/// Whether the backup can be used with the master key that is here. Tried on a copy, because opening changes a store.
fn opens(backup: &Path, config: &Config) -> Result<()> {
    if !master_key::is_there(config) {
        bail!(
            "there is no master key in {}; put the one that the backup belongs to there first",
            config.data_dir.display()
        );
    }
    let scratch = tempfile::Builder::new().prefix(".restore-").tempdir_in(&config.data_dir)?;
    let copy = scratch.path().join(FILE);
    std::fs::copy(backup, &copy)?;
    Authority::open(Parts {
        store: Box::new(SqliteStore::open(&copy)?),
        clock: Arc::new(SystemClock),
        randomness: Arc::new(SystemRandomness),
        master_key: master_key::source(config, None, Age::Used)?,
        applied: Box::new(drop),
        commits: Box::new(|_, _| ()),
        staleness: Staleness::DEFAULT,
        log_kept: LOG_KEPT,
    })?;
    Ok(())
}
