//! Keys, each bound to exactly one algorithm (RFC 8725 section 3.1).

use std::fmt;

use aws_lc_rs::hmac;

use crate::algorithm::{Algorithm, Primitive};
use crate::error::KeyError;

/// A key that signs. Its bytes are held by the crypto library, which wipes them when it is dropped.
#[derive(Clone)]
pub struct SigningKey {
    algorithm: Algorithm,
    material: hmac::Key,
}

impl SigningKey {
    /// Binds `secret` to an HMAC algorithm.
    ///
    /// # Errors
    /// [`KeyError::TooShort`] when the secret has fewer bytes than the hash (RFC 7518 section 3.2).
    pub fn hmac(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        let Primitive::Hmac(hash) = algorithm.primitive();
        let required = hash.tag_len();
        if secret.len() < required {
            return Err(KeyError::TooShort { required, actual: secret.len() });
        }
        Ok(Self { algorithm, material: hmac::Key::new(*hash, secret) })
    }

    /// The algorithm that this key is bound to.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey { algorithm: self.algorithm, material: self.material.clone() }
    }

    /// The signature of `message`.
    pub(crate) fn sign(&self, message: &[u8]) -> impl AsRef<[u8]> + use<> {
        hmac::sign(&self.material, message)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// A key that verifies.
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    material: hmac::Key,
}

impl VerifyingKey {
    /// The algorithm that this key is bound to.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is the one of `message`, in time that does not depend on where they differ.
    pub(crate) fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.material, message, signature).is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
