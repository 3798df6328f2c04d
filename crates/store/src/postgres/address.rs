//! Where a store on PostgreSQL is: a URL as libpq has it, with parameters of ours in its query.
//!
//! A connection is encrypted and the server's certificate verified unless the server is on this machine or the URL says
//! otherwise: nothing is left to what the server, or somebody in between, says that it can do.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use zeroize::Zeroizing;

/// How long connecting may take, over all hosts.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What does not answer for so long is gone.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_RETRIES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// So that the names that are made of it fit into the 63 bytes of PostgreSQL.
const LONGEST_SCHEMA: usize = 50;

/// Why a text is not the address of a store.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// It begins otherwise.
    #[error("the URL of a PostgreSQL store begins with postgres:// or postgresql://")]
    Scheme,
    /// It cannot be read. What it says is not repeated, for it may hold a password.
    #[error("not a URL of a PostgreSQL store: {0}")]
    Malformed(String),
    /// It names no server.
    #[error("the URL of a PostgreSQL store names at least one host")]
    NoHost,
    /// Names of schemas are kept simple.
    #[error("a schema's name is 1 to {LONGEST_SCHEMA} ASCII letters, digits, `_` and `-`")]
    Schema,
    /// Something between encrypted and not.
    #[error(
        "sslmode={0} would go on without encryption where a server, or somebody in between, says that there is none; \
         say sslmode=disable or sslmode=verify-full"
    )]
    Opportunistic(String),
    /// Some other word.
    #[error("sslmode is `disable` or `verify-full`")]
    SslMode,
    /// Both in the URL and beside it.
    #[error("there are two passwords: one in the URL and one beside it")]
    TwoPasswords,
}

/// Whether connections are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    Plain,
    /// And the server's certificate is verified, with its name.
    Verified,
}

/// One of the servers.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    host: Option<Host>,
    hostaddr: Option<IpAddr>,
    port: u16,
    pub(crate) security: Security,
}

/// Where a store is, and how to get in. What is shown of it holds no password.
#[derive(Clone)]
pub struct Address {
    given: Config,
    password: Option<Zeroizing<String>>,
    pub(crate) places: Vec<Place>,
    pub(crate) schema: String,
    pub(crate) roots: Option<PathBuf>,
    pub(crate) connect_timeout: Duration,
    pub(crate) must_exist: bool,
}

impl Address {
    /// Reads a URL such as `postgres://user@host1:5432,host2:5432/database?schema=jotd`. The password may stand in it, or
    /// beside it.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(url: &str, password: Option<Zeroizing<String>>) -> Result<Self, AddressError> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(AddressError::Scheme);
        }
        let (main, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut schema, mut roots, mut security, mut others) = ("jotd".to_owned(), None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| malformed("a parameter without a value"))?;
            match name {
                "schema" => schema = decode(value)?,
                "sslrootcert" => roots = Some(PathBuf::from(decode(value)?)),
                "sslmode" => security = Some(of_mode(&decode(value)?)?),
                // Credentials end at the first one.
                _ => others.push(pair.replace('@', "%40")),
            }
        }
        let is_simple = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if schema.is_empty() || schema.len() > LONGEST_SCHEMA || !schema.bytes().all(is_simple) {
            return Err(AddressError::Schema);
        }
        let given: Config =
            format!("{main}?{}", others.join("&")).parse().map_err(|error: tokio_postgres::Error| {
                malformed(&std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string))
            })?;
        if password.is_some() && given.get_password().is_some() {
            return Err(AddressError::TwoPasswords);
        }
        let places = places(&given, security)?;
        let connect_timeout = given.get_connect_timeout().copied().filter(|timeout| !timeout.is_zero());
        let connect_timeout = connect_timeout.unwrap_or(CONNECT_TIMEOUT);
        Ok(Self { given, password, places, schema, roots, connect_timeout, must_exist: false })
    }

    /// For one of its places.
    /// The same, for those who are not to make a store where there is none.
    pub(crate) fn of_existing(&self) -> Self {
        Self { must_exist: true, ..self.clone() }
    }

    /// Whether there is a password to connect with.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.given.get_password().is_some()
    }

    pub(crate) fn config(&self, place: &Place, timeout: Duration) -> Config {
        let mut config = Config::new();
        match &place.host {
            Some(Host::Tcp(name)) => drop(config.host(name)),
            Some(Host::Unix(folder)) => drop(config.host_path(folder)),
            None => {}
        }
        if let Some(address) = place.hostaddr {
            config.hostaddr(address);
        }
        if let Some(user) = self.given.get_user() {
            config.user(user);
        }
        match (&self.password, self.given.get_password()) {
            (Some(password), _) => drop(config.password(password.as_bytes())),
            (None, Some(password)) => drop(config.password(password)),
            (None, None) => {}
        }
        if let Some(name) = self.given.get_dbname() {
            config.dbname(name);
        }
        if let Some(options) = self.given.get_options() {
            config.options(options);
        }
        let name = self.given.get_application_name().map_or_else(|| format!("jotd/{}", self.schema), str::to_owned);
        config
            .application_name(name)
            .port(place.port)
            .connect_timeout(timeout)
            .ssl_mode(if place.security == Security::Plain { SslMode::Disable } else { SslMode::Require })
            .ssl_negotiation(self.given.get_ssl_negotiation())
            .channel_binding(self.given.get_channel_binding())
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(UNACKNOWLEDGED)
            // What a standby says may be old.
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        config
    }
}

/// One for each host.
fn places(given: &Config, security: Option<Security>) -> Result<Vec<Place>, AddressError> {
    let (hosts, addresses, ports) = (given.get_hosts(), given.get_hostaddrs(), given.get_ports());
    let count = hosts.len().max(addresses.len());
    if count == 0 {
        return Err(AddressError::NoHost);
    }
    if (!hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len())
        || (ports.len() > 1 && ports.len() != count)
    {
        return Err(malformed("not as many ports or addresses as hosts"));
    }
    let places = (0..count).map(|index| {
        let (host, hostaddr) = (hosts.get(index).cloned(), addresses.get(index).copied());
        let is_here = match (&host, hostaddr) {
            (Some(Host::Unix(_)), _) => true,
            (_, Some(address)) => address.is_loopback(),
            (Some(Host::Tcp(name)), None) => {
                name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
            (None, None) => false,
        };
        let security = match security {
            // There is nobody in between, and nothing that could be verified.
            _ if matches!(host, Some(Host::Unix(_))) => Security::Plain,
            Some(security) => security,
            None if is_here => Security::Plain,
            None => Security::Verified,
        };
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        Place { host, hostaddr, port, security }
    });
    Ok(places.collect())
}

fn of_mode(mode: &str) -> Result<Security, AddressError> {
    match mode {
        "disable" => Ok(Security::Plain),
        // The first two are weaker elsewhere, where they are taken at their word.
        "require" | "verify-ca" | "verify-full" => Ok(Security::Verified),
        "prefer" | "allow" => Err(AddressError::Opportunistic(mode.to_owned())),
        _ => Err(AddressError::SslMode),
    }
}

/// Reads `%2F` and the like.
fn decode(text: &str) -> Result<String, AddressError> {
    let wrong = || malformed("a parameter that is not percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digits = [rest.next().ok_or_else(wrong)?, rest.next().ok_or_else(wrong)?];
            let digits = std::str::from_utf8(&digits).map_err(|_| wrong())?;
            u8::from_str_radix(digits, 16).map_err(|_| wrong())?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

fn malformed(what: &str) -> AddressError {
    AddressError::Malformed(what.to_owned())
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.hostaddr) {
            (Some(Host::Tcp(name)), _) if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            (Some(Host::Tcp(name)), _) => write!(f, "{name}:{}", self.port),
            (Some(Host::Unix(folder)), _) => write!(f, "{}:{}", folder.display(), self.port),
            (None, Some(address)) => write!(f, "{address}:{}", self.port),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for Address {
    /// Hosts, database and schema.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        for (index, place) in self.places.iter().enumerate() {
            write!(f, "{}{place}", if index == 0 { "" } else { "," })?;
        }
        write!(f, "/{}?schema={}", self.given.get_dbname().unwrap_or_default(), self.schema)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
