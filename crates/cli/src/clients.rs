//! `jotd clients`: who may ask for tokens.

use std::path::Path;

use anyhow::{Context as _, Result};
use authority::{ClientChange, NewClient, Scopes};
use jotd_http::shown;

use crate::administration::Clients as Command;
use crate::config::Config;
use crate::data::Data;
use crate::settings::Flags;
use crate::{input, output};

pub(crate) fn run(command: Command, resolve: impl Fn(Flags) -> Result<Config>) -> Result<()> {
    match command {
        Command::Add { name, id, fields, flags } => {
            let new = NewClient {
                id,
                name,
                scopes: Scopes::parse(fields.scope.as_deref().unwrap_or_default())?,
                audiences: fields.audience,
                token_lifetime: seconds(fields.ttl),
                algorithm: fields.alg,
                jwks: fields.jwks.as_deref().map(jwks).transpose()?,
            };
            let data = Data::open(resolve(flags.0)?)?;
            let (created, secret) =
                data.run(async |authority, caller| Ok(authority.create_client(caller, new).await?))?;
            output::json(&shown::client_with_secret(created.get(), secret))
        }
        Command::List { flags } => {
            let data = Data::open(resolve(flags.0)?)?;
            let clients = data.run(async |authority, _| {
                Ok(authority.state().clients().map(|client| shown::client(&client.record)).collect::<Vec<_>>())
            })?;
            clients.iter().try_for_each(output::json)
        }
        Command::Show { id, flags } => {
            let data = Data::open(resolve(flags.0)?)?;
            let client = data.run(async |authority, _| {
                let state = authority.state();
                Ok(shown::client(&state.find_client(&id).context("there is no such client")?.record))
            })?;
            output::json(&client)
        }
        Command::Update { id, name, fields, flags } => {
            let change = ClientChange {
                name,
                scopes: fields.scope.as_deref().map(Scopes::parse).transpose()?,
                audiences: (!fields.audience.is_empty()).then_some(fields.audience),
                token_lifetime: seconds(fields.ttl),
                algorithm: fields.alg.map(Some),
                jwks: fields.jwks.as_deref().map(jwks).transpose()?.map(Some),
            };
            let data = Data::open(resolve(flags.0)?)?;
            let client =
                data.run(async |authority, caller| Ok(authority.update_client(caller, &id, change).await?))?;
            output::json(&shown::client(&client))
        }
        Command::Remove { id, flags } => {
            let data = Data::open(resolve(flags.0)?)?;
            data.run(async |authority, caller| Ok(authority.remove_client(caller, &id).await?))
        }
        Command::NewSecret { id, flags } => {
            let data = Data::open(resolve(flags.0)?)?;
            let (client, secret) = data.run(async |authority, caller| Ok(authority.add_secret(caller, &id).await?))?;
            output::json(&shown::client_with_secret(client.get(), secret))
        }
        Command::RemoveSecret { id, secret_id, flags } => {
            let data = Data::open(resolve(flags.0)?)?;
            data.run(async |authority, caller| Ok(authority.remove_secret(caller, &id, &secret_id).await?))
        }
    }
}

fn seconds(time: Option<std::time::Duration>) -> Option<i64> {
    time.map(|time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

/// The public keys in a file, whether it is a set or one key.
fn jwks(path: &Path) -> Result<String> {
    Ok(match input::keys(path)? {
        input::Keys::Set(set) => set.to_public_json(),
        input::Keys::One(key) => jose::JwkSet::new([key])?.to_public_json(),
    })
}
