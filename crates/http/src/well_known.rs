//! What anyone may read: the keys (RFC 7517), and where everything is (RFC 8414, which OpenID Connect Discovery has under
//! another name).
//!
//! Both may be cached for as long as a key is published before it signs, so a cache never misses one.

use hyper::StatusCode;
use jose::Algorithm;
use serde_json::json;

use crate::refusal::Refusal;
use crate::request::{Headers, Request};
use crate::response::Response;
use crate::router::Router;

pub(crate) fn jwks(router: &Router, request: &Request<'_>) -> Result<Response, Refusal> {
    let state = router.authority.state();
    let (jwks, etag, max_age) = state.jwk_set();
    cached(request, jwks, etag, max_age)
}

pub(crate) fn metadata(router: &Router, request: &Request<'_>) -> Result<Response, Refusal> {
    let state = router.authority.state();
    let issuer = state.issuer().unwrap_or_default();
    let base = issuer.trim_end_matches('/');
    let signing: Vec<_> = state.signing_algorithms().into_iter().map(Algorithm::name).collect();
    let assertions: Vec<_> = authority::asymmetric_algorithms().map(Algorithm::name).collect();
    let methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
    let body = json!({
        "issuer": issuer,
        "token_endpoint": format!("{base}/oauth2/token"),
        "introspection_endpoint": format!("{base}/oauth2/introspect"),
        "revocation_endpoint": format!("{base}/oauth2/revoke"),
        "jwks_uri": format!("{base}/.well-known/jwks.json"),
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "scopes_supported": authority::OWN_SCOPES,
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": assertions,
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": assertions,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": assertions,
        // No ID tokens are issued, but readers of the second name insist on these.
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": signing,
    })
    .to_string();
    let etag = etag(&body);
    let (.., max_age) = state.jwk_set();
    cached(request, &body, &etag, max_age)
}

fn etag(body: &str) -> String {
    let id = authority::Once::new("", &[body.as_bytes()]).request;
    format!("\"{id}\"")
}

/// An answer for caches, or word that the client's copy is still good.
fn cached(request: &Request<'_>, body: &str, etag: &str, max_age: i64) -> Result<Response, Refusal> {
    request.must_read()?;
    let response = if knows(request.headers, etag) {
        Response::of(StatusCode::NOT_MODIFIED)
    } else {
        let body = body.as_bytes().to_vec();
        Response::of(StatusCode::OK).with_body(body).with("content-type", "application/json")
    };
    Ok(response.with("cache-control", format!("public, max-age={max_age}")).with("etag", etag.to_owned()))
}

/// Whether the client's copy has this entity tag, compared weakly (RFC 9110 section 13.1.2).
fn knows(headers: Headers<'_>, etag: &str) -> bool {
    let mut tags = headers.texts("if-none-match").flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}
