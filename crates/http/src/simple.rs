//! The simple contract: `POST /generateToken` and `GET /verifyToken`.
//!
//! The order of the checks is part of the contract: method, media type, size, JSON, token, key, form of the token.

use std::borrow::Cow;

use jose::error::JsonError;
use jose::json::{self, Value};

use crate::refusal::{Reason, Refusal};
use crate::request::Request;
use crate::response::Response;
use crate::router::Router;

/// `POST /generateToken`: `{"user_data": "…"}` becomes `{"JWT Token": "…"}`.
pub(crate) fn generate_token(router: &Router, request: &Request<'_>) -> Result<Response, Refusal> {
    let body = accept(request, &["POST"], "POST")?;
    let user_data = match member(body, ["user_data"])? {
        [Some(Value::String(text))] => text.decode(),
        [None | Some(Value::Null)] => return Err(Reason::MissingUserData.into()),
        [Some(_)] => return Err(Reason::UserDataNotString.into()),
    };

    let mut answer = Vec::with_capacity(user_data.len() * 4 / 3 + 384);
    answer.extend_from_slice(b"{\"JWT Token\": \"");
    if let Err(error) = router.authority.mint_simple(&user_data, &mut answer) {
        tracing::error!(code = error.code(), %error, "no token was minted");
        router.metrics.refused(error.code());
        return Err(Reason::Internal.into());
    }
    router.metrics.minted("simple");
    answer.extend_from_slice(b"\"}");
    Ok(Response::json(answer))
}

/// `GET /verifyToken` with a body, and `POST` for clients that cannot send one with GET:
/// `{"Token": "…", "Signing_key": "…"}` becomes `{"Header": {…}, "Claims": {…}, "Signature Verification": …}`.
pub(crate) fn verify_token(_: &Router, request: &Request<'_>) -> Result<Response, Refusal> {
    let body = accept(request, &["GET", "POST"], "GET, POST")?;
    let [token, key] = member(body, ["Token", "Signing_key"])?;
    let token = text(token, Reason::MissingToken, Reason::TokenNotString)?;
    let key = text(key, Reason::MissingSigningKey, Reason::SigningKeyNotString)?;

    let verification = authority::verify_simple(token.as_bytes(), &key).map_err(Reason::MalformedToken)?;
    let mut answer = Vec::with_capacity(verification.header.len() + verification.claims.len() + 64);
    answer.extend_from_slice(b"{\"Header\": ");
    answer.extend_from_slice(&verification.header);
    answer.extend_from_slice(b", \"Claims\": ");
    answer.extend_from_slice(&verification.claims);
    answer.extend_from_slice(b", \"Signature Verification\": ");
    answer.extend_from_slice(if verification.signature_holds { b"true}" } else { b"false}" });
    Ok(Response::json(answer))
}

/// The body of a request with the right method and media type.
fn accept<'r>(request: &Request<'r>, methods: &[&str], allow: &'static str) -> Result<&'r [u8], Reason> {
    if !methods.contains(&request.method) {
        return Err(Reason::MethodNotAllowed { allow });
    }
    if !request.is_media_type("application/json") {
        return Err(Reason::InvalidContentType);
    }
    request.body()
}

/// The values of the members `names`; others are ignored.
fn member<'a, const N: usize>(body: &'a [u8], names: [&str; N]) -> Result<[Option<Value<'a>>; N], Reason> {
    let mut values = [None; N];
    json::object(body, |name, value| {
        for (wanted, slot) in names.iter().zip(&mut values) {
            if name == *wanted {
                *slot = Some(value);
            }
        }
        Ok::<_, JsonError>(())
    })
    .map_err(Reason::NotAnObject)?;
    Ok(values)
}

/// The text of a member that must be a string and must not be empty.
fn text(value: Option<Value<'_>>, missing: Reason, not_string: Reason) -> Result<Cow<'_, str>, Reason> {
    match value {
        None | Some(Value::Null) => Err(missing),
        Some(Value::String(text)) => Some(text.decode()).filter(|text| !text.is_empty()).ok_or(missing),
        Some(_) => Err(not_string),
    }
}
