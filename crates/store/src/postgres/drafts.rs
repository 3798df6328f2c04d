//! What a transaction is about to write, in columns, as it is sent: a few statements for however many mutations.

use std::collections::{HashMap, HashSet};

use authority::ports::UnixTime;
use authority::store::{Answer, Draft, Kind, Position, Put, RevocationId, RevokedToken};

use crate::postgres::read::number;

/// Entries of the log.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) positions: Vec<i64>,
    pub(crate) times: Vec<i64>,
    pub(crate) actors: Vec<Vec<u8>>,
    pub(crate) actions: Vec<&'static str>,
    pub(crate) kinds: Vec<&'static str>,
    pub(crate) ids: Vec<Vec<u8>>,
    pub(crate) details: Vec<Vec<u8>>,
}

/// Revoked tokens, each of them once.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    seen: HashSet<RevocationId>,
    pub(crate) ids: Vec<Vec<u8>>,
    pub(crate) expiries: Vec<Option<i64>>,
    pub(crate) keys: Vec<Option<Vec<u8>>>,
    pub(crate) times: Vec<i64>,
    pub(crate) actors: Vec<Vec<u8>>,
    pub(crate) reasons: Vec<Vec<u8>>,
    pub(crate) positions: Vec<i64>,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    pub(crate) changes: Changes,
    /// As they are when all is done; `None` for those that are removed.
    pub(crate) records: HashMap<(&'static str, Vec<u8>), Option<Vec<u8>>>,
    /// One after the other: a token that is revoked twice is in two of them.
    pub(crate) tokens: Vec<Tokens>,
    pub(crate) answers: HashMap<String, Answer>,
    pub(crate) assertions: Vec<(RevocationId, UnixTime)>,
}

impl Drafts {
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.positions.is_empty() && self.answers.is_empty() && self.assertions.is_empty()
    }

    /// Takes a mutation in.
    pub(crate) fn take(&mut self, position: Position, at: UnixTime, actor: &str, draft: &Draft) {
        let (kind, id) = match &draft.put {
            Put::Record(record) => (record.kind, record.id.clone().into_bytes()),
            Put::Remove(kind, id) => (*kind, id.clone().into_bytes()),
            Put::Token(token) => (Kind::Token, token.id.to_string().into_bytes()),
        };
        let position = number(position);
        let changes = &mut self.changes;
        changes.positions.push(position);
        changes.times.push(at.0);
        changes.actors.push(actor.as_bytes().to_vec());
        changes.actions.push(draft.action);
        changes.kinds.push(kind.name());
        changes.ids.push(id.clone());
        changes.details.push(draft.detail.clone().into_bytes());
        match &draft.put {
            Put::Record(record) => {
                self.records.insert((kind.name(), id), Some(record.body.clone().into_bytes()));
            }
            Put::Remove(..) => {
                self.records.insert((kind.name(), id), None);
            }
            Put::Token(token) => self.take_token(token, position),
        }
    }

    fn take_token(&mut self, token: &RevokedToken, position: i64) {
        let fits = self.tokens.last().is_some_and(|tokens| !tokens.seen.contains(&token.id));
        if !fits {
            self.tokens.push(Tokens::default());
        }
        let Some(tokens) = self.tokens.last_mut() else { return };
        tokens.seen.insert(token.id);
        tokens.ids.push(token.id.0.to_vec());
        tokens.expiries.push(token.expires_at.map(|time| time.0));
        tokens.keys.push(token.key_id.as_ref().map(|key| key.clone().into_bytes()));
        tokens.times.push(token.revoked_at.0);
        tokens.actors.push(token.actor.clone().into_bytes());
        tokens.reasons.push(token.reason.clone().into_bytes());
        tokens.positions.push(position);
    }
}
