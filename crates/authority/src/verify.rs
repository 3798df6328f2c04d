//! The simple contract's verification: shows what a token says and whether its signature holds under the caller's key.
//!
//! Nothing but the signature is judged. The key may be of any length: it is the caller's, for a check and never for
//! signing.

use jose::Algorithm;
use jose::dangerous::{hmac_holds_with_any_key, inspect_unverified};
use jose::error::JsonError;
use jose::json::{self, Value};

use crate::error::MalformedToken;

/// What a token says, and whether the caller's key vouches for it.
#[derive(Debug)]
pub struct SimpleVerification {
    /// The header's own bytes: a strict JSON object.
    pub header: Vec<u8>,
    /// The claims' own bytes: a strict JSON object.
    pub claims: Vec<u8>,
    /// Whether the header's `alg` is HS512 and the signature holds.
    pub signature_holds: bool,
}

/// Takes `token` apart and checks its signature with the UTF-8 bytes of `key`.
///
/// # Errors
/// [`MalformedToken`] when it is not three canonical base64url parts, or its header or claims are not a strict JSON
/// object. Another algorithm or a wrong signature is not an error.
pub fn verify_simple(token: &[u8], key: &str) -> Result<SimpleVerification, MalformedToken> {
    let token = inspect_unverified(token)?;
    let mut is_hs512 = false;
    json::object(&token.header, |name, value| {
        if name == "alg" {
            is_hs512 = matches!(value, Value::String(name) if name == *Algorithm::HS512.name());
        }
        Ok::<_, JsonError>(())
    })
    .map_err(MalformedToken::Header)?;
    json::object(&token.payload, |_, _| Ok::<_, JsonError>(())).map_err(MalformedToken::Claims)?;
    let signature_holds = is_hs512 && hmac_holds_with_any_key(&token, Algorithm::HS512, key.as_bytes());
    Ok(SimpleVerification { header: token.header, claims: token.payload, signature_holds })
}
