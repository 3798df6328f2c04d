//! What changes the state: an order, and the desk at which it is decided. It sees what is stored at that moment, and drafts
//! what is to be written; the ledger writes it.

use crate::error::StoreError;
use crate::ports::{Randomness, UnixTime};
use crate::record::{Recorded, to_json};
use crate::state::{State, Vault};
use crate::store::{Answer, Draft, Expected, Put, RevocationId, Transaction};

/// Something to be decided, and somebody who waits for the answer.
pub(crate) trait Order: Send {
    /// What it will ask the store for, as far as that is known before.
    fn expects(&self) -> Option<Expected> {
        None
    }

    /// Decides on the state at that moment; what it drafts is written if it answers `true`.
    fn decide(&mut self, desk: &mut Desk<'_>) -> Result<bool, StoreError>;

    /// What it drafted cannot be written.
    fn refuse(&mut self, error: StoreError);

    /// Tells the outcome of the transaction.
    fn done(self: Box<Self>, committed: Result<(), StoreError>);
}

/// Where an order sees the state and drafts what is to be written.
pub(crate) struct Desk<'a> {
    pub(crate) state: &'a State,
    /// The time of whatever is decided: never before the newest change.
    pub(crate) now: UnixTime,
    /// What was issued here up to now bears this time at most.
    pub(crate) issued_until: UnixTime,
    pub(crate) randomness: &'a dyn Randomness,
    pub(crate) vault: &'a Vault,
    transaction: &'a mut dyn Transaction,
    actor: String,
    drafts: Vec<(Draft, String)>,
    /// To be remembered with them.
    answer: Option<Answer>,
    /// What the store failed with; nothing of the transaction is kept then.
    failure: Option<StoreError>,
}

impl<'a> Desk<'a> {
    /// A desk for one order. `present` is what the clock shows.
    pub(crate) fn new(
        state: &'a State,
        present: UnixTime,
        randomness: &'a dyn Randomness,
        vault: &'a Vault,
        transaction: &'a mut dyn Transaction,
    ) -> Self {
        let now = present.max(state.newest_at);
        let (actor, drafts) = ("jotd".to_owned(), Vec::new());
        Self {
            state,
            now,
            issued_until: present,
            randomness,
            vault,
            transaction,
            actor,
            drafts,
            answer: None,
            failure: None,
        }
    }

    /// What was drafted and by whom, and the answer that is to be remembered with it.
    pub(crate) fn into_drafts(self) -> (Vec<(Draft, String)>, Option<Answer>) {
        (self.drafts, self.answer)
    }

    /// Whoever is deciding, for the log.
    pub(crate) fn act_as(&mut self, actor: &str) {
        actor.clone_into(&mut self.actor);
    }

    pub(crate) fn put(&mut self, action: &'static str, record: &impl Recorded, detail: serde_json::Value) {
        self.draft(action, record.to_put(), &detail);
    }

    pub(crate) fn draft(&mut self, action: &'static str, put: Put, detail: &serde_json::Value) {
        self.drafts.push((Draft { action, detail: to_json(detail), put }, self.actor.clone()));
    }

    pub(crate) fn remember_assertion(&mut self, id: RevocationId, until: UnixTime) -> Result<bool, StoreError> {
        let remembered = self.transaction.remember_assertion(id, until);
        self.note(remembered)
    }

    pub(crate) fn find_answer(&mut self, key: &str) -> Result<Option<Answer>, StoreError> {
        let found = self.transaction.find_answer(key, self.now);
        self.note(found)
    }

    pub(crate) fn remember_answer(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    fn note<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result {
            self.failure.get_or_insert_with(|| error.clone());
        }
        result
    }

    /// Whether the store did everything that it was asked.
    pub(crate) fn check(&mut self) -> Result<(), StoreError> {
        self.failure.take().map_or(Ok(()), Err)
    }
}
