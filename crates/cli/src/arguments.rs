//! The command line, from which help, completions and manual pages are made.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use hyper::Uri;

use crate::settings::Flags;

/// A token authority in one binary: mints and verifies JSON Web Tokens over HTTP.
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
  curl -H 'Content-Type: application/json' -d '{\"user_data\": \"this is test\"}' \
       http://127.0.0.1:8000/generateToken
  # Print the effective settings and where each came from
  jotd config
  # Say more about a command
  jotd serve --help"
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
  JOTD_LISTEN=0.0.0.0:5000 JOTD_SIGNING_KEY=... jotd serve

Flags win over environment variables, and those over the TOML file given with --config, \
which has the same names with underscores. The signing key itself can be given as \
JOTD_SIGNING_KEY or as signing_key in the file, never as a flag, because other users of the \
machine can read command lines.

SIGTERM and SIGINT let requests in flight finish; a second one stops at once.")]
    Serve {
        #[command(flatten)]
        flags: Flags,
    },
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
