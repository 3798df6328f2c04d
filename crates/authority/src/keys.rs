//! What operators do with keys: list, add, rotate, retire, export. The rules are in `keyring`.

use aws_lc_rs::digest::{SHA256, digest};
use jose::{Algorithm, Jwk, base64url};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::authority::{Authority, Caller, Created};
use crate::error::{AdminError, ClientError, KeyringError, SealError, StoreError};
use crate::keyring::Ring;
use crate::order::Desk;
use crate::ports::UnixTime;
use crate::record::{KeyRecord, KeyState, Origin, Recorded as _, Setting, Slot};
use crate::scope::{OWN_SCOPES, Scopes};
use crate::signing_key::SimpleKey;
use crate::state::{State, Vault};

/// A key that is about to be added.
pub(crate) struct Material {
    jwk: Jwk,
    algorithm: Algorithm,
    origin: Origin,
}

impl Material {
    /// A new one; `bits` is for RSA.
    pub(crate) fn generate(algorithm: Algorithm, bits: Option<usize>) -> Result<Self, KeyringError> {
        let unusable = |error: &dyn std::fmt::Display| KeyringError::Unusable(error.to_string());
        if algorithm.is_symmetric() {
            return Err(KeyringError::Unusable(format!("{algorithm} is for shared secrets")));
        }
        let jwk = match bits {
            Some(bits) if algorithm.is_rsa() && ![2048, 3072, 4096].contains(&bits) => {
                return Err(KeyringError::Unusable("RSA keys are made with 2048, 3072 or 4096 bits".to_owned()));
            }
            Some(bits) if algorithm.is_rsa() => Jwk::generate_with_bits(algorithm, bits),
            Some(_) => return Err(KeyringError::Unusable(format!("{algorithm} keys have one size"))),
            None => Jwk::generate(algorithm),
        }
        .map_err(|error| unusable(&error))?;
        // One thumbprint in 64 looks like an option on a command line.
        if jwk.key_id().is_some_and(|id| id.starts_with('-')) {
            return Self::generate(algorithm, bits);
        }
        Ok(Self { jwk, algorithm, origin: Origin::Generated })
    }

    /// One that somebody brings. Where it names no algorithm, `algorithm` is taken, or else the first that fits it.
    pub(crate) fn import(jwk: Jwk, algorithm: Option<Algorithm>) -> Result<Self, KeyringError> {
        let fitting = jwk.algorithms();
        let algorithm = algorithm.or_else(|| fitting.first().copied()).filter(|algorithm| fitting.contains(algorithm));
        let algorithm = algorithm.ok_or_else(|| KeyringError::Unusable("it does not fit the algorithm".to_owned()))?;
        if !jwk.is_private() || jwk.is_symmetric() {
            return Err(KeyringError::Unusable("a private key of a pair is needed".to_owned()));
        }
        let jwk = jwk.with_algorithm(algorithm).map_err(|error| KeyringError::Unusable(error.to_string()))?;
        jwk.signing_key(algorithm).map_err(|error| KeyringError::Unusable(error.to_string()))?;
        let key_id = jwk.key_id().map_or_else(|| jwk.thumbprint(), str::to_owned);
        // Some would be in the way of others in the addresses of the administration API.
        if ["", ".", "..", "rotate"].contains(&key_id.as_str())
            || key_id.starts_with('-')
            || key_id.len() > 256
            || !key_id.bytes().all(|byte| matches!(byte, 0x21..=0x7e))
        {
            return Err(KeyringError::Unusable(
                "its kid is not 1 to 256 visible ASCII characters, or is reserved".to_owned(),
            ));
        }
        Ok(Self { jwk: jwk.with_key_id(key_id), algorithm, origin: Origin::Imported })
    }

    fn key_id(&self) -> String {
        self.jwk.key_id().unwrap_or_default().to_owned()
    }
}

/// The record of a new key, its private part sealed.
pub(crate) fn record(desk: &Desk<'_>, material: Material, state: KeyState) -> Result<KeyRecord, KeyringError> {
    let (id, algorithm) = (material.key_id(), material.algorithm);
    let public = material.jwk.public().map_err(|error| KeyringError::Unusable(error.to_string()))?;
    // Whatever its id: a key that was given up must not come back under another name.
    let thumbprint = public.thumbprint();
    let is_same = |key: &crate::state::LiveKey| key.public.as_ref().is_some_and(|own| own.thumbprint() == thumbprint);
    if desk.state.keys.contains_key(&id) || desk.state.keys.values().any(|key| is_same(key)) {
        return Err(KeyringError::KeyExists);
    }
    let private = material.jwk.to_json();
    let sealed = desk.vault.seal(&KeyRecord::purpose(&id, algorithm), private.as_bytes(), desk.randomness)?;
    let (created_at, origin) = (desk.now, material.origin);
    let public_jwk = Some(public.to_json().to_string());
    Ok(KeyRecord { id, algorithm, state, created_at, origin, public_jwk, sealed: Some(sealed) })
}

/// What the log says about a key.
pub(crate) fn detail(key: &KeyRecord) -> serde_json::Value {
    json!({ "algorithm": key.algorithm.name(), "state": key.state.name(), "origin": key.origin.name() })
}

fn detail_with_reason(key: &KeyRecord, reason: &str) -> serde_json::Value {
    let mut detail = detail(key);
    if let Some(detail) = detail.as_object_mut().filter(|_| !reason.is_empty()) {
        detail.insert("reason".to_owned(), reason.into());
    }
    detail
}

/// Something that will happen to a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// When.
    pub at: UnixTime,
    /// `publish`, `activate`, `verify_only` or `retire`.
    pub step: String,
    /// The key; `None` is the one that is about to be made.
    pub key_id: Option<String>,
}

/// A rotation: what will happen when.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The algorithm whose key is replaced.
    pub algorithm: Algorithm,
    /// The steps in the order of their times.
    pub timetable: Vec<Planned>,
    /// The new key; `None` when it was only asked what would happen.
    pub key: Option<KeyRecord>,
}

impl State {
    /// All keys, in the order of their ids.
    pub fn keys(&self) -> impl Iterator<Item = &KeyRecord> {
        self.keys.values().map(|key| &key.record)
    }

    /// The key of this id.
    #[must_use]
    pub fn find_key(&self, id: &str) -> Option<&KeyRecord> {
        self.keys.get(id).map(|key| &key.record)
    }

    /// All slots, and when each publishes its next key by schedule.
    pub fn slots(&self) -> impl Iterator<Item = (&Slot, Option<UnixTime>)> {
        let ring = self.ring();
        self.slots.values().map(move |slot| (slot, ring.and_then(|ring| ring.next_rotation(slot))))
    }

    /// The next step that a key takes by itself: the state, and from when on.
    #[must_use]
    pub fn next_step(&self, key: &KeyRecord) -> Option<(&'static str, UnixTime)> {
        Ring::next_step(key)
    }

    /// Whether tokens can be signed.
    #[must_use]
    pub fn has_active_key(&self) -> bool {
        let default = self.ring().and_then(Ring::default_algorithm);
        default.is_some_and(|algorithm| self.keys.values().any(|k| k.is_active() && k.record.algorithm == algorithm))
    }

    /// The JWK Set with every published key (RFC 7517 section 5), its entity tag, and for how many seconds it may be
    /// cached.
    #[must_use]
    pub fn jwk_set(&self) -> (&str, &str, i64) {
        (&self.published.jwks, &self.published.etag, self.terms().map_or(0, |terms| terms.max_age))
    }

    /// Algorithms that tokens are signed with at present.
    #[must_use]
    pub fn signing_algorithms(&self) -> Vec<Algorithm> {
        let active = self.keys.values().filter(|key| key.is_active() && !key.record.is_simple());
        let mut algorithms: Vec<_> = active.map(|key| key.record.algorithm).collect();
        algorithms.dedup();
        algorithms
    }

    /// What a rotation at `now` does, to the key that is added or is about to be made.
    fn timetable(
        &self,
        algorithm: Algorithm,
        now: UnixTime,
        new: Option<&KeyRecord>,
    ) -> Result<Vec<Planned>, KeyringError> {
        let ring = self.ring().ok_or(KeyringError::NotSetUp)?;
        let due = match ring.beginning(algorithm, now, false)? {
            KeyState::Pending { due, .. } => due,
            _ => now,
        };
        let planned = |at, step: &str, key: Option<&KeyRecord>| Planned {
            at,
            step: step.to_owned(),
            key_id: key.map(|key| key.id.clone()),
        };
        let mut timetable = vec![planned(now, "publish", new), planned(due, "activate", new)];
        if let Some(active) = ring.active(algorithm) {
            timetable.push(planned(due, "verify_only", Some(active)));
            timetable.push(planned(ring.timing.last_token_gone(due), "retire", Some(active)));
        }
        Ok(timetable)
    }
}

impl Authority {
    /// What a rotation of this slot would do now.
    ///
    /// # Errors
    /// [`KeyringError`], as the rotation itself.
    pub fn plan_rotation(&self, algorithm: Option<Algorithm>) -> Result<Rotation, KeyringError> {
        let state = self.state();
        let algorithm = slot_of(&state, algorithm)?;
        if algorithm.is_symmetric() {
            return Err(KeyringError::FromOutside);
        }
        if !state.slots.contains_key(algorithm.name()) {
            return Err(KeyringError::NoSuchSlot);
        }
        let timetable = state.timetable(algorithm, self.now().max(state.newest_at), None)?;
        Ok(Rotation { algorithm, timetable, key: None })
    }

    /// Publishes a new key that takes over when every cache knows it. Without an algorithm, that of the default slot.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn rotate(&self, caller: &Caller, algorithm: Option<Algorithm>) -> Result<Rotation, AdminError> {
        let algorithm = slot_of(&self.state(), algorithm)?;
        if algorithm.is_symmetric() {
            return Err(KeyringError::FromOutside.into());
        }
        let material = off_thread(move || Material::generate(algorithm, None)).await??;
        let rotated = self.order_once(caller, move |desk| {
            if !desk.state.slots.contains_key(algorithm.name()) {
                return Err(KeyringError::NoSuchSlot.into());
            }
            let key = add(desk, material, false)?;
            let timetable = desk.state.timetable(algorithm, desk.now, Some(&key))?;
            Ok((key, timetable))
        });
        let (key, timetable) = rotated.await?.into_inner();
        Ok(Rotation { algorithm, timetable, key: Some(key) })
    }

    /// Adds a new key of any algorithm that signs in public; `bits` is the size of an RSA key. It is published, and
    /// signs when every cache knows it, or, where it is `held`, when it is activated.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn create_key(
        &self,
        caller: &Caller,
        algorithm: Algorithm,
        bits: Option<usize>,
        held: bool,
    ) -> Result<Created<KeyRecord>, AdminError> {
        // Large RSA keys take seconds to make; nothing else waits for that.
        let material = off_thread(move || Material::generate(algorithm, bits)).await??;
        self.order_once(caller, move |desk| add(desk, material, held)).await
    }

    /// Adds a key that somebody brings: a private JWK.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn import_key(
        &self,
        caller: &Caller,
        jwk: Jwk,
        algorithm: Option<Algorithm>,
        held: bool,
    ) -> Result<Created<KeyRecord>, AdminError> {
        // Whoever has the private part could make tokens that open everything.
        let all = Scopes::of(OWN_SCOPES).map_err(ClientError::from)?;
        if caller.scopes.as_ref().is_some_and(|own| !own.cover(&all)) {
            return Err(ClientError::Beyond.into());
        }
        let material = Material::import(jwk, algorithm)?;
        self.order_once(caller, move |desk| add(desk, material, held)).await
    }

    /// Lets a pending key sign, when its wait is over.
    ///
    /// # Errors
    /// [`AdminError`]; [`KeyringError::TooEarly`] says when it will be possible.
    pub async fn activate_key(&self, caller: &Caller, id: &str) -> Result<KeyRecord, AdminError> {
        self.step(caller, id, |ring, id, now| ring.activate(id, now)).await
    }

    /// Takes a key out of the published set, when its wait is over.
    ///
    /// # Errors
    /// [`AdminError`]; [`KeyringError::TooEarly`] says when it will be possible.
    pub async fn retire_key(&self, caller: &Caller, id: &str) -> Result<KeyRecord, AdminError> {
        self.step(caller, id, |ring, id, now| ring.retire(id, now)).await
    }

    async fn step(
        &self,
        caller: &Caller,
        id: &str,
        step: impl FnOnce(Ring<'_>, &str, UnixTime) -> Result<Vec<crate::keyring::Step>, KeyringError> + Send + 'static,
    ) -> Result<KeyRecord, AdminError> {
        let id = id.to_owned();
        self.order(caller, move |desk| {
            let ring = desk.state.ring().ok_or(KeyringError::NotSetUp)?;
            for step in step(ring, &id, desk.now)? {
                desk.put(step.action, &step.key, detail(&step.key));
            }
            Ok::<_, AdminError>(id)
        })
        .await
        .and_then(|id| self.key(&id))
    }

    /// Takes a key out at once: every token that it signed is refused from now on. Where it was signing, the next key
    /// takes its place before callers may know it.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn compromise_key(&self, caller: &Caller, id: &str, reason: &str) -> Result<KeyRecord, AdminError> {
        let algorithm = self.key(id)?.algorithm;
        if reason.chars().count() > 1024 {
            return Err(crate::error::RevokeError::TooLong.into());
        }
        let (id, reason) = (id.to_owned(), reason.to_owned());
        if algorithm.is_symmetric() {
            return self.compromise_simple(caller, id, reason).await;
        }
        let material = off_thread(move || Material::generate(algorithm, None)).await??;
        self.order_once(caller, move |desk| {
            let ring = desk.state.ring().ok_or(KeyringError::NotSetUp)?;
            let replacement = record(desk, material, KeyState::Active { since: desk.now })?;
            for step in ring.compromise(&id, desk.now, Some(replacement))? {
                let why = if step.action == "key.compromised" { reason.as_str() } else { "" };
                desk.put(step.action, &step.key, detail_with_reason(&step.key, why));
            }
            Ok(id)
        })
        .await
        .and_then(|id| self.key(id.get()))
    }

    /// The simple contract's key is replaced where it lives; here only a former one can be given up.
    async fn compromise_simple(&self, caller: &Caller, id: String, reason: String) -> Result<KeyRecord, AdminError> {
        self.order_once(caller, move |desk| {
            let ring = desk.state.ring().ok_or(KeyringError::NotSetUp)?;
            if matches!(ring.find(&id)?.state, KeyState::Active { .. }) {
                return Err(KeyringError::StillSigning.into());
            }
            for step in ring.compromise(&id, desk.now, None)? {
                desk.put(step.action, &step.key, detail_with_reason(&step.key, &reason));
            }
            Ok(id)
        })
        .await
        .and_then(|id| self.key(id.get()))
    }

    /// Says how long keys of a slot sign before the next takes their place, in seconds; `None` leaves it to operators.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn schedule(
        &self,
        caller: &Caller,
        algorithm: Algorithm,
        every: Option<i64>,
    ) -> Result<Slot, AdminError> {
        self.order(caller, move |desk| {
            let ring = desk.state.ring().ok_or(KeyringError::NotSetUp)?;
            let slot = desk.state.slots.get(algorithm.name()).ok_or(KeyringError::NoSuchSlot)?;
            ring.timing.check_schedule(every)?;
            let slot = Slot { rotate_every: every, ..slot.clone() };
            desk.put("slot.scheduled", &slot, json!({ "rotate_every": every }));
            Ok::<_, AdminError>(slot)
        })
        .await
    }

    /// A key's private part: a JWK, or the text that a key of the simple contract is.
    ///
    /// # Errors
    /// [`AdminError`]; [`KeyringError::NoPrivatePart`] when it was not kept.
    pub async fn export_private_key(&self, caller: &Caller, id: &str) -> Result<Zeroizing<String>, AdminError> {
        let id = id.to_owned();
        self.order(caller, move |desk| {
            let ring = desk.state.ring().ok_or(KeyringError::NotSetUp)?;
            let key = ring.find(&id)?;
            let sealed = key.sealed.as_deref().ok_or(KeyringError::NoPrivatePart)?;
            let private = desk.vault.clone().open(&KeyRecord::purpose(&id, key.algorithm), sealed);
            let private = private.map_err(KeyringError::Seal)?;
            let damaged = || KeyringError::Seal(SealError::Damaged);
            let private = if key.is_simple() {
                Zeroizing::new(std::str::from_utf8(&private).map_err(|_| damaged())?.to_owned())
            } else {
                Jwk::parse(&private).map_err(|_| damaged())?.to_json()
            };
            // Whoever looks into the log wants to know who has taken it.
            desk.put("key.exported", key, detail(key));
            Ok::<_, AdminError>(private)
        })
        .await
    }

    /// Encrypts everything anew under another master key. `next` is told when that is durable, and makes the key the one
    /// that the source gives.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn rotate_master_key(&self, caller: &Caller, next: crate::seal::MasterKey) -> Result<(), AdminError> {
        self.order(caller, move |desk| {
            let mut vault: Vault = desk.vault.clone();
            let (random, state) = (desk.randomness, desk.state);
            let mut again = |purpose: &str, sealed: &str| -> Result<String, KeyringError> {
                Ok(next.seal(purpose, &vault.open(purpose, sealed)?, random)?)
            };
            let mut puts = Vec::new();
            for key in state.keys.values().map(|key| &key.record) {
                if let Some(sealed) = &key.sealed {
                    let sealed = again(&KeyRecord::purpose(&key.id, key.algorithm), sealed)?;
                    puts.push(KeyRecord { sealed: Some(sealed), ..key.clone() }.to_put());
                }
            }
            if let Some(sealed) = &state.sealed_hash_key {
                let sealed = again(Setting::SECRET_HASH_KEY, sealed)?;
                puts.push(Setting::new(Setting::SECRET_HASH_KEY, sealed).to_put());
            }
            puts.push(Setting::new(Setting::MASTER_KEY, next.id()).to_put());
            for put in puts {
                desk.draft("master_key.rotated", put, &json!({}));
            }
            Ok::<_, AdminError>(())
        })
        .await
    }

    fn key(&self, id: &str) -> Result<KeyRecord, AdminError> {
        Ok(self.state().find_key(id).cloned().ok_or(KeyringError::NoSuchKey)?)
    }
}

fn slot_of(state: &State, algorithm: Option<Algorithm>) -> Result<Algorithm, KeyringError> {
    let default = || state.ring().and_then(Ring::default_algorithm);
    algorithm.or_else(default).ok_or(KeyringError::NotSetUp)
}

/// Adds a key, and the slot where it is the first.
fn add(desk: &mut Desk<'_>, material: Material, held: bool) -> Result<KeyRecord, AdminError> {
    let ring = desk.state.ring().ok_or(KeyringError::NotSetUp)?;
    let algorithm = material.algorithm;
    let state = ring.beginning(algorithm, desk.now, held)?;
    if !ring.slots.contains_key(algorithm.name()) {
        // The schedule of the first slot is what the operator has chosen for all.
        let model = ring.slots.values().find(|slot| slot.is_default);
        let slot =
            Slot { algorithm, rotate_every: model.and_then(|slot| slot.rotate_every), is_default: model.is_none() };
        desk.put("slot.created", &slot, json!({ "rotate_every": slot.rotate_every }));
    }
    let key = record(desk, material, state)?;
    let action = if key.origin == Origin::Imported { "key.imported" } else { "key.published" };
    desk.put(action, &key, detail(&key));
    // Whoever is answered has no use for the private part.
    Ok(KeyRecord { sealed: None, ..key })
}

/// The id of a key of the simple contract: its digest, since tokens do not name it.
pub(crate) fn simple_key_id(key: &SimpleKey) -> String {
    let digest = digest(&SHA256, key.expose().as_bytes());
    format!("simple-{}", base64url::encode(digest.as_ref().get(..12).unwrap_or_default()))
}

/// The record of a key of the simple contract.
pub(crate) fn simple_record(desk: &Desk<'_>, key: &SimpleKey) -> Result<KeyRecord, SealError> {
    let (id, algorithm) = (simple_key_id(key), Algorithm::HS512);
    let purpose = KeyRecord::purpose(&id, algorithm);
    let sealed = Some(desk.vault.seal(&purpose, key.expose().as_bytes(), desk.randomness)?);
    let state = KeyState::Active { since: desk.now };
    Ok(KeyRecord { id, algorithm, state, created_at: desk.now, origin: Origin::File, public_jwk: None, sealed })
}

/// Runs what takes long on a thread of its own.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    let (reply, answer) = oneshot::channel();
    let failed = |error: String| StoreError::Unavailable(error);
    std::thread::Builder::new()
        .name("key generation".to_owned())
        .spawn(move || drop(reply.send(work())))
        .map_err(|error| failed(error.to_string()))?;
    answer.await.map_err(|_| failed("the thread that makes keys has stopped".to_owned()))
}
