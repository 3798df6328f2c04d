//! What PostgreSQL and the way to it report, as the errors of the port. Of what the server says only the message is
//! passed on, which names tables and roles, but not the detail, which may hold what is stored.

use std::error::Error as _;

use authority::error::StoreError;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};

use crate::failure::Failure;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(match error.as_db_error() {
            Some(answer) => of_answer(answer),
            None => StoreError::Unavailable(text(&error)),
        })
    }
}

/// An error with its causes on one line.
fn text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

fn of_answer(answer: &DbError) -> StoreError {
    let (code, text) = (answer.code().code(), answer.message().to_owned());
    match code {
        "53100" => StoreError::Full(text),
        // A standby, or a database that may only be read.
        "25006" => StoreError::ReadOnly(text),
        // Waited too long for a lock, was cancelled, was chosen to end a deadlock.
        "55P03" | "57014" | "40P01" | "40001" => StoreError::Busy,
        "3D000" | "42501" => StoreError::Denied(text),
        _ if code.starts_with("28") => StoreError::Denied(text),
        "XX001" | "XX002" => StoreError::Corrupt(text),
        _ => StoreError::Unavailable(format!("{text} ({code})")),
    }
}

/// Whether the server itself has said no, and goes on with the connection: then nothing of the transaction is kept.
pub(crate) fn is_refusal(error: &Error) -> bool {
    error.as_db_error().is_some_and(|answer| answer.parsed_severity() == Some(Severity::Error))
}

/// What is stored is not of the form that was written.
pub(crate) fn corrupt(what: &str) -> Failure {
    StoreError::Corrupt(what.to_owned()).into()
}

pub(crate) fn unavailable(what: impl Into<String>) -> Failure {
    StoreError::Unavailable(what.into()).into()
}
