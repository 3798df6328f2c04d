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

mod connection;
mod copy;
mod failure;
mod load;
mod read;
mod schema;
mod sqlite;
mod sweep;
mod write;

pub use copy::{Checked, backup, check, restore};
pub use error::CopyError;
pub use sqlite::SqliteStore;
