//! What can go wrong with whole stores. What goes wrong within one is a [`StoreError`].

use std::io;
use std::path::PathBuf;

use authority::error::StoreError;
use thiserror::Error;

/// Why a store was not copied, or not found to be whole.
#[derive(Debug, Error)]
pub enum CopyError {
    /// There is no file to read.
    #[error("there is no file {}", .0.display())]
    Missing(PathBuf),
    /// The store that was to be read is not whole, or not one.
    #[error(transparent)]
    Source(StoreError),
    /// The copy could not be written, or is not whole.
    #[error("the copy could not be made: {0}")]
    Copy(StoreError),
    /// There is a file where the copy was to go.
    #[error("there is a file {} already", .0.display())]
    Exists(PathBuf),
    /// A program has the store open that was to be replaced.
    #[error("the store {} is in use", .0.display())]
    InUse(PathBuf),
    /// The file system refused something.
    #[error("{doing}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// What it said.
        source: io::Error,
    },
}

impl CopyError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "store_missing",
            Self::Source(error) => error.code(),
            Self::Copy(_) => "copy_failed",
            Self::Exists(_) => "copy_exists",
            Self::InUse(_) => "store_in_use",
            Self::File { .. } => "copy_file",
        }
    }
}

/// Why a store was not moved.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MoveError {
    /// The store that was to be moved.
    #[error("the store cannot be moved: {0}")]
    Source(StoreError),
    /// The store that it was to be moved to.
    #[error("the store cannot be moved there: {0}")]
    Target(StoreError),
    /// There is something in it.
    #[error("the store that it is to be moved to is not empty")]
    NotEmpty,
    /// A server or another program has it open.
    #[error("the store {0} is in use: stop whatever has it open")]
    InUse(String),
    /// What arrived is not what was sent.
    #[error("what arrived is not what was sent (table {0}); nothing was moved")]
    Differs(&'static str),
}

impl MoveError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Source(error) | Self::Target(error) => error.code(),
            Self::NotEmpty => "store_not_empty",
            Self::InUse(_) => "store_in_use",
            Self::Differs(_) => "move_differs",
        }
    }
}
