//! What a key is made of, whatever form it came in, and what makes it weak or wrong.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, ParsedPublicKey, PqdsaKeyPair, RsaKeyPair,
};
use zeroize::Zeroizing;

use crate::algorithm::{Algorithm, Curve, Primitive};
use crate::error::KeyError;
use crate::key::{Private, Public};
use crate::{edwards, roca};

/// Bytes that nobody may see, wiped when they are dropped.
pub(crate) type Secret = Zeroizing<Vec<u8>>;

const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// The crypto library takes no longer public exponent.
const RSA_EXPONENT_BITS: usize = 33;

/// The parts of a key by its type. What [`check`](Self::check) has seen can sign or verify.
#[derive(Clone)]
pub(crate) enum Material {
    /// A shared secret.
    Oct(Secret),
    /// Integers are big-endian without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8>, private: Option<RsaPrivate> },
    /// The point is uncompressed (SEC 1 section 2.3.3): 4, x, y.
    Ec { curve: Curve, point: Vec<u8>, d: Option<Secret> },
    /// Ed25519.
    Okp { x: [u8; 32], d: Option<Secret> },
    /// ML-DSA; the private part is the seed.
    Akp { algorithm: Algorithm, public: Vec<u8>, seed: Option<Secret> },
}

/// RFC 7518 section 6.3.2.
#[derive(Clone)]
pub(crate) struct RsaPrivate {
    pub(crate) d: Secret,
    pub(crate) p: Secret,
    pub(crate) q: Secret,
    pub(crate) dp: Secret,
    pub(crate) dq: Secret,
    pub(crate) qi: Secret,
}

impl Material {
    /// The algorithms that this kind of key can serve; for a shared secret those whose hash is not longer.
    pub(crate) fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        Algorithm::all().filter(|algorithm| self.serves(*algorithm))
    }

    pub(crate) fn serves(&self, algorithm: Algorithm) -> bool {
        match (self, algorithm.primitive()) {
            (Self::Oct(secret), Primitive::Hmac(hash)) => secret.len() >= hash.tag_len(),
            (Self::Rsa { .. }, Primitive::Rsa(..)) | (Self::Okp { .. }, Primitive::Ed25519) => true,
            (Self::Ec { curve, .. }, Primitive::Ecdsa(wanted, ..)) => *curve == wanted,
            (Self::Akp { algorithm: own, .. }, Primitive::MlDsa(..)) => *own == algorithm,
            _ => false,
        }
    }

    pub(crate) fn is_symmetric(&self) -> bool {
        matches!(self, Self::Oct(_))
    }

    pub(crate) fn is_private(&self) -> bool {
        match self {
            Self::Oct(_) => true,
            Self::Rsa { private, .. } => private.is_some(),
            Self::Ec { d, .. } | Self::Okp { d, .. } => d.is_some(),
            Self::Akp { seed, .. } => seed.is_some(),
        }
    }

    /// The same key without its private part; `None` for a shared secret, which has no public one.
    pub(crate) fn public(&self) -> Option<Self> {
        Some(match self {
            Self::Oct(_) => return None,
            Self::Rsa { n, e, .. } => Self::Rsa { n: n.clone(), e: e.clone(), private: None },
            Self::Ec { curve, point, .. } => Self::Ec { curve: *curve, point: point.clone(), d: None },
            Self::Okp { x, .. } => Self::Okp { x: *x, d: None },
            Self::Akp { algorithm, public, .. } => {
                Self::Akp { algorithm: *algorithm, public: public.clone(), seed: None }
            }
        })
    }

    /// Refuses what is weak or wrong: short secrets, unsound RSA parameters, points that are none, and private parts
    /// that do not belong to their public ones.
    ///
    /// # Errors
    /// [`KeyError`] with the reason.
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        if let Self::Rsa { n, e, .. } = self {
            check_rsa(n, e)?;
        }
        if let Self::Okp { x, .. } = self
            && !edwards::is_sound_public_key(x)
        {
            return Err(KeyError::NotAPoint);
        }
        let algorithm = self.algorithms().next().ok_or(match self {
            Self::Oct(secret) => KeyError::TooShort { required: 32, actual: secret.len() },
            _ => KeyError::WrongAlgorithm,
        })?;
        self.public_key(algorithm)?;
        if self.is_private() {
            self.private_key(algorithm)?;
        }
        Ok(())
    }

    /// What verifies under `algorithm`.
    pub(crate) fn public_key(&self, algorithm: Algorithm) -> Result<Public, KeyError> {
        let parse = |algorithm, bytes: &[u8]| ParsedPublicKey::new(algorithm, bytes).map_err(|_| KeyError::NotAPoint);
        match (self, algorithm.primitive()) {
            (Self::Oct(secret), Primitive::Hmac(hash)) => Public::hmac(*hash, secret),
            (Self::Rsa { n, e, .. }, Primitive::Rsa(_, parameters)) => {
                let components = PublicKeyComponents { n, e };
                components.to_parsed_public_key(parameters).map(Public::Asymmetric).map_err(|_| KeyError::RsaParameters)
            }
            (Self::Ec { curve, point, .. }, Primitive::Ecdsa(wanted, _, verifying)) if *curve == wanted => {
                parse(verifying, point).map(Public::Asymmetric)
            }
            (Self::Okp { x, .. }, Primitive::Ed25519) => parse(&signature::ED25519, x).map(Public::Asymmetric),
            (Self::Akp { algorithm: own, public, .. }, Primitive::MlDsa(signing, verifying)) if *own == algorithm => {
                if public.len() != signing.public_key_len() {
                    return Err(KeyError::Length { required: signing.public_key_len(), actual: public.len() });
                }
                parse(verifying, public).map(Public::Asymmetric)
            }
            _ => Err(KeyError::WrongAlgorithm),
        }
    }

    /// What signs under `algorithm`.
    pub(crate) fn private_key(&self, algorithm: Algorithm) -> Result<Private, KeyError> {
        let wrong = |_| KeyError::PrivatePart;
        Ok(match (self, algorithm.primitive()) {
            (Self::Oct(secret), Primitive::Hmac(hash)) => Private::hmac(*hash, secret)?,
            (Self::Rsa { n, e, private }, Primitive::Rsa(encoding, _)) => {
                let RsaPrivate { d, p, q, dp, dq, qi } = private.as_ref().ok_or(KeyError::NotPrivate)?;
                let public_key = PublicKeyComponents { n: n.as_slice(), e: e.as_slice() };
                let components = KeyPairComponents {
                    public_key,
                    d: &***d,
                    p: &***p,
                    q: &***q,
                    dP: &***dp,
                    dQ: &***dq,
                    qInv: &***qi,
                };
                Private::Rsa(Arc::new(RsaKeyPair::from_components(&components).map_err(wrong)?), encoding)
            }
            (Self::Ec { curve, point, d }, Primitive::Ecdsa(wanted, signing, _)) if *curve == wanted => {
                let d = d.as_ref().ok_or(KeyError::NotPrivate)?;
                let pair = EcdsaKeyPair::from_private_key_and_public_key(signing, d, point).map_err(wrong)?;
                Private::Ecdsa(Arc::new(pair))
            }
            (Self::Okp { x, d }, Primitive::Ed25519) => {
                let d = d.as_ref().ok_or(KeyError::NotPrivate)?;
                Private::Ed25519(Arc::new(Ed25519KeyPair::from_seed_and_public_key(d, x).map_err(wrong)?))
            }
            (Self::Akp { algorithm: own, public, seed }, Primitive::MlDsa(signing, _)) if *own == algorithm => {
                let seed = seed.as_ref().ok_or(KeyError::NotPrivate)?;
                let pair = PqdsaKeyPair::from_seed(signing, seed).map_err(wrong)?;
                if pair.public_key().as_ref() != public {
                    return Err(KeyError::PrivatePart);
                }
                Private::MlDsa(Arc::new(pair), signing.signature_len())
            }
            _ => return Err(KeyError::WrongAlgorithm),
        })
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material(redacted)")
    }
}

fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), KeyError> {
    let bits = bit_len(n);
    if !RSA_BITS.contains(&bits) {
        return Err(KeyError::RsaSize { bits });
    }
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    if !odd(e) || e == [1] || bit_len(e) > RSA_EXPONENT_BITS {
        return Err(KeyError::RsaExponent);
    }
    if !odd(n) || roca::has_small_factor(n) {
        return Err(KeyError::RsaParameters);
    }
    if roca::has_fingerprint(n) {
        return Err(KeyError::Roca);
    }
    Ok(())
}

/// The number of bits of a big-endian number.
fn bit_len(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let first = number.get(zeros).map_or(0, |byte| byte.leading_zeros() as usize);
    (number.len() - zeros) * 8 - first
}
