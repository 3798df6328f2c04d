//! What both kinds of stores hold: the same tables, whose columns differ in their types alone.

use authority::store::Position;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// A number.
    Number,
    /// A text that is one in both.
    Word,
    /// A text that is bytes in PostgreSQL.
    Text,
    /// Bytes.
    Bytes,
    /// A random number that tells histories apart, in PostgreSQL alone.
    Mark,
    /// A number of which only the last one matters, in PostgreSQL alone.
    Count,
}

#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) sort: Sort,
}

impl Column {
    /// Whether it is a part of what is moved, rather than of how it is kept.
    pub(super) fn is_content(&self) -> bool {
        !matches!(self.sort, Sort::Mark | Sort::Count)
    }
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [Column],
}

/// What stands beside the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The newest change, and when it was.
    pub(super) position: Position,
    pub(super) at: Option<i64>,
    /// The newest change that was removed from the log, and its mark.
    pub(super) trimmed: Position,
    pub(super) trimmed_mark: i64,
    pub(super) revoked_tokens: u64,
}

const fn column(name: &'static str, sort: Sort) -> Column {
    Column { name, sort }
}

pub(super) const TABLES: [&Table; 5] = [
    &Table {
        name: "records",
        columns: &[column("kind", Sort::Word), column("id", Sort::Text), column("body", Sort::Text)],
    },
    &Table {
        name: "revoked_tokens",
        columns: &[
            column("id", Sort::Bytes),
            column("expires_at", Sort::Number),
            column("key_id", Sort::Text),
            column("revoked_at", Sort::Number),
            column("actor", Sort::Text),
            column("reason", Sort::Text),
            column("position", Sort::Number),
        ],
    },
    &Table {
        name: "changes",
        columns: &[
            column("position", Sort::Number),
            column("at", Sort::Number),
            column("actor", Sort::Text),
            column("action", Sort::Word),
            column("kind", Sort::Word),
            column("id", Sort::Text),
            column("detail", Sort::Text),
            column("mark", Sort::Mark),
            column("revoked_tokens", Sort::Count),
        ],
    },
    &Table { name: "assertions", columns: &[column("id", Sort::Bytes), column("expires_at", Sort::Number)] },
    &Table {
        name: "answers",
        columns: &[
            column("key", Sort::Text),
            column("request", Sort::Text),
            column("created", Sort::Text),
            column("expires_at", Sort::Number),
        ],
    },
];
