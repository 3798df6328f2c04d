//! Keys that sign and keys that verify, each bound to exactly one algorithm (RFC 8725 section 3.1).

use std::fmt;
use std::sync::Arc;

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

/// The bytes of a signature, where the crypto library has put them.
#[allow(clippy::large_enum_variant, reason = "made and read at once, never stored")]
pub(crate) enum Signature {
    Tag(hmac::Tag),
    Short(aws_lc_rs::signature::Signature),
    Long(Vec<u8>),
}

impl AsRef<[u8]> for Signature {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Tag(tag) => tag.as_ref(),
            Self::Short(signature) => signature.as_ref(),
            Self::Long(signature) => signature,
        }
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

    /// The signature of `message`.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        let failed = |_| SignError::Primitive;
        // The library draws its own randomness, from its own generator.
        let random = SystemRandom::new();
        Ok(match &self.private {
            Private::Hmac(key) => Signature::Tag(hmac::sign(key, message)),
            Private::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).map_err(failed)?;
                Signature::Long(signature)
            }
            Private::Ecdsa(pair) => Signature::Short(pair.sign(&random, message).map_err(failed)?),
            Private::Ed25519(pair) => Signature::Short(pair.try_sign(message).map_err(failed)?),
            Private::MlDsa(pair, length) => {
                let mut signature = vec![0; *length];
                pair.sign(message, &mut signature).map_err(failed)?;
                Signature::Long(signature)
            }
        })
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
            Public::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
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
