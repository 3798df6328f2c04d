//! The `jotd` binary: arguments, configuration, wiring.

mod arguments;
mod config;
mod health;
mod input;
mod inspect;
mod jwk;
mod logging;
mod manual;
mod output;
mod serve;
mod settings;
mod sign;
mod signing_key;
mod system;
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
