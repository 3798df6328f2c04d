//! The arguments of commands on the data directory.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use jose::Algorithm;

use crate::arguments::{Format, algorithm, duration};
use crate::settings::DataFlags;

#[derive(Args)]
pub(crate) struct Token {
    /// What it may be used for, separated by spaces
    #[arg(long, value_name = "SCOPES")]
    pub(crate) scope: String,
    /// Whom it is about (sub) [default: the user who runs this]
    #[arg(long, value_name = "TEXT")]
    pub(crate) sub: Option<String>,
    /// For whom it is (aud); may be given several times [default: jotd itself]
    #[arg(long, value_name = "TEXT")]
    pub(crate) aud: Vec<String>,
    /// How long it is valid, as in 15m [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) ttl: Option<Duration>,
    /// What it is signed with
    #[arg(long, value_name = "ALG", value_parser = algorithm)]
    pub(crate) alg: Option<Algorithm>,
    #[command(flatten)]
    pub(crate) flags: DataFlags,
}

#[derive(Args)]
pub(crate) struct ClientFields {
    /// What it may ask for, separated by spaces
    #[arg(long, value_name = "SCOPES")]
    pub(crate) scope: Option<String>,
    /// How long its tokens are valid, as in 15m [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) ttl: Option<Duration>,
    /// What its tokens are signed with [default: that of the first slot, ES256]
    #[arg(long, value_name = "ALG", value_parser = algorithm)]
    pub(crate) alg: Option<Algorithm>,
    /// File with the public keys that it authenticates with (private_key_jwt): a JWK, a JWK Set or PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) jwks: Option<PathBuf>,
    /// For whom its tokens may be (aud), the first by default; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub(crate) audience: Vec<String>,
}

#[derive(Subcommand)]
pub(crate) enum Clients {
    /// Add a client; prints it with its secret, which is never shown again
    #[command(after_help = "\
Examples:
  jotd clients add billing --audience https://api.example --scope 'read write' --ttl 15m
  jotd clients add batch --id batch --audience https://api.example --jwks public.jwk

A client with --jwks authenticates with its own keys and gets no secret.")]
    Add {
        /// Its name, for people
        #[arg(value_name = "NAME")]
        name: String,
        /// Its client_id [default: 32 random hex digits]
        #[arg(long, value_name = "ID")]
        id: Option<String>,
        #[command(flatten)]
        fields: ClientFields,
        #[command(flatten)]
        flags: DataFlags,
    },
    /// Print all clients, a line of JSON each
    List {
        #[command(flatten)]
        flags: DataFlags,
    },
    /// Print a client
    Show {
        /// Its client_id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        flags: DataFlags,
    },
    /// Change what is given, and leave the rest
    Update {
        /// Its client_id
        #[arg(value_name = "ID")]
        id: String,
        /// Its name
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        fields: ClientFields,
        #[command(flatten)]
        flags: DataFlags,
    },
    /// Remove a client, and revoke every token that it has
    Remove {
        /// Its client_id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        flags: DataFlags,
    },
    /// Make another secret; both are valid until one is removed
    NewSecret {
        /// Its client_id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        flags: DataFlags,
    },
    /// Remove a secret
    RemoveSecret {
        /// Its client_id
        #[arg(value_name = "ID")]
        id: String,
        /// The secret's id, as `jotd clients show` prints it
        #[arg(value_name = "SECRET_ID")]
        secret_id: String,
        #[command(flatten)]
        flags: DataFlags,
    },
}

#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Print all keys: where each stands, and its next step
    List {
        /// How to print them [default: text on a terminal, else a line of json each]
        #[arg(long, value_name = "FORMAT")]
        format: Option<Format>,
        #[command(flatten)]
        flags: DataFlags,
    },
    /// Print a key without its private part
    Show {
        /// Its id
        #[arg(value_name = "KID")]
        kid: String,
        #[command(flatten)]
        flags: DataFlags,
    },
    /// Publish a new key, which takes over when every cache knows it; prints the timetable
    #[command(after_help = "\
Examples:
  jotd keys rotate --dry-run
  jotd keys rotate --alg EdDSA
  jotd keys rotate --alg HS512

The former key stays published until its last token has expired. HS512 is the key of the simple \
contract: a new one signs at once, and the former one is accepted in introspections until it is \
retired by hand, because its tokens do not expire.")]
    Rotate {
        /// Whose key [default: that of the first slot, ES256]
        #[arg(long, value_name = "ALG", value_parser = algorithm)]
        alg: Option<Algorithm>,
        /// Print the timetable and change nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        flags: DataFlags,
    },
    /// Add a new key, of an algorithm that is in use or not yet
    New {
        /// The algorithm
        #[arg(long, value_name = "ALG", value_parser = algorithm)]
        alg: Algorithm,
        /// The size of an RSA key: 2048, 3072 or 4096 [default: 2048]
        #[arg(long, value_name = "BITS")]
        bits: Option<usize>,
        /// Publish it, and let it sign only when `jotd keys activate` says so
        #[arg(long)]
        hold: bool,
        #[command(flatten)]
        flags: DataFlags,
    },
    /// Add a private key from a file
    Import {
        /// File with a JWK or PEM; - is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The algorithm [default: the key's own, or the first that fits]
        #[arg(long, value_name = "ALG", value_parser = algorithm)]
        alg: Option<Algorithm>,
        /// Its id [default: its own, or its thumbprint]
        #[arg(long, value_name = "KID")]
        kid: Option<String>,
        /// Publish it, and let it sign only when `jotd keys activate` says so
        #[arg(long)]
        hold: bool,
        #[command(flatten)]
        flags: DataFlags,
    },
    /// Print a key as a JWK
    Export {
        /// Its id
        #[arg(value_name = "KID")]
        kid: String,
        /// With its private part, unencrypted
        #[arg(long)]
        private: bool,
        #[command(flatten)]
        flags: DataFlags,
    },
    /// Let a pending key sign, when every cache knows it
    Activate {
        /// Its id
        #[arg(value_name = "KID")]
        kid: String,
        #[command(flatten)]
        flags: DataFlags,
    },
    /// Take a key out of the published set, when its last token has expired
    Retire {
        /// Its id
        #[arg(value_name = "KID")]
        kid: String,
        #[command(flatten)]
        flags: DataFlags,
    },
    /// Take a key out at once: every token that it signed is refused from now on
    Compromise {
        /// Its id
        #[arg(value_name = "KID")]
        kid: String,
        /// Why, for the log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        flags: DataFlags,
    },
    /// Say how often the keys of an algorithm are rotated
    #[command(after_help = "\
Examples:
  jotd keys schedule ES256 --every 30d
  jotd keys schedule EdDSA --every never")]
    Schedule {
        /// The algorithm
        #[arg(value_name = "ALG", value_parser = algorithm)]
        alg: Algorithm,
        /// How long a key signs, as in 30d, or never
        #[arg(long, value_name = "TIME", value_parser = every)]
        every: Every,
        #[command(flatten)]
        flags: DataFlags,
    },
}

/// Seconds, or never.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Every(pub(crate) Option<i64>);

#[derive(Args)]
pub(crate) struct Revoke {
    /// The token itself; - reads it from standard input
    #[arg(long, value_name = "TOKEN", group = "what")]
    pub(crate) token: Option<String>,
    /// The id of a token (jti)
    #[arg(long, value_name = "JTI", group = "what")]
    pub(crate) token_id: Option<String>,
    /// When that token expires, in seconds since 1970 [default: it is revoked for as long as any token may live]
    #[arg(long, value_name = "SECONDS", requires = "token_id")]
    pub(crate) expires_at: Option<i64>,
    /// Everything about this subject (sub)
    #[arg(long, value_name = "TEXT", group = "what")]
    pub(crate) subject: Option<String>,
    /// Everything that was issued to this client
    #[arg(long, value_name = "ID", group = "what")]
    pub(crate) client: Option<String>,
    /// Everything that this key signed
    #[arg(long, value_name = "KID", group = "what")]
    pub(crate) key: Option<String>,
    /// Why, for the log and for whoever verifies
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) flags: DataFlags,
}

#[derive(Args)]
pub(crate) struct Audit {
    /// How many entries [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// How to print them [default: text on a terminal, else a line of json each]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    pub(crate) flags: DataFlags,
}

#[derive(Args)]
pub(crate) struct MigrateStore {
    /// The store that is moved: sqlite:FILE or postgres://...
    #[arg(long, value_name = "STORE")]
    pub(crate) from: String,
    /// Where to: sqlite:FILE or postgres://...
    #[arg(long, value_name = "STORE")]
    pub(crate) to: String,
    /// File with the password for --from, where its URL has none
    #[arg(long, value_name = "FILE")]
    pub(crate) from_password_file: Option<PathBuf>,
    /// File with the password for --to, where its URL has none
    #[arg(long, value_name = "FILE")]
    pub(crate) to_password_file: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum MasterKey {
    /// Make a new master key, and encrypt everything anew under it
    #[command(after_help = "\
Examples:
  jotd master-key rotate
  jotd master-key rotate --to /etc/jotd/master.key

Where the master key is in the data directory, servers there go on. Where it comes from outside, \
--to names the file of the next one, which is made where it is not there yet; servers must be \
stopped, and started with it. Nodes that share a store over PostgreSQL go on where each finds it \
beside its present one, as FILE.next.")]
    Rotate {
        /// File of the next master key, where it does not live in the data directory
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        #[command(flatten)]
        flags: DataFlags,
    },
}

fn every(text: &str) -> Result<Every, String> {
    if text == "never" {
        return Ok(Every(None));
    }
    Ok(Every(Some(i64::try_from(duration(text)?.as_secs()).unwrap_or(i64::MAX))))
}
