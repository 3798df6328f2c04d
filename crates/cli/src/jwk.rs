//! `jotd jwk`: making, converting and identifying keys.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::arguments::{Format, Jwk as Command};
use crate::input::{self, Keys};
use crate::output;

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::New { alg, bits, kid, out } => {
            let mut key = match bits {
                Some(bits) if alg.is_rsa() => jose::Jwk::generate_with_bits(*alg, *bits)?,
                Some(_) => bail!("--bits is for RSA keys; {alg} keys have one size"),
                None => jose::Jwk::generate(*alg)?,
            };
            if let Some(kid) = kid {
                key = key.with_key_id(kid.as_str());
            }
            match out {
                Some(path) => write_private(path, &key),
                None => print(&key),
            }
        }
        Command::Public { file } => match input::keys(file)? {
            Keys::One(key) => print(&key.public()?),
            Keys::Set(set) => {
                for skipped in set.skipped() {
                    let _ = writeln!(std::io::stderr(), "jotd: key {} skipped: {}", skipped.index, skipped.reason);
                }
                let secrets = set.keys().iter().filter(|key| key.is_symmetric()).count();
                if secrets > 0 {
                    let _ = writeln!(std::io::stderr(), "jotd: {secrets} left out: shared secrets have no public part");
                }
                output::bytes(format!("{}\n", set.to_public_json()).as_bytes())
            }
        },
        Command::Thumbprint { file, format } => {
            let thumbprint = input::key(file)?.thumbprint();
            match format {
                Format::Json => output::json(&serde_json::json!({ "thumbprint": thumbprint })),
                Format::Text => output::bytes(format!("{thumbprint}\n").as_bytes()),
            }
        }
        Command::ToPem { file, public } => {
            let key = input::key(file)?;
            let key = if *public { key.public()? } else { key };
            output::bytes(key.to_pem()?.as_bytes())
        }
        Command::FromPem { file, alg, kid } => {
            let bytes = input::read(file, jose::MAX_JWK_LENGTH)?;
            let text = std::str::from_utf8(&bytes).context("the PEM text is not UTF-8")?;
            let mut key = jose::Jwk::from_pem(text)?;
            if let Some(alg) = alg {
                key = key.with_algorithm(*alg).map_err(|error| anyhow!("the key is not for {alg}: {error}"))?;
            }
            let kid = kid.clone().unwrap_or_else(|| key.thumbprint());
            print(&key.with_key_id(kid))
        }
    }
}

fn print(key: &jose::Jwk) -> Result<()> {
    output::bytes(key.to_json().as_bytes())?;
    output::bytes(b"\n")
}

/// Writes a key to a new file that only its owner can read.
fn write_private(path: &Path, key: &jose::Jwk) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(key.to_json().as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}
