//! The `jotd` binary: arguments, configuration, wiring.

mod arguments;
mod config;
mod health;
mod logging;
mod manual;
mod serve;
mod settings;
mod signing_key;
mod system;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use arguments::{Arguments, Command};
use config::Config;

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, causes and all; there may be nobody left to read it.
            let _ = writeln!(std::io::stderr(), "jotd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let resolve = |flags| Config::resolve(flags, &|name| std::env::var_os(name));
    let mut stdout = std::io::stdout();
    match command {
        Command::Serve { flags } => serve::serve(resolve(flags)?),
        Command::Config { flags } => Ok(write!(stdout, "{}", resolve(flags)?)?),
        Command::Health { url, flags } => health::check(url, || resolve(flags)),
        Command::Completions { shell } => Ok(stdout.write_all(&manual::completions(shell))?),
        Command::Man { directory: None } => Ok(stdout.write_all(&manual::page()?)?),
        Command::Man { directory: Some(directory) } => manual::pages(&directory),
    }
}
