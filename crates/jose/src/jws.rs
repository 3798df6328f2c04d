//! JWS in compact serialization (RFC 7515 section 7.1): `UnverifiedJws` → `VerifiedJws`.
//!
//! The only way to a payload leads through a signature that holds; the exceptions live in [`crate::dangerous`], whose
//! name says what they are. A token with `crit` is refused, because no extension is understood here.

use crate::base64url;
use crate::error::{ParseError, VerifyError};
use crate::header::Header;
use crate::verifier::Verifier;

/// The longest token that is looked at, in bytes; what is longer is refused before any work is done.
pub const MAX_TOKEN_LENGTH: usize = 256 * 1024;

/// The three parts of a compact serialization, still encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'t> {
    header: &'t [u8],
    payload: &'t [u8],
    signature: &'t [u8],
    /// What was signed: header, dot, payload.
    pub(crate) signed: &'t [u8],
}

impl<'t> Parts<'t> {
    pub(crate) fn split(token: &'t [u8]) -> Result<Self, ParseError> {
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(ParseError::TooLong);
        }
        let mut dots = memchr::memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(ParseError::PartCount);
        };
        let part = |range| token.get(range).unwrap_or_default();
        Ok(Self {
            header: part(0..first),
            payload: part(first + 1..second),
            signature: part(second + 1..token.len()),
            signed: part(0..second),
        })
    }

    /// All three parts, decoded into one buffer.
    pub(crate) fn decode(&self) -> Result<Decoded, ParseError> {
        let mut bytes = Vec::with_capacity(self.signed.len() + self.signature.len());
        base64url::decode_into(self.header, &mut bytes).map_err(ParseError::HeaderEncoding)?;
        let header = bytes.len();
        base64url::decode_into(self.payload, &mut bytes).map_err(ParseError::PayloadEncoding)?;
        let payload = bytes.len();
        base64url::decode_into(self.signature, &mut bytes).map_err(ParseError::SignatureEncoding)?;
        Ok(Decoded { bytes, header, payload })
    }
}

/// Three parts in one buffer.
#[derive(Debug, Clone)]
pub(crate) struct Decoded {
    bytes: Vec<u8>,
    /// Where the header ends.
    header: usize,
    /// Where the payload ends.
    payload: usize,
}

impl Decoded {
    pub(crate) fn header(&self) -> &[u8] {
        self.bytes.get(..self.header).unwrap_or_default()
    }

    pub(crate) fn payload(&self) -> &[u8] {
        self.bytes.get(self.header..self.payload).unwrap_or_default()
    }

    pub(crate) fn signature(&self) -> &[u8] {
        self.bytes.get(self.payload..).unwrap_or_default()
    }
}

/// A token of the right form that nobody has vouched for yet. It shows its header only.
#[derive(Debug)]
pub struct UnverifiedJws<'t> {
    parts: Parts<'t>,
    header: Header,
    decoded: Decoded,
}

impl<'t> UnverifiedJws<'t> {
    /// Reads a compact serialization.
    ///
    /// # Errors
    /// [`ParseError`] when it is too long, not three canonical base64url parts, or the header is not a strict JSON
    /// object.
    ///
    /// ```
    /// use jose::UnverifiedJws;
    /// assert_eq!(UnverifiedJws::parse(b"only.two").unwrap_err().code(), "token_part_count");
    /// let token = UnverifiedJws::parse(b"eyJhbGciOiJub25lIn0.e30.")?;
    /// assert_eq!(token.header().algorithm(), None); // whatever this is, it is no algorithm
    /// # Ok::<_, jose::error::ParseError>(())
    /// ```
    pub fn parse(token: &'t [u8]) -> Result<Self, ParseError> {
        let parts = Parts::split(token)?;
        let decoded = parts.decode()?;
        let header = Header::parse(decoded.header())?;
        Ok(Self { parts, header, decoded })
    }

    /// The header, to choose a key by. Nothing in it is proven.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Checks the signature with the keys of `verifier` that fit the header.
    ///
    /// # Errors
    /// [`VerifyError`] when the algorithm is not allowed, the header has `crit`, no key fits, or the signature does
    /// not hold.
    ///
    /// ```
    /// use jose::{Algorithm, Jwk, Signer, UnverifiedJws, Verifier};
    /// let key = Jwk::generate(Algorithm::EdDSA)?;
    /// let token = Signer::new(key.signing_key(Algorithm::EdDSA)?, None)?.sign(b"hello")?;
    ///
    /// let verifier = Verifier::from_jwk(&key.public()?, &[Algorithm::EdDSA])?;
    /// assert_eq!(UnverifiedJws::parse(token.as_bytes())?.verify(&verifier)?.payload(), b"hello");
    ///
    /// let other = Verifier::from_jwk(&Jwk::generate(Algorithm::EdDSA)?, &[Algorithm::EdDSA])?;
    /// let error = UnverifiedJws::parse(token.as_bytes())?.verify(&other).unwrap_err();
    /// assert_eq!(error.code(), "bad_signature");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(self, verifier: &Verifier) -> Result<VerifiedJws, VerifyError> {
        let algorithm = self.header.algorithm().filter(|algorithm| verifier.allows(*algorithm));
        let algorithm = algorithm.ok_or(VerifyError::AlgorithmNotAllowed)?;
        if self.header.is_critical() {
            return Err(VerifyError::CriticalExtension);
        }
        let mut keys = verifier.candidates(algorithm, self.header.key_id()).peekable();
        if keys.peek().is_none() {
            return Err(VerifyError::NoKey);
        }
        let holds = keys.any(|key| key.holds(self.parts.signed, self.decoded.signature()));
        drop(keys);
        if holds { Ok(VerifiedJws { header: self.header, decoded: self.decoded }) } else { Err(VerifyError::Signature) }
    }
}

/// A token whose signature holds.
///
/// It cannot be made any other way:
///
/// ```compile_fail
/// fn forge(genuine: jose::VerifiedJws) -> jose::VerifiedJws {
///     jose::VerifiedJws { ..genuine }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct VerifiedJws {
    header: Header,
    decoded: Decoded,
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
        self.decoded.payload()
    }
}
