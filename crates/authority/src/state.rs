//! The state in memory: what the store holds, made ready for use. Readers share an immutable copy of it, so the paths
//! that mint and verify never touch the store.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use jose::{Algorithm, Jwk, JwkSet, Signer, Verifier, base64url};
use zeroize::Zeroizing;

use crate::error::{OpenError, SealError, StoreError};
use crate::ignorance::{Issuance, LastIssued};
use crate::keyring::Ring;
use crate::mint::SimpleMinter;
use crate::ports::{MasterKeySource, Randomness, UnixTime};
use crate::recent::Recent;
use crate::record::{Client, KeyRecord, KeyState, Origin, Recorded as _, Rule, Setting, Slot, Terms, Timing, Whose};
use crate::revocation::SharedRules;
use crate::revoked_tokens::RevokedTokens;
use crate::seal::MasterKey;
use crate::signing_key::{PublishedKey, SimpleKey};
use crate::store::{Changed, Kind, Position, Put, Record, RevocationId, RevokedToken, Stored};

/// The media type of access tokens in a header (RFC 9068 section 2.1).
pub(crate) const ACCESS_TOKEN: &str = "at+jwt";

/// The master key, and where it can be read anew when it was rotated.
#[derive(Clone)]
pub(crate) struct Vault {
    key: MasterKey,
    source: Arc<dyn MasterKeySource>,
}

impl Vault {
    pub(crate) fn new(source: Arc<dyn MasterKeySource>) -> Result<Self, OpenError> {
        Ok(Self { key: source.load(None)?, source })
    }

    pub(crate) fn id(&self) -> String {
        self.key.id()
    }

    /// Takes the key of this id in hand.
    pub(crate) fn turn_to(&mut self, id: &str) -> Result<(), OpenError> {
        if self.key.id() != id {
            self.key = self.source.load(Some(id))?;
        }
        if self.key.id() == id { Ok(()) } else { Err(OpenError::OtherMasterKey) }
    }

    pub(crate) fn seal(&self, purpose: &str, secret: &[u8], random: &dyn Randomness) -> Result<String, SealError> {
        self.key.seal(purpose, secret, random)
    }

    pub(crate) fn open(&mut self, purpose: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        match self.key.open(purpose, sealed) {
            Err(SealError::OtherKey) => {
                // It may just have been rotated.
                let id = MasterKey::id_of(sealed).ok_or(SealError::Damaged)?;
                self.turn_to(id).map_err(|_| SealError::OtherKey)?;
                self.key.open(purpose, sealed)
            }
            result => result,
        }
    }
}

/// A key, ready for use.
pub(crate) struct LiveKey {
    pub(crate) record: KeyRecord,
    pub(crate) public: Option<Jwk>,
    /// Signs access tokens, and with the other header any JWT.
    pub(crate) signers: Option<[Signer; 2]>,
    pub(crate) simple: Option<LiveSimpleKey>,
}

/// A key of the simple contract.
pub(crate) struct LiveSimpleKey {
    pub(crate) minter: SimpleMinter,
    pub(crate) verifier: Verifier,
}

impl fmt::Debug for LiveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.record.fmt(f)
    }
}

impl LiveKey {
    fn new(record: KeyRecord, vault: &mut Vault) -> Result<Self, OpenError> {
        let unusable = |what: &str| OpenError::UnusableKey { key_id: record.id.clone(), what: what.to_owned() };
        let private = match &record.sealed {
            Some(sealed) if record.state.is_published() => {
                let purpose = KeyRecord::purpose(&record.id, record.algorithm);
                Some(vault.open(&purpose, sealed).map_err(|error| match error {
                    SealError::OtherKey => OpenError::OtherMasterKey,
                    error => unusable(&error.to_string()),
                })?)
            }
            _ => None,
        };
        let mut live = Self { public: None, signers: None, simple: None, record };
        if live.record.is_simple() {
            if let Some(secret) = private {
                live.simple = Some(LiveSimpleKey::new(&secret).ok_or_else(|| unusable_key(&live.record))?);
            }
            return Ok(live);
        }
        let unusable = || unusable_key(&live.record);
        let public = live.record.public_jwk.as_deref().ok_or_else(unusable)?;
        live.public = Some(Jwk::parse(public.as_bytes()).map_err(|_| unusable_key(&live.record))?);
        if let Some(private) = private {
            let key = Jwk::parse(&private)
                .ok()
                .and_then(|jwk| jwk.with_key_id(live.record.id.as_str()).signing_key(live.record.algorithm).ok())
                .ok_or_else(|| unusable_key(&live.record))?;
            let signers = (Signer::new(key.clone(), Some(ACCESS_TOKEN)), Signer::new(key, Some("JWT")));
            let (Ok(access), Ok(plain)) = signers else { return Err(unusable_key(&live.record)) };
            live.signers = Some([access, plain]);
        }
        Ok(live)
    }

    pub(crate) fn is_active(&self) -> bool {
        matches!(self.record.state, KeyState::Active { .. })
    }
}

fn unusable_key(record: &KeyRecord) -> OpenError {
    OpenError::UnusableKey { key_id: record.id.clone(), what: "its record does not hold a usable key".to_owned() }
}

impl LiveSimpleKey {
    fn new(secret: &[u8]) -> Option<Self> {
        let text = Zeroizing::new(String::from_utf8(secret.to_vec()).ok()?);
        // Whether it may be used was decided when it was taken in.
        let key = SimpleKey::new(text, PublishedKey::Allowed).ok()?;
        let verifier = Verifier::new(&[Algorithm::HS512], [key.signing_key().ok()?.verifying_key()]).ok()?;
        Some(Self { minter: SimpleMinter::new(&key).ok()?, verifier })
    }
}

/// A client, ready for use.
#[derive(Debug)]
pub struct LiveClient {
    /// What is stored about it.
    pub record: Client,
    /// Verifies its assertions.
    pub(crate) assertions: Option<Verifier>,
    /// When a token was last issued to it here.
    pub(crate) last_issued: Arc<LastIssued>,
}

impl LiveClient {
    fn new(record: Client, last_issued: Arc<LastIssued>) -> Self {
        let set = record.jwks.as_deref().and_then(|jwks| JwkSet::parse(jwks.as_bytes()).ok());
        let algorithms: Vec<_> = asymmetric_algorithms().collect();
        let assertions = set.and_then(|set| Verifier::from_jwk_set(&set, &algorithms).ok());
        Self { record, assertions, last_issued }
    }
}

/// The algorithms that can sign in public.
pub fn asymmetric_algorithms() -> impl Iterator<Item = Algorithm> {
    Algorithm::all().filter(|algorithm| !algorithm.is_symmetric())
}

/// What follows from the keys.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// The JWK Set, as JSON.
    pub(crate) jwks: String,
    /// Changes whenever the set does.
    pub(crate) etag: String,
    /// Accepts tokens of every published key.
    pub(crate) verifier: Option<Verifier>,
}

impl Published {
    fn new(keys: &BTreeMap<String, Arc<LiveKey>>) -> Self {
        let published = keys.values().filter(|key| key.record.state.is_published());
        let set = JwkSet::new(published.filter_map(|key| key.public.clone())).unwrap_or_default();
        let jwks: Vec<String> = set.keys().iter().map(|key| with_use(&key.to_json())).collect();
        let jwks = format!("{{\"keys\":[{}]}}", jwks.join(","));
        let etag = format!("\"{}\"", base64url::encode(digest(&SHA256, jwks.as_bytes()).as_ref()));
        // A key that somebody has brought, and may have used before, vouches for nothing here until it is activated.
        let is_trusted = |key: &&Arc<LiveKey>| {
            let is_pending = matches!(key.record.state, KeyState::Pending { .. });
            key.record.state.is_published() && !(is_pending && key.record.origin == Origin::Imported)
        };
        let trusted = keys.values().filter(is_trusted).filter_map(|key| key.public.clone());
        let trusted = JwkSet::new(trusted).unwrap_or_default();
        let algorithms: Vec<_> = asymmetric_algorithms().collect();
        Self { jwks, etag, verifier: Verifier::from_jwk_set(&trusted, &algorithms).ok() }
    }
}

/// A public key's JSON with what it is for (RFC 7517 section 4.2), which some readers select by.
fn with_use(jwk: &str) -> String {
    // Inside a text, the quotation marks would be escaped.
    if jwk.contains("\"use\":") {
        return jwk.to_owned();
    }
    format!("{},\"use\":\"sig\"}}", jwk.trim_end_matches('}'))
}

/// A change of what all states share, to be made when it is durable.
#[derive(Clone)]
enum Pending {
    Token(RevokedToken),
    Rule(Rule),
    RuleGone(String),
}

/// Everything, as of one position in the log. Cheap to copy; what is large is shared between the copies.
#[derive(Clone)]
pub struct State {
    pub(crate) position: Position,
    /// The time of the newest change.
    pub(crate) newest_at: UnixTime,
    pub(crate) keys: Arc<BTreeMap<String, Arc<LiveKey>>>,
    pub(crate) slots: Arc<BTreeMap<String, Slot>>,
    pub(crate) clients: Arc<BTreeMap<String, Arc<LiveClient>>>,
    /// Shared by all states of a process: a revocation is in force for readers of older copies too.
    pub(crate) tokens: Arc<RevokedTokens>,
    /// Shared like the tokens.
    pub(crate) rules: Arc<SharedRules>,
    issuance: Arc<Issuance>,
    /// What is new in this copy, and not yet among what is shared.
    pending: Vec<Pending>,
    pub(crate) timing: Option<Timing>,
    pub(crate) issuer: Option<Arc<str>>,
    pub(crate) master_key_id: Option<String>,
    pub(crate) hash_key: Option<Arc<hmac::Key>>,
    pub(crate) sealed_hash_key: Option<String>,
    pub(crate) published: Arc<Published>,
    /// The key that signs the simple contract's tokens.
    pub(crate) simple: Option<Arc<LiveKey>>,
}

impl State {
    pub(crate) fn empty() -> Self {
        Self {
            position: Position(0),
            newest_at: UnixTime(i64::MIN),
            keys: Arc::default(),
            slots: Arc::default(),
            clients: Arc::default(),
            tokens: Arc::default(),
            rules: Arc::default(),
            issuance: Arc::default(),
            pending: Vec::new(),
            timing: None,
            issuer: None,
            master_key_id: None,
            hash_key: None,
            sealed_hash_key: None,
            published: Arc::default(),
            simple: None,
        }
    }

    /// Nothing, but for what all states of a process share.
    pub(crate) fn anew(&self) -> Self {
        let (tokens, rules) = (Arc::clone(&self.tokens), Arc::clone(&self.rules));
        Self { tokens, rules, issuance: Arc::clone(&self.issuance), ..Self::empty() }
    }

    /// The rule of this id, with what was written in the same transaction.
    pub(crate) fn find_rule(&self, id: &str) -> Option<Rule> {
        let pending = self.pending.iter().rev().find_map(|change| match change {
            Pending::Rule(rule) if rule.id == id => Some(Some(rule.clone())),
            Pending::RuleGone(gone) if gone == id => Some(None),
            _ => None,
        });
        pending.unwrap_or_else(|| self.rules.find(id))
    }

    /// Whether a token is revoked, by itself or by a rule, with what was written in the same transaction.
    pub(crate) fn revokes(&self, id: RevocationId, subject: &str, client: &str, issued_at: UnixTime) -> bool {
        let is_meant = |rule: &&Rule| match &rule.whose {
            Whose::Subject(whose) => whose == subject,
            Whose::Client(whose) => whose == client,
        };
        let is_id = |change: &Pending| matches!(change, Pending::Token(token) if token.id == id);
        self.tokens.contains(id)
            || self.pending.iter().any(is_id)
            || self.rules.covering(subject, client, issued_at).is_some()
            || self.rules_to_come().filter(is_meant).any(|rule| issued_at <= rule.until)
    }

    /// The rules that are about to be shared and were not known before. What was issued in knowledge of a rule that somebody
    /// has extended since is not meant by it.
    pub(crate) fn new_rules(&self) -> Vec<Rule> {
        let is_new = |rule: &&Rule| self.rules.find(&rule.id).is_none();
        self.rules_to_come().filter(is_new).cloned().collect()
    }

    /// Takes note of what is about to be shared and revokes something.
    pub(crate) fn note_revoked(&self, recent: &mut Recent) {
        for change in &self.pending {
            match change {
                Pending::Token(token) => recent.note_token(token.clone()),
                Pending::Rule(rule) => recent.note_rule(rule.clone()),
                Pending::RuleGone(id) => recent.forget_rule(id),
            }
        }
    }

    /// The rules that are about to be shared.
    pub(crate) fn rules_to_come(&self) -> impl Iterator<Item = &Rule> {
        self.pending.iter().filter_map(|change| match change {
            Pending::Rule(rule) => Some(rule),
            Pending::RuleGone(_) | Pending::Token(_) => None,
        })
    }

    /// Makes the changes of what is shared.
    pub(crate) fn share(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            match change {
                Pending::Token(token) => self.tokens.insert(token.id, token.until()),
                Pending::Rule(rule) => self.rules.insert(rule),
                Pending::RuleGone(id) => self.rules.remove(&id),
            }
        }
    }

    /// Whether what is about to be written could be read again. Otherwise nobody could go on.
    pub(crate) fn check(&self, put: &Put, vault: &mut Vault) -> Result<(), OpenError> {
        match put {
            Put::Record(record) => Self::empty().take_record(record, vault),
            Put::Remove(..) | Put::Token(_) => Ok(()),
        }
    }

    pub(crate) fn ring(&self) -> Option<Ring<'_>> {
        Some(Ring { keys: &self.keys, slots: &self.slots, timing: self.timing.as_ref()? })
    }

    pub(crate) fn terms(&self) -> Option<Terms> {
        self.timing.map(|timing| timing.terms)
    }

    /// Takes in what is stored.
    pub(crate) fn take(&mut self, stored: Stored, vault: &mut Vault) -> Result<(), OpenError> {
        match stored {
            Stored::Token(token) => self.pending.push(Pending::Token(token)),
            Stored::Record(record) => self.take_record(&record, vault)?,
        }
        Ok(())
    }

    pub(crate) fn take_record(&mut self, record: &Record, vault: &mut Vault) -> Result<(), OpenError> {
        match record.kind {
            Kind::Key => {
                let live = LiveKey::new(KeyRecord::read(record)?, vault)?;
                Arc::make_mut(&mut self.keys).insert(record.id.clone(), Arc::new(live));
            }
            Kind::Slot => drop(Arc::make_mut(&mut self.slots).insert(record.id.clone(), Slot::read(record)?)),
            Kind::Client => {
                let live = LiveClient::new(Client::read(record)?, self.issuance.of(&record.id));
                Arc::make_mut(&mut self.clients).insert(record.id.clone(), Arc::new(live));
            }
            Kind::Rule => self.pending.push(Pending::Rule(Rule::read(record)?)),
            Kind::Setting if record.id == Timing::ID => self.timing = Some(Timing::read(record)?),
            Kind::Setting => self.take_setting(Setting::read(record)?, vault)?,
            Kind::Token => {}
        }
        Ok(())
    }

    fn take_setting(&mut self, setting: Setting, vault: &mut Vault) -> Result<(), OpenError> {
        match setting.name.as_str() {
            Setting::ISSUER => self.issuer = Some(setting.value.into()),
            Setting::MASTER_KEY => self.master_key_id = Some(setting.value),
            Setting::SECRET_HASH_KEY => {
                let key = vault.open(Setting::SECRET_HASH_KEY, &setting.value).map_err(|error| match error {
                    SealError::OtherKey => OpenError::OtherMasterKey,
                    error => OpenError::UnusableKey { key_id: setting.name.clone(), what: error.to_string() },
                })?;
                self.hash_key = Some(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &key)));
                self.sealed_hash_key = Some(setting.value);
            }
            // A later version may have more.
            _ => {}
        }
        Ok(())
    }

    fn remove(&mut self, kind: Kind, id: &str) {
        match kind {
            Kind::Key => drop(Arc::make_mut(&mut self.keys).remove(id)),
            Kind::Slot => drop(Arc::make_mut(&mut self.slots).remove(id)),
            Kind::Client => drop(Arc::make_mut(&mut self.clients).remove(id)),
            Kind::Rule => self.pending.push(Pending::RuleGone(id.to_owned())),
            Kind::Setting | Kind::Token => {}
        }
    }

    /// Takes in what somebody else has changed.
    pub(crate) fn follow(&mut self, changed: Vec<Changed>, vault: &mut Vault) -> Result<(), OpenError> {
        for Changed { change, stored } in changed {
            match stored {
                Some(stored) => self.take(stored, vault)?,
                None => self.remove(change.kind, &change.id),
            }
            self.position = change.position;
            self.newest_at = change.at;
            self.keys_changed(change.kind);
        }
        Ok(())
    }

    /// Takes in what was just written here.
    pub(crate) fn apply(
        &mut self,
        put: &Put,
        at: UnixTime,
        place: Position,
        vault: &mut Vault,
    ) -> Result<(), OpenError> {
        let kind = match put {
            Put::Record(record) => {
                self.take_record(record, vault)?;
                record.kind
            }
            Put::Remove(kind, id) => {
                self.remove(*kind, id);
                *kind
            }
            Put::Token(token) => {
                self.pending.push(Pending::Token(token.clone()));
                Kind::Token
            }
        };
        self.position = place;
        self.newest_at = self.newest_at.max(at);
        self.keys_changed(kind);
        Ok(())
    }

    pub(crate) fn keys_changed(&mut self, kind: Kind) {
        if kind == Kind::Key {
            self.published = Arc::new(Published::new(&self.keys));
            self.simple = self.keys.values().find(|key| key.is_active() && key.simple.is_some()).cloned();
        }
    }

    /// The key that signs the simple contract's tokens.
    pub(crate) fn simple_key_id(&self) -> Option<&str> {
        Some(&self.simple.as_ref()?.record.id)
    }

    /// Mints the simple contract's tokens.
    #[must_use]
    pub fn simple_minter(&self) -> Option<&SimpleMinter> {
        Some(&self.simple.as_ref()?.simple.as_ref()?.minter)
    }

    /// Keys whose tokens are not accepted any more. Of the simple contract's only those that no older one has outlived:
    /// a token that was revoked by its id alone may be of any that there was. It may also be an access token, so its entry
    /// outlives the key for as long as the longest of those could live.
    pub(crate) fn retired_keys(&self, certain: UnixTime) -> Vec<String> {
        let keys = || self.keys.values().map(|key| &key.record);
        let is_simple = |key: &&KeyRecord| key.is_simple() && key.state.is_published();
        let oldest = keys().filter(is_simple).map(|key| key.created_at).min();
        let is_gone = |key: &&KeyRecord| {
            let outlived = oldest.is_some_and(|oldest| oldest < key.created_at);
            let is_past = |timing: Timing| certain >= timing.last_token_gone(key.state.since());
            let is_needed = key.is_simple() && (outlived || !self.timing.is_some_and(is_past));
            !key.state.is_published() && !is_needed
        };
        keys().filter(is_gone).map(|key| key.id.clone()).collect()
    }
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => error,
            error @ (OpenError::MasterKey(_) | OpenError::OtherMasterKey) => Self::Unavailable(error.to_string()),
            error @ OpenError::UnusableKey { .. } => Self::Corrupt(error.to_string()),
        }
    }
}
