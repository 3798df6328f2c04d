//! An error of the port on its way out of a store.

use authority::error::StoreError;

/// A [`StoreError`]: `?` makes one of an error of the database.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) StoreError);

impl From<Failure> for StoreError {
    fn from(Failure(error): Failure) -> Self {
        error
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}
