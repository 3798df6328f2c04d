//! `jotd keys`: the keyring.

use anyhow::{Context as _, Result, bail};
use authority::{Caller, KeyRecord};
use jotd_http::shown;
use serde_json::Value;

use crate::administration::Keys as Command;
use crate::arguments::Format;
use crate::config::{Config, KeySource};
use crate::data::Data;
use crate::settings::Flags;
use crate::system::SystemRandomness;
use crate::{input, output, secret_file, signing_key};

pub(crate) fn run(command: Command, resolve: impl Fn(Flags) -> Result<Config>) -> Result<()> {
    match command {
        Command::List { format, flags } => list(&Data::open(resolve(flags.0)?)?, format),
        Command::Show { kid, flags } => {
            let data = Data::open(resolve(flags.0)?)?;
            output::json(&data.run(async |authority, _| {
                let state = authority.state();
                Ok(shown::key(&state, state.find_key(&kid).context("there is no such key")?))
            })?)
        }
        Command::Rotate { alg, dry_run, flags } => {
            let config = resolve(flags.0)?;
            if alg.is_some_and(jose::Algorithm::is_symmetric) {
                return rotate_simple(config, dry_run);
            }
            let data = Data::open(config)?;
            output::json(&data.run(async |authority, caller| {
                let rotation =
                    if dry_run { authority.plan_rotation(alg)? } else { authority.rotate(caller, alg).await? };
                Ok(shown::rotation(&authority.state(), &rotation))
            })?)
        }
        Command::New { alg, bits, hold, flags } => {
            let data = Data::open(resolve(flags.0)?)?;
            let key = data
                .run(async |authority, caller| Ok(authority.create_key(caller, alg, bits, hold).await?.into_inner()))?;
            print(&data, &key)
        }
        Command::Import { file, alg, kid, hold, flags } => {
            let mut jwk = input::key(&file)?;
            if let Some(kid) = kid {
                jwk = jwk.with_key_id(kid);
            }
            let data = Data::open(resolve(flags.0)?)?;
            let key = data
                .run(async |authority, caller| Ok(authority.import_key(caller, jwk, alg, hold).await?.into_inner()))?;
            print(&data, &key)
        }
        Command::Export { kid, private, flags } => {
            let data = Data::open(resolve(flags.0)?)?;
            let text = data.run(async |authority, caller| {
                if private {
                    return Ok(authority.export_private_key(caller, &kid).await?);
                }
                let state = authority.state();
                let key = state.find_key(&kid).context("there is no such key")?;
                let public = key.public_jwk.clone().context("the key is a shared secret: it has no public part")?;
                Ok(zeroize::Zeroizing::new(public))
            })?;
            output::bytes(text.as_bytes())?;
            output::bytes(b"\n")
        }
        Command::Activate { kid, flags } => {
            let data = Data::open(resolve(flags.0)?)?;
            let key = data.run(async |authority, caller| Ok(authority.activate_key(caller, &kid).await?))?;
            print(&data, &key)
        }
        Command::Retire { kid, flags } => {
            let data = Data::open(resolve(flags.0)?)?;
            let key = data.run(async |authority, caller| Ok(authority.retire_key(caller, &kid).await?))?;
            print(&data, &key)
        }
        Command::Compromise { kid, reason, flags } => {
            let data = Data::open(resolve(flags.0)?)?;
            let reason = reason.unwrap_or_default();
            let key =
                data.run(async |authority, caller| Ok(authority.compromise_key(caller, &kid, &reason).await?))?;
            print(&data, &key)
        }
        Command::Schedule { alg, every, flags } => {
            let data = Data::open(resolve(flags.0)?)?;
            output::json(&data.run(async |authority, caller| {
                let slot = authority.schedule(caller, alg, every.0).await?;
                let state = authority.state();
                let next = state.slots().find(|(own, _)| own.algorithm == alg).and_then(|(_, next)| next);
                Ok(shown::slot(&slot, next))
            })?)
        }
    }
}

fn print(data: &Data, key: &KeyRecord) -> Result<()> {
    let shown = data.run(async |authority, _| Ok(shown::key(&authority.state(), key)))?;
    output::json(&shown)
}

fn list(data: &Data, format: Option<Format>) -> Result<()> {
    let keys = data.run(async |authority, _| {
        let state = authority.state();
        Ok(state.keys().map(|key| shown::key(&state, key)).collect::<Vec<_>>())
    })?;
    if output::format(format) == Format::Json {
        return keys.iter().try_for_each(output::json);
    }
    let mut text = format!("{:<44} {:<10} {:<12} {:<21} NEXT\n", "KEY", "ALGORITHM", "STATE", "SINCE");
    for key in &keys {
        let field = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or_default();
        let time = |name: &str| {
            key.get(name).and_then(Value::as_i64).map(|at| jose::NumericDate::from_seconds(at).to_string())
        };
        let next = time("next_state_at").map(|at| format!("{} at {at}", field("next_state"))).unwrap_or_default();
        let since = time("state_since").unwrap_or_default();
        let (id, algorithm, state) = (field("id"), field("algorithm"), field("state"));
        text += format!("{id:<44} {algorithm:<10} {state:<12} {since:<21} {next}").trim_end();
        text.push('\n');
    }
    output::bytes(output::harmless(&text).as_bytes())
}

/// A new key for the simple contract in the store that several machines share: made, or as it will be given to every node
/// from outside.
fn rotate_shared_simple(config: Config, dry_run: bool) -> Result<()> {
    if dry_run {
        return output::json(&serde_json::json!({ "step": SIMPLE_STEP }));
    }
    let key = match config.key_source {
        KeySource::DataDir => authority::SimpleKey::generate(&SystemRandomness)?,
        _ => signing_key::load(&config, &SystemRandomness)?,
    };
    let data = Data::open(config)?;
    let key = data.run(async |authority, caller| {
        if authority.state().signs_with(&key) {
            bail!("the key that was given is the one in force; give the next one");
        }
        Ok(authority.replace_simple_key(caller, key).await?)
    })?;
    print(&data, &key)
}

/// What happens when it is replaced.
const SIMPLE_STEP: &str =
    "the new key signs at once; the former one is accepted in introspections until it is retired by hand";

/// A new key for the simple contract, in the file where the present one is.
fn rotate_simple(config: Config, dry_run: bool) -> Result<()> {
    if config.store.is_shared() {
        return rotate_shared_simple(config, dry_run);
    }
    if !matches!(config.key_source, KeySource::DataDir) {
        bail!("the signing key of the simple contract comes from outside: replace it there and start jotd again");
    }
    let directory = config.data_dir.clone();
    if dry_run {
        return output::json(&serde_json::json!({
            "step": SIMPLE_STEP,
            "file": directory.join("signing.key"),
        }));
    }
    // Opening finishes what was interrupted, which needs the lock itself.
    let data = Data::open(config)?;
    let key = {
        let _lock = secret_file::lock(&directory)?;
        data.run(async |authority, _| {
            authority.tidy().await?;
            signing_key::finish(&directory, |key| authority.state().signs_with(key))
        })?;
        let key = data.run(async |authority, caller: &Caller| {
            // The file first, under another name: whatever happens now, the key that the store knows is on the disk.
            let key = signing_key::prepare(&directory, &SystemRandomness)?;
            Ok(authority.replace_simple_key(caller, key).await?)
        })?;
        signing_key::take_over(&directory)?;
        key
    };
    print(&data, &key)
}
