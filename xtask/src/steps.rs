//! Running other programs from the root of the workspace.

use std::path::Path;
use std::process::{Command, Stdio};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A program, to be run in the root of the workspace.
pub(crate) fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).current_dir(root());
    command
}

/// The cargo that runs this.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    program(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()), arguments)
}

/// Whether the program is there and answers.
pub(crate) fn answers(name: &str, arguments: &[&str]) -> bool {
    let mut command = program(name, arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Says what is run, runs it, and answers whether it succeeded.
pub(crate) fn succeeds(title: &str, command: &mut Command) -> bool {
    eprintln!("== {title}");
    match command.status() {
        Ok(status) if status.success() => true,
        Ok(status) => {
            eprintln!("== {title}: failed ({status})");
            false
        }
        Err(error) => {
            eprintln!("== {title}: cannot run: {error}");
            false
        }
    }
}
