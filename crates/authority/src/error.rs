//! What can go wrong, one small enum per operation. No message holds a byte of a token, a key or a caller's data.

use jose::error::{ClaimsError, JsonError, ParseError, SignError, VerifyError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The operating system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the operating system gave no random bytes")]
pub struct RandomnessError;

/// Why a text cannot be the signing key of the simple contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SimpleKeyError {
    /// HS512 needs a key of 64 bytes or more (RFC 7518 section 3.2).
    #[error("the signing key has {actual} bytes, HS512 needs {required} or more")]
    TooShort {
        /// Bytes needed.
        required: usize,
        /// Bytes given.
        actual: usize,
    },
    /// The token library refuses it.
    #[error("the signing key cannot be used")]
    Unusable,
    /// The key stands in a published document, so anyone can forge tokens with it.
    #[error("the signing key is a published example: anyone can forge tokens with it")]
    Published,
}

impl SimpleKeyError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooShort { .. } => "signing_key_too_short",
            Self::Unusable => "signing_key_unusable",
            Self::Published => "signing_key_published",
        }
    }
}

/// Why no token was minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MintError {
    /// No random bytes for the token's id.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// The token could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// No key of the simple contract signs.
    #[error("no key signs")]
    NoKey,
}

impl MintError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Randomness(_) => "no_randomness",
            Self::Sign(error) => error.code(),
            Self::NoKey => "no_key",
        }
    }
}

/// Why a text is not a token that could be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MalformedToken {
    /// Not a compact serialization.
    #[error(transparent)]
    Form(#[from] ParseError),
    /// The header is not a strict JSON object.
    #[error("the header: {0}")]
    Header(JsonError),
    /// The claims are not a strict JSON object.
    #[error("the claims: {0}")]
    Claims(JsonError),
}

impl MalformedToken {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Form(error) => error.code(),
            Self::Header(_) => "header_json",
            Self::Claims(_) => "claims_json",
        }
    }
}

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// A newer version of the program wrote it.
    #[error("the store was written by a newer version (its schema is {found}, this program knows up to {known})")]
    Newer {
        /// The version of its schema.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// It is something else.
    #[error("what is there is not a store of jotd")]
    NotAStore,
    /// There is none, where there should be one.
    #[error("there is no store there; a server that starts makes one")]
    Missing,
    /// Its content is damaged.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// There is no room left for it.
    #[error("there is no space left for the store: {0}")]
    Full(String),
    /// It cannot be written.
    #[error("the store cannot be written: {0}")]
    ReadOnly(String),
    /// It does not let this program in.
    #[error("the store refuses access: {0}")]
    Denied(String),
    /// Others held it for too long.
    #[error("the store was busy for too long")]
    Busy,
    /// The connection was lost while it was about to be written.
    #[error("it is not known whether it was stored: {0}")]
    Uncertain(String),
    /// The log does not reach back that far.
    #[error("the log of changes does not reach back that far")]
    Trimmed,
    /// Whatever else keeps it from being used.
    #[error("the store cannot be used: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Newer { .. } => "store_newer",
            Self::NotAStore => "store_not_ours",
            Self::Missing => "store_missing",
            Self::Corrupt(_) => "store_corrupt",
            Self::Full(_) => "store_full",
            Self::ReadOnly(_) => "store_read_only",
            Self::Denied(_) => "store_denied",
            Self::Busy => "store_busy",
            Self::Uncertain(_) => "store_uncertain",
            Self::Trimmed => "store_trimmed",
            Self::Unavailable(_) => "store_unavailable",
        }
    }
}

/// Why there is no master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a master key is 64 hex digits")]
pub struct MasterKeyError;

/// Why something was not encrypted or decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// No random bytes for the nonce.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// It was sealed under another master key.
    #[error("sealed under another master key")]
    OtherKey,
    /// It was changed, or is for something else.
    #[error("not what was sealed for this purpose")]
    Damaged,
    /// The crypto library failed.
    #[error("the crypto library failed")]
    Primitive,
}

/// Why a text is not a list of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ScopeError {
    /// RFC 6749 section 3.3 allows other characters only.
    #[error("a scope is 1 to 128 visible ASCII characters other than double quote and backslash")]
    Malformed,
    /// More than a hundred.
    #[error("more than 100 scopes")]
    TooMany,
    /// Scopes that begin with `jotd:` are jotd's own.
    #[error("scopes that begin with jotd: are jotd's own, and this one is not among them")]
    UnknownOwn,
}

/// Why the store could not be opened for use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The master key could not be read.
    #[error("the master key cannot be read: {0}")]
    MasterKey(#[from] MasterKeyError),
    /// The store's secrets are encrypted under another master key.
    #[error("the store's secrets are encrypted under another master key than the one that was given")]
    OtherMasterKey,
    /// A stored key cannot be used.
    #[error("the stored key {key_id} cannot be used: {what}")]
    UnusableKey {
        /// Which.
        key_id: String,
        /// Why.
        what: String,
    },
}

/// Why a step of a key was not made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyringError {
    /// There is no such key.
    #[error("there is no such key")]
    NoSuchKey,
    /// No key of this algorithm was ever added.
    #[error("there are no keys of this algorithm")]
    NoSuchSlot,
    /// It is there already.
    #[error("there is a key with this id already")]
    KeyExists,
    /// The wait is not over.
    #[error("the key can be {step} from {} on", jose::NumericDate::from_seconds(allowed_at.0))]
    TooEarly {
        /// Which step.
        step: &'static str,
        /// From when on it is allowed.
        allowed_at: crate::ports::UnixTime,
    },
    /// The key is past that, or not there yet.
    #[error("a key that is {state} cannot be {step}")]
    NotPossible {
        /// Which step.
        step: &'static str,
        /// Where the key stands.
        state: &'static str,
    },
    /// The key signs; another must take its place first.
    #[error("the key is signing: rotate first, and it retires by itself when its last token has expired")]
    StillSigning,
    /// One at a time.
    #[error("key {key_id} of this algorithm is pending already: activate or retire it first")]
    AlreadyPending {
        /// Which.
        key_id: String,
    },
    /// As many keys of one algorithm are published as may be.
    #[error("too many keys of this algorithm are published: wait until some are retired")]
    TooManyKeys,
    /// A compromised key was signing, and nothing can take its place.
    #[error("there is no key to take its place")]
    NoReplacement,
    /// It is not for public signatures, or has no private part, or is weak.
    #[error("the key cannot sign access tokens: {0}")]
    Unusable(String),
    /// A schedule that publishes keys faster than callers learn of them, or hardly ever.
    #[error("keys are rotated every {shortest} (twice the wait for caches) to {longest} seconds, or never")]
    Schedule {
        /// The shortest that is allowed, in seconds.
        shortest: i64,
        /// The longest, in seconds.
        longest: i64,
    },
    /// The simple contract's key has a home outside the store.
    #[error("the simple contract's key comes from outside: replace it there and start again")]
    FromOutside,
    /// The simple contract's key that was given is not the one that all use.
    #[error("the simple contract's key that was given is another than the one in the store, which all nodes use")]
    OtherSimpleKey,
    /// It was given up, and what it signed was forgotten with it.
    #[error("the key was retired or compromised, and cannot come back: use another")]
    GivenUp,
    /// Its private part was not kept.
    #[error("the private part of the key is gone, because it does not sign any more")]
    NoPrivatePart,
    /// It could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store is not set up yet.
    #[error("the store is not set up yet")]
    NotSetUp,
}

impl KeyringError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchKey | Self::NoSuchSlot => "not_found",
            Self::KeyExists => "key_exists",
            Self::TooEarly { .. } => "step_too_early",
            Self::NotPossible { .. } => "step_not_possible",
            Self::StillSigning => "key_still_signing",
            Self::AlreadyPending { .. } => "key_already_pending",
            Self::TooManyKeys => "too_many_keys",
            Self::NoReplacement => "no_replacement",
            Self::Unusable(_) => "key_unusable",
            Self::Schedule { .. } => "invalid_schedule",
            Self::FromOutside => "key_from_outside",
            Self::OtherSimpleKey => "other_simple_key",
            Self::GivenUp => "key_given_up",
            Self::NoPrivatePart => "no_private_part",
            Self::Seal(_) => "internal",
            Self::NotSetUp => "not_set_up",
        }
    }
}

/// Why a client was not created or changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientError {
    /// There is no such client.
    #[error("there is no such client")]
    NoSuchClient,
    /// It is there already.
    #[error("there is a client with this id already")]
    ClientExists,
    /// An id is 1 to 128 letters, digits and `._~-`.
    #[error("a client id is 1 to 128 letters, digits and . _ ~ -, not reserved and without a dash in front")]
    Id,
    /// A name is 1 to 256 characters.
    #[error("a name is 1 to 256 characters, without control characters")]
    Name,
    /// A scope that is none.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// Whoever could administer such a client would have the scope.
    #[error("the client has, or would have, a scope of jotd's own that you do not have")]
    Beyond,
    /// One to 32, each of 1 to 1024 visible ASCII characters.
    #[error("a client has 1 to 32 different audiences, each of 1 to 1024 visible ASCII characters")]
    Audiences,
    /// Longer than any token may live, or not at all.
    #[error("tokens live between 1 and {longest} seconds")]
    Lifetime {
        /// The longest that is allowed, in seconds.
        longest: i64,
    },
    /// No active key of this algorithm.
    #[error("no key of this algorithm signs: add one, and wait until it is active")]
    Algorithm,
    /// The keys cannot verify anything.
    #[error("jwks: {0}")]
    Jwks(String),
    /// Two at a time.
    #[error("the client has two secrets already: remove the older one first")]
    TooManySecrets,
    /// There is no such secret.
    #[error("the client has no such secret")]
    NoSuchSecret,
    /// Without it the client could not authenticate.
    #[error("it is the client's last secret, and the client has no keys: make another one first")]
    LastSecret,
    /// No random bytes.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// The store is not set up yet.
    #[error("the store is not set up yet")]
    NotSetUp,
}

impl ClientError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchClient | Self::NoSuchSecret => "not_found",
            Self::ClientExists => "client_exists",
            Self::Id => "invalid_client_id",
            Self::Name => "invalid_name",
            Self::Scope(_) => "invalid_scope",
            Self::Beyond => "scope_not_allowed",
            Self::Audiences => "invalid_audiences",
            Self::Lifetime { .. } => "invalid_token_lifetime",
            Self::Algorithm => "algorithm_not_available",
            Self::Jwks(_) => "invalid_jwks",
            Self::TooManySecrets => "too_many_secrets",
            Self::LastSecret => "last_secret",
            Self::Randomness(_) => "internal",
            Self::NotSetUp => "not_set_up",
        }
    }
}

/// Why nothing was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokeError {
    /// It is not a token of this authority, or its signature does not hold.
    #[error("the token is not one of this authority's")]
    NotOurs,
    /// It has expired by itself.
    #[error("the token has expired, so there is nothing to revoke")]
    Expired,
    /// Longer than texts may be.
    #[error("a reason is up to 1024 characters, a subject or token id 1 to 1024")]
    TooLong,
    /// The expiry is in the past.
    #[error("expires_at is in the past, so there is nothing to revoke")]
    Past,
    /// The expiry is beyond the year 9999.
    #[error("expires_at is beyond the year 9999")]
    Far,
    /// There is no such client.
    #[error("there is no such client")]
    NoSuchClient,
    /// More than may be revoked by one call.
    #[error("no more than 10000 revocations can be made at a time")]
    TooMany,
}

impl RevokeError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotOurs => "token_not_ours",
            Self::Expired => "token_expired",
            Self::TooLong => "text_too_long",
            Self::Past => "expiry_in_the_past",
            Self::Far => "expiry_too_far",
            Self::NoSuchClient => "not_found",
            Self::TooMany => "too_many_revocations",
        }
    }
}

/// Why a mutation was not made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AdminError {
    /// About a key.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// About a client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// About a revocation.
    #[error(transparent)]
    Revoke(#[from] RevokeError),
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// What the caller was let in by was revoked before its order came to be decided.
    #[error("what the caller was let in by was revoked")]
    CallerRevoked,
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AdminError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Keyring(error) => error.code(),
            Self::Client(error) => error.code(),
            Self::Revoke(error) => error.code(),
            Self::KeyReused => "idempotency_key_reused",
            Self::CallerRevoked => "caller_revoked",
            Self::Store(error) => error.code(),
        }
    }
}

/// Why a client is not who it says. Callers are told no more than that it failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuthenticationError {
    /// There is no such client, or its secret is another.
    #[error("there is no such client, or its secret is another")]
    Secret,
    /// The assertion cannot be read.
    #[error("the assertion cannot be read")]
    MalformedAssertion,
    /// The assertion's signature does not hold under a key of the client.
    #[error("the assertion's signature does not hold")]
    AssertionSignature,
    /// The assertion says something else than it must.
    #[error("the assertion's claims are not as they must be")]
    AssertionClaims,
    /// The assertion was used before.
    #[error("the assertion was used before")]
    Replayed,
    /// The store could not remember the assertion.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AuthenticationError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Secret => "client_secret",
            Self::MalformedAssertion => "assertion_malformed",
            Self::AssertionSignature => "assertion_signature",
            Self::AssertionClaims => "assertion_claims",
            Self::Replayed => "assertion_replayed",
            Self::Store(error) => error.code(),
        }
    }
}

/// Why a client got no token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GrantError {
    /// A scope that is none, or that the client may not have.
    #[error("the client may not have this scope")]
    Scope,
    /// A resource that is not among the client's audiences.
    #[error("the resource is not among the client's audiences")]
    Target,
    /// Claims that jotd sets itself.
    #[error("the claim {0} is set by jotd, or must not be there")]
    ReservedClaim(String),
    /// Claims that cannot be signed.
    #[error("the claims cannot be signed: {0}")]
    Claims(String),
    /// Claims that must be there.
    #[error("the claim {0} must be there")]
    MissingClaim(&'static str),
    /// The authority itself cannot be the audience of such a token.
    #[error("the audience of a minted token cannot be jotd itself")]
    OwnAudience,
    /// Longer than tokens may live, or not at all.
    #[error("tokens live between 1 and {longest} seconds")]
    Lifetime {
        /// The longest that is allowed, in seconds.
        longest: i64,
    },
    /// Scopes of jotd's own, which such a token cannot have.
    #[error("a minted token cannot have scopes of jotd's own")]
    OwnScope,
    /// Everything that is issued to the client, or about the subject, in this second is revoked.
    #[error("everything that is issued up to the present second is revoked")]
    JustRevoked {
        /// In how many seconds it is not any more.
        seconds: i64,
    },
    /// It was changed or removed since it authenticated.
    #[error("the client has just been changed")]
    ClientChanged,
    /// No key of the algorithm that was asked for signs.
    #[error("no key of this algorithm signs")]
    Algorithm,
    /// No key signs.
    #[error("no key signs")]
    NoKey,
    /// No random bytes, or the crypto library failed, or the token would be too long.
    #[error(transparent)]
    Mint(#[from] MintError),
}

impl GrantError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Scope => "invalid_scope",
            Self::Target => "invalid_target",
            Self::ReservedClaim(_) => "claim_reserved",
            Self::Claims(_) => "claims_invalid",
            Self::MissingClaim(_) => "claim_missing",
            Self::OwnAudience => "audience_not_allowed",
            Self::Lifetime { .. } => "invalid_lifetime",
            Self::OwnScope => "scope_not_allowed",
            Self::JustRevoked { .. } => "just_revoked",
            Self::ClientChanged => "client_changed",
            Self::Algorithm => "algorithm_not_available",
            Self::NoKey => "no_key",
            Self::Mint(error) => error.code(),
        }
    }
}

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// It is not a token at all.
    #[error(transparent)]
    Form(#[from] ParseError),
    /// No key of ours, or the signature does not hold.
    #[error(transparent)]
    Signature(#[from] VerifyError),
    /// Its claims are not as they must be.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// The client that it was issued to is gone.
    #[error("the client that it was issued to is gone")]
    ClientGone,
    /// It was revoked.
    #[error("it was revoked")]
    Revoked(Revoked),
}

/// What revoked a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revoked {
    /// An entry of its own.
    Token(crate::store::RevocationId),
    /// The rule of this id.
    Rule(String),
}

impl TokenError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Form(error) => error.code(),
            Self::Signature(error) => error.code(),
            Self::Claims(error) => error.code(),
            Self::ClientGone => "client_gone",
            Self::Revoked(_) => "revoked",
        }
    }
}
