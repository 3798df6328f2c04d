//! `POST /oauth2/token`: the client credentials grant (RFC 6749 section 4.4) with resource indicators (RFC 8707).

use std::time::Duration;

use authority::error::GrantError;
use serde_json::json;

use crate::oauth::{self, OAuthRequest};
use crate::refusal::{Reason, Refusal};
use crate::request::Request;
use crate::response::Response;
use crate::router::Router;
use crate::shown::set;

pub(crate) async fn token(router: &Router, request: &Request<'_>) -> Result<Response, Refusal> {
    let request = OAuthRequest::of(request, "/oauth2/token")?;
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
    let mut granted = router.turn.take(grant).await?;
    if let Err(GrantError::JustRevoked { seconds: 1 }) = granted {
        // The second in which everything was revoked is nearly over.
        tokio::time::sleep(Duration::from_secs(1)).await;
        granted = router.turn.take(grant).await?;
    }
    let issued = granted.inspect_err(|error| router.metrics.refused(error.code()))?;
    router.metrics.minted("access_token");
    let mut body = json!({
        "access_token": issued.token,
        "token_type": "Bearer",
        "expires_in": issued.expires_at.0 - issued.issued_at.0,
    });
    let scope = issued.scopes.to_text();
    if !scope.is_empty() {
        set(&mut body, "scope", scope);
    }
    Ok(oauth::answer(body.to_string().into_bytes()))
}
