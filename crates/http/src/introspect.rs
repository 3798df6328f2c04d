//! `POST /oauth2/introspect`: whether a token is in force, and what it says (RFC 7662).
//!
//! A token that is not, for whatever reason, is `{"active": false}` and no more; so is one that the caller has no
//! business with.

use authority::AcceptedToken;
use jose::json::{self, Value};

use crate::oauth::{self, Asker, OAuthRequest};
use crate::refusal::{Reason, Refusal};
use crate::request::Request;
use crate::response::Response;
use crate::router::Router;

/// Opens everybody's tokens.
const SCOPE: &str = "jotd:introspect";

pub(crate) async fn introspect(router: &Router, request: &Request<'_>) -> Result<Response, Refusal> {
    let request = OAuthRequest::of(request, "/oauth2/introspect")?;
    let form = request.form()?;
    let asker = request.asker(router, &form, SCOPE).await?;
    let token = form.one("token").map_err(|error| Reason::InvalidRequest(error.description()))?;
    let token = token.ok_or(Reason::InvalidRequest("There is no token"))?;

    let accept = || router.authority.state().accept_token(token, None, router.authority.now());
    let mut accepted = accept();
    if let Err(error) = &accepted
        && router.authority.knows_more(error, &mut false).await
    {
        accepted = accept();
    }
    let accepted = accepted.inspect_err(|error| router.metrics.refused(error.code()));
    let body = match accepted {
        Ok(token) if may_see(&asker, &token) => active(&token),
        _ => b"{\"active\": false}".to_vec(),
    };
    Ok(oauth::answer(body))
}

fn may_see(asker: &Asker, token: &AcceptedToken) -> bool {
    if asker.may(SCOPE) {
        return true;
    }
    match (token, asker.client_id()) {
        (AcceptedToken::Access(token), Some(id)) => {
            token.client_id == id || token.audiences.iter().any(|audience| audience == id)
        }
        _ => false,
    }
}

/// The token's own claims, as they were signed, behind what this endpoint says. Of a token of the simple contract, only
/// those that the contract has: whoever knows its key could sign any others.
fn active(token: &AcceptedToken) -> Vec<u8> {
    let (claims, known, type_) = match token {
        AcceptedToken::Access(token) => (token.claims(), None, &b", \"token_type\": \"Bearer\""[..]),
        AcceptedToken::Simple(token) => (token.claims(), Some(["iat", "exp", "jti", "payload"]), &b""[..]),
    };
    let mut body = b"{\"active\": true".to_vec();
    body.extend_from_slice(type_);
    let _ = json::object(claims, |name, value: Value<'_>| {
        let is_ours = ["active", "token_type"].contains(&name);
        if !is_ours && known.is_none_or(|known| known.contains(&name)) {
            body.extend_from_slice(b", ");
            json::write_string(name, &mut body);
            body.extend_from_slice(b": ");
            value.write_into(&mut body);
        }
        Ok::<_, jose::error::JsonError>(())
    });
    body.push(b'}');
    body
}
