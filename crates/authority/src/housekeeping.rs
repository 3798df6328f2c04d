//! What happens by itself when its time has come: keys take their next step, schedules publish new keys, rules that
//! revoke nothing any more go, and so does what has expired.

use serde_json::json;

use crate::error::StoreError;
use crate::keyring::Ring;
use crate::keys;
use crate::ledger::{Desk, Order};
use crate::ports::UnixTime;
use crate::state::State;
use crate::store::{Kind, Put, Sweep};

/// How long the log of changes is kept, in seconds.
const LOG_KEPT: i64 = 400 * 24 * 60 * 60;

/// An order that does what is due, where anything is.
pub(crate) fn due(state: &State, now: UnixTime) -> Option<Box<dyn Order>> {
    let ring = state.ring()?;
    let is_due =
        !ring.due(now).is_empty() || !ring.wanting(now).is_empty() || !spent_rules(state, ring, now).is_empty();
    is_due.then(|| Box::new(Due) as Box<dyn Order>)
}

struct Due;

impl Order for Due {
    fn decide(&mut self, desk: &mut Desk<'_>) -> Result<bool, StoreError> {
        let (state, now) = (desk.state, desk.now);
        let Some(ring) = state.ring() else { return Ok(false) };
        for step in ring.due(now) {
            desk.put(step.action, &step.key, keys::detail(&step.key));
        }
        for algorithm in ring.wanting(now) {
            match keys::Material::generate(algorithm, None).and_then(|material| {
                let state = ring.beginning(algorithm, now, false)?;
                keys::record(desk, material, state)
            }) {
                Ok(key) => desk.put("key.published", &key, keys::detail(&key)),
                Err(error) => tracing::error!(code = error.code(), %error, %algorithm, "the scheduled rotation failed"),
            }
        }
        for id in spent_rules(state, ring, now) {
            desk.draft("rule.expired", Put::Remove(Kind::Rule, id), &json!({}));
        }
        Ok(true)
    }

    fn done(self: Box<Self>, committed: Result<(), StoreError>) {
        if let Err(error) = committed {
            tracing::error!(code = error.code(), %error, "what is due could not be done, trying again");
        }
    }
}

/// Rules under which nothing can be valid any more: every token from before has expired, and no key from before is left,
/// under which there may be tokens that were not made here.
fn spent_rules(state: &State, ring: Ring<'_>, now: UnixTime) -> Vec<String> {
    let keys = || ring.keys.values().map(|key| &key.record).filter(|key| key.state.is_published() && !key.is_simple());
    let oldest = keys().map(|key| key.created_at).min().unwrap_or(UnixTime(i64::MAX));
    let spent = state.rules.iter().filter(|rule| now >= ring.timing.last_token_gone(rule.until) && rule.until < oldest);
    spent.map(|rule| rule.id.clone()).collect()
}

/// What is not needed any more at `now`.
pub(crate) fn sweep(state: &State, now: UnixTime) -> Sweep {
    let leeway = state.terms().map_or(0, |terms| terms.leeway);
    Sweep { expired_at: now.plus(-leeway), retired_keys: state.retired_keys(), log_before: now.plus(-LOG_KEPT) }
}
