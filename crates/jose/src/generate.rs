//! Making keys.

use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, PqdsaKeyPair};
use zeroize::Zeroizing;

use crate::algorithm::{Algorithm, Primitive};
use crate::error::KeyError;
use crate::jwk::Jwk;
use crate::material::Material;
use crate::pem;

impl Jwk {
    /// Makes a key for `algorithm`, with the crypto library's own randomness; RSA keys get 2048 bits. Its `alg` is
    /// `algorithm`, its `kid` its thumbprint (RFC 7638).
    ///
    /// # Errors
    /// [`KeyError::Generation`] when the crypto library fails.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        Self::generate_with_bits(algorithm, 2048)
    }

    /// As [`generate`](Self::generate), with this many bits (2048, 3072 or 4096) where the key is RSA.
    ///
    /// # Errors
    /// [`KeyError::RsaSize`] for another number of bits, [`KeyError::Generation`] when the crypto library fails.
    pub fn generate_with_bits(algorithm: Algorithm, rsa_bits: usize) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Generation;
        let material = match algorithm.primitive() {
            Primitive::Hmac(hash) => {
                let mut secret = Zeroizing::new(vec![0; hash.tag_len()]);
                aws_lc_rs::rand::fill(&mut secret).map_err(failed)?;
                Material::Oct(secret)
            }
            Primitive::Rsa(..) => {
                let size = match rsa_bits {
                    2048 => KeySize::Rsa2048,
                    3072 => KeySize::Rsa3072,
                    4096 => KeySize::Rsa4096,
                    bits => return Err(KeyError::RsaSize { bits }),
                };
                let pair = RsaKeyPair::generate(size).map_err(failed)?;
                let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                pem::read_private(pkcs8.as_ref()).map_err(|_| KeyError::Generation)?
            }
            Primitive::Ecdsa(curve, signing, _) => {
                let pair = EcdsaKeyPair::generate(signing).map_err(failed)?;
                let d: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().map_err(failed)?;
                let d = Some(d.as_ref().to_vec().into());
                Material::Ec { curve, point: pair.public_key().as_ref().to_vec(), d }
            }
            Primitive::Ed25519 => {
                let mut seed = Zeroizing::new(vec![0; 32]);
                aws_lc_rs::rand::fill(&mut seed).map_err(failed)?;
                let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| KeyError::Generation)?;
                let x = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Generation)?;
                Material::Okp { x, d: Some(seed) }
            }
            Primitive::MlDsa(signing, _) => {
                let mut seed = Zeroizing::new(vec![0; signing.seed_len()]);
                aws_lc_rs::rand::fill(&mut seed).map_err(failed)?;
                let pair = PqdsaKeyPair::from_seed(signing, &seed).map_err(|_| KeyError::Generation)?;
                Material::Akp { algorithm, public: pair.public_key().as_ref().to_vec(), seed: Some(seed) }
            }
        };
        let jwk = Self::new(material, Some(algorithm)).map_err(|_| KeyError::Generation)?;
        // For a shared secret as well: nobody guesses a random one from its hash.
        let thumbprint = jwk.thumbprint();
        Ok(jwk.with_key_id(thumbprint))
    }
}
