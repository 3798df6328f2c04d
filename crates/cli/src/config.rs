//! The effective configuration, and `jotd config`, which prints it with where each value came from.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use authority::{PublishedKey, Staleness, Terms};
use jotd_http::{Access, Limits};
use tracing::level_filters::LevelFilter;
use zeroize::Zeroizing;

use crate::master_key::MasterKeyHome;
use crate::settings::{Environment, Flags, Layers, Origin};
use crate::signing_key;
use crate::store_home::StoreHome;

/// Everything that `jotd serve` needs to know.
pub(crate) struct Config {
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) admin_listen: Vec<SocketAddr>,
    pub(crate) data_dir: PathBuf,
    pub(crate) key_source: KeySource,
    pub(crate) published_key: PublishedKey,
    pub(crate) master_key: MasterKeyHome,
    pub(crate) store: StoreHome,
    pub(crate) staleness: Staleness,
    /// How long the log of changes is kept.
    pub(crate) audit_retention: Duration,
    /// Who issues the tokens, and where that was said; `None` is the first address.
    pub(crate) issuer: Option<(String, Origin)>,
    pub(crate) terms: Terms,
    /// In seconds.
    pub(crate) rotate_every: Option<i64>,
    /// Whether somebody has said so.
    pub(crate) rotate_every_is_given: bool,
    pub(crate) access: Access,
    pub(crate) log_level: LevelFilter,
    pub(crate) log_format: LogFormat,
    /// Threads that serve requests.
    pub(crate) workers: usize,
    pub(crate) limits: Limits,
    /// Name, value as TOML, origin: for `jotd config`.
    rows: Vec<(&'static str, String, Origin)>,
}

/// Where the signing key comes from.
pub(crate) enum KeySource {
    /// Given as it is.
    Given { text: Zeroizing<String>, origin: Origin },
    /// In this file.
    File { path: PathBuf, origin: Origin },
    /// In `signing.key` in the data directory, to be made where it is not there yet.
    DataDir,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Auto,
    Text,
    Json,
}

impl Config {
    /// The effective configuration.
    pub(crate) fn resolve(flags: Flags, environment: Environment<'_>) -> Result<Self> {
        let layers = Layers::read(flags, environment)?;
        let mut rows = Rows(Vec::new());

        let listen = rows.many("listen", layers.many("listen", addresses)?);
        if listen.is_empty() {
            bail!("there is no address to listen on; give one with --listen");
        }
        let admin_listen = rows.many("admin_listen", layers.many("admin_listen", addresses)?);
        let data_dir = match layers.path("data_dir")? {
            Some(given) => given,
            None => (default_data_dir(environment)?, Origin::Default),
        };
        let data_dir = rows.path("data_dir", data_dir);
        let key_source = match (layers.secret("signing_key")?, layers.path("signing_key_file")?) {
            (Some((_, key)), Some((_, file))) => {
                bail!("the signing key is given twice, by {key} and by {file}; give one of them")
            }
            (Some((text, origin)), None) => {
                rows.0.push(("signing_key", "\"(redacted)\"".to_owned(), origin.clone()));
                KeySource::Given { text: Zeroizing::new(text), origin }
            }
            (None, Some((path, origin))) => {
                rows.path("signing_key_file", (path.clone(), origin.clone()));
                KeySource::File { path, origin }
            }
            (None, None) => {
                rows.path("signing_key_file", (data_dir.join("signing.key"), Origin::Default));
                KeySource::DataDir
            }
        };
        let allow_published_key = rows.plain("allow_published_key", layers.one("allow_published_key", switch)?);
        let master_key = master_key_home(&layers, environment, &data_dir, &mut rows)?;
        let store = store_home(&layers, &mut rows)?;
        let fresh_within = rows.time("fresh_within", layers.one("fresh_within", duration)?);
        let refuse_after = rows.time_or_never("refuse_after", layers.one("refuse_after", every)?);
        if refuse_after.is_some_and(|refuse_after| refuse_after < fresh_within) {
            bail!("refuse_after must not be less than fresh_within");
        }
        let staleness = Staleness { fresh_within, refuse_after };
        let (issuer, origin) = layers.many("issuer", issuer)?;
        let issuer = issuer.into_iter().next().map(|issuer| (issuer, origin));
        if let Some((issuer, origin)) = &issuer {
            rows.0.push(("issuer", toml::Value::String(issuer.clone()).to_string(), origin.clone()));
        }
        let terms = Terms {
            max_age: seconds(rows.time("jwks_max_age", layers.one("jwks_max_age", duration)?)),
            longest_token: seconds(rows.time("max_token_lifetime", layers.one("max_token_lifetime", long_duration)?)),
            leeway: seconds(rows.time("clock_leeway", layers.one("clock_leeway", duration)?)),
        };
        let (rotate_every, origin) = layers.one("rotate_every", every)?;
        let rotate_every_is_given = origin != Origin::Default;
        let rotate_every = rows.time_or_never("rotate_every", (rotate_every, origin));
        let audit_retention = rows.time("audit_retention", layers.one("audit_retention", long_duration)?);
        let (cors_origins, origin) = layers.many("cors_origin", cors_origin)?;
        let shown: Vec<_> = cors_origins.iter().map(|origin| format!("\"{origin}\"")).collect();
        rows.0.push(("cors_origin", format!("[{}]", shown.join(", ")), origin));
        let (trusted_proxies, origin) = layers.many("trusted_proxy", proxy)?;
        let shown: Vec<_> = trusted_proxies.iter().map(|address| format!("\"{address}\"")).collect();
        rows.0.push(("trusted_proxy", format!("[{}]", shown.join(", ")), origin));
        let access = Access { cors_origins, trusted_proxies, public_metrics: admin_listen.is_empty() };
        if let Some(file) = layers.path("config")? {
            rows.path("config", file);
        }
        let (log_level, origin) = layers.one("log_level", log_level)?;
        rows.0.push(("log_level", format!("\"{log_level}\""), origin));
        let (log_format, origin) = layers.one("log_format", log_format)?;
        rows.0.push(("log_format", format!("\"{}\"", format!("{log_format:?}").to_lowercase()), origin));

        let workers = rows.plain("workers", layers.one("workers", workers)?);
        let limits = Limits {
            connections: rows.plain("max_connections", layers.one("max_connections", at_least(1))?),
            head_bytes: rows.plain("max_head_bytes", layers.one("max_head_bytes", at_least(8192))?),
            generate_body_bytes: rows
                .plain("max_generate_body_bytes", layers.one("max_generate_body_bytes", at_least(1))?),
            verify_body_bytes: rows.plain("max_verify_body_bytes", layers.one("max_verify_body_bytes", at_least(1))?),
            api_body_bytes: rows.plain("max_api_body_bytes", layers.one("max_api_body_bytes", at_least(1024))?),
            batch_body_bytes: rows.plain("max_batch_body_bytes", layers.one("max_batch_body_bytes", at_least(1024))?),
            auth_failures: match rows.plain("max_auth_failures", layers.one("max_auth_failures", at_least(0))?) {
                0 => None,
                failures => Some(u32::try_from(failures).unwrap_or(u32::MAX)),
            },
            head_timeout: rows.time("head_timeout", layers.one("head_timeout", duration)?),
            body_timeout: rows.time("body_timeout", layers.one("body_timeout", duration)?),
            write_timeout: rows.time("write_timeout", layers.one("write_timeout", duration)?),
            idle_timeout: rows.time("idle_timeout", layers.one("idle_timeout", duration)?),
            drain_time: rows.time("drain_time", layers.one("drain_time", up_to_a_day)?),
            stop_timeout: rows.time("stop_timeout", layers.one("stop_timeout", duration)?),
        };
        what_is_minted_can_be_verified(&limits)?;

        let published_key = if allow_published_key { PublishedKey::Allowed } else { PublishedKey::Refused };
        Ok(Self {
            listen: listen.into_iter().flatten().collect(),
            admin_listen: admin_listen.into_iter().flatten().collect(),
            data_dir,
            key_source,
            published_key,
            master_key,
            store,
            staleness,
            audit_retention,
            issuer,
            terms,
            rotate_every: rotate_every.map(seconds),
            rotate_every_is_given,
            access,
            log_level,
            log_format,
            workers,
            limits,
            rows: rows.0,
        })
    }

    /// The issuer where nobody says another.
    pub(crate) fn default_issuer(&self) -> String {
        self.listen.first().map_or_else(String::new, |address| format!("http://{address}"))
    }
}

fn store_home(layers: &Layers<'_>, rows: &mut Rows) -> Result<StoreHome> {
    let password = layers.path("store_password_file")?.map(|password| rows.path("store_password_file", password));
    let Some((url, origin)) = layers.secret("store")? else {
        if password.is_some() {
            bail!("there is a password for PostgreSQL, but no --store");
        }
        return Ok(StoreHome::DataDir);
    };
    let url = Zeroizing::new(url);
    let home = StoreHome::parse(url, origin.clone(), password)?;
    rows.0.push(("store", toml::Value::String(home.to_string()).to_string(), origin));
    Ok(home)
}

fn master_key_home(
    layers: &Layers<'_>,
    environment: Environment<'_>,
    data_dir: &Path,
    rows: &mut Rows,
) -> Result<MasterKeyHome> {
    match (layers.secret("master_key")?, layers.path("master_key_file")?) {
        (Some((_, key)), Some((_, file))) => {
            bail!("the master key is given twice, by {key} and by {file}; give one of them")
        }
        (Some((text, origin)), None) => {
            rows.0.push(("master_key", "\"(redacted)\"".to_owned(), origin.clone()));
            Ok(MasterKeyHome::Given { text: Zeroizing::new(text), origin })
        }
        (None, Some((path, origin))) => {
            rows.path("master_key_file", (path.clone(), origin.clone()));
            Ok(MasterKeyHome::File { path, origin })
        }
        (None, None) => {
            let credentials = environment("CREDENTIALS_DIRECTORY").filter(|value| !value.is_empty());
            let credential = credentials.map(|directory| PathBuf::from(directory).join("master_key"));
            if let Some(path) = credential.filter(|path| path.exists()) {
                let origin = Origin::Variable("CREDENTIALS_DIRECTORY".to_owned());
                rows.path("master_key_file", (path.clone(), origin.clone()));
                return Ok(MasterKeyHome::File { path, origin });
            }
            rows.path("master_key_file", (data_dir.join("master.key"), Origin::Default));
            Ok(MasterKeyHome::DataDir)
        }
    }
}

impl fmt::Display for Config {
    /// As a TOML file that would have the same effect, each line with where it came from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value, origin) in &self.rows {
            // The file cannot name itself, and secrets are not shown.
            let hidden = matches!(*name, "config" | "signing_key" | "master_key")
                // Without who connects, and the password.
                || *name == "store"
                // A file that is named must be there; by default it is made.
                || (*name == "master_key_file" && *origin == Origin::Default);
            let comment = if hidden { "# " } else { "" };
            writeln!(f, "{comment}{name} = {value} # {origin}")?;
        }
        Ok(())
    }
}

/// Collects what `jotd config` prints while the values are taken.
struct Rows(Vec<(&'static str, String, Origin)>);

impl Rows {
    fn plain<T: fmt::Display>(&mut self, name: &'static str, (value, origin): (T, Origin)) -> T {
        self.0.push((name, value.to_string(), origin));
        value
    }

    fn path(&mut self, name: &'static str, (path, origin): (PathBuf, Origin)) -> PathBuf {
        self.0.push((name, toml::Value::String(path.display().to_string()).to_string(), origin));
        path
    }

    fn time(&mut self, name: &'static str, (time, origin): (Duration, Origin)) -> Duration {
        self.0.push((name, format!("\"{}\"", humantime::format_duration(time)), origin));
        time
    }

    fn time_or_never(&mut self, name: &'static str, (time, origin): (Option<Duration>, Origin)) -> Option<Duration> {
        let shown = time.map_or("never".to_owned(), |time| humantime::format_duration(time).to_string());
        self.0.push((name, format!("\"{shown}\""), origin));
        time
    }

    fn many(&mut self, name: &'static str, (sets, origin): (Vec<Vec<SocketAddr>>, Origin)) -> Vec<Vec<SocketAddr>> {
        let all: Vec<_> = sets.iter().flatten().map(|address| format!("\"{address}\"")).collect();
        self.0.push((name, format!("[{}]", all.join(", ")), origin));
        sets
    }
}

fn default_data_dir(environment: Environment<'_>) -> Result<PathBuf> {
    let variable = |name| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(directories) = environment("STATE_DIRECTORY").filter(|value| !value.is_empty()) {
        // systemd puts colons between several; the first is ours.
        let first = std::env::split_paths(&directories).next();
        return first.ok_or_else(|| anyhow!("STATE_DIRECTORY names no directory"));
    }
    // The XDG base directory specification wants relative paths ignored.
    if let Some(directory) = variable("XDG_DATA_HOME").filter(|path| path.is_absolute()) {
        return Ok(directory.join("jotd"));
    }
    let home = variable("HOME").context("there is no home directory to keep data in; give a place with --data-dir")?;
    Ok(home.join(".local/share/jotd"))
}

fn addresses(text: &str) -> Result<Vec<SocketAddr>> {
    let addresses = text.to_socket_addrs().map(Vec::from_iter).unwrap_or_default();
    if addresses.is_empty() {
        bail!("not an address with a port, as in 127.0.0.1:8000 or [::1]:8000");
    }
    Ok(addresses)
}

fn switch(text: &str) -> Result<bool> {
    match text {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => bail!("neither true nor false"),
    }
}

fn log_level(text: &str) -> Result<LevelFilter> {
    match text {
        "error" | "warn" | "info" | "debug" | "trace" => Ok(LevelFilter::from_str(text)?),
        _ => bail!("not one of error, warn, info, debug, trace"),
    }
}

fn log_format(text: &str) -> Result<LogFormat> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => bail!("not one of auto, text, json"),
    }
}

/// More than any machine has use for.
const MOST_WORKERS: usize = 1024;

/// Threads that serve requests: affinity and cgroups say how many cores there are.
fn workers(text: &str) -> Result<usize> {
    match text {
        "auto" => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
        number => match at_least(1)(number)? {
            workers @ ..=MOST_WORKERS => Ok(workers),
            _ => bail!("{MOST_WORKERS} at most"),
        },
    }
}

fn at_least(least: usize) -> impl Fn(&str) -> Result<usize> {
    move |text| match text.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => bail!("not a whole number of {least} or more"),
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn up_to_a_day(text: &str) -> Result<Duration> {
    match any_duration(text) {
        Some(duration) if duration <= DAY => Ok(duration),
        _ => bail!("not a time of up to a day, as in 10s or 1m 30s"),
    }
}

fn duration(text: &str) -> Result<Duration> {
    let duration = up_to_a_day(text)?;
    if duration.is_zero() { bail!("more than no time is needed") } else { Ok(duration) }
}

/// A time in whole seconds that may be longer than a day.
fn long_duration(text: &str) -> Result<Duration> {
    match any_duration(text) {
        Some(duration) if duration.as_secs() > 0 && duration <= 3660 * DAY => {
            Ok(Duration::from_secs(duration.as_secs()))
        }
        _ => bail!("not a time from a second to ten years, as in 12h or 30d"),
    }
}

fn every(text: &str) -> Result<Option<Duration>> {
    if text == "never" { Ok(None) } else { long_duration(text).map(Some) }
}

fn any_duration(text: &str) -> Option<Duration> {
    text.parse().map(Duration::from_secs).ok().or_else(|| humantime::parse_duration(text).ok())
}

/// The whole seconds that are not less.
fn seconds(time: Duration) -> i64 {
    let whole = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i64::try_from(whole).unwrap_or(i64::MAX)
}

/// An issuer is a URL without query and fragment (RFC 8414 section 2); http is for this machine and for tests.
fn issuer(text: &str) -> Result<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_plain = |rest: &str| {
        !rest.is_empty() && rest.bytes().all(|byte| matches!(byte, 0x21..=0x7e) && !b"?#\"\\<>".contains(&byte))
    };
    if !rest.is_some_and(is_plain) || text.len() > 1024 {
        bail!("not a URL such as https://auth.example, without query and fragment");
    }
    Ok(text.to_owned())
}

fn cors_origin(text: &str) -> Result<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if text != "*" && rest.is_none_or(|rest| rest.is_empty() || rest.contains(['/', '?', '#', ' '])) {
        bail!("not an origin such as https://app.example, without a path");
    }
    Ok(text.to_owned())
}

fn proxy(text: &str) -> Result<IpAddr> {
    text.parse::<IpAddr>().map(|address| address.to_canonical()).map_err(|_| anyhow!("not an IP address"))
}

/// A token that `/generateToken` makes of the largest body must fit into a body of `/verifyToken`, beside a key.
fn what_is_minted_can_be_verified(limits: &Limits) -> Result<()> {
    // The longest signing key, each of its bytes as an escape of six, and what stands around both.
    const AROUND: usize = 6 * signing_key::LONGEST + 1024;
    let token = limits.generate_body_bytes.saturating_mul(4).div_ceil(3).saturating_add(AROUND);
    if token > jotd_http::LONGEST_TOKEN {
        bail!("max_generate_body_bytes is too large: tokens end at {} bytes", jotd_http::LONGEST_TOKEN);
    }
    if token > limits.verify_body_bytes {
        bail!("max_verify_body_bytes must be {token} or more, so that whatever was minted can be verified");
    }
    Ok(())
}
