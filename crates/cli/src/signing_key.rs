//! Where the signing key lives: given, in a file, or in the data directory, where the first start makes one.
//!
//! The key itself never appears in a message.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use authority::error::SimpleKeyError;
use authority::ports::Randomness;
use authority::{PublishedKey, SimpleKey};
use zeroize::Zeroizing;

use crate::config::{Config, KeySource};
use crate::secret_file::{self, install, replace};

/// No key is longer: it has to fit into a body of `/verifyToken` beside the longest token. What is longer is another
/// file given by mistake.
pub(crate) const LONGEST: usize = 4096;

/// The signing key, made and stored where this is the first start.
pub(crate) fn load(config: &Config, randomness: &dyn Randomness) -> Result<SimpleKey> {
    let (text, from) = match &config.key_source {
        KeySource::Given { text, origin } => (text.clone(), origin.to_string()),
        // The name of a file that is not there is not repeated: it may be the key itself, given by mistake.
        KeySource::File { path, origin } if !path.exists() => {
            bail!("{origin}: there is no such file that can be read; it names the file that holds the signing key")
        }
        KeySource::File { path, .. } => (read(path)?, path.display().to_string()),
        KeySource::DataDir => {
            let path = config.data_dir.join("signing.key");
            if !path.try_exists().with_context(|| format!("cannot look for {}", path.display()))? {
                create(&config.data_dir, &path, randomness).with_context(|| {
                    format!(
                        "cannot make a signing key in {}; make it writable, or give a key with --signing-key-file",
                        config.data_dir.display()
                    )
                })?;
            }
            (read(&path)?, path.display().to_string())
        }
    };
    if text.len() > LONGEST {
        bail!("{from}: the signing key is longer than {LONGEST} bytes; give a shorter one");
    }
    SimpleKey::new(text, config.published_key)
        .map_err(|error| match error {
            SimpleKeyError::TooShort { .. } => {
                anyhow::Error::new(error).context(format!("{from}: give a longer key, or none and jotd makes one"))
            }
            SimpleKeyError::Unusable => anyhow::Error::new(error).context(from),
            SimpleKeyError::Published => {
                anyhow::Error::new(error).context(format!("{from}: use another key, or give --allow-published-key"))
            }
        })
        .inspect(|_| {
            if config.published_key == PublishedKey::Allowed {
                tracing::warn!("the published example key is allowed: if it is used, anyone can forge tokens");
            }
        })
}

fn read(path: &Path) -> Result<Zeroizing<String>> {
    secret_file::read(path, "signing key", LONGEST)
}

/// Makes a key and puts it in place whole or not at all; where another process was faster, its key stays.
fn create(directory: &Path, path: &Path, randomness: &dyn Randomness) -> Result<()> {
    let key = SimpleKey::generate(randomness)?;
    if install(directory, path, key.expose())? {
        tracing::info!(path = %path.display(), "made a new signing key; keep it safe and private");
    }
    Ok(())
}

/// The name of the key that is about to take the place of the one in the data directory.
fn next(directory: &Path) -> std::path::PathBuf {
    directory.join("signing.key.next")
}

/// Puts a new key beside the present one.
pub(crate) fn prepare(directory: &Path, randomness: &dyn Randomness) -> Result<SimpleKey> {
    let key = SimpleKey::generate(randomness)?;
    replace(directory, &next(directory), key.expose())?;
    Ok(key)
}

/// Lets it take the place of the present one.
pub(crate) fn take_over(directory: &Path) -> Result<()> {
    secret_file::rename(directory, &next(directory), &directory.join("signing.key"))
}

/// Finishes a replacement that was interrupted after the store had taken the new key; by whoever has the lock.
pub(crate) fn finish(directory: &Path, is_in_force: impl Fn(&SimpleKey) -> bool) -> Result<()> {
    let path = next(directory);
    if !path.exists() {
        return Ok(());
    }
    // One that cannot be read was never finished.
    let Ok(text) = read(&path) else { return Ok(()) };
    match SimpleKey::new(text, PublishedKey::Refused) {
        Ok(key) if is_in_force(&key) => take_over(directory),
        _ => Ok(()),
    }
}
