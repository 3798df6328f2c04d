//! JWS in compact serialization (RFC 7515 section 7.1): `UnverifiedJws` → `VerifiedJws`, and the signer.
//!
//! The only way to a payload leads through a signature that holds; the exceptions live in [`crate::dangerous`], whose
//! name says what they are. A token with `crit` is refused, because no extension is understood here.

use crate::algorithm::Algorithm;
use crate::base64url;
use crate::error::{ParseError, SignError, VerifierError, VerifyError};
use crate::header::{self, Header};
use crate::key::{SigningKey, VerifyingKey};

/// The longest token that is looked at, in bytes; what is longer is refused before any work is done.
pub const MAX_TOKEN_LENGTH: usize = 256 * 1024;

/// The three parts of a compact serialization, still encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'t> {
    pub(crate) header: &'t [u8],
    pub(crate) payload: &'t [u8],
    pub(crate) signature: &'t [u8],
    /// What was signed: header, dot, payload.
    pub(crate) signed: &'t [u8],
}

impl<'t> Parts<'t> {
    pub(crate) fn split(token: &'t [u8]) -> Result<Self, ParseError> {
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(ParseError::TooLong);
        }
        let mut parts = token.split(|&byte| byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ParseError::PartCount);
        };
        let (signed, _) = token.split_at(header.len() + 1 + payload.len());
        Ok(Self { header, payload, signature, signed })
    }

    pub(crate) fn decode_header(&self) -> Result<Vec<u8>, ParseError> {
        base64url::decode(self.header).map_err(ParseError::HeaderEncoding)
    }

    pub(crate) fn decode_payload(&self) -> Result<Vec<u8>, ParseError> {
        base64url::decode(self.payload).map_err(ParseError::PayloadEncoding)
    }

    pub(crate) fn decode_signature(&self) -> Result<Vec<u8>, ParseError> {
        base64url::decode(self.signature).map_err(ParseError::SignatureEncoding)
    }
}

/// A token of the right form that nobody has vouched for yet. It shows its header only.
#[derive(Debug)]
pub struct UnverifiedJws<'t> {
    parts: Parts<'t>,
    header: Header,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'t> UnverifiedJws<'t> {
    /// Reads a compact serialization.
    ///
    /// # Errors
    /// [`ParseError`] when it is too long, not three canonical base64url parts, or the header is not a strict JSON
    /// object.
    pub fn parse(token: &'t [u8]) -> Result<Self, ParseError> {
        let parts = Parts::split(token)?;
        let header = Header::parse(&parts.decode_header()?)?;
        let payload = parts.decode_payload()?;
        let signature = parts.decode_signature()?;
        Ok(Self { parts, header, payload, signature })
    }

    /// The header, to choose a key by. Nothing in it is proven.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Checks the signature with the keys of `verifier` that the header's algorithm fits.
    ///
    /// # Errors
    /// [`VerifyError`] when the algorithm is not allowed, the header has `crit`, no key fits, or the signature does
    /// not hold.
    pub fn verify(self, verifier: &Verifier) -> Result<VerifiedJws, VerifyError> {
        let algorithm = self.header.algorithm.filter(|algorithm| verifier.allowed.contains(algorithm));
        let algorithm = algorithm.ok_or(VerifyError::AlgorithmNotAllowed)?;
        if self.header.critical {
            return Err(VerifyError::CriticalExtension);
        }
        let mut keys = verifier.keys.iter().filter(|key| key.algorithm() == algorithm).peekable();
        if keys.peek().is_none() {
            return Err(VerifyError::NoKey);
        }
        if keys.any(|key| key.holds(self.parts.signed, &self.signature)) {
            Ok(VerifiedJws { header: self.header, payload: self.payload })
        } else {
            Err(VerifyError::Signature)
        }
    }
}

/// A token whose signature holds.
#[derive(Debug, Clone)]
pub struct VerifiedJws {
    header: Header,
    payload: Vec<u8>,
}

impl VerifiedJws {
    /// The header, signed.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The payload, signed: any bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// What a token may be verified with: the algorithms that are allowed, and the keys.
#[derive(Debug, Clone)]
pub struct Verifier {
    allowed: Vec<Algorithm>,
    keys: Vec<VerifyingKey>,
}

impl Verifier {
    /// A verifier that accepts the algorithms `allowed` (RFC 8725 section 3.1) under `keys`.
    ///
    /// # Errors
    /// [`VerifierError`] when nothing is allowed, or a key is bound to an algorithm that is not.
    pub fn new(allowed: &[Algorithm], keys: impl IntoIterator<Item = VerifyingKey>) -> Result<Self, VerifierError> {
        if allowed.is_empty() {
            return Err(VerifierError::NothingAllowed);
        }
        let keys: Vec<_> = keys.into_iter().collect();
        if keys.iter().any(|key| !allowed.contains(&key.algorithm())) {
            return Err(VerifierError::KeyNotAllowed);
        }
        Ok(Self { allowed: allowed.to_vec(), keys })
    }
}

/// Signs payloads under one key and one header, which is encoded once.
#[derive(Debug, Clone)]
pub struct Signer {
    key: SigningKey,
    /// The encoded header and the dot behind it.
    prefix: Vec<u8>,
}

impl Signer {
    /// A signer whose header is `typ` (where given) and the key's `alg`, in this order.
    #[must_use]
    pub fn new(key: SigningKey, typ: Option<&str>) -> Self {
        let mut prefix = Vec::new();
        base64url::encode_into(&header::write(typ, key.algorithm()), &mut prefix);
        prefix.push(b'.');
        Self { key, prefix }
    }

    /// The compact serialization of `payload`.
    ///
    /// # Errors
    /// [`SignError::TooLong`] when the token would be longer than [`MAX_TOKEN_LENGTH`].
    pub fn sign(&self, payload: &[u8]) -> Result<String, SignError> {
        let mut out = Vec::new();
        self.sign_into(payload, &mut out)?;
        Ok(String::from_utf8(out).unwrap_or_default())
    }

    /// Appends the compact serialization of `payload` to `out`, as ASCII.
    ///
    /// # Errors
    /// [`SignError::TooLong`] when the token would be longer than [`MAX_TOKEN_LENGTH`]; `out` is then unchanged.
    pub fn sign_into(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SignError> {
        const LONGEST_SIGNATURE: usize = 64;
        let start = out.len();
        let payload_end = self.prefix.len() + base64url::encoded_len(payload.len());
        let length = payload_end + 1 + base64url::encoded_len(LONGEST_SIGNATURE);
        if length > MAX_TOKEN_LENGTH {
            return Err(SignError::TooLong);
        }
        out.reserve(length);
        out.extend_from_slice(&self.prefix);
        base64url::encode_into(payload, out);
        let (_, signed) = out.split_at(start);
        let signature = self.key.sign(signed);
        out.push(b'.');
        base64url::encode_into(signature.as_ref(), out);
        Ok(())
    }
}
