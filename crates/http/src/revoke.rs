//! `POST /oauth2/revoke`: a token that is not to be accepted any more (RFC 7009). It is durable, and in force here, when
//! this is answered.

use authority::AcceptedToken;
use hyper::StatusCode;

use crate::oauth::OAuthRequest;
use crate::refusal::{Reason, Refusal};
use crate::request::Request;
use crate::response::Response;
use crate::router::Router;

/// Opens everybody's tokens.
const SCOPE: &str = "jotd:revoke";

pub(crate) async fn revoke(router: &Router, request: &Request<'_>) -> Result<Response, Refusal> {
    let request = OAuthRequest::of(request, "/oauth2/revoke")?;
    let form = request.form()?;
    if router.authority.is_shared() {
        // Whoever asks may do so by what the store knows, not by what this node has heard of.
        router.authority.catch_up().await?;
    }
    let asker = request.asker(router, &form, SCOPE).await?;
    let token = form.one("token").map_err(|error| Reason::InvalidRequest(error.description()))?;
    let token = token.ok_or(Reason::InvalidRequest("There is no token"))?;

    // What can never be in force needs no revocation, and is answered like what can (RFC 7009 section 2.2).
    if let Ok(accepted) = router.authority.find_revocable(token).await? {
        let is_own = match &accepted {
            AcceptedToken::Access(token) => asker.client_id() == Some(&token.client_id),
            AcceptedToken::Simple(_) => false,
        };
        if !is_own && !asker.may(SCOPE) {
            return Err(Reason::NotYourToken.into());
        }
        let revoked = router.authority.revoke_accepted(&asker.caller(), &accepted, "").await;
        revoked.map_err(|error| asker.refused(error))?;
        router.metrics.revoked("token");
    }
    Ok(Response::empty(StatusCode::OK))
}
