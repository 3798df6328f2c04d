//! The arguments of `jotd bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::request::Base;
use crate::arguments::{Format, duration};

/// Nothing runs for longer.
const LONGEST_RUN: Duration = Duration::from_secs(24 * 60 * 60);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60 * 60);

#[derive(Args)]
pub(crate) struct Bench {
    /// Where jotd is; a path in it goes before that of the route
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8000")]
    pub(super) url: Base,
    /// What to ask for
    #[arg(long, value_name = "ROUTE", default_value = "generateToken")]
    pub(super) route: Route,
    /// Connections, each with one request at a time
    #[arg(long, value_name = "N", default_value = "32", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(super) connections: u32,
    /// How long to measure, as in 10s or 5m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = run_time)]
    pub(super) duration: Duration,
    /// How long to send before that without counting
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = warmup)]
    pub(super) warmup: Duration,
    /// Requests a second, on a fixed schedule [default: each connection sends when it has its answer]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(super) rate: Option<u64>,
    /// How long a request may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = timeout)]
    pub(super) timeout: Duration,
    /// Threads that send
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(super) threads: u32,
    /// Length of the text in the tokens of generateToken and verifyToken
    #[arg(long, value_name = "BYTES", default_value = "32", value_parser = clap::value_parser!(u32).range(0..=1_048_576))]
    pub(super) data_size: u32,
    /// File with the signing key for verifyToken; - is standard input [default: a made-up key, under which no
    /// signature holds, at the same cost]
    #[arg(long, value_name = "FILE")]
    pub(super) signing_key_file: Option<PathBuf>,
    /// The client for token and introspect
    #[arg(long, value_name = "ID", required_if_eq_any = [("route", "token"), ("route", "introspect")])]
    pub(super) client: Option<String>,
    /// File with its secret; - is standard input
    #[arg(long, value_name = "FILE", required_if_eq_any = [("route", "token"), ("route", "introspect")])]
    pub(super) client_secret_file: Option<PathBuf>,
    /// What its tokens are to be good for, separated by spaces [default: all that it may have]
    #[arg(long, value_name = "SCOPES")]
    pub(super) scope: Option<String>,
    /// For whom its tokens are to be; may be given several times [default: its first audience]
    #[arg(long, value_name = "URL")]
    pub(super) resource: Vec<String>,
    /// How to print the report [default: text on a terminal, else json]
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<Format>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Route {
    /// POST /generateToken: mint a token
    #[value(name = "generateToken")]
    GenerateToken,
    /// POST /verifyToken: verify one
    #[value(name = "verifyToken")]
    VerifyToken,
    /// POST /oauth2/token: an access token by client credentials
    Token,
    /// POST /oauth2/introspect: ask about an access token
    Introspect,
    /// GET /.well-known/jwks.json: the public keys
    Jwks,
    /// GET /healthz: an answer without work
    Healthz,
}

fn run_time(text: &str) -> Result<Duration, String> {
    positive(text, LONGEST_RUN)
}

fn timeout(text: &str) -> Result<Duration, String> {
    positive(text, LONGEST_TIMEOUT)
}

fn warmup(text: &str) -> Result<Duration, String> {
    at_most(text, LONGEST_TIMEOUT)
}

fn positive(text: &str, longest: Duration) -> Result<Duration, String> {
    let time = at_most(text, longest)?;
    if time.is_zero() { Err("it has to be more than nothing".to_owned()) } else { Ok(time) }
}

fn at_most(text: &str, longest: Duration) -> Result<Duration, String> {
    let time = duration(text)?;
    if time > longest { Err(format!("{} at most", humantime::format_duration(longest))) } else { Ok(time) }
}
