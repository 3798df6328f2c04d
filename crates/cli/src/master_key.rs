//! Where the master key lives: given, in a file, in systemd's credential directory, or in the data directory, where the
//! first start makes one. And `jotd master-key rotate`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use authority::MasterKey;
use authority::error::MasterKeyError;
use authority::ports::{MasterKeySource, Randomness};
use zeroize::Zeroizing;

use crate::administration::MasterKey as Command;
use crate::config::Config;
use crate::data::Data;
use crate::secret_file;
use crate::serving;
use crate::settings::Origin;
use crate::store_home::{self, Age};
use crate::system::SystemRandomness;

/// No master key file is longer.
const LONGEST: usize = 128;

/// Stands before the id of a master key of before, in the data directory: backups from then are encrypted under it.
const FORMER: &str = "master.key.former-";

/// Where the master key comes from.
pub(crate) enum MasterKeyHome {
    /// Given as it is.
    Given { text: Zeroizing<String>, origin: Origin },
    /// In this file.
    File { path: PathBuf, origin: Origin },
    /// In `master.key` in the data directory, to be made where neither it nor a store is there yet.
    DataDir,
}

/// The keys that may be meant, the present one first.
struct Source {
    given: Option<MasterKey>,
    files: Vec<PathBuf>,
}

impl MasterKeySource for Source {
    fn load(&self, id: Option<&str>) -> Result<MasterKey, MasterKeyError> {
        let from_files = self.files.iter().filter_map(|path| read(path).ok());
        let mut keys = self.given.clone().into_iter().chain(from_files);
        let first = keys.next().ok_or(MasterKeyError)?;
        match id {
            Some(id) if first.id() != id => keys.find(|key| key.id() == id).ok_or(MasterKeyError),
            _ => Ok(first),
        }
    }
}

fn read(path: &Path) -> Result<MasterKey> {
    let text = secret_file::read(path, "master key", LONGEST)?;
    MasterKey::parse(&text).with_context(|| path.display().to_string())
}

fn home(config: &Config) -> PathBuf {
    config.data_dir.join("master.key")
}

fn next(config: &Config) -> PathBuf {
    next_to(&home(config))
}

/// The file of the key that is to take the place of the one in `path`.
fn next_to(path: &Path) -> PathBuf {
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    next.into()
}

/// Whether there is a master key already.
pub(crate) fn is_there(config: &Config) -> bool {
    !matches!(config.master_key, MasterKeyHome::DataDir) || home(config).exists()
}

/// The source of the master key, made and stored where this is the first start.
pub(crate) fn source(config: &Config, further: Option<&Path>, store: Age) -> Result<Arc<dyn MasterKeySource>> {
    let mut source = Source { given: None, files: Vec::new() };
    match &config.master_key {
        MasterKeyHome::Given { text, origin } => {
            source.given = Some(MasterKey::parse(text).with_context(|| origin.to_string())?);
        }
        MasterKeyHome::File { path, origin } => {
            read(path).with_context(|| origin.to_string())?;
            // Beside it may lie the one that is about to take its place: whoever runs for long meets it later.
            source.files.extend([path.clone(), next_to(path)]);
        }
        MasterKeyHome::DataDir => {
            let path = home(config);
            let is_there = path.try_exists().with_context(|| format!("cannot look for {}", path.display()))?;
            if !is_there && !next(config).exists() {
                make(config, &path, store)?;
            }
            // Both, even where there is no next one yet: whoever runs for long meets it later.
            source.files.extend(Some(path).filter(|path| path.exists()));
            source.files.push(next(config));
            read(source.files.first().context("there is no master key")?)?;
        }
    }
    source.files.extend(further.map(Path::to_owned));
    Ok(Arc::new(source))
}

fn make(config: &Config, path: &Path, store: Age) -> Result<()> {
    if store == Age::Used {
        bail!(
            "there is {}, but no master key; put its master.key back, or say where it is with --master-key-file",
            store_home::place(config)
        );
    }
    let key = MasterKey::generate(&SystemRandomness)?;
    let made = secret_file::install(&config.data_dir, path, &key.expose())
        .with_context(|| format!("cannot make a master key in {}", config.data_dir.display()))?;
    if made {
        tracing::info!(path = %path.display(), "made a new master key; keep a copy of it apart from the backups");
    }
    Ok(())
}

/// Finishes a rotation that was interrupted after the store had taken the new key. One that is under way finishes itself.
pub(crate) fn finish(config: &Config, id: Option<&str>) -> Result<()> {
    if !matches!(config.master_key, MasterKeyHome::DataDir) || !next(config).exists() {
        return Ok(());
    }
    match secret_file::try_lock(&config.data_dir)? {
        Some(_lock) => take_over(config, id),
        None => Ok(()),
    }
}

/// Gives the next key the name of the present one, where the store wants it; by whoever has the lock.
fn take_over(config: &Config, id: Option<&str>) -> Result<()> {
    let (path, next) = (home(config), next(config));
    let id_of = |path: &Path| read(path).ok().map(|key| key.id());
    if id_of(&path).as_deref() == id || id_of(&next).as_deref() != id {
        return Ok(());
    }
    // There is a master key at its place at every moment.
    if let Some(former) = id_of(&path) {
        let former = config.data_dir.join(format!("{FORMER}{former}"));
        if !former.exists() {
            std::fs::hard_link(&path, &former).with_context(|| format!("cannot make {}", former.display()))?;
        }
    }
    secret_file::rename(&config.data_dir, &next, &path)
}

pub(crate) fn run(command: Command, resolve: impl Fn(crate::settings::Flags) -> Result<Config>) -> Result<()> {
    let Command::Rotate { to, flags } = command;
    let config = resolve(flags.0)?;
    let is_home = to.is_none();
    let file = match (&config.master_key, to) {
        (MasterKeyHome::DataDir, None) => next(&config),
        (_, Some(file)) => file,
        (_, None) => bail!("the master key comes from outside; name the file of the next one with --to"),
    };
    // One rotation at a time; and one that was interrupted is finished before its key could be overwritten.
    let _lock = if config.store.is_shared() { None } else { Some(secret_file::lock(&config.data_dir)?) };
    if !is_home && !config.store.is_shared() && serving::is_served(&config.data_dir)? {
        bail!("stop the server first: it could not read what is encrypted under a key that it was not given");
    }
    let data = Data::open_with(config, Some(&file))?;
    if is_home {
        data.run(async |authority, _| take_over(data.config(), authority.state().master_key_id()))?;
    }
    let former = data.run(async |authority, _| Ok(authority.state().master_key_id().map(str::to_owned)))?;
    let key = if !is_home && file.exists() {
        let key = read(&file)?;
        if Some(key.id()) == former {
            bail!(
                "{} holds the master key that is in force; name another file, or start jotd with this one",
                file.display()
            );
        }
        key
    } else {
        let key = MasterKey::generate(&SystemRandomness as &dyn Randomness)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        secret_file::replace(folder, &file, &key.expose())
            .with_context(|| format!("cannot write {}", file.display()))?;
        key
    };
    let id = key.id();
    data.run(async |authority, caller| Ok(authority.rotate_master_key(caller, key).await?))?;
    if is_home {
        take_over(data.config(), Some(&id))?;
    }
    let (next, former) = if is_home {
        let former = format!("{FORMER}{}", former.unwrap_or_default());
        ("servers on this directory take it up by themselves".to_owned(), former)
    } else {
        (format!("start jotd with --master-key-file {}", file.display()), "the former master key".to_owned())
    };
    let note = format!("backups from before need {former}; delete it when there are none");
    crate::output::json(&serde_json::json!({ "master_key_id": id, "next": next, "note": note }))
}
