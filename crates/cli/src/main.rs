//! The `jotd` binary: arguments, configuration, wiring.

mod administration;
mod arguments;
mod bench;
mod clients;
mod config;
mod copies;
mod data;
mod health;
mod input;
mod inspect;
mod jwk;
mod keys;
mod logging;
mod manual;
mod master_key;
mod migrate_store;
mod output;
mod revoke;
mod secret_file;
mod serve;
mod serving;
mod settings;
mod sign;
mod signing_key;
mod store_home;
mod system;
mod token;
mod verify;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use arguments::{Arguments, Command};
use config::Config;

/// Rejected, or the server could not run.
const REJECTED: u8 = 1;
/// A mistake in how a token command was called, or a key that cannot be used; clap exits so too.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let for_tokens =
        matches!(command, Command::Sign(_) | Command::Verify(_) | Command::Inspect { .. } | Command::Jwk(_));
    match run(command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(REJECTED),
        Err(error) => {
            // One line, causes and all; there may be nobody left to read it.
            let _ = writeln!(std::io::stderr(), "jotd: {error:#}");
            ExitCode::from(if for_tokens { UNUSABLE } else { REJECTED })
        }
    }
}

/// Answers whether what was asked about is so, for the commands that ask.
fn run(command: Command) -> Result<bool> {
    let resolve = |flags| Config::resolve(flags, &|name| std::env::var_os(name));
    match command {
        Command::Serve { flags } => serve::serve(resolve(flags)?)?,
        Command::Config { flags } => output::bytes(resolve(flags)?.to_string().as_bytes())?,
        Command::Health { url, flags } => health::check(url, || resolve(flags))?,
        Command::Bench(arguments) => return bench::bench(&arguments),
        Command::Token(arguments) => {
            let config = resolve(arguments.flags.0.clone())?;
            token::token(&arguments, config)?;
        }
        Command::Clients(command) => clients::run(command, resolve)?,
        Command::Keys(command) => keys::run(command, resolve)?,
        Command::Revoke(arguments) => {
            let config = resolve(arguments.flags.0.clone())?;
            revoke::revoke(arguments, config)?;
        }
        Command::Audit(arguments) => {
            let config = resolve(arguments.flags.0.clone())?;
            revoke::audit(&arguments, config)?;
        }
        Command::Backup { file, flags } => copies::backup(&file, &resolve(flags.0)?)?,
        Command::Restore { file, flags } => copies::restore(&file, &resolve(flags.0)?)?,
        Command::MigrateStore(arguments) => migrate_store::run(&arguments)?,
        Command::MasterKey(command) => master_key::run(command, resolve)?,
        Command::Sign(arguments) => sign::sign(&arguments)?,
        Command::Verify(arguments) => return verify::verify(&arguments),
        Command::Inspect { format } => return inspect::inspect(format),
        Command::Jwk(command) => jwk::run(&command)?,
        Command::Completions { shell } => output::bytes(&manual::completions(shell))?,
        Command::Man { directory: None } => output::bytes(&manual::page()?)?,
        Command::Man { directory: Some(directory) } => manual::pages(&directory)?,
    }
    Ok(true)
}
