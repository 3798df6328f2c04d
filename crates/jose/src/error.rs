//! What can go wrong, one small enum per operation. No message holds a byte of a token or a key.

use thiserror::Error;

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
    HeaderEncoding(#[source] Base64Error),
    /// The payload is not base64url.
    #[error("the payload: {0}")]
    PayloadEncoding(#[source] Base64Error),
    /// The signature is not base64url.
    #[error("the signature: {0}")]
    SignatureEncoding(#[source] Base64Error),
    /// The header is not a JSON object with unique members.
    #[error("the header: {0}")]
    Header(#[from] JsonError),
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

/// Why bytes cannot serve as a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The key is of another kind than the algorithm wants.
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
}

impl KeyError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::WrongAlgorithm => "key_wrong_algorithm",
            Self::TooShort { .. } => "key_too_short",
        }
    }
}

/// Why signing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignError {
    /// The token would be longer than [`MAX_TOKEN_LENGTH`](crate::MAX_TOKEN_LENGTH), so that nobody could verify it.
    #[error("the payload is too long")]
    TooLong,
}

impl SignError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "payload_too_long",
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
}

impl VerifierError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NothingAllowed => "verifier_nothing_allowed",
            Self::KeyNotAllowed => "verifier_key_not_allowed",
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
