//! Files that hold a secret: read with a word about who else can, written whole or not at all, mode 0600.

use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FlockOperation, flock};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// The text in the file, without the line break at its end; `what` it is, for messages.
pub(crate) fn read(path: &Path, what: &str, longest: usize) -> Result<Zeroizing<String>> {
    let cannot = || format!("cannot read the {what} in {}", path.display());
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
            "the {what} can be read or written by others; chmod 600 makes it yours alone"
        );
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
    file.take(longest as u64 + 3).read_to_end(&mut bytes).with_context(cannot)?;
    let Ok(text) = std::str::from_utf8(&bytes) else { bail!("{}: it is not UTF-8", cannot()) };
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    Ok(Zeroizing::new(text.to_owned()))
}

/// Makes the data directory, for its owner alone.
pub(crate) fn make_directory(directory: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Puts a file in place; `false` where there is one already, which stays.
pub(crate) fn install(directory: &Path, path: &Path, secret: &str) -> Result<bool> {
    match write(directory, secret)?.persist_noclobber(path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error.error.into()),
    }
    sync(directory)?;
    Ok(true)
}

/// Keeps others from replacing secrets in the directory until it is dropped; waits for whoever is doing so.
pub(crate) fn lock(directory: &Path) -> Result<File> {
    let file = lock_file(directory)?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

/// The same, unless somebody is doing so.
pub(crate) fn try_lock(directory: &Path) -> Result<Option<File>> {
    let file = lock_file(directory)?;
    Ok(flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file))
}

/// The directory itself is what is locked.
fn lock_file(directory: &Path) -> Result<File> {
    make_directory(directory)?;
    Ok(File::open(directory)?)
}

/// Puts a file in place of whatever is there.
pub(crate) fn replace(directory: &Path, path: &Path, secret: &str) -> Result<()> {
    write(directory, secret)?.persist(path).map_err(|error| error.error)?;
    sync(directory)
}

/// Gives a file another's name.
pub(crate) fn rename(directory: &Path, from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))?;
    sync(directory)
}

fn write(directory: &Path, secret: &str) -> Result<NamedTempFile> {
    make_directory(directory)?;
    // Temporary files are made with mode 0600.
    let mut file = tempfile::Builder::new().prefix(".secret.").tempfile_in(directory)?;
    give_to_owner(directory, file.path())?;
    let mut line = Zeroizing::new(secret.as_bytes().to_vec());
    line.push(b'\n');
    file.write_all(&line)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// What root makes in somebody's directory is theirs: the service that runs as them must read it.
pub(crate) fn give_to_owner(directory: &Path, path: &Path) -> std::io::Result<()> {
    if !rustix::process::geteuid().is_root() || !path.exists() {
        return Ok(());
    }
    let owner = std::fs::metadata(directory)?;
    std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()))
}

fn sync(directory: &Path) -> Result<()> {
    Ok(File::open(directory)?.sync_all()?)
}
