//! `POST /oauth2/token`: the client credentials grant (RFC 6749 section 4.4) with resource indicators (RFC 8707).

use std::time::Duration;

use authority::Issued;
use authority::error::GrantError;
use jose::json;

use crate::oauth::{self, OAuthRequest};
use crate::refusal::{Reason, Refusal};
use crate::request::Request;
use crate::response::Response;
use crate::router::Router;

pub(crate) async fn token(router: &Router, http: &Request<'_>) -> Result<Response, Refusal> {
    let request = OAuthRequest::of(http, "/oauth2/token")?;
    let form = request.form()?;
    let client = request.client(router, &form).await?;
    let parameter = |name| form.one(name).map_err(|error| Reason::InvalidRequest(error.description()));
    match parameter("grant_type")? {
        Some("client_credentials") => {}
        Some(_) => return Err(Reason::UnsupportedGrantType.into()),
        None => return Err(Reason::InvalidRequest("There is no grant_type").into()),
    }
    let resources: Vec<&str> = form.all("resource").filter(|resource| !resource.is_empty()).collect();
    let scope = parameter("scope")?;
    let grant = || router.authority.grant(&client.record, scope, &resources);
    let algorithm = client.record.algorithm.or_else(|| router.authority.state().default_algorithm());
    let mut granted = router.turns.take(http, algorithm, grant).await?;
    if let Err(GrantError::JustRevoked { seconds: 1 }) = granted {
        // The second in which everything was revoked is nearly over.
        tokio::time::sleep(Duration::from_secs(1)).await;
        granted = router.turns.take(http, algorithm, grant).await?;
    }
    let issued = granted.inspect_err(|error| router.metrics.refused(error.code()))?;
    router.metrics.minted("access_token");
    Ok(oauth::answer(body(&issued)))
}

/// The answer of RFC 6749 section 5.1. Nothing in it has to be escaped in JSON, by what tokens and scopes are made of.
fn body(issued: &Issued) -> Vec<u8> {
    let mut body = Vec::with_capacity(issued.token.len() + 128);
    body.extend_from_slice(b"{\"access_token\":\"");
    body.extend_from_slice(issued.token.as_bytes());
    body.extend_from_slice(b"\",\"token_type\":\"Bearer\",\"expires_in\":");
    json::write_integer(issued.expires_at.0 - issued.issued_at.0, &mut body);
    for (place, scope) in issued.scopes.iter().enumerate() {
        body.extend_from_slice(if place == 0 { b",\"scope\":\"" } else { b" " });
        body.extend_from_slice(scope.as_bytes());
    }
    body.extend_from_slice(if issued.scopes.is_empty() { b"}" } else { b"\"}" });
    body
}
