//! Bearer tokens (RFC 6750) for jotd itself: access tokens of this authority whose audience it is.

use crate::refusal::{Reason, Refusal};
use crate::request::{self, Headers, Request};
use crate::router::Router;
use authority::error::TokenError;
use authority::{AccessToken, Caller, Credential};

/// Whoever has shown a token that is accepted.
pub(crate) struct Bearer {
    /// The token, as it was accepted.
    pub(crate) accepted: AccessToken,
    token: String,
    /// As it stands in the log: the client, and the subject where that is somebody else.
    pub(crate) actor: String,
}

impl Bearer {
    /// Whoever orders something with the token.
    pub(crate) fn caller(&self) -> Caller {
        let credential = Some(Credential::of(&self.accepted));
        Caller { scopes: Some(self.accepted.scopes.clone()), credential, ..Caller::new(&*self.actor) }
    }

    /// That the token is still accepted, a while after it was.
    pub(crate) fn check(&self, router: &Router) -> Result<(), Reason> {
        accept(router, &self.token).map(drop).map_err(|_| Reason::InvalidBearer)
    }
}

/// Whether the request has a bearer token, accepted or not.
pub(crate) fn is_bearer(headers: Headers<'_>) -> bool {
    let scheme = headers.find("authorization").and_then(|value| value.split(|&byte| byte == b' ').next());
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
}

fn accept(router: &Router, token: &str) -> Result<AccessToken, TokenError> {
    let state = router.authority.state();
    let own = state.issuer().unwrap_or_default();
    state.accept_access_token(token, Some(own), router.authority.now())
}

/// The bearer of a token with `scope`.
pub(crate) async fn authorize(router: &Router, request: &Request<'_>, scope: &'static str) -> Result<Bearer, Refusal> {
    router.failures.hear(request.address)?;
    let mut values = request.headers.all("authorization");
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Reason::NoBearer.into()) };
    let token = request::text(value).and_then(|value| value.split_once(' '));
    let Some((_, token)) = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) else {
        return Err(Reason::NoBearer.into());
    };
    let text = token.trim();
    let mut accepted = accept(router, text);
    // One with a key that is not known may be anybody's invention, and nobody makes this ask the store with such.
    if let Err(error @ TokenError::ClientGone) = &accepted
        && router.authority.knows_more(error, &mut false).await
    {
        accepted = accept(router, text);
    }
    match accepted {
        Ok(token) if token.scopes.contains(scope) => {
            let same = token.client_id == token.subject;
            let actor = if same { token.client_id.clone() } else { format!("{}/{}", token.client_id, token.subject) };
            Ok(Bearer { accepted: token, token: text.to_owned(), actor })
        }
        Ok(_) => Err(Reason::InsufficientScope(scope).into()),
        Err(error) => {
            tracing::debug!(code = error.code(), "a bearer token was not accepted");
            router.metrics.refused(error.code());
            Err(router.failures.note(request.address, None, Reason::InvalidBearer).into())
        }
    }
}
