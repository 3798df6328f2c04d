//! Where the signing key lives: given, in a file, or in the data directory, where the first start makes one.
//!
//! The key itself never appears in a message.

use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use authority::error::SimpleKeyError;
use authority::ports::Randomness;
use authority::{PublishedKey, SimpleKey};
use zeroize::Zeroizing;

use crate::config::{Config, KeySource};

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
    let cannot = || format!("cannot read the signing key in {}", path.display());
    let file = File::open(path).with_context(cannot)?;
    let metadata = file.metadata().with_context(cannot)?;
    if metadata.is_dir() {
        bail!("{}: it is a directory", cannot());
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o066 != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = %format_args!("{mode:04o}"),
            "the signing key can be read or written by others; chmod 600 makes it yours alone"
        );
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
    file.take(LONGEST as u64 + 3).read_to_end(&mut bytes).with_context(cannot)?;
    let Ok(text) = std::str::from_utf8(&bytes) else { bail!("{}: it is not UTF-8", cannot()) };
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    Ok(Zeroizing::new(text.to_owned()))
}

/// Makes a key and puts it in place whole or not at all; where another process was faster, its key stays.
fn create(directory: &Path, path: &Path, randomness: &dyn Randomness) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let key = SimpleKey::generate(randomness)?;
    // Temporary files are made with mode 0600.
    let mut file = tempfile::Builder::new().prefix(".signing.key.").tempfile_in(directory)?;
    let mut line = Zeroizing::new(key.expose().as_bytes().to_vec());
    line.push(b'\n');
    file.write_all(&line)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => tracing::info!(path = %path.display(), "made a new signing key; keep it safe and private"),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error.error.into()),
    }
    File::open(directory)?.sync_all()?;
    Ok(())
}
