//! `jotd migrate-store`: a whole store from a file to PostgreSQL, or back.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use jotd_store::{Location, PostgresAddress};
use serde_json::json;

use crate::administration::MigrateStore;
use crate::store_home::{FILE, read_password};
use crate::{output, secret_file, serving};

pub(crate) fn run(arguments: &MigrateStore) -> Result<()> {
    let from = location(&arguments.from, arguments.from_password_file.as_deref()).context("--from")?;
    let to = location(&arguments.to, arguments.to_password_file.as_deref()).context("--to")?;
    for (location, is_target) in [(&from, false), (&to, true)] {
        let Location::Sqlite(path) = location else { continue };
        let directory = path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if is_target {
            secret_file::make_directory(directory)?;
        }
        if path.file_name().is_some_and(|name| name == FILE) && serving::is_served(directory)? {
            bail!("a server is running on {}; stop it first", directory.display());
        }
    }
    let moved = jotd_store::migrate(&from, &to).context("nothing was moved")?;
    if let Location::Sqlite(path) = &to
        && let Some(directory) = path.parent()
    {
        secret_file::give_to_owner(directory, path)?;
    }
    let note = match &to {
        Location::Sqlite(_) => {
            "put master.key beside it, and, before a server starts there, the key of the simple contract as signing.key \
             (`jotd keys export --private`): without it the start makes another one"
        }
        Location::Postgres(_) => "give every node the master key that this store was written with, and the same issuer",
    };
    output::json(&json!({
        "from": shown(&from),
        "to": shown(&to),
        "records": moved.records,
        "revoked_tokens": moved.revoked_tokens,
        "changes": moved.changes,
        "position": moved.position.0,
        "note": note,
    }))
}

fn location(text: &str, password: Option<&Path>) -> Result<Location> {
    if let Some(path) = text.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
        if password.is_some() {
            bail!("a file has no password");
        }
        return Ok(Location::Sqlite(path.into()));
    }
    if !text.contains("://") {
        bail!("sqlite:FILE or postgres://... is meant");
    }
    let address = PostgresAddress::parse(text, password.map(read_password).transpose()?)?;
    Ok(Location::Postgres(Box::new(address)))
}

fn shown(location: &Location) -> String {
    match location {
        Location::Sqlite(path) => format!("sqlite:{}", path.display()),
        Location::Postgres(address) => address.to_string(),
    }
}
