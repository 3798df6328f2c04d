//! The port to whatever keeps the authority's state: SQLite on one machine, or a database that several share.
//!
//! What is stored is small and plain: records (a kind, an id, a JSON text), revoked tokens, and a log of changes. Each
//! mutation is one transaction that also appends to the log, whose positions strictly increase in the order of commits.
//! Whoever remembers the position that it has applied can ask for the entities that changed since, and gets them as they
//! are stored now: applying them twice, or applying a later state earlier, does no harm.
//!
//! Calls block. Whoever calls has a thread for it.

use std::fmt;
use std::time::Duration;

use crate::error::StoreError;
use crate::ports::UnixTime;

/// A place in the log of changes; the first entry has 1, and 0 is before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// What kind of entity a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A single value, such as the issuer.
    Setting,
    /// A signing key.
    Key,
    /// What holds for all keys of one algorithm.
    Slot,
    /// A client.
    Client,
    /// A revocation of everything that was issued to a client, or about a subject, before a time.
    Rule,
    /// A revoked token.
    Token,
}

impl Kind {
    /// The name that it is stored under.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Setting => "setting",
            Self::Key => "key",
            Self::Slot => "slot",
            Self::Client => "client",
            Self::Rule => "rule",
            Self::Token => "token",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn find_by_name(name: &str) -> Option<Self> {
        let all = [Self::Setting, Self::Key, Self::Slot, Self::Client, Self::Rule, Self::Token];
        all.into_iter().find(|kind| kind.name() == name)
    }
}

/// An entity as it is stored: everything but revoked tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Never [`Kind::Token`].
    pub kind: Kind,
    /// Unique among its kind.
    pub id: String,
    /// A JSON object.
    pub body: String,
}

/// What a revoked token is known by: its `jti`, or where it has none a digest of what was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevocationId(pub [u8; 16]);

impl fmt::Display for RevocationId {
    /// 32 lower-case hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each digit in a byte of its own: a batch writes many thousands of them.
        let digits =
            self.0.map(|byte| [byte >> 4, byte & 0xf].map(|digit| digit + if digit < 10 { b'0' } else { b'a' - 10 }));
        std::str::from_utf8(digits.as_flattened()).map_or(Err(fmt::Error), |digits| f.write_str(digits))
    }
}

impl RevocationId {
    /// Reads 32 hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        if text.len() != 32 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = *pair else { return None };
            *byte = digit(high)? << 4 | digit(low)?;
        }
        Some(Self(bytes))
    }
}

/// The value of a hex digit.
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// A token that is not accepted any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedToken {
    /// What it is known by.
    pub id: RevocationId,
    /// When the token expires by itself, so that the entry can go; `None` keeps it until its key is retired.
    pub expires_at: Option<UnixTime>,
    /// The key that signed it, where that is known. Always known where the token does not expire.
    pub key_id: Option<String>,
    /// Since when.
    pub revoked_at: UnixTime,
    /// Who revoked it.
    pub actor: String,
    /// Why, in the words of who did it; may be empty.
    pub reason: String,
}

/// Until when a revoked token is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until<'k> {
    /// It expires by itself.
    Expiry(UnixTime),
    /// This key is retired; for ever where the key is not known.
    KeyRetired(Option<&'k str>),
}

impl RevokedToken {
    /// Until when it is remembered.
    #[must_use]
    pub fn until(&self) -> Until<'_> {
        self.expires_at.map_or(Until::KeyRetired(self.key_id.as_deref()), Until::Expiry)
    }
}

/// Something that is stored, as much of it as a start needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded<'s> {
    /// A record.
    Record(Record),
    /// So many revoked tokens are about to come, so that there can be room for them. A store that does not know leaves it
    /// out.
    Tokens(u64),
    /// A revoked token. There may be many millions, so it is no more of each than tells that it is one.
    Token(RevocationId, Until<'s>),
}

/// What is stored under an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// A record.
    Record(Record),
    /// A revoked token.
    Token(RevokedToken),
}

/// An entry of the log: who changed what, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place.
    pub position: Position,
    /// When, by the clock of who did it; never before an earlier entry.
    pub at: UnixTime,
    /// Who.
    pub actor: String,
    /// What was done, such as `client.created`.
    pub action: String,
    /// To what kind of entity.
    pub kind: Kind,
    /// To which.
    pub id: String,
    /// More about it: a JSON object without anything secret.
    pub detail: String,
}

/// A change, and what is stored under its id now; `None` where it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The entry of the log.
    pub change: Change,
    /// What is stored now.
    pub stored: Option<Stored>,
}

/// A mutation that is about to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What is done, such as `client.created`.
    pub action: &'static str,
    /// More about it: a JSON object without anything secret.
    pub detail: String,
    /// What is written.
    pub put: Put,
}

/// What a mutation writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// Stores a record in place of the one with its kind and id.
    Record(Record),
    /// Removes a record; it need not be there.
    Remove(Kind, String),
    /// Stores a revoked token. Where its id is stored already, the earlier entry's time, actor and reason stay, and it
    /// is kept for as long as the longer of the two; without an expiry, until the key of the later is retired.
    Token(RevokedToken),
}

/// What was answered to a call that carried an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Who called and the key, as one text.
    pub key: String,
    /// A digest of the request, so that the key is not taken for another one.
    pub request: String,
    /// What was created: a JSON text without anything secret.
    pub created: String,
    /// Until when it is kept.
    pub expires_at: UnixTime,
}

/// What a transaction is about to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// [`Transaction::find_answer`] with this key.
    Answer(String),
    /// [`Transaction::remember_assertion`] with this id.
    Assertion(RevocationId),
}

/// What is not needed any more.
#[derive(Debug, Clone, Default)]
pub struct Sweep {
    /// Assertions and answers that expire at or before this time go, and revoked tokens that expire in an hour (since
    /// 1970) that is over by then: many of them go together.
    pub expired_at: UnixTime,
    /// Revoked tokens without an expiry that were signed by these keys go.
    pub retired_keys: Vec<String>,
    /// Entries of the log from before this time go, but for the newest.
    pub log_before: UnixTime,
}

/// Called, from any thread, when another process may have changed something.
pub type Waker = Box<dyn Fn() + Send + Sync>;

/// Keeps the state.
///
/// A store that is somewhere else may be out of reach. It then fails at once, as [`StoreError::Unavailable`], or after a few
/// seconds where it must find that out first, and works again by itself. Whatever a call answers was read after the call
/// began.
pub trait Store: Send {
    /// Hands out everything that is stored, as of the position answered. Revoked tokens that are missing from what is
    /// read are an error: nobody may start without them.
    ///
    /// # Errors
    /// [`StoreError`].
    fn load(&mut self, each: &mut dyn FnMut(Loaded<'_>)) -> Result<Position, StoreError>;

    /// The changes after a position, in order. Where an entity changed more than once, each of its changes comes with
    /// what is stored now. Cheap when there are none: it is called many times a second.
    ///
    /// # Errors
    /// [`StoreError::Trimmed`] when the log does not reach back to this position, or never reached it, because the store
    /// was restored, or when there are so many that loading takes less: load everything instead.
    fn changes_after(&mut self, position: Position) -> Result<Vec<Changed>, StoreError>;

    /// Runs `work` in a transaction in which nobody else writes, and makes it durable. Nothing is written when `work`, a
    /// call in it, or the commit fails; [`StoreError::Trimmed`] alone is no failure of the transaction.
    ///
    /// # Errors
    /// [`StoreError`], of `work` or of the store.
    fn transact(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// As [`Self::transact`], for what is done by one process at a time: `false`, and `work` was not called, where another
    /// is at it.
    ///
    /// # Errors
    /// [`StoreError`], of `work` or of the store.
    fn tend(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Transaction) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError>;

    /// Has `waker` called soon after another process has changed something, as well as the store can.
    fn wake_by(&mut self, waker: Waker);

    /// Whether processes of other machines use it, too, so that it is somewhere else: what keeps one of them from it does
    /// not keep the others.
    fn is_shared(&self) -> bool;

    /// How often to look for changes of others, which no waker may have told of.
    fn look_every(&self) -> Duration;

    /// Until when what was read is certainly the newest that anybody was told is stored. `read` is when the last reading
    /// began, by any clock that goes on; the store finds out about that one, but not more often than `often`, and until it
    /// has, an earlier one is answered, or none. A server that was replaced and does not know still answers, but confirms
    /// nothing as long as no commit is acknowledged by it alone.
    fn confirm(&mut self, read: Duration, often: Duration) -> Option<Duration> {
        let _ = often;
        Some(read)
    }

    /// The log, newest first: at most `limit` entries before `before`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn log(&mut self, before: Option<Position>, limit: usize) -> Result<Vec<Change>, StoreError>;

    /// The revoked token of this id.
    ///
    /// # Errors
    /// [`StoreError`].
    fn find_token(&mut self, id: RevocationId) -> Result<Option<RevokedToken>, StoreError>;

    /// Those of these ids that are revoked, in any order.
    ///
    /// # Errors
    /// [`StoreError`].
    fn find_tokens(&mut self, ids: &[RevocationId]) -> Result<Vec<RevokedToken>, StoreError> {
        ids.iter().filter_map(|id| self.find_token(*id).transpose()).collect()
    }

    /// Revoked tokens in the order of their ids: at most `limit` after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn tokens(&mut self, after: Option<RevocationId>, limit: usize) -> Result<Vec<RevokedToken>, StoreError>;

    /// Removes what is not needed any more, a bounded part at a time, without an entry in the log. Answers whether there
    /// was anything, so that there may be more; `false`, too, where another process is at it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn sweep(&mut self, sweep: &Sweep) -> Result<bool, StoreError>;

    /// What the store's own clock shows, where it has one: what is forgotten must be over by that, too. Else the end of time.
    ///
    /// # Errors
    /// [`StoreError`].
    fn time(&mut self) -> Result<UnixTime, StoreError> {
        Ok(UnixTime(i64::MAX))
    }

    /// Proves that a transaction of a common size can be made durable.
    ///
    /// # Errors
    /// [`StoreError`].
    fn probe(&mut self) -> Result<(), StoreError>;
}

/// A transaction in which nobody else writes.
pub trait Transaction {
    /// As [`Store::changes_after`], within the transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    fn changes_after(&mut self, position: Position) -> Result<Vec<Changed>, StoreError>;

    /// Writes a mutation and its entry in the log, and answers its position.
    ///
    /// # Errors
    /// [`StoreError`].
    fn write(&mut self, at: UnixTime, actor: &str, draft: &Draft) -> Result<Position, StoreError>;

    /// Tells what is about to be asked for, so that a store that is somewhere else can look for all of it together: while
    /// it does, nobody else writes.
    ///
    /// # Errors
    /// [`StoreError`].
    fn expect(&mut self, expected: &[Expected]) -> Result<(), StoreError> {
        let _ = expected;
        Ok(())
    }

    /// Remembers that a client assertion was used, without an entry in the log; `false` when it was known already.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remember_assertion(&mut self, id: RevocationId, expires_at: UnixTime) -> Result<bool, StoreError>;

    /// What was answered under this idempotency key, if it has not expired at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn find_answer(&mut self, key: &str, now: UnixTime) -> Result<Option<Answer>, StoreError>;

    /// Remembers an answer, in place of an expired one.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remember_answer(&mut self, answer: &Answer) -> Result<(), StoreError>;
}
