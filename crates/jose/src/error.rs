//! What can go wrong, one small enum per operation. No message holds a byte of a token or a key, and each says it all:
//! what lies below is part of the message, not a source behind it.

use std::time::Duration;

use thiserror::Error;

use crate::report::Spoken;

/// Why a text is not canonical base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Base64Error {
    /// No byte string encodes to a text of this length.
    #[error("no base64url text has this length")]
    Length,
    /// A character outside the base64url alphabet; padding and white space count.
    #[error("a character outside the base64url alphabet")]
    Symbol,
    /// The bits that stand for nothing are not all zero.
    #[error("stray bits at the end of base64url")]
    StrayBits,
}

impl Base64Error {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Length => "base64url_length",
            Self::Symbol => "base64url_symbol",
            Self::StrayBits => "base64url_stray_bits",
        }
    }
}

/// Why a text is not JSON as this crate reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JsonError {
    /// Not JSON.
    #[error("malformed JSON at byte {at}")]
    Syntax {
        /// Where, counted in bytes from the start.
        at: usize,
    },
    /// The bytes are not UTF-8.
    #[error("invalid UTF-8 at byte {at}")]
    NotUtf8 {
        /// Where, counted in bytes from the start.
        at: usize,
    },
    /// Half of a surrogate pair.
    #[error("lone surrogate at byte {at}")]
    LoneSurrogate {
        /// Where, counted in bytes from the start.
        at: usize,
    },
    /// More members than allowed.
    #[error("too many members")]
    TooManyMembers,
    /// Nested deeper than [`MAX_DEPTH`](crate::json::MAX_DEPTH).
    #[error("nested deeper than 128")]
    TooDeep,
    /// A member name given twice.
    #[error("a member is given twice")]
    DuplicateMember,
    /// Something after the value.
    #[error("something follows the JSON value at byte {at}")]
    Trailing {
        /// Where, counted in bytes from the start.
        at: usize,
    },
    /// JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
}

impl JsonError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Syntax { .. } => "json_syntax",
            Self::NotUtf8 { .. } => "json_not_utf8",
            Self::LoneSurrogate { .. } => "json_lone_surrogate",
            Self::TooManyMembers => "json_too_many_members",
            Self::TooDeep => "json_too_deep",
            Self::DuplicateMember => "json_duplicate_member",
            Self::Trailing { .. } => "json_trailing",
            Self::NotAnObject => "json_not_an_object",
        }
    }
}

/// Why a text is not a JWS in compact serialization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseError {
    /// Longer than [`MAX_TOKEN_LENGTH`](crate::MAX_TOKEN_LENGTH).
    #[error("the token is too long")]
    TooLong,
    /// Not exactly three parts with a dot between them.
    #[error("the token does not have three parts")]
    PartCount,
    /// The header is not base64url.
    #[error("the header: {0}")]
    HeaderEncoding(Base64Error),
    /// The payload is not base64url.
    #[error("the payload: {0}")]
    PayloadEncoding(Base64Error),
    /// The signature is not base64url.
    #[error("the signature: {0}")]
    SignatureEncoding(Base64Error),
    /// The header is not a JSON object with unique members.
    #[error("the header: {0}")]
    Header(JsonError),
    /// A header parameter has a value of the wrong type.
    #[error("the header parameter {0} has a value of the wrong type")]
    HeaderType(&'static str),
}

impl ParseError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::PartCount => "token_part_count",
            Self::HeaderEncoding(_) => "header_encoding",
            Self::PayloadEncoding(_) => "payload_encoding",
            Self::SignatureEncoding(_) => "signature_encoding",
            Self::Header(_) => "header_json",
            Self::HeaderType(_) => "header_type",
        }
    }
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The key is of another kind than the algorithm wants, or names another algorithm itself.
    #[error("the key does not fit the algorithm")]
    WrongAlgorithm,
    /// An HMAC key must be at least as long as the hash (RFC 7518 section 3.2).
    #[error("the key has {actual} bytes, {required} or more are needed")]
    TooShort {
        /// Bytes needed.
        required: usize,
        /// Bytes given.
        actual: usize,
    },
    /// A part of the key has another length than its kind of key has.
    #[error("a part of the key has {actual} bytes instead of {required}")]
    Length {
        /// Bytes that it has to have.
        required: usize,
        /// Bytes given.
        actual: usize,
    },
    /// RSA keys need 2048 bits or more (RFC 7518 section 3.3); beyond 8192 they only cost time.
    #[error("the RSA modulus has {bits} bits, 2048 to 8192 are needed")]
    RsaSize {
        /// The bits of the modulus.
        bits: usize,
    },
    /// The RSA public exponent is 1, even, or longer than 33 bits.
    #[error("the RSA public exponent is unsound")]
    RsaExponent,
    /// The RSA modulus is even, or the crypto library refuses it.
    #[error("the RSA modulus is unsound")]
    RsaParameters,
    /// The RSA key comes from a generator whose keys can be factored (CVE-2017-15361).
    #[error("the RSA key has the ROCA fingerprint: it can be factored")]
    Roca,
    /// The public part is not a point of the curve, or one of small order.
    #[error("the public part is not a sound point of the curve")]
    NotAPoint,
    /// The private part does not belong to the public part, or is wrong in itself.
    #[error("the private part does not belong to the public part")]
    PrivatePart,
    /// Only a public key, where a private one is needed.
    #[error("the key has no private part")]
    NotPrivate,
    /// A shared secret, where a public key is needed.
    #[error("a shared secret has no public part")]
    NoPublicPart,
    /// `key_ops` does not allow this (RFC 7517 section 4.3).
    #[error("key_ops does not allow this use of the key")]
    Operation,
    /// The crypto library could not make a key.
    #[error("no key could be made")]
    Generation,
}

impl KeyError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::WrongAlgorithm => "key_wrong_algorithm",
            Self::TooShort { .. } => "key_too_short",
            Self::Length { .. } => "key_length",
            Self::RsaSize { .. } => "key_rsa_size",
            Self::RsaExponent => "key_rsa_exponent",
            Self::RsaParameters => "key_rsa_parameters",
            Self::Roca => "key_roca",
            Self::NotAPoint => "key_not_a_point",
            Self::PrivatePart => "key_private_part",
            Self::NotPrivate => "key_not_private",
            Self::NoPublicPart => "key_no_public_part",
            Self::Operation => "key_operation",
            Self::Generation => "key_generation",
        }
    }
}

/// Why a text is not a JSON Web Key that can be used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JwkError {
    /// Longer than [`MAX_JWK_LENGTH`](crate::MAX_JWK_LENGTH).
    #[error("the key is too long")]
    TooLong,
    /// Not a strict JSON object.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A member that this type of key needs is not there.
    #[error("the member {0} is missing")]
    Missing(&'static str),
    /// A member has a value of the wrong type.
    #[error("the member {0} has a value of the wrong type")]
    Type(&'static str),
    /// A member is not canonical base64url.
    #[error("the member {name}: {error}")]
    Encoding {
        /// Which one.
        name: &'static str,
        /// Why not.
        error: Base64Error,
    },
    /// An integer is empty or has leading zeros (RFC 7518 section 2, Base64urlUInt).
    #[error("the member {0} is not in its shortest form")]
    NotMinimal(&'static str),
    /// Another `kty` than oct, RSA, EC, OKP or AKP.
    #[error("the key type is not known")]
    UnknownKeyType,
    /// Another `crv` than P-256, P-384, P-521 or Ed25519.
    #[error("the curve is not known")]
    UnknownCurve,
    /// `alg` names no signature algorithm that is known here.
    #[error("the algorithm is not a signature algorithm that is known")]
    UnknownAlgorithm,
    /// `use` or `key_ops` says that the key is for something else than signatures.
    #[error("the key is not for signatures")]
    NotForSignatures,
    /// `key_ops` names something twice (RFC 7517 section 4.3).
    #[error("key_ops names an operation twice")]
    RepeatedOperation,
    /// More than two primes (`oth`).
    #[error("RSA keys of more than two primes are not supported")]
    MultiPrime,
    /// The key itself is weak or wrong.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl JwkError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "jwk_too_long",
            Self::Json(error) => error.code(),
            Self::Missing(_) => "jwk_missing_member",
            Self::Type(_) => "jwk_member_type",
            Self::Encoding { .. } => "jwk_member_encoding",
            Self::NotMinimal(_) => "jwk_not_minimal",
            Self::UnknownKeyType => "jwk_unknown_key_type",
            Self::UnknownCurve => "jwk_unknown_curve",
            Self::UnknownAlgorithm => "jwk_unknown_algorithm",
            Self::NotForSignatures => "jwk_not_for_signatures",
            Self::RepeatedOperation => "jwk_repeated_operation",
            Self::MultiPrime => "jwk_multi_prime",
            Self::Key(error) => error.code(),
        }
    }
}

/// Why a text is not a set of JSON Web Keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JwkSetError {
    /// Longer than [`MAX_JWK_LENGTH`](crate::MAX_JWK_LENGTH).
    #[error("the set of keys is too long")]
    TooLong,
    /// Not a strict JSON object.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// No array `keys`.
    #[error("there is no array named keys")]
    NoKeys,
    /// More keys than any honest set has.
    #[error("there are more than 1024 keys")]
    TooManyKeys,
    /// Two keys of the same kind have the same `kid`.
    #[error("two keys have the same kid")]
    RepeatedKeyId,
}

impl JwkSetError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "jwk_set_too_long",
            Self::Json(error) => error.code(),
            Self::NoKeys => "jwk_set_no_keys",
            Self::TooManyKeys => "jwk_set_too_many_keys",
            Self::RepeatedKeyId => "jwk_set_repeated_key_id",
        }
    }
}

/// Why a text is not a key in PEM that can be used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PemError {
    /// Longer than [`MAX_JWK_LENGTH`](crate::MAX_JWK_LENGTH).
    #[error("the PEM text is too long")]
    TooLong,
    /// No `-----BEGIN …-----` with its end.
    #[error("there is no PEM block")]
    NoBlock,
    /// More than one block.
    #[error("there is more than one PEM block")]
    SeveralBlocks,
    /// Another label than PUBLIC KEY or PRIVATE KEY.
    #[error("the PEM block is neither a PUBLIC KEY (SPKI) nor a PRIVATE KEY (unencrypted PKCS#8)")]
    Label,
    /// What stands between the lines is not canonical base64.
    #[error("the PEM block is not base64")]
    Encoding,
    /// The bytes are not the DER of such a key.
    #[error("the PEM block does not hold a key in DER")]
    Der,
    /// A kind of key that is not known here.
    #[error("the kind of key is not known")]
    UnknownKey,
    /// An ML-DSA key that keeps its expanded form only, from which the seed cannot be found.
    #[error("the ML-DSA key does not hold its seed")]
    NoSeed,
    /// The key itself is weak or wrong.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl PemError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "pem_too_long",
            Self::NoBlock => "pem_no_block",
            Self::SeveralBlocks => "pem_several_blocks",
            Self::Label => "pem_label",
            Self::Encoding => "pem_encoding",
            Self::Der => "pem_der",
            Self::UnknownKey => "pem_unknown_key",
            Self::NoSeed => "pem_no_seed",
            Self::Key(error) => error.code(),
        }
    }
}

/// Why signing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignError {
    /// The token would be longer than [`MAX_TOKEN_LENGTH`](crate::MAX_TOKEN_LENGTH), so that nobody could verify it.
    #[error("the payload is too long")]
    TooLong,
    /// The header is not a strict JSON object.
    #[error("the header: {0}")]
    Header(JsonError),
    /// The header names another algorithm than the key's, or an extension that nobody here would understand.
    #[error("the header parameter {0} cannot be set so")]
    HeaderParameter(&'static str),
    /// The crypto library failed.
    #[error("the crypto library could not sign")]
    Primitive,
}

impl SignError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "payload_too_long",
            Self::Header(_) => "header_json",
            Self::HeaderParameter(_) => "header_parameter",
            Self::Primitive => "signing_failed",
        }
    }
}

/// Why a list of algorithms and keys cannot serve as a verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VerifierError {
    /// The list of allowed algorithms is empty, so nothing could ever be accepted.
    #[error("no algorithm is allowed")]
    NothingAllowed,
    /// A key is bound to an algorithm that is not allowed.
    #[error("a key is bound to an algorithm that is not allowed")]
    KeyNotAllowed,
    /// HMAC beside public keys: whoever has the public ones could be taken for whoever has the secret.
    #[error("shared secrets and public keys cannot be mixed")]
    Mixed,
    /// There is no key that may verify under an allowed algorithm.
    #[error("no key fits an algorithm that is allowed")]
    NoKey,
    /// The one key there is cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl VerifierError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NothingAllowed => "verifier_nothing_allowed",
            Self::KeyNotAllowed => "verifier_key_not_allowed",
            Self::Mixed => "verifier_mixed",
            Self::NoKey => "verifier_no_key",
            Self::Key(error) => error.code(),
        }
    }
}

/// Why a token was not accepted. A signature that does not hold says no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The header names no algorithm, or one that is not allowed here.
    #[error("the algorithm is not allowed")]
    AlgorithmNotAllowed,
    /// The header has `crit`, and none of its extensions are understood here (RFC 7515 section 4.1.11).
    #[error("the header demands an extension that is not understood")]
    CriticalExtension,
    /// No key fits the header.
    #[error("no key fits the token")]
    NoKey,
    /// The signature does not hold.
    #[error("the signature does not hold")]
    Signature,
}

impl VerifyError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::AlgorithmNotAllowed => "algorithm_not_allowed",
            Self::CriticalExtension => "critical_extension",
            Self::NoKey => "no_key",
            Self::Signature => "bad_signature",
        }
    }
}

/// Why the claims of a token whose signature holds were not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClaimsError {
    /// The payload is not a strict JSON object.
    #[error("the claims: {0}")]
    Json(JsonError),
    /// A registered claim has a value of the wrong type; for a time, anything but an integer or a fraction.
    #[error("the claim {0} has a value of the wrong type")]
    Type(&'static str),
    /// A claim that is required is not there.
    #[error("the claim {0} is missing")]
    Missing(String),
    /// The header's `typ` is another.
    #[error("the token is of another type")]
    Typ,
    /// `iss` is another.
    #[error("the token has another issuer")]
    Issuer,
    /// `aud` does not name who is expected.
    #[error("the token is for another audience")]
    Audience,
    /// `sub` is another.
    #[error("the token has another subject")]
    Subject,
    /// `exp` is over.
    #[error("expired {} ago", Spoken(*by))]
    Expired {
        /// Since when.
        by: Duration,
    },
    /// `nbf` is still to come.
    #[error("not valid for another {}", Spoken(*by))]
    NotYetValid {
        /// For how long.
        by: Duration,
    },
    /// `iat` is still to come.
    #[error("issued {} in the future", Spoken(*by))]
    IssuedInTheFuture {
        /// How far.
        by: Duration,
    },
    /// `iat` is longer ago than allowed.
    #[error("too old by {}", Spoken(*by))]
    TooOld {
        /// By how much.
        by: Duration,
    },
}

impl ClaimsError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "claims_json",
            Self::Type(_) => "claim_type",
            Self::Missing(_) => "claim_missing",
            Self::Typ => "wrong_typ",
            Self::Issuer => "wrong_issuer",
            Self::Audience => "wrong_audience",
            Self::Subject => "wrong_subject",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::IssuedInTheFuture { .. } => "issued_in_the_future",
            Self::TooOld { .. } => "too_old",
        }
    }

    /// How far off a time is.
    #[must_use]
    pub fn off_by(&self) -> Option<Duration> {
        match self {
            Self::Expired { by } | Self::NotYetValid { by } | Self::IssuedInTheFuture { by } | Self::TooOld { by } => {
                Some(*by)
            }
            _ => None,
        }
    }
}

/// JSON errors become those of what was read.
macro_rules! from_json_error {
    ($($error:ident :: $variant:ident),*) => {
        $(impl From<JsonError> for $error {
            fn from(error: JsonError) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

from_json_error!(ParseError::Header, SignError::Header, ClaimsError::Json);
