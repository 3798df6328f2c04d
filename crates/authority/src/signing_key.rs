//! The signing key of the simple contract: a text whose UTF-8 bytes are the HMAC key, hex digits or not.

use std::fmt;

use jose::error::KeyError;
use jose::{Algorithm, SigningKey};
use zeroize::Zeroizing;

use crate::error::SimpleKeyError;
use crate::ports::Randomness;

/// The key of the published example tokens.
const PUBLISHED: &str = "a9ddbcaba8c0ac1a0a812dc0c2f08514b23f2db0a68343cb8199ebb38a6d91e4\
                         ebfb378e22ad39c2d01d0b4ec9c34aa91056862ddace3fbbd6852ee60c36acbf";

/// Whether the published example key, with which anyone can forge tokens, may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishedKey {
    /// Refuse it.
    Refused,
    /// Use it: for tests and demonstrations.
    Allowed,
}

/// A signing key that may be used, wiped from memory when it is dropped.
#[derive(Clone)]
pub struct SimpleKey(Zeroizing<String>);

impl SimpleKey {
    /// Takes `text` as the signing key.
    ///
    /// # Errors
    /// [`SimpleKeyError`] when it has fewer than 64 bytes (RFC 7518 section 3.2), or is the published example and that
    /// is refused.
    pub fn new(text: Zeroizing<String>, published: PublishedKey) -> Result<Self, SimpleKeyError> {
        if text.trim() == PUBLISHED && published == PublishedKey::Refused {
            return Err(SimpleKeyError::Published);
        }
        let key = Self(text);
        key.signing_key()?;
        Ok(key)
    }

    /// A new key: 64 random bytes, written as 128 lower-case hex digits.
    ///
    /// # Errors
    /// [`RandomnessError`](crate::error::RandomnessError) when there are no random bytes.
    pub fn generate(randomness: &dyn Randomness) -> Result<Self, crate::error::RandomnessError> {
        let mut bytes = Zeroizing::new([0; 64]);
        randomness.fill(&mut *bytes)?;
        let mut text = Zeroizing::new(String::with_capacity(128));
        for byte in *bytes {
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(digit.into(), 16));
            }
        }
        Ok(Self(text))
    }

    /// The key as text, for the file that it is kept in.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The key bound to HS512.
    pub(crate) fn signing_key(&self) -> Result<SigningKey, SimpleKeyError> {
        SigningKey::hmac(Algorithm::HS512, self.0.as_bytes()).map_err(|error| match error {
            KeyError::TooShort { required, actual } => SimpleKeyError::TooShort { required, actual },
            _ => SimpleKeyError::Unusable,
        })
    }
}

impl fmt::Debug for SimpleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimpleKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(text: &str, published: PublishedKey) -> Result<SimpleKey, SimpleKeyError> {
        SimpleKey::new(Zeroizing::new(text.to_owned()), published)
    }

    #[test]
    fn bytes_count_not_characters() {
        assert_eq!(
            take(&"x".repeat(63), PublishedKey::Refused).unwrap_err(),
            SimpleKeyError::TooShort { required: 64, actual: 63 }
        );
        assert!(take(&"x".repeat(64), PublishedKey::Refused).is_ok());
        assert!(take(&"é".repeat(32), PublishedKey::Refused).is_ok());
    }

    #[test]
    fn the_published_key_needs_permission() {
        for spelled in [PUBLISHED.to_owned(), format!("{PUBLISHED} "), format!("\n{PUBLISHED}\n\n")] {
            assert_eq!(take(&spelled, PublishedKey::Refused).unwrap_err(), SimpleKeyError::Published);
        }
        assert!(take(PUBLISHED, PublishedKey::Allowed).is_ok());
    }

    #[test]
    fn debug_shows_nothing() {
        let key = take(&"k".repeat(64), PublishedKey::Refused).unwrap();
        assert!(!format!("{key:?}").contains("kk"));
    }
}
