//! The command line, from which help, completions and manual pages are made.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use hyper::Uri;
use jose::Algorithm;

use crate::administration::{Audit, Clients, Keys, MasterKey, MigrateStore, Revoke, Token};
use crate::bench::Bench;
use crate::settings::{DataFlags, Flags};

/// A token authority in one binary: mints, verifies, rotates and revokes JSON Web Tokens, over HTTP and here.
#[derive(Parser)]
#[command(
    name = "jotd",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  # Serve on 127.0.0.1:8000; the first start makes a signing key
  jotd serve
  # Mint a token
  curl -H 'Content-Type: application/json' -d '{\"user_data\": \"x\"}' 127.0.0.1:8000/generateToken
  # Add a client of the OAuth endpoints; prints its id and its secret, this once
  jotd clients add billing --audience https://api.example --scope 'read write'
  # Get in as administrator
  jotd token --scope 'jotd:*'
  # Replace the signing key, without breaking anybody
  jotd keys rotate
  # Print the effective settings and where each came from
  jotd config
  # Make a key, sign a token with it, verify the token with the public part
  jotd jwk new --alg ES256 > key.jwk && jotd jwk public key.jwk > public.jwk
  jotd sign --jwk key.jwk --sub 42 --ttl 15m | jotd verify --jwk public.jwk
  # Say more about a command
  jotd verify --help"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve tokens over HTTP
    #[command(after_help = "\
Examples:
  jotd serve
  jotd serve --listen 127.0.0.1:8000 --listen '[::1]:8000' --admin-listen 127.0.0.1:8001
  jotd serve --signing-key-file /run/secrets/signing_key
  jotd serve --store postgres://jotd@db1,db2/jotd --store-password-file /run/secrets/db
  JOTD_LISTEN=0.0.0.0:5000 JOTD_SIGNING_KEY=... jotd serve

Flags win over environment variables, and those over the TOML file given with --config, \
which has the same names with underscores. The signing key itself can be given as \
JOTD_SIGNING_KEY or as signing_key in the file, never as a flag, because other users of the \
machine can read command lines.

With --store, any number of nodes share a PostgreSQL database, which they make ready by themselves; \
give each the same master key.

SIGTERM and SIGINT let requests in flight finish; a second one stops at once.")]
    Serve {
        #[command(flatten)]
        flags: Flags,
    },
    /// Print an access token, as administrator of this machine
    #[command(after_help = "\
Examples:
  jotd token --scope 'jotd:*'
  jotd token --scope 'read' --aud https://api.example --ttl 5m
  curl -H \"Authorization: Bearer $(jotd token --scope jotd:keys)\" 127.0.0.1:8000/v1/keys

Its client_id is jotd-cli. jotd:* stands for all scopes of jotd's own: jotd:mint, jotd:verify, \
jotd:keys, jotd:clients, jotd:revoke, jotd:introspect and jotd:audit.")]
    Token(Token),
    /// Add, change and remove clients
    #[command(subcommand)]
    Clients(Clients),
    /// Rotate, add and retire signing keys
    #[command(subcommand)]
    Keys(Keys),
    /// Revoke a token, or everything of a subject, a client or a key
    #[command(after_help = "\
Examples:
  jotd revoke --token - < token
  jotd revoke --token-id f10fb5f47461de4dd8c76113cad7803b --reason 'seen in a log'
  jotd revoke --subject 42
  jotd revoke --client billing
  jotd revoke --key KID --reason 'laptop stolen'

It is in force, here and after every restart, when the command has ended; on the nodes that share a \
store over PostgreSQL, a moment later. By subject and client, \
everything that was issued up to now is revoked; by key, everything that it ever signed, and another \
key takes its place at once.")]
    Revoke(Revoke),
    /// Print who changed what and when, the newest first
    #[command(after_help = "\
Examples:
  jotd audit --limit 20
  jotd audit --format json | jq 'select(.actor == \"jotd\")'")]
    Audit(Audit),
    /// Write a copy of the store to a new file, while it is in use or not
    #[command(after_help = "\
Examples:
  jotd backup /backups/jotd-2026-11-24.db

The master key is not in it: keep a copy of that elsewhere.")]
    Backup {
        /// The new file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        flags: DataFlags,
    },
    /// Put a backup in place of the store
    #[command(after_help = "\
Examples:
  jotd restore /backups/jotd-2026-11-24.db

The backup is checked first, against the master key too; the former store is kept beside the new \
one. Servers on the directory must be stopped.")]
    Restore {
        /// The backup
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        flags: DataFlags,
    },
    /// Move everything from one store to another, between a file and PostgreSQL, either way
    #[command(after_help = "\
Examples:
  jotd migrate-store --from sqlite:/var/lib/jotd/jotd.db --to postgres://jotd@db/jotd --to-password-file pw
  jotd migrate-store --from postgres://jotd@db/jotd --from-password-file pw --to sqlite:jotd.db

Records, revoked tokens, the log with its positions, used assertions and idempotency keys go in one \
transaction, and are compared when they have arrived: it is all there, or nothing is. The store that is \
moved stays as it is; stop every server on it first, and start none on it afterwards. The other one must \
be new or empty. What is encrypted stays so: the master key goes along, by other means. See \
docs/operations.md for the whole way.

Exit code: 0 moved, 1 not.")]
    MigrateStore(MigrateStore),
    /// Replace the key under which the store's secrets are encrypted
    #[command(subcommand)]
    MasterKey(MasterKey),
    /// Print the effective settings as TOML, each with where it came from
    #[command(after_help = "\
Examples:
  jotd config
  jotd config --config jotd.toml --listen '[::]:8000'")]
    Config {
        #[command(flatten)]
        flags: Flags,
    },
    /// Ask a running server whether it is well; exit code 0 when it is, 1 when not
    #[command(after_help = "\
Examples:
  jotd health
  jotd health --url http://127.0.0.1:8001/healthz

Without --url, it asks the address that `jotd serve` with the same settings would listen on.")]
    Health {
        /// The address to ask
        #[arg(long, value_name = "URL")]
        url: Option<Uri>,
        #[command(flatten)]
        flags: Flags,
    },
    /// Measure a running server under load: requests per second, latencies, errors
    #[command(after_help = "\
Examples:
  jotd bench
  jotd bench http://127.0.0.1:8000 --connections 256 --duration 30s
  jotd bench --rate 5000 --format json | jq .latency.p99_ns
  jotd bench --route verifyToken --signing-key-file ~/.local/share/jotd/signing.key
  jotd bench --route token --client billing --client-secret-file secret

It mints tokens for real; measure where that does no harm. Without --rate each connection waits for \
its answer before it sends again, so a server that stalls is asked less, and latencies are service \
times. With --rate requests are due by the clock, and latencies count from when they were due, which \
also holds for those that had to wait for a free connection.

Latencies are those of answers with 2xx; everything else is counted by kind. Ctrl-C ends it early, \
with a report.

Exit code: 0 it ran, 1 no request succeeded, 2 usage.")]
    Bench(Box<Bench>),
    /// Sign a payload, or with claims a JSON Web Token; prints the bare token
    #[command(after_help = "\
Examples:
  echo -n 'any bytes' | jotd sign --jwk key.jwk
  jotd sign --jwk key.jwk --iss https://issuer.example --aud api --sub 42 --ttl 15m
  jotd sign --jwk key.jwk --claims '{\"admin\": true}' --ttl 1h
  jotd sign --jwk key.jwk --claims --ttl 1h < claims.json

With any of --claims, --iss, --sub, --aud and --ttl the payload is a set of claims and the header \
says typ JWT; iat is added where the claims have none. Without --alg, the key's own alg is taken, \
or else the first that fits its type.

Exit code: 0 signed, 2 usage or unusable key.")]
    Sign(Sign),
    /// Verify a token from standard input: its signature, then its claims
    #[command(after_help = "\
Examples:
  jotd verify --jwk public.jwk < token
  jotd verify --jwk jwks.json --iss https://issuer.example --aud api --leeway 30s < token
  jotd verify --jwk public.pem --alg PS256 --alg RS256 --format text < token
  jotd verify --jwk secret.jwk --no-claims < token

Without --alg, the key's own alg is the only one allowed, or, where it has none, those that fit its \
type; shared secrets and public keys are never mixed. exp, nbf and iat are always checked where \
the token has them, iss, aud, sub and typ where they are asked for.

Exit code: 0 accepted, 1 rejected, 2 usage or unusable key.")]
    Verify(Verify),
    /// Show what a token from standard input says, and what is unwise about it; verifies nothing
    #[command(after_help = "\
Examples:
  jotd inspect < token
  jotd inspect --format text < token | less -R

Prints text on a terminal and JSON otherwise.

Exit code: 0 shown, 1 not a token, 2 usage.")]
    Inspect {
        /// How to print it [default: text on a terminal, else json]
        #[arg(long, value_name = "FORMAT")]
        format: Option<Format>,
    },
    /// Make, convert and identify keys
    #[command(subcommand)]
    Jwk(Jwk),
    /// Print shell completions
    #[command(after_help = "\
Examples:
  jotd completions bash > /etc/bash_completion.d/jotd
  jotd completions fish > ~/.config/fish/completions/jotd.fish")]
    Completions {
        /// The shell to complete for
        shell: Shell,
    },
    /// Print the manual page, or write all of them
    #[command(after_help = "\
Examples:
  jotd man > jotd.1
  jotd man /usr/local/share/man/man1")]
    Man {
        /// Directory to write a page for each command to
        directory: Option<PathBuf>,
    },
}

#[derive(Args)]
pub(crate) struct Sign {
    /// File with the private key: a JWK, a JWK Set with one private key, or PEM; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) jwk: PathBuf,
    /// The algorithm
    #[arg(long, value_name = "ALG", value_parser = algorithm)]
    pub(crate) alg: Option<Algorithm>,
    /// Members for the header, as a JSON object
    #[arg(long, value_name = "JSON")]
    pub(crate) header: Option<String>,
    /// Claims, as a JSON object; without a value they are read from standard input
    #[arg(long, value_name = "JSON", num_args = 0..=1, default_missing_value = "-")]
    pub(crate) claims: Option<String>,
    /// Who issues the token (iss)
    #[arg(long, value_name = "TEXT")]
    pub(crate) iss: Option<String>,
    /// Whom the token is about (sub)
    #[arg(long, value_name = "TEXT")]
    pub(crate) sub: Option<String>,
    /// For whom the token is (aud); may be given several times
    #[arg(long, value_name = "TEXT")]
    pub(crate) aud: Vec<String>,
    /// How long the token is valid (exp), as in 15m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) ttl: Option<Duration>,
}

#[derive(Args)]
pub(crate) struct Verify {
    /// File with the key: a JWK, a JWK Set, or PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) jwk: PathBuf,
    /// An algorithm that is allowed; may be given several times
    #[arg(long, value_name = "ALG", value_parser = algorithm)]
    pub(crate) alg: Vec<Algorithm>,
    /// Check the signature alone, whatever the payload is
    #[arg(long, conflicts_with_all = ["iss", "aud", "sub", "typ", "require", "leeway", "max_age"])]
    pub(crate) no_claims: bool,
    /// Who must have issued the token (iss); may be given several times, one must fit
    #[arg(long, value_name = "TEXT")]
    pub(crate) iss: Vec<String>,
    /// For whom the token must be (aud); may be given several times, one must fit
    #[arg(long, value_name = "TEXT")]
    pub(crate) aud: Vec<String>,
    /// Whom the token must be about (sub)
    #[arg(long, value_name = "TEXT")]
    pub(crate) sub: Option<String>,
    /// What the header must give as typ, as in at+jwt
    #[arg(long, value_name = "TYPE")]
    pub(crate) typ: Option<String>,
    /// A claim that must be there; may be given several times
    #[arg(long, value_name = "CLAIM")]
    pub(crate) require: Vec<String>,
    /// How far clocks may be apart, as in 30s [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) leeway: Option<Duration>,
    /// How long ago the token may have been issued (iat)
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) max_age: Option<Duration>,
    /// How to print the result
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    pub(crate) format: Format,
}

#[derive(Subcommand)]
pub(crate) enum Jwk {
    /// Make a private key and print it as a JWK
    #[command(after_help = "\
Examples:
  jotd jwk new > key.jwk
  jotd jwk new --alg PS256 --bits 3072 --out key.jwk
  jotd jwk new --alg ML-DSA-65

Its kid is its thumbprint (RFC 7638). --out makes a file that only you can read.")]
    New {
        /// The algorithm that the key is for
        #[arg(long, value_name = "ALG", default_value = "ES256", value_parser = algorithm)]
        alg: Algorithm,
        /// The size of an RSA key: 2048, 3072 or 4096 [default: 2048]
        #[arg(long, value_name = "BITS")]
        bits: Option<usize>,
        /// Its id instead of the thumbprint
        #[arg(long, value_name = "ID")]
        kid: Option<String>,
        /// A new file to write it to instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Print a key, or a set of keys, without private parts
    #[command(after_help = "\
Examples:
  jotd jwk public key.jwk > public.jwk
  jotd jwk public < key.pem")]
    Public {
        /// File with a JWK, a JWK Set or PEM [default: standard input]
        #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
        file: PathBuf,
    },
    /// Print the thumbprint of a key (RFC 7638, SHA-256)
    #[command(after_help = "\
Examples:
  jotd jwk thumbprint key.jwk
  jotd jwk thumbprint --format text < public.pem")]
    Thumbprint {
        /// File with a JWK or PEM [default: standard input]
        #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
        file: PathBuf,
        /// How to print it
        #[arg(long, value_name = "FORMAT", default_value = "json")]
        format: Format,
    },
    /// Print a key as PEM: a private one as PKCS#8, a public one as SubjectPublicKeyInfo
    #[command(after_help = "\
Examples:
  jotd jwk to-pem key.jwk > key.pem
  jotd jwk to-pem --public key.jwk > public.pem")]
    ToPem {
        /// File with a JWK or PEM [default: standard input]
        #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
        file: PathBuf,
        /// Print the public part only
        #[arg(long)]
        public: bool,
    },
    /// Print a key given as PEM (PKCS#8 or SubjectPublicKeyInfo) as a JWK
    #[command(after_help = "\
Examples:
  openssl genpkey -algorithm ed25519 | jotd jwk from-pem --alg EdDSA
  jotd jwk from-pem --alg RS256 --kid 2026-11 public.pem")]
    FromPem {
        /// File with the PEM text [default: standard input]
        #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
        file: PathBuf,
        /// The algorithm that the key is for
        #[arg(long, value_name = "ALG", value_parser = algorithm)]
        alg: Option<Algorithm>,
        /// Its id instead of the thumbprint
        #[arg(long, value_name = "ID")]
        kid: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For programs
    Json,
    /// For people
    Text,
}

/// A time with its units, or a bare number of seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).map_err(|error| format!("{error}; 15m, 30s or seconds are meant")),
    }
}

pub(crate) fn algorithm(name: &str) -> Result<Algorithm, String> {
    Algorithm::find_by_name(name).ok_or_else(|| {
        let all: Vec<_> = Algorithm::all().map(Algorithm::name).collect();
        format!("known are {}", all.join(", "))
    })
}
