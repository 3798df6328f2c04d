//! What is stored about keys, clients and revocations, as JSON. Members are only ever added, with a default: a store must
//! still be readable by the next version, and for a while by the former one.

use jose::Algorithm;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::StoreError;
use crate::ports::UnixTime;
use crate::scope::Scopes;
use crate::store::{Kind, Put, Record};

/// Something with a place among the records.
pub(crate) trait Recorded: Serialize + DeserializeOwned {
    /// Its kind.
    const KIND: Kind;

    /// Its id among that kind.
    fn id(&self) -> String;

    /// To be written.
    fn to_put(&self) -> Put {
        Put::Record(Record { kind: Self::KIND, id: self.id(), body: to_json(self) })
    }

    /// As it was written.
    fn read(record: &Record) -> Result<Self, StoreError> {
        serde_json::from_str(&record.body).map_err(|error| {
            StoreError::Corrupt(format!("{} {} cannot be read: {error}", record.kind.name(), record.id))
        })
    }
}

/// JSON of what has no maps with keys that are not texts, and so cannot fail.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Where a key stands: Pending → Active → VerifyOnly → Retired, or Compromised from anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Published, not signing yet: caches of the key set are still to learn of it.
    Pending {
        /// Since when it is published.
        since: UnixTime,
        /// When every cache knows it, so that it may sign.
        due: UnixTime,
        /// Whether it waits to be activated by hand.
        held: bool,
    },
    /// Published and signing: one at a time in each slot.
    Active {
        /// Since when.
        since: UnixTime,
    },
    /// Published, not signing any more: tokens that it signed may still be valid.
    VerifyOnly {
        /// Since when.
        since: UnixTime,
        /// When the last of its tokens has expired, so that it may be retired; `None` where tokens have no expiry and
        /// it is retired by hand.
        due: Option<UnixTime>,
    },
    /// Not published any more: nothing that it signed is accepted.
    Retired {
        /// Since when.
        since: UnixTime,
    },
    /// Retired before its time, because somebody else may have it.
    Compromised {
        /// Since when.
        since: UnixTime,
    },
}

impl KeyState {
    /// The name of the state.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Active { .. } => "active",
            Self::VerifyOnly { .. } => "verify_only",
            Self::Retired { .. } => "retired",
            Self::Compromised { .. } => "compromised",
        }
    }

    /// Since when.
    #[must_use]
    pub fn since(&self) -> UnixTime {
        match self {
            Self::Pending { since, .. }
            | Self::Active { since }
            | Self::VerifyOnly { since, .. }
            | Self::Retired { since }
            | Self::Compromised { since } => *since,
        }
    }

    /// Whether tokens under the key can be accepted.
    #[must_use]
    pub fn is_published(&self) -> bool {
        matches!(self, Self::Pending { .. } | Self::Active { .. } | Self::VerifyOnly { .. })
    }
}

/// Where a key came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Made here.
    Generated,
    /// Brought by an operator.
    Imported,
    /// The simple contract's key, which has a home of its own.
    File,
}

impl Origin {
    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Imported => "imported",
            Self::File => "file",
        }
    }
}

/// A signing key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Its `kid`.
    pub id: String,
    /// What it signs with.
    #[serde(with = "algorithm_name")]
    pub algorithm: Algorithm,
    /// Where it stands.
    pub state: KeyState,
    /// When it came here.
    pub created_at: UnixTime,
    /// Where from.
    pub origin: Origin,
    /// Its public part as the JSON text of a JWK; `None` for shared secrets.
    pub public_jwk: Option<String>,
    /// Its private part, sealed; gone when it is not needed any more.
    pub(crate) sealed: Option<String>,
}

impl KeyRecord {
    /// Whether it is one of the simple contract's.
    #[must_use]
    pub fn is_simple(&self) -> bool {
        self.algorithm.is_symmetric()
    }

    /// What its private part is sealed for.
    pub(crate) fn purpose(id: &str, algorithm: Algorithm) -> String {
        format!("key {} {id}", algorithm.name())
    }
}

impl std::fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("KeyRecord");
        debug.field("id", &self.id).field("algorithm", &self.algorithm).field("state", &self.state);
        debug.finish_non_exhaustive()
    }
}

impl Recorded for KeyRecord {
    const KIND: Kind = Kind::Key;

    fn id(&self) -> String {
        self.id.clone()
    }
}

/// What holds for all keys of one algorithm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Its algorithm.
    #[serde(with = "algorithm_name")]
    pub algorithm: Algorithm,
    /// How long a key signs before the next takes its place, in seconds; `None` leaves it to operators.
    pub rotate_every: Option<i64>,
    /// Whether clients without an algorithm of their own get tokens of this one.
    pub is_default: bool,
}

impl Recorded for Slot {
    const KIND: Kind = Kind::Slot;

    fn id(&self) -> String {
        self.algorithm.name().to_owned()
    }
}

/// What the waits of the ring are made of. All in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How long callers may cache the key set.
    pub max_age: i64,
    /// The longest that a token lives.
    pub longest_token: i64,
    /// How far clocks may be apart.
    pub leeway: i64,
}

/// The terms in force, and how long former ones still matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Timing {
    /// Those in force.
    pub terms: Terms,
    /// Until when copies of the key set that were handed out under longer terms may be in caches.
    pub cached_until: UnixTime,
    /// Until when tokens that were issued under longer terms may live.
    pub tokens_until: UnixTime,
}

impl Recorded for Timing {
    const KIND: Kind = Kind::Setting;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}

impl Timing {
    pub(crate) const ID: &'static str = "timing";
}

/// A setting that is one text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl Setting {
    /// Who issues the tokens.
    pub(crate) const ISSUER: &'static str = "issuer";
    /// The id of the master key.
    pub(crate) const MASTER_KEY: &'static str = "master_key";
    /// The key of the hash of client secrets, sealed; also what it is sealed for.
    pub(crate) const SECRET_HASH_KEY: &'static str = "secret_hash_key";

    pub(crate) fn new(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), value: value.into() }
    }
}

impl Recorded for Setting {
    const KIND: Kind = Kind::Setting;

    fn id(&self) -> String {
        self.name.clone()
    }
}

/// One secret of a client, as a keyed hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRecord {
    /// Tells it from the client's other one.
    pub id: String,
    /// When it was made.
    pub created_at: UnixTime,
    /// HMAC-SHA-256 of the secret, in base64url.
    pub(crate) hash: String,
}

/// Somebody who gets tokens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// For people.
    pub name: String,
    /// What it may ask for.
    #[serde(with = "scope_text")]
    pub scopes: Scopes,
    /// For whom its tokens may be; the first is what it gets without asking.
    pub audiences: Vec<String>,
    /// How long its tokens live, in seconds.
    pub token_lifetime: i64,
    /// What they are signed with; `None` is the default slot's.
    #[serde(with = "optional_algorithm_name")]
    pub algorithm: Option<Algorithm>,
    /// Its secrets: two while they are being rotated.
    pub secrets: Vec<SecretRecord>,
    /// The public keys that it signs assertions with (RFC 7523), as the JSON text of a JWK Set.
    pub jwks: Option<String>,
    /// When it was created.
    pub created_at: UnixTime,
    /// When it was last changed.
    pub updated_at: UnixTime,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("id", &self.id).field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

impl Recorded for Client {
    const KIND: Kind = Kind::Client;

    fn id(&self) -> String {
        self.id.clone()
    }
}

/// Whose tokens a rule revokes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// Tokens about this subject (`sub`).
    Subject(String),
    /// Tokens that were issued to this client (`client_id`).
    Client(String),
}

/// A revocation of everything that was issued before a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// Whose tokens.
    pub whose: Whose,
    /// Tokens with an `iat` up to this second are not accepted.
    pub until: UnixTime,
    /// Since when.
    pub revoked_at: UnixTime,
    /// Who did it.
    pub actor: String,
    /// Why; may be empty.
    pub reason: String,
}

impl Recorded for Rule {
    const KIND: Kind = Kind::Rule;

    fn id(&self) -> String {
        self.id.clone()
    }
}

mod algorithm_name {
    use super::*;

    pub(super) fn serialize<S: Serializer>(algorithm: &Algorithm, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(algorithm.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Algorithm, D::Error> {
        let name = String::deserialize(deserializer)?;
        Algorithm::find_by_name(&name).ok_or_else(|| D::Error::custom("unknown algorithm"))
    }
}

mod optional_algorithm_name {
    use super::*;

    pub(super) fn serialize<S: Serializer>(algorithm: &Option<Algorithm>, serializer: S) -> Result<S::Ok, S::Error> {
        algorithm.map(Algorithm::name).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Algorithm>, D::Error> {
        let Some(name) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        Algorithm::find_by_name(&name).map(Some).ok_or_else(|| D::Error::custom("unknown algorithm"))
    }
}

mod scope_text {
    use super::*;

    pub(super) fn serialize<S: Serializer>(scopes: &Scopes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&scopes.to_text())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Scopes, D::Error> {
        Scopes::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
