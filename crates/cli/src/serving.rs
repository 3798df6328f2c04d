//! How far the servers on a data directory are: each holds a file there, locked as long as it lives, with the position in
//! the log of changes that is in force in it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use authority::TokenId;
use authority::store::Position;
use rustix::fs::{FlockOperation, flock};

use crate::system::SystemRandomness;

const PREFIX: &str = ".serving-";

/// How long a command waits until its change is in force everywhere.
const PATIENCE: Duration = Duration::from_secs(1);

/// Says that a server is there; no more when it is dropped, or the process ends in whatever way.
pub(crate) struct Announcement {
    file: File,
    path: PathBuf,
}

impl Announcement {
    pub(crate) fn new(directory: &Path) -> Result<Self> {
        crate::secret_file::make_directory(directory)?;
        let id = TokenId::random(&SystemRandomness)?.to_hex();
        let id = String::from_utf8_lossy(&id);
        // Under another name until it is locked: one that is not is taken for one of the dead.
        let (path, unlocked) = (directory.join(format!("{PREFIX}{id}")), directory.join(format!(".starting-{id}")));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unlocked)?;
        crate::secret_file::give_to_owner(directory, &unlocked)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        std::fs::rename(&unlocked, &path)?;
        Ok(Self { file, path })
    }

    /// A handle to tell positions with.
    pub(crate) fn teller(&self) -> Result<impl Fn(Position) + Send + 'static> {
        let file = self.file.try_clone()?;
        // Who waits for it says so when it never comes.
        Ok(move |position: Position| drop(file.write_all_at(&position.0.to_be_bytes(), 0)))
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The servers that are there. Files of those that died are removed.
fn servers(directory: &Path) -> Result<Vec<File>> {
    let cannot = || format!("cannot look into {}", directory.display());
    let mut servers = Vec::new();
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(servers),
        Err(error) => return Err(error).with_context(cannot),
    };
    for entry in entries {
        let entry = entry.with_context(cannot)?;
        if !entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        // It may have gone since.
        let Ok(file) = File::open(entry.path()) else { continue };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => drop(std::fs::remove_file(entry.path())),
            Err(_) => servers.push(file),
        }
    }
    Ok(servers)
}

/// Whether a server is on this directory.
pub(crate) fn is_served(directory: &Path) -> Result<bool> {
    Ok(!servers(directory)?.is_empty())
}

/// Waits until every server on this directory has got to `position`; `false` where one has not within a second.
pub(crate) fn wait(directory: &Path, position: Position) -> Result<bool> {
    let end = Instant::now() + PATIENCE;
    let is_behind = |file: &File| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, 0).is_err() || u64::from_be_bytes(bytes) < position.0
    };
    loop {
        if !servers(directory)?.iter().any(is_behind) {
            return Ok(true);
        }
        if Instant::now() > end {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
