//! What happens by itself when its time has come: keys take their next step, schedules publish new keys, rules that
//! revoke nothing any more go, and so does what has expired.

use std::time::Duration;

use serde_json::json;

use crate::error::StoreError;
use crate::keyring::Ring;
use crate::keys;
use crate::order::{Desk, Order};
use crate::ports::UnixTime;
use crate::record::{Origin, Rule};
use crate::state::State;
use crate::store::{Kind, Put, Sweep};

/// How long the log of changes is usually kept: somewhat longer than a year.
pub const LOG_KEPT: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// So many rules go at a time, so that nobody waits long for the right to write.
const MOST_SPENT: usize = 1000;

/// For so long the clock must have gone on without stepping back before anybody forgets anything by it.
const CERTAIN_AFTER: Duration = Duration::from_secs(60 * 60);

/// What the clock has shown for so long that it is no mistake. Nothing that is revoked may be forgotten because of a clock
/// that was ahead for a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Past {
    /// A time that has certainly passed.
    pub(crate) certain: UnixTime,
    /// What the clock showed, and since when it has not stepped back from there.
    candidate: Option<(UnixTime, Duration)>,
}

impl Default for Past {
    fn default() -> Self {
        Self { certain: UnixTime(i64::MIN), candidate: None }
    }
}

impl Past {
    /// Takes note of what the clock shows, `uptime` after some fixed moment.
    pub(crate) fn observe(&mut self, now: UnixTime, uptime: Duration) {
        match self.candidate {
            Some((shown, since)) if now >= shown && uptime < since + CERTAIN_AFTER => {}
            Some((shown, _)) if now >= shown => {
                self.certain = self.certain.max(shown);
                self.candidate = Some((now, uptime));
            }
            _ => self.candidate = Some((now, uptime)),
        }
    }
}

/// An order that does what is due, where anything is.
pub(crate) fn due(state: &State, now: UnixTime, certain: UnixTime) -> Option<Box<dyn Order>> {
    let ring = state.ring()?;
    let is_due =
        !ring.due(now).is_empty() || !ring.wanting(now).is_empty() || !spent_rules(state, ring, certain).is_empty();
    is_due.then(|| Box::new(Due { certain }) as Box<dyn Order>)
}

struct Due {
    certain: UnixTime,
}

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
        for id in spent_rules(state, ring, self.certain) {
            desk.draft("rule.expired", Put::Remove(Kind::Rule, id), &json!({}));
        }
        Ok(true)
    }

    fn refuse(&mut self, error: StoreError) {
        tracing::error!(code = error.code(), %error, "what is due cannot be done");
    }

    fn done(self: Box<Self>, committed: Result<(), StoreError>) {
        if let Err(error) = committed {
            tracing::error!(code = error.code(), %error, "what is due could not be done, trying again");
        }
    }
}

/// Rules under which nothing can be valid any more: every token from before has expired, and no key from before is left,
/// under which there may be tokens that were not made here.
fn spent_rules(state: &State, ring: Ring<'_>, certain: UnixTime) -> Vec<String> {
    let keys = ring.keys.values().map(|key| &key.record).filter(|key| key.state.is_published() && !key.is_simple());
    // Nobody knows since when a key that was brought has signed.
    let since = keys.map(|key| if key.origin == Origin::Imported { UnixTime(i64::MIN) } else { key.created_at });
    let oldest = since.min().unwrap_or(UnixTime(i64::MAX));
    let is_spent = |rule: &Rule| certain >= ring.timing.last_token_gone(rule.until) && rule.until < oldest;
    state.rules.after(None, MOST_SPENT, is_spent).into_iter().map(|rule| rule.id).collect()
}

/// What is not needed any more, when this time has certainly passed.
pub(crate) fn sweep(state: &State, certain: UnixTime, log_kept: Duration) -> Sweep {
    let leeway = state.terms().map_or(0, |terms| terms.leeway);
    Sweep {
        expired_at: certain.plus(-leeway),
        retired_keys: state.retired_keys(certain),
        log_before: certain.plus(-i64::try_from(log_kept.as_secs()).unwrap_or(i64::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_certain_when_the_clock_went_on_from_there_for_an_hour() {
        let mut past = Past::default();
        for (now, minutes, certain) in [
            (1000, 0, None),
            (4599, 59, None),
            (4600, 60, Some(1000)),
            (900_000, 90, Some(1000)),
            (6400, 91, Some(1000)),
            (8200, 119, Some(1000)),
            (8260, 120, Some(4600)),
            (4000, 121, Some(4600)),
            (7600, 181, Some(4600)),
            (9999, 241, Some(7600)),
        ] {
            past.observe(UnixTime(now), Duration::from_secs(minutes * 60));
            assert_eq!(past.certain, UnixTime(certain.unwrap_or(i64::MIN)), "{minutes}");
        }
    }
}
