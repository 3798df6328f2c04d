//! Manual pages and shell completions, made from the definitions that parse the command line.

use std::path::Path;

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::arguments::Arguments;

pub(crate) fn completions(shell: Shell) -> Vec<u8> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "jotd", &mut out);
    out
}

/// The page of `jotd` itself.
pub(crate) fn page() -> Result<Vec<u8>> {
    let mut out = Vec::new();
    Man::new(Arguments::command()).render(&mut out)?;
    Ok(out)
}

/// Writes the pages of `jotd` and of each command to `directory`.
pub(crate) fn pages(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Arguments::command(), directory))
        .with_context(|| format!("cannot write manual pages to {}", directory.display()))
}
