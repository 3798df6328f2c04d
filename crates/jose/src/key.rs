//! Keys that sign and keys that verify, each bound to exactly one algorithm (RFC 8725 section 3.1).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, ParsedPublicKey, PqdsaKeyPair};
use aws_lc_rs::signature::{RsaKeyPair, RsaSignatureEncoding};

use crate::algorithm::{Algorithm, Primitive};
use crate::error::{KeyError, SignError};

/// A key that signs. The crypto library holds its private part and wipes it when it is dropped.
#[derive(Clone)]
pub struct SigningKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    pub(crate) private: Private,
    pub(crate) public: Public,
}

/// A key that verifies.
#[derive(Clone)]
pub struct VerifyingKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    pub(crate) public: Public,
}

#[derive(Clone)]
pub(crate) enum Private {
    Hmac(Arc<hmac::Key>),
    Rsa(Arc<RsaKeyPair>, &'static RsaSignatureEncoding),
    Ecdsa(Arc<EcdsaKeyPair>),
    Ed25519(Arc<Ed25519KeyPair>),
    /// With the length of its signatures.
    MlDsa(Arc<PqdsaKeyPair>, usize),
}

#[derive(Clone)]
pub(crate) enum Public {
    Hmac(Arc<hmac::Key>),
    Asymmetric(ParsedPublicKey),
}

/// Room for a signature: short ones need no allocation, and none is moved once it is made.
pub(crate) struct Room {
    short: [u8; SHORT],
    long: Vec<u8>,
}

/// The longest signature of ECDSA (P-521); HMAC and Ed25519 have 64 bytes or fewer.
const SHORT: usize = 132;

impl Room {
    pub(crate) fn new() -> Self {
        Self { short: [0; SHORT], long: Vec::new() }
    }

    fn short(&mut self, signature: &[u8]) -> Result<&[u8], SignError> {
        let room = self.short.get_mut(..signature.len()).ok_or(SignError::Primitive)?;
        room.copy_from_slice(signature);
        Ok(room)
    }

    fn long(&mut self, length: usize) -> &mut [u8] {
        self.long.resize(length, 0);
        &mut self.long
    }
}

impl Private {
    pub(crate) fn hmac(hash: hmac::Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        new_hmac(hash, secret).map(Self::Hmac)
    }
}

impl Public {
    pub(crate) fn hmac(hash: hmac::Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        new_hmac(hash, secret).map(Self::Hmac)
    }
}

fn new_hmac(hash: hmac::Algorithm, secret: &[u8]) -> Result<Arc<hmac::Key>, KeyError> {
    let required = hash.tag_len();
    if secret.len() < required {
        return Err(KeyError::TooShort { required, actual: secret.len() });
    }
    Ok(Arc::new(hmac::Key::new(hash, secret)))
}

impl SigningKey {
    /// Binds `secret` to an HMAC algorithm. Other keys come from a [`Jwk`](crate::Jwk) or a PEM text.
    ///
    /// # Errors
    /// [`KeyError::TooShort`] when the secret has fewer bytes than the hash (RFC 7518 section 3.2),
    /// [`KeyError::WrongAlgorithm`] when the algorithm is not an HMAC.
    ///
    /// ```
    /// use jose::{Algorithm, SigningKey};
    /// assert!(SigningKey::hmac(Algorithm::HS512, &[7; 64]).is_ok());
    /// assert_eq!(SigningKey::hmac(Algorithm::HS512, &[7; 63]).unwrap_err().code(), "key_too_short");
    /// assert_eq!(SigningKey::hmac(Algorithm::ES256, &[7; 64]).unwrap_err().code(), "key_wrong_algorithm");
    /// ```
    pub fn hmac(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        let Primitive::Hmac(hash) = algorithm.primitive() else { return Err(KeyError::WrongAlgorithm) };
        let key = new_hmac(*hash, secret)?;
        Ok(Self { algorithm, key_id: None, private: Private::Hmac(key.clone()), public: Public::Hmac(key) })
    }

    /// The algorithm that this key is bound to.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key's id, which signers put into the header.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey { algorithm: self.algorithm, key_id: self.key_id.clone(), public: self.public.clone() }
    }

    /// The signature of `message`, made in `room`.
    pub(crate) fn sign<'r>(&self, message: &[u8], room: &'r mut Room) -> Result<&'r [u8], SignError> {
        let failed = |_| SignError::Primitive;
        // The library draws its own randomness, from its own generator.
        let random = SystemRandom::new();
        match &self.private {
            Private::Hmac(key) => {
                hmac::sign_to_buffer(key, message, &mut room.short).map(|signature| &*signature).map_err(failed)
            }
            Private::Rsa(pair, encoding) => {
                let signature = room.long(pair.public_modulus_len());
                pair.sign(*encoding, &random, message, signature).map_err(failed)?;
                Ok(signature)
            }
            Private::Ecdsa(pair) => room.short(pair.sign(&random, message).map_err(failed)?.as_ref()),
            Private::Ed25519(pair) => room.short(pair.try_sign(message).map_err(failed)?.as_ref()),
            Private::MlDsa(pair, length) => {
                let signature = room.long(*length);
                pair.sign(message, signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }

    /// An upper bound for the length of a signature, in bytes.
    pub(crate) fn signature_len(&self) -> usize {
        match &self.private {
            Private::Hmac(key) => key.algorithm().tag_len(),
            Private::Rsa(pair, _) => pair.public_modulus_len(),
            Private::Ecdsa(_) => 132,
            Private::Ed25519(_) => 64,
            Private::MlDsa(_, length) => *length,
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SigningKey");
        debug.field("algorithm", &self.algorithm).field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl VerifyingKey {
    /// The algorithm that this key is bound to.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key's id.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Whether `signature` is one of `message`; for a MAC in time that does not depend on where they differ.
    pub(crate) fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.public {
            // As the library's own check, without moving what it has made.
            Public::Hmac(key) => hmac::sign_to_buffer(key, message, &mut [0; 64])
                .is_ok_and(|expected| verify_slices_are_equal(expected, signature).is_ok()),
            Public::Asymmetric(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("VerifyingKey");
        debug.field("algorithm", &self.algorithm).field("key_id", &self.key_id).finish_non_exhaustive()
    }
}
