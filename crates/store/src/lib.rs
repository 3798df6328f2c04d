//! Where jotd keeps its state: the authority's [`Store`](authority::store::Store) port on SQLite, in one file.
//!
//! Every process and every thread opens a handle of its own on the same file; they write one after the other and read
//! at any time. A mutation that was acknowledged is on disk. What is found damaged, foreign or too new is refused and
//! left as it is.

pub mod error;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "conformance")]
pub mod faulty;

mod failure;
mod moving;
mod postgres;
mod random;
mod sqlite;

pub use error::{CopyError, MoveError};
pub use moving::{Location, Moved, migrate};
pub use postgres::{PostgresAddress, PostgresAddressError, PostgresStore};
pub use sqlite::{Checked, SqliteStore, backup, check, restore};
