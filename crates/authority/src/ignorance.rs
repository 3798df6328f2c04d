//! Tokens that were issued here in ignorance of a rule. Where several nodes issue, one that hears late of a revocation goes
//! on issuing to whom it is about, and those tokens bear a later time than the rule covers. So whoever hears of a rule
//! extends it over what it has issued meanwhile. What a process issued before it was restarted nobody remembers, so it is
//! taken to have issued until then, and by a clock that is no more ahead than is allowed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use crate::error::StoreError;
use crate::order::{Desk, Order};
use crate::ports::UnixTime;
use crate::record::{Rule, Whose};
use crate::state::State;

/// When a token was last issued here.
#[derive(Debug)]
pub(crate) struct LastIssued(AtomicI64);

impl Default for LastIssued {
    /// Never.
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl LastIssued {
    pub(crate) fn note(&self, now: UnixTime) {
        // Once a second at most, so that those who issue at the same time do not hinder each other.
        if self.0.load(Ordering::SeqCst) < now.0 {
            self.0.fetch_max(now.0, Ordering::SeqCst);
        }
    }

    fn get(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::SeqCst))
    }
}

/// When tokens were last issued here, to each client: whatever becomes of what is known about it otherwise.
#[derive(Debug, Default)]
pub(crate) struct Issuance(Mutex<HashMap<String, Arc<LastIssued>>>);

impl Issuance {
    pub(crate) fn of(&self, client: &str) -> Arc<LastIssued> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(client.to_owned()).or_default())
    }
}

/// The rule as it must be, where tokens were issued by what `state` knew that it should cover and does not. `minted` is
/// when a token with a subject of the caller's choice was; `started` is when this process was, if the rule came after that.
pub(crate) fn extended(rule: &Rule, state: &State, minted: &LastIssued, started: Option<UnixTime>) -> Option<Rule> {
    let to_client = |id: &str| state.clients.get(id).map(|client| client.last_issued.get());
    let last = match &rule.whose {
        Whose::Client(id) => to_client(id),
        Whose::Subject(subject) => to_client(subject).max(Some(minted.get())),
    };
    let leeway = state.terms().map_or(0, |terms| terms.leeway);
    let last = last.max(started.filter(|started| *started <= rule.until.plus(leeway)));
    last.filter(|last| *last > rule.until).map(|until| Rule { until, ..rule.clone() })
}

/// The order to extend rules.
pub(crate) struct Extend(pub(crate) Vec<Rule>);

impl Order for Extend {
    fn decide(&mut self, desk: &mut Desk<'_>) -> Result<bool, StoreError> {
        for Rule { id, until, .. } in &self.0 {
            // Another node may have come first, or nothing is left that it revokes.
            let Some(rule) = desk.state.find_rule(id).filter(|rule| rule.until < *until) else { continue };
            let detail = json!({ "from": rule.until, "until": until });
            desk.put("rule.extended", &Rule { until: *until, ..rule }, detail);
        }
        Ok(true)
    }

    fn refuse(&mut self, error: StoreError) {
        tracing::error!(code = error.code(), %error, "a revocation cannot be extended");
    }

    fn done(self: Box<Self>, committed: Result<(), StoreError>) {
        if let Err(error) = committed {
            tracing::error!(code = error.code(), %error, "a revocation could not be extended, trying again");
        }
    }
}
