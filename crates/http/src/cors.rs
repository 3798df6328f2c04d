//! Cross-origin requests of browsers (Fetch standard, section 3.2): refused, unless the operator names the origin. The
//! simple contract has no part in it.

use hyper::StatusCode;

use crate::request::{self, Headers, Request};
use crate::response::Response;

/// The request's origin, if it is among those that are allowed.
pub(crate) fn allowed_origin(allowed: &[String], headers: Headers<'_>) -> Option<String> {
    if allowed.is_empty() {
        return None;
    }
    let origin = request::text(headers.find("origin")?)?;
    allowed.iter().any(|own| own == "*" || own == origin).then(|| origin.to_owned())
}

/// Whether the request asks what it may ask.
pub(crate) fn is_preflight(request: &Request<'_>) -> bool {
    request.method == "OPTIONS" && request.headers.find("access-control-request-method").is_some()
}

/// The answer to that.
pub(crate) fn preflight() -> Response {
    Response::empty(StatusCode::NO_CONTENT)
        .with("access-control-allow-methods", "GET, HEAD, POST, PATCH, DELETE")
        .with("access-control-allow-headers", "authorization, content-type, idempotency-key, if-none-match")
        .with("access-control-max-age", "600")
}

/// Lets the origin read an answer.
pub(crate) fn admit(response: Response, origin: String) -> Response {
    response
        .with("access-control-allow-origin", origin)
        .with("access-control-expose-headers", "etag, location, retry-after, www-authenticate")
        .with("vary", "origin")
}
