//! Signing payloads under one key and one header, which is encoded once.

use crate::base64url;
use crate::error::SignError;
use crate::header;
use crate::jws::MAX_TOKEN_LENGTH;
use crate::key::{Room, SigningKey};

/// A key and an encoded header.
#[derive(Debug, Clone)]
pub struct Signer {
    key: SigningKey,
    /// The encoded header and the dot behind it.
    prefix: Vec<u8>,
}

impl Signer {
    /// A signer whose header is `typ` (where given), the key's `alg`, and its `kid` (where it has one), in this order.
    ///
    /// # Errors
    /// [`SignError`]; none is known that could happen here.
    pub fn new(key: SigningKey, typ: Option<&str>) -> Result<Self, SignError> {
        Self::with_header(key, typ, b"{}")
    }

    /// As [`new`](Self::new), with the members of the JSON object `extra` behind those; it may set `typ` and `kid`
    /// itself.
    ///
    /// # Errors
    /// [`SignError::Header`] when `extra` is not a strict JSON object, [`SignError::HeaderParameter`] when its `alg` is
    /// not the key's, or it has `crit` or `b64`.
    ///
    /// ```
    /// use jose::{Algorithm, Signer, SigningKey};
    /// let key = SigningKey::hmac(Algorithm::HS256, &[7; 32])?;
    /// assert!(Signer::with_header(key.clone(), None, br#"{"cty":"text/plain"}"#).is_ok());
    /// assert!(Signer::with_header(key, None, br#"{"alg":"none"}"#).is_err());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_header(key: SigningKey, typ: Option<&str>, extra: &[u8]) -> Result<Self, SignError> {
        let mut prefix = Vec::new();
        base64url::encode_into(&header::write(typ, &key, extra)?, &mut prefix);
        prefix.push(b'.');
        Ok(Self { key, prefix })
    }

    /// The compact serialization of `payload`.
    ///
    /// # Errors
    /// [`SignError::TooLong`] when the token would be longer than [`MAX_TOKEN_LENGTH`], [`SignError::Primitive`] when
    /// the crypto library fails.
    pub fn sign(&self, payload: &[u8]) -> Result<String, SignError> {
        let mut out = Vec::new();
        self.sign_into(payload, &mut out)?;
        Ok(String::from_utf8(out).unwrap_or_default())
    }

    /// Appends the compact serialization of `payload` to `out`, as ASCII.
    ///
    /// # Errors
    /// As [`sign`](Self::sign); `out` is then unchanged.
    pub fn sign_into(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SignError> {
        let start = out.len();
        let signed = self.prefix.len() + base64url::encoded_len(payload.len());
        let length = signed + 1 + base64url::encoded_len(self.key.signature_len());
        if length > MAX_TOKEN_LENGTH {
            return Err(SignError::TooLong);
        }
        out.reserve(length);
        out.extend_from_slice(&self.prefix);
        base64url::encode_into(payload, out);
        let mut room = Room::new();
        let (_, message) = out.split_at(start);
        match self.key.sign(message, &mut room) {
            Ok(signature) => {
                out.push(b'.');
                base64url::encode_into(signature, out);
            }
            Err(error) => {
                out.truncate(start);
                return Err(error);
            }
        }
        Ok(())
    }
}
