//! What an inspector needs and a verifier must never use: unverified payloads, and checks with weak keys.

use aws_lc_rs::hmac;

use crate::algorithm::{Algorithm, Primitive};
use crate::error::{ParseError, SignError};
use crate::jws::Parts;
use crate::key::{Room, SigningKey};

/// A token taken apart without a word about who made it.
#[derive(Debug)]
pub struct Inspected<'t> {
    parts: Parts<'t>,
    /// The bytes of the header.
    pub header: Vec<u8>,
    /// The bytes of the payload.
    pub payload: Vec<u8>,
    /// The bytes of the signature.
    pub signature: Vec<u8>,
}

/// Takes a compact serialization apart. **Nothing is verified, not even that the header is JSON.**
///
/// # Errors
/// [`ParseError`] when it is too long or not three canonical base64url parts.
pub fn inspect_unverified(token: &[u8]) -> Result<Inspected<'_>, ParseError> {
    let parts = Parts::split(token)?;
    let decoded = parts.decode()?;
    Ok(Inspected {
        header: decoded.header().to_vec(),
        payload: decoded.payload().to_vec(),
        signature: decoded.signature().to_vec(),
        parts,
    })
}

/// Whether the signature of `token` is the HMAC of its first two parts under `secret`, which may be of any length and
/// so of any weakness. The header is not consulted: that it names `algorithm` is for the caller to check. `false` where
/// `algorithm` is no HMAC.
#[must_use]
pub fn hmac_holds_with_any_key(token: &Inspected<'_>, algorithm: Algorithm, secret: &[u8]) -> bool {
    let Primitive::Hmac(hash) = algorithm.primitive() else { return false };
    hmac::verify(&hmac::Key::new(*hash, secret), token.parts.signed, &token.signature).is_ok()
}

/// The bare signature of `message`, whatever it is: for tests and tools that make tokens which are wrong on purpose.
///
/// # Errors
/// [`SignError::Primitive`] when the crypto library fails.
pub fn sign_anything(key: &SigningKey, message: &[u8]) -> Result<Vec<u8>, SignError> {
    key.sign(message, &mut Room::new()).map(<[u8]>::to_vec)
}
