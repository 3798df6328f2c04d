//! Every setting, as one row of one table: its flag, its environment variable, its key in the file, its default and
//! its help all come from there. Flags win over the environment, the environment over the file.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::builder::Arg;
use clap::{ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// One setting.
pub(crate) struct Setting {
    /// The key in the file; the flag has dashes instead, the environment variable is in capitals after `JOTD_`.
    pub(crate) name: &'static str,
    /// What the value is called in help texts; empty for a switch.
    value: &'static str,
    default: &'static str,
    kind: Kind,
    help: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    One,
    /// Given several times as a flag, with commas between values in the environment, as an array in the file.
    Many,
    Switch,
    /// Never on a command line, where other users of the machine could read it.
    Secret,
    /// Says where the file is, so it cannot stand in it.
    NotInFile,
}

#[rustfmt::skip]
pub(crate) static SETTINGS: &[Setting] = &[
    Setting { name: "listen", value: "ADDR", default: "127.0.0.1:8000", kind: Kind::Many,
        help: "Address to serve on, IPv4 or [IPv6] with a port" },
    Setting { name: "admin_listen", value: "ADDR", default: "", kind: Kind::Many,
        help: "Further address that serves only what operators need (/healthz, /readyz, /metrics)" },
    Setting { name: "data_dir", value: "DIR", default: "", kind: Kind::One,
        help: "Where jotd keeps its data [default: $STATE_DIRECTORY, else $XDG_DATA_HOME/jotd, else ~/.local/share/jotd]" },
    Setting { name: "signing_key_file", value: "FILE", default: "", kind: Kind::One,
        help: "File with the signing key, 64 bytes or more [default: signing.key in the data directory, made at first start]" },
    Setting { name: "signing_key", value: "KEY", default: "", kind: Kind::Secret,
        help: "The signing key itself, 64 bytes or more" },
    Setting { name: "allow_published_key", value: "", default: "false", kind: Kind::Switch,
        help: "Accept the published example key, with which anyone can forge tokens" },
    Setting { name: "master_key_file", value: "FILE", default: "", kind: Kind::One,
        help: "File with the master key, under which the store's secrets are encrypted [default: master_key in $CREDENTIALS_DIRECTORY, else master.key in the data directory, made at first start]" },
    Setting { name: "master_key", value: "KEY", default: "", kind: Kind::Secret,
        help: "The master key itself, 64 hex digits" },
    Setting { name: "store", value: "URL", default: "", kind: Kind::One,
        help: "PostgreSQL for several nodes, as in postgres://user@host1,host2/database [default: jotd.db in the data directory]" },
    Setting { name: "store_password_file", value: "FILE", default: "", kind: Kind::One,
        help: "File with the password for PostgreSQL, where the URL has none" },
    Setting { name: "fresh_within", value: "TIME", default: "5s", kind: Kind::One,
        help: "How old what is known of the store may be before /readyz, log and metrics say so" },
    Setting { name: "refuse_after", value: "TIME", default: "5m", kind: Kind::One,
        help: "How old it may be before nothing is minted or verified by it any more (503), or never" },
    Setting { name: "issuer", value: "URL", default: "", kind: Kind::One,
        help: "Who issues the tokens (iss), as its clients reach it [default: http:// and the first address]" },
    Setting { name: "jwks_max_age", value: "TIME", default: "5m", kind: Kind::One,
        help: "How long callers may cache the key set; a new key waits as long before it signs" },
    Setting { name: "max_token_lifetime", value: "TIME", default: "24h", kind: Kind::One,
        help: "The longest that a token may live; a former key stays published as long" },
    Setting { name: "clock_leeway", value: "TIME", default: "60s", kind: Kind::One,
        help: "How far clocks may be apart" },
    Setting { name: "rotate_every", value: "TIME", default: "30d", kind: Kind::One,
        help: "How long keys of the first slot sign before the next take their place, or never; where it is not given, `jotd keys schedule` says" },
    Setting { name: "audit_retention", value: "TIME", default: "400d", kind: Kind::One,
        help: "How long the log of changes is kept, which jotd audit shows" },
    Setting { name: "cors_origin", value: "ORIGIN", default: "", kind: Kind::Many,
        help: "Origin whose scripts may read answers in browsers, as in https://app.example" },
    Setting { name: "trusted_proxy", value: "ADDR", default: "", kind: Kind::Many,
        help: "Address of a proxy whose X-Forwarded-For is believed" },
    Setting { name: "config", value: "FILE", default: "", kind: Kind::NotInFile,
        help: "TOML file with settings" },
    Setting { name: "log_level", value: "LEVEL", default: "info", kind: Kind::One,
        help: "error, warn, info, debug (a line for each request) or trace" },
    Setting { name: "log_format", value: "FORMAT", default: "auto", kind: Kind::One,
        help: "text, json, or auto: text on a terminal, else json" },
    Setting { name: "workers", value: "N", default: "auto", kind: Kind::One,
        help: "Threads that serve requests; auto is one for each core that the process may use" },
    Setting { name: "max_connections", value: "N", default: "10000", kind: Kind::One,
        help: "Connections at once; more wait until one ends" },
    Setting { name: "max_head_bytes", value: "BYTES", default: "16384", kind: Kind::One,
        help: "Largest request head, else 431" },
    Setting { name: "max_generate_body_bytes", value: "BYTES", default: "65536", kind: Kind::One,
        help: "Largest body of /generateToken, else 413" },
    Setting { name: "max_verify_body_bytes", value: "BYTES", default: "131072", kind: Kind::One,
        help: "Largest body of /verifyToken, else 413" },
    Setting { name: "max_api_body_bytes", value: "BYTES", default: "65536", kind: Kind::One,
        help: "Largest body of every other route, else 413" },
    Setting { name: "max_batch_body_bytes", value: "BYTES", default: "16777216", kind: Kind::One,
        help: "Largest body of a batch, else 413; lines have no such limit" },
    Setting { name: "max_auth_failures", value: "N", default: "30", kind: Kind::One,
        help: "Failed authentications in a minute, of an address or under a client's name, before they are answered 429; 0 is no limit" },
    Setting { name: "head_timeout", value: "TIME", default: "10s", kind: Kind::One,
        help: "How long a request's head may take" },
    Setting { name: "body_timeout", value: "TIME", default: "30s", kind: Kind::One,
        help: "How long a request's body may take" },
    Setting { name: "write_timeout", value: "TIME", default: "30s", kind: Kind::One,
        help: "How long a client may take to accept an answer" },
    Setting { name: "idle_timeout", value: "TIME", default: "75s", kind: Kind::One,
        help: "How long a connection is kept for the next request" },
    Setting { name: "drain_time", value: "TIME", default: "0s", kind: Kind::One,
        help: "How long requests are still taken after SIGTERM, with /readyz at 503, so that a load balancer sends no more" },
    Setting { name: "stop_timeout", value: "TIME", default: "10s", kind: Kind::One,
        help: "How long requests in flight may take after that" },
];

impl Setting {
    /// The flag without its dashes; `None` for a secret.
    pub(crate) fn flag(&self) -> Option<String> {
        (self.kind != Kind::Secret).then(|| self.name.replace('_', "-"))
    }

    pub(crate) fn variable(&self) -> String {
        format!("JOTD_{}", self.name.to_ascii_uppercase())
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag(String),
    Variable(String),
    File { path: PathBuf, key: &'static str },
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Variable(variable) => f.write_str(variable),
            Self::File { path, key } => write!(f, "{key} in {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The settings that were given as flags.
#[derive(Debug, Default, Clone)]
pub(crate) struct Flags(HashMap<&'static str, Vec<String>>);

/// Those that commands on the data directory need.
const FOR_DATA: [&str; 5] = ["data_dir", "store", "store_password_file", "master_key_file", "config"];

/// The settings of a command on the data directory.
#[derive(Debug, Default, Clone)]
pub(crate) struct DataFlags(pub(crate) Flags);

impl Args for DataFlags {
    fn augment_args(command: Command) -> Command {
        augment(command, |setting| FOR_DATA.contains(&setting.name))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for DataFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        taken(matches, |setting| FOR_DATA.contains(&setting.name)).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        augment(command, |_| true)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        taken(matches, |_| true)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn augment(command: Command, wanted: impl Fn(&Setting) -> bool) -> Command {
    let settings = SETTINGS.iter().filter(|setting| wanted(setting));
    settings.filter_map(|setting| Some((setting, setting.flag()?))).fold(command, |command, (setting, flag)| {
        let mut help = format!("{} [env: {}]", setting.help, setting.variable());
        if !setting.default.is_empty() && setting.kind != Kind::Switch {
            help = format!("{help} [default: {}]", setting.default);
        }
        let arg = Arg::new(setting.name).long(flag).help(help).help_heading("Settings");
        command.arg(match setting.kind {
            Kind::Switch => arg
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_name("true|false")
                .action(ArgAction::Set),
            Kind::Many => arg.value_name(setting.value).action(ArgAction::Append),
            _ => arg.value_name(setting.value).action(ArgAction::Set),
        })
    })
}

fn taken(matches: &ArgMatches, wanted: impl Fn(&Setting) -> bool) -> Result<Flags, clap::Error> {
    let mut flags = HashMap::new();
    for setting in SETTINGS.iter().filter(|setting| setting.kind != Kind::Secret && wanted(setting)) {
        if let Some(values) = matches.get_many::<String>(setting.name) {
            flags.insert(setting.name, values.cloned().collect());
        }
    }
    Ok(Flags(flags))
}

/// Reads an environment variable.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The three places that a setting can come from.
pub(crate) struct Layers<'a> {
    flags: Flags,
    environment: Environment<'a>,
    file: Option<(PathBuf, toml::Table)>,
}

impl<'a> Layers<'a> {
    /// Reads the file that the flags or the environment name, if any.
    pub(crate) fn read(flags: Flags, environment: Environment<'a>) -> Result<Self> {
        let mut layers = Self { flags, environment, file: None };
        if let Some((path, _)) = layers.path("config")? {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
            let table = parse_file(&path, &text)?;
            layers.file = Some((path, table));
        }
        Ok(layers)
    }

    /// The value of the setting and where it came from, parsed.
    pub(crate) fn one<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T>) -> Result<(T, Origin)> {
        let (values, origin) = self.values(name)?;
        let [value] = values.as_slice() else { bail!("{origin}: one value is wanted") };
        let parsed = parse(value).with_context(|| format!("{origin}: {}", shown(value)))?;
        Ok((parsed, origin))
    }

    /// The values of the setting and where they came from, parsed.
    pub(crate) fn many<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T>) -> Result<(Vec<T>, Origin)> {
        let (values, origin) = self.values(name)?;
        let parse = |value: &String| parse(value).with_context(|| format!("{origin}: {}", shown(value)));
        let parsed = values.iter().map(parse).collect::<Result<_>>()?;
        Ok((parsed, origin))
    }

    /// A setting without a default that is a path, taken as it is.
    pub(crate) fn path(&self, name: &str) -> Result<Option<(PathBuf, Origin)>> {
        let setting = find(name)?;
        if let Some([path]) = self.flags.0.get(setting.name).map(Vec::as_slice) {
            return Ok(Some((path.into(), Origin::Flag(name.replace('_', "-")))));
        }
        if let Some(path) = (self.environment)(&setting.variable()) {
            if path.is_empty() {
                bail!("{} is empty; unset it or give a path", setting.variable());
            }
            return Ok(Some((path.into(), Origin::Variable(setting.variable()))));
        }
        let from_file = self.look_in_file(setting)?;
        Ok(from_file.and_then(|(values, origin)| Some((values.into_iter().next()?.into(), origin))))
    }

    /// A setting without a default that must never be shown, or not all of it.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<(String, Origin)>> {
        let setting = find(name)?;
        if let Some([value]) = self.flags.0.get(setting.name).map(Vec::as_slice) {
            return Ok(Some((value.clone(), Origin::Flag(name.replace('_', "-")))));
        }
        if let Some(value) = (self.environment)(&setting.variable()) {
            let value = value.into_string().map_err(|_| anyhow!("{} is not UTF-8", setting.variable()))?;
            return Ok(Some((value, Origin::Variable(setting.variable()))));
        }
        let from_file = self.look_in_file(setting)?;
        Ok(from_file.and_then(|(values, origin)| Some((values.into_iter().next()?, origin))))
    }

    fn values(&self, name: &str) -> Result<(Vec<String>, Origin)> {
        let setting = find(name)?;
        if let Some(values) = self.flags.0.get(setting.name) {
            return Ok((values.clone(), Origin::Flag(name.replace('_', "-"))));
        }
        if let Some(value) = (self.environment)(&setting.variable()) {
            let variable = setting.variable();
            let value = value.into_string().map_err(|_| anyhow!("{variable} is not UTF-8"))?;
            return Ok((split(setting, &value), Origin::Variable(variable)));
        }
        if let Some(found) = self.look_in_file(setting)? {
            return Ok(found);
        }
        let values = if setting.default.is_empty() { Vec::new() } else { split(setting, setting.default) };
        Ok((values, Origin::Default))
    }

    fn look_in_file(&self, setting: &Setting) -> Result<Option<(Vec<String>, Origin)>> {
        let Some((path, table)) = &self.file else { return Ok(None) };
        let Some(value) = table.get(setting.name) else { return Ok(None) };
        let origin = Origin::File { path: path.clone(), key: static_name(setting.name) };
        let values = match value {
            toml::Value::Array(values) if setting.kind == Kind::Many => values.iter().map(scalar).collect(),
            value => scalar(value).map(|value| vec![value]),
        };
        let values = values.with_context(|| format!("{origin} has a value of the wrong type"))?;
        Ok(Some((values, origin)))
    }
}

/// The near name among `known` that somebody may have meant.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

fn parse_file(path: &Path, text: &str) -> Result<toml::Table> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line =
            error.span().map_or(1, |span| text.bytes().take(span.start).filter(|&byte| byte == b'\n').count() + 1);
        anyhow!("{}, line {line}: {}", path.display(), error.message().replace('\n', ", "))
    })?;
    let known = || SETTINGS.iter().filter(|setting| setting.kind != Kind::NotInFile).map(|setting| setting.name);
    for key in table.keys() {
        if known().all(|name| name != key) {
            let hint = match nearest(&key.replace('-', "_"), known()) {
                Some(name) => format!("did you mean {name:?}?"),
                None => "see `jotd serve --help` for the settings".to_owned(),
            };
            bail!("{}: {} is not a setting; {hint}", path.display(), shown(key));
        }
    }
    Ok(table)
}

/// A value for a message. What is as long as a signing key may be one, in the wrong place.
fn shown(value: &str) -> String {
    if value.len() < 40 { format!("{value:?}") } else { format!("a value of {} bytes", value.len()) }
}

fn find(name: &str) -> Result<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name).ok_or_else(|| anyhow!("{name} is not a setting"))
}

fn static_name(name: &str) -> &'static str {
    SETTINGS.iter().map(|setting| setting.name).find(|known| *known == name).unwrap_or("")
}

fn split(setting: &Setting, value: &str) -> Vec<String> {
    match setting.kind {
        Kind::Many => value.split(',').map(|part| part.trim().to_owned()).collect(),
        _ => vec![value.to_owned()],
    }
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(switch) => Some(switch.to_string()),
        _ => None,
    }
}
