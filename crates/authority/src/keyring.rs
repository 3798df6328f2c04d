//! The life of signing keys: Pending → Active → VerifyOnly → Retired, or Compromised at any time.
//!
//! Two waits break nobody. A key is published for at least as long as callers may cache the key set before it signs, so
//! that no caller meets a `kid` that it does not know; and it stays published for at least as long as its last token
//! lives. Both hold for steps that are made by hand, too. Waits end at times that were written down when they began, so
//! a clock that steps backwards makes them longer and never shorter, and undoes nothing.
//!
//! Everything here is a function of what is stored and of the time; nothing is written here.

use std::collections::BTreeMap;
use std::sync::Arc;

use jose::Algorithm;

use crate::error::KeyringError;
use crate::ports::UnixTime;
use crate::record::{KeyRecord, KeyState, Origin, Slot, Terms, Timing};
use crate::state::LiveKey;

/// As many keys can be published in one slot at a time.
const MOST_PUBLISHED: usize = 64;

/// A schedule may publish so many keys while the first of them is still needed.
const MOST_BY_SCHEDULE: i64 = 32;

/// Ten years, in seconds.
const LONGEST_SCHEDULE: i64 = 10 * 365 * 86_400;

impl Timing {
    pub(crate) fn new(terms: Terms) -> Self {
        Self { terms, cached_until: UnixTime(i64::MIN), tokens_until: UnixTime(i64::MIN) }
    }

    /// These terms from `now` on. What was handed out under the former ones is waited for.
    pub(crate) fn changed_to(&self, terms: Terms, now: UnixTime) -> Self {
        Self {
            terms,
            cached_until: self.cached_until.max(now.plus(self.terms.max_age)),
            tokens_until: self.tokens_until.max(now.plus(self.terms.longest_token)),
        }
    }

    /// When a key that is published at `now` is known to every cache.
    pub(crate) fn known_everywhere(&self, now: UnixTime) -> UnixTime {
        self.cached_until.max(now.plus(self.terms.max_age)).plus(self.terms.leeway)
    }

    /// That keys can be rotated as often: neither faster than callers learn of them, nor faster than they are retired.
    pub(crate) fn check_schedule(&self, every: Option<i64>) -> Result<(), KeyringError> {
        let Terms { max_age, longest_token, leeway } = self.terms;
        let shortest = (2 * (max_age + leeway)).max((longest_token + leeway) / MOST_BY_SCHEDULE);
        match every {
            Some(every) if !(shortest..=LONGEST_SCHEDULE).contains(&every) => {
                Err(KeyringError::Schedule { shortest, longest: LONGEST_SCHEDULE })
            }
            _ => Ok(()),
        }
    }

    /// When the last token of a key that stops signing at `now` has expired.
    pub(crate) fn last_token_gone(&self, now: UnixTime) -> UnixTime {
        self.tokens_until.max(now.plus(self.terms.longest_token)).plus(self.terms.leeway)
    }
}

/// The keys and what governs them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ring<'a> {
    pub(crate) keys: &'a BTreeMap<String, Arc<LiveKey>>,
    pub(crate) slots: &'a BTreeMap<String, Slot>,
    pub(crate) timing: &'a Timing,
}

/// A key as it will be, and what is done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) action: &'static str,
    pub(crate) key: KeyRecord,
}

impl<'a> Ring<'a> {
    pub(crate) fn of(self, algorithm: Algorithm) -> impl Iterator<Item = &'a KeyRecord> {
        self.keys.values().map(|key| &key.record).filter(move |key| key.algorithm == algorithm)
    }

    pub(crate) fn active(self, algorithm: Algorithm) -> Option<&'a KeyRecord> {
        self.of(algorithm).find(|key| matches!(key.state, KeyState::Active { .. }))
    }

    pub(crate) fn pending(self, algorithm: Algorithm) -> Option<&'a KeyRecord> {
        self.of(algorithm).find(|key| matches!(key.state, KeyState::Pending { .. }))
    }

    fn published(self, algorithm: Algorithm) -> usize {
        self.of(algorithm).filter(|key| key.state.is_published()).count()
    }

    pub(crate) fn find(self, id: &str) -> Result<&'a KeyRecord, KeyringError> {
        self.keys.get(id).map(|key| &key.record).ok_or(KeyringError::NoSuchKey)
    }

    /// The algorithm of tokens for whoever has none of their own.
    pub(crate) fn default_algorithm(self) -> Option<Algorithm> {
        self.slots.values().find(|slot| slot.is_default).map(|slot| slot.algorithm)
    }

    /// Where a key that is added now begins. The first of all may sign at once: nobody has cached anything yet.
    pub(crate) fn beginning(self, algorithm: Algorithm, now: UnixTime, held: bool) -> Result<KeyState, KeyringError> {
        if let Some(pending) = self.pending(algorithm) {
            return Err(KeyringError::AlreadyPending { key_id: pending.id.clone() });
        }
        if self.published(algorithm) >= MOST_PUBLISHED {
            return Err(KeyringError::TooManyKeys);
        }
        if self.keys.values().all(|key| key.record.is_simple()) && !held {
            return Ok(KeyState::Active { since: now });
        }
        Ok(KeyState::Pending { since: now, due: self.timing.known_everywhere(now), held })
    }

    /// Lets a key sign, and the one that signed before only verify.
    pub(crate) fn activate(self, id: &str, now: UnixTime) -> Result<Vec<Step>, KeyringError> {
        let key = self.find(id)?;
        match key.state {
            KeyState::Pending { due, .. } if now >= due => Ok(self.activated(key, now)),
            KeyState::Pending { due, .. } => Err(KeyringError::TooEarly { step: "activated", allowed_at: due }),
            _ => Err(KeyringError::NotPossible { step: "activated", state: key.state.name() }),
        }
    }

    /// The steps of an activation, whether or not it is time.
    fn activated(self, key: &KeyRecord, now: UnixTime) -> Vec<Step> {
        let mut steps = Vec::new();
        if let Some(former) = self.active(key.algorithm) {
            // The simple contract's tokens do not expire, so its key waits for somebody who knows that they are gone.
            let due = (!former.is_simple()).then(|| self.timing.last_token_gone(now));
            let mut former = with_state(former, KeyState::VerifyOnly { since: now, due });
            if !former.is_simple() {
                // It will never sign again.
                former.sealed = None;
            }
            steps.push(Step { action: "key.verify_only", key: former });
        }
        steps.push(Step { action: "key.activated", key: with_state(key, KeyState::Active { since: now }) });
        steps
    }

    /// Takes a key out of the published set, when nothing that it signed can still be valid.
    pub(crate) fn retire(self, id: &str, now: UnixTime) -> Result<Vec<Step>, KeyringError> {
        let key = self.find(id)?;
        match key.state {
            KeyState::VerifyOnly { due: Some(due), .. } if now < due => {
                Err(KeyringError::TooEarly { step: "retired", allowed_at: due })
            }
            KeyState::VerifyOnly { .. } | KeyState::Pending { .. } => Ok(vec![retired(key, now)]),
            KeyState::Active { .. } => Err(KeyringError::StillSigning),
            KeyState::Retired { .. } | KeyState::Compromised { .. } => {
                Err(KeyringError::NotPossible { step: "retired", state: key.state.name() })
            }
        }
    }

    /// Takes a key out at once, whatever breaks. Where it was signing, the pending key takes its place before its time,
    /// or else `replacement` does.
    pub(crate) fn compromise(
        self,
        id: &str,
        now: UnixTime,
        replacement: Option<KeyRecord>,
    ) -> Result<Vec<Step>, KeyringError> {
        let key = self.find(id)?;
        let was_signing = matches!(key.state, KeyState::Active { .. });
        if let KeyState::Compromised { .. } = key.state {
            return Err(KeyringError::NotPossible { step: "compromised", state: key.state.name() });
        }
        let mut gone = with_state(key, KeyState::Compromised { since: now });
        gone.sealed = None;
        let mut steps = vec![Step { action: "key.compromised", key: gone }];
        if was_signing {
            // One that is held back, or was brought and may be known to others, does not begin to sign by this.
            let is_ready = |key: &&KeyRecord| {
                key.origin == Origin::Generated && matches!(key.state, KeyState::Pending { held: false, .. })
            };
            let next = match self.pending(key.algorithm).filter(is_ready) {
                Some(pending) => pending.clone(),
                None => replacement.ok_or(KeyringError::NoReplacement)?,
            };
            steps.push(Step { action: "key.activated", key: with_state(&next, KeyState::Active { since: now }) });
        }
        Ok(steps)
    }

    /// The steps whose time has come, but for new keys, which have to be made first.
    pub(crate) fn due(self, now: UnixTime) -> Vec<Step> {
        let mut steps = Vec::new();
        for key in self.keys.values().map(|key| &key.record) {
            match key.state {
                KeyState::Pending { due, held: false, .. } if now >= due => steps.extend(self.activated(key, now)),
                KeyState::VerifyOnly { due: Some(due), .. } if now >= due => steps.push(retired(key, now)),
                _ => {}
            }
        }
        steps
    }

    /// The slots whose schedule wants a new key to be published now.
    pub(crate) fn wanting(self, now: UnixTime) -> Vec<Algorithm> {
        let has_room = |slot: &Slot| self.published(slot.algorithm) < MOST_PUBLISHED;
        let wants = |slot: &&Slot| self.next_rotation(slot).is_some_and(|at| now >= at) && has_room(slot);
        self.slots.values().filter(wants).map(|slot| slot.algorithm).collect()
    }

    /// When the schedule of a slot publishes the next key: so early that it signs when the present one has had its time.
    pub(crate) fn next_rotation(self, slot: &Slot) -> Option<UnixTime> {
        let every = slot.rotate_every?;
        if self.pending(slot.algorithm).is_some() {
            return None;
        }
        let wait = self.timing.terms.max_age.saturating_add(self.timing.terms.leeway);
        Some(self.active(slot.algorithm)?.state.since().plus(every.saturating_sub(wait)))
    }

    /// When the next step of a key comes by itself, and which.
    pub(crate) fn next_step(key: &KeyRecord) -> Option<(&'static str, UnixTime)> {
        match key.state {
            KeyState::Pending { due, held: false, .. } => Some(("active", due)),
            KeyState::VerifyOnly { due: Some(due), .. } => Some(("retired", due)),
            _ => None,
        }
    }
}

fn retired(key: &KeyRecord, now: UnixTime) -> Step {
    let mut key = with_state(key, KeyState::Retired { since: now });
    key.sealed = None;
    Step { action: "key.retired", key }
}

fn with_state(key: &KeyRecord, state: KeyState) -> KeyRecord {
    KeyRecord { state, ..key.clone() }
}
