//! What anyone may read: the keys (RFC 7517), and where everything is (RFC 8414, which OpenID Connect Discovery has under
//! another name).
//!
//! Both may be cached for as long as a key is published before it signs, so a cache never misses one.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use hyper::{Method, Request, Response, StatusCode};
use jose::Algorithm;
use serde_json::json;

use crate::refusal::{Reason, Refusal};
use crate::router::Router;

pub(crate) fn jwks(router: &Router, request: &Request<Incoming>) -> Result<Response<Full<Bytes>>, Refusal> {
    let state = router.authority.state();
    let (jwks, etag, max_age) = state.jwk_set();
    cached(request, Bytes::copy_from_slice(jwks.as_bytes()), etag, max_age)
}

pub(crate) fn metadata(router: &Router, request: &Request<Incoming>) -> Result<Response<Full<Bytes>>, Refusal> {
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
    cached(request, Bytes::from(body), &etag, max_age)
}

fn etag(body: &str) -> String {
    let id = authority::Once::new("", &[body.as_bytes()]).request;
    format!("\"{id}\"")
}

/// An answer for caches, or word that the client's copy is still good.
fn cached(
    request: &Request<Incoming>,
    body: Bytes,
    etag: &str,
    max_age: i64,
) -> Result<Response<Full<Bytes>>, Refusal> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Err(Reason::MethodNotAllowed { allow: "GET, HEAD" }.into());
    }
    let fresh = knows(request.headers(), etag);
    let mut response = Response::new(Full::new(if fresh { Bytes::new() } else { body }));
    let headers = response.headers_mut();
    let values = [(CACHE_CONTROL, format!("public, max-age={max_age}")), (ETAG, etag.to_owned())];
    for (name, value) in values {
        headers.insert(name, HeaderValue::from_str(&value).map_err(|_| Refusal::from(Reason::Internal))?);
    }
    if fresh {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(response)
}

/// Whether the client's copy has this entity tag, compared weakly (RFC 9110 section 13.1.2).
fn knows(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}
