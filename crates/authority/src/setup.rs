//! What a start brings to the store: on the first one everything that is missing, later what has changed outside.

use jose::Algorithm;
use serde_json::json;
use zeroize::Zeroizing;

use crate::authority::{Authority, Caller};
use crate::error::{AdminError, ClientError, KeyringError};
use crate::keys::{self, Material};
use crate::order::Desk;
use crate::record::{KeyRecord, KeyState, Setting, Slot, Terms, Timing};
use crate::signing_key::SimpleKey;
use crate::state::State;

/// The algorithm of the first slot.
const FIRST_ALGORITHM: Algorithm = Algorithm::ES256;

/// What whoever starts knows. `None` leaves what is stored, or takes the default where nothing is.
#[derive(Default)]
pub struct Setup {
    /// Who issues the tokens (`iss`).
    pub issuer: Option<String>,
    /// What the waits of the ring are made of.
    pub terms: Option<Terms>,
    /// How long keys sign before the next takes their place, in seconds: for the first slot, when it is made.
    pub rotate_every: Option<i64>,
    /// The same, where it was asked for and counts whatever was said before; the inner `None` is never.
    pub schedule: Option<Option<i64>>,
    /// The simple contract's key, where one is given from outside.
    pub simple_key: Option<SimpleKey>,
    /// Where that key is at home.
    pub simple_key_home: SimpleKeyHome,
}

/// Where the simple contract's key is at home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SimpleKeyHome {
    /// Outside: the one that is given takes the place of the one in force.
    #[default]
    Outside,
    /// In the store, which several machines share: the first brings or makes it, and one that is given must be the same.
    Store,
}

impl Terms {
    /// Five minutes in caches, a day for the longest token, a minute between clocks.
    pub const DEFAULT: Self = Self { max_age: 300, longest_token: 86_400, leeway: 60 };
}

impl State {
    /// Who issues the tokens.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// How far clocks may be apart and the like.
    #[must_use]
    pub fn terms_in_force(&self) -> Terms {
        self.terms().unwrap_or(Terms::DEFAULT)
    }

    /// The time of the newest change.
    #[must_use]
    pub fn newest_change(&self) -> crate::ports::UnixTime {
        self.newest_at
    }

    /// The place in the log that this state is of.
    #[must_use]
    pub fn position(&self) -> crate::store::Position {
        self.position
    }

    /// Whether the simple contract's tokens are signed with this key.
    #[must_use]
    pub fn signs_with(&self, key: &SimpleKey) -> bool {
        self.signs_simple(&keys::simple_key_id(key))
    }

    /// The id of the master key that the store's secrets are encrypted under.
    #[must_use]
    pub fn master_key_id(&self) -> Option<&str> {
        self.master_key_id.as_deref()
    }

    /// The key that signs the simple contract's tokens.
    fn simple_key(&self) -> Option<&KeyRecord> {
        let keys = self.keys.values().map(|key| &key.record);
        keys.into_iter().find(|key| key.is_simple() && matches!(key.state, KeyState::Active { .. }))
    }

    fn signs_simple(&self, id: &str) -> bool {
        self.keys.get(id).is_some_and(|key| key.is_active())
    }
}

impl Authority {
    /// Brings the store up to what is given. Does nothing where nothing is new.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn set_up(&self, caller: &Caller, setup: Setup) -> Result<(), AdminError> {
        if !setup.is_needed(&self.state()) {
            return Ok(());
        }
        self.order(caller, move |desk| setup.carry_out(desk)).await
    }

    /// Replaces the simple contract's key. The former one still verifies, in introspections, until it is retired by
    /// hand: its tokens do not expire. Its home has to be changed by whoever calls.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn replace_simple_key(&self, caller: &Caller, key: SimpleKey) -> Result<KeyRecord, AdminError> {
        self.order(caller, move |desk| {
            let key = adopt(desk, &key)?;
            Ok::<_, AdminError>(KeyRecord { sealed: None, ..key })
        })
        .await
    }
}

impl Setup {
    fn is_needed(&self, state: &State) -> bool {
        state.hash_key.is_none()
            || state.slots.is_empty()
            || state.timing.is_none()
            || state.issuer.is_none() && self.issuer.is_some()
            || self.issuer.as_deref().is_some_and(|issuer| state.issuer.as_deref() != Some(issuer))
            || self.terms.is_some_and(|terms| state.terms() != Some(terms))
            || self.wrong_schedule(state).is_some()
            || self.lacks_simple_key(state)
    }

    /// Whether another key of the simple contract should sign than does, or any.
    fn lacks_simple_key(&self, state: &State) -> bool {
        match (&self.simple_key, self.simple_key_home) {
            (Some(key), _) => !state.signs_with(key),
            (None, SimpleKeyHome::Store) => state.simple_key().is_none(),
            (None, SimpleKeyHome::Outside) => false,
        }
    }

    /// The default slot, where its schedule is another than was asked for.
    fn wrong_schedule<'s>(&self, state: &'s State) -> Option<&'s Slot> {
        let slot = state.slots.values().find(|slot| slot.is_default)?;
        self.schedule.filter(|every| *every != slot.rotate_every).map(|_| slot)
    }

    fn carry_out(&self, desk: &mut Desk<'_>) -> Result<(), AdminError> {
        let state = desk.state;
        if state.master_key_id.is_none() {
            desk.put("master_key.set", &Setting::new(Setting::MASTER_KEY, desk.vault.id()), json!({}));
        }
        if state.hash_key.is_none() {
            let mut key = Zeroizing::new([0; 32]);
            desk.randomness.fill(&mut *key).map_err(ClientError::from)?;
            let sealed =
                desk.vault.seal(Setting::SECRET_HASH_KEY, &*key, desk.randomness).map_err(KeyringError::from)?;
            desk.put("secret_hash_key.made", &Setting::new(Setting::SECRET_HASH_KEY, sealed), json!({}));
        }
        let timing = match (state.timing, self.terms) {
            (None, terms) => Some(Timing::new(terms.unwrap_or(Terms::DEFAULT))),
            (Some(timing), Some(terms)) if timing.terms != terms => Some(timing.changed_to(terms, desk.now)),
            _ => None,
        };
        if let Some(timing) = timing {
            desk.put("timing.set", &timing, json!(timing.terms));
        }
        if let Some(issuer) = self.issuer.as_deref().filter(|issuer| state.issuer.as_deref() != Some(*issuer)) {
            desk.put("issuer.set", &Setting::new(Setting::ISSUER, issuer), json!({ "issuer": issuer }));
        }
        let every = self.schedule.unwrap_or(self.rotate_every);
        let in_force = timing.or(state.timing).unwrap_or_else(|| Timing::new(Terms::DEFAULT));
        if let Some(slot) = self.wrong_schedule(state) {
            in_force.check_schedule(every)?;
            let slot = Slot { rotate_every: every, ..slot.clone() };
            desk.put("slot.scheduled", &slot, json!({ "rotate_every": every }));
        }
        if state.slots.is_empty() {
            in_force.check_schedule(every)?;
            let algorithm = FIRST_ALGORITHM;
            let slot = Slot { algorithm, rotate_every: every, is_default: true };
            desk.put("slot.created", &slot, json!({ "rotate_every": slot.rotate_every }));
            // Nobody has cached anything yet.
            let material = Material::generate(algorithm, None)?;
            let key = keys::record(desk, material, KeyState::Active { since: desk.now })?;
            desk.put("key.activated", &key, keys::detail(&key));
        }
        if self.lacks_simple_key(state) {
            if self.simple_key_home == SimpleKeyHome::Store && state.simple_key().is_some() {
                return Err(KeyringError::OtherSimpleKey.into());
            }
            let made = || SimpleKey::generate(desk.randomness).map_err(ClientError::from);
            let key = self.simple_key.clone().map_or_else(made, Ok)?;
            adopt(desk, &key)?;
        }
        Ok(())
    }
}

/// Makes `key` the one that signs the simple contract's tokens.
fn adopt(desk: &mut Desk<'_>, key: &SimpleKey) -> Result<KeyRecord, AdminError> {
    // With it would come back the tokens that were revoked under it.
    if desk.state.keys.get(&keys::simple_key_id(key)).is_some_and(|key| !key.record.state.is_published()) {
        return Err(KeyringError::GivenUp.into());
    }
    if let Some(former) = desk.state.simple_key() {
        let former = KeyRecord { state: KeyState::VerifyOnly { since: desk.now, due: None }, ..former.clone() };
        desk.put("key.verify_only", &former, keys::detail(&former));
    }
    let key = keys::simple_record(desk, key).map_err(KeyringError::from)?;
    desk.put("key.activated", &key, keys::detail(&key));
    Ok(key)
}
