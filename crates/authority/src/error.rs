//! What can go wrong, one small enum per operation. No message holds a byte of a token, a key or a caller's data.

use jose::error::{JsonError, ParseError, SignError};
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
}

impl MintError {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Randomness(_) => "no_randomness",
            Self::Sign(error) => error.code(),
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
