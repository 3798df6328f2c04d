//! What the OAuth endpoints have in common: the form, and who the client is (RFC 6749 section 2.3, RFC 7523 section 2.2).

use std::borrow::Cow;
use std::sync::Arc;

use authority::error::AdminError;
use authority::{Caller, Credential, LiveClient};
use jose::base64url;

use crate::bearer::{self, Bearer};
use crate::form::{self, Form};
use crate::refusal::{Reason, Refusal, authentication_refused};
use crate::request::{self, Request};
use crate::response::Response;
use crate::router::Router;

/// Says that a client assertion is a JWT (RFC 7523 section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A request to one of the endpoints, before it is known who sent it.
pub(crate) struct OAuthRequest<'r> {
    request: &'r Request<'r>,
    body: &'r [u8],
    /// The endpoint's own path.
    path: &'static str,
}

/// Whoever may ask.
pub(crate) enum Asker {
    Client(Arc<LiveClient>),
    Bearer(Box<Bearer>),
}

impl<'r> OAuthRequest<'r> {
    /// A request with the right method and media type.
    pub(crate) fn of(request: &'r Request<'r>, path: &'static str) -> Result<Self, Refusal> {
        if request.method != "POST" {
            return Err(Reason::MethodNotAllowed { allow: "POST" }.into());
        }
        if !request.is_media_type("application/x-www-form-urlencoded") {
            let what = "The media type must be application/x-www-form-urlencoded";
            return Err(Reason::InvalidRequest(what).into());
        }
        Ok(Self { request, body: request.body()?, path })
    }

    /// The parameters. Only `resource` may be given several times (RFC 8707 section 2).
    pub(crate) fn form(&self) -> Result<Form<'r>, Refusal> {
        let form = Form::parse(self.body).map_err(|error| Reason::InvalidRequest(error.description()))?;
        if form.repeats("resource") {
            return Err(Reason::InvalidRequest("A parameter is given twice").into());
        }
        Ok(form)
    }

    /// The client that sent the request.
    pub(crate) async fn client(&self, router: &Router, form: &Form<'_>) -> Result<Arc<LiveClient>, Refusal> {
        router.failures.hear(self.request.address)?;
        let parameter = |name| form.one(name).map_err(|error| Reason::InvalidRequest(error.description()));
        let (id, secret) = (parameter("client_id")?, parameter("client_secret")?);
        let (assertion, kind) = (parameter("client_assertion")?, parameter("client_assertion_type")?);
        let basic = self.request.headers.find("authorization");

        let methods = [basic.is_some(), secret.is_some(), assertion.is_some() || kind.is_some()];
        if methods.iter().filter(|used| **used).count() > 1 {
            return Err(Reason::InvalidRequest("There is more than one client authentication").into());
        }
        let failed = |client: Option<&str>, reason: Reason| match reason {
            Reason::InvalidClient => {
                router.metrics.refused("invalid_client");
                router.failures.note(self.request.address, client, reason).into()
            }
            reason => Refusal::from(reason),
        };
        if let Some(assertion) = assertion {
            if kind != Some(JWT_BEARER) {
                return Err(Reason::InvalidRequest("The client_assertion_type is not that of a JWT").into());
            }
            return match Box::pin(self.client_of_assertion(router, assertion)).await {
                Ok(client) if id.is_none_or(|id| id == client.record.id) => Ok(client),
                Ok(_) => Err(failed(id, Reason::InvalidClient)),
                Err(reason) => Err(failed(id, reason)),
            };
        }
        if kind.is_some() {
            return Err(Reason::InvalidRequest("There is no client_assertion").into());
        }
        let from_header;
        let (claimed, secret) = match (basic, id, secret) {
            (Some(header), id, _) => {
                from_header = basic_credentials(header).ok_or_else(|| failed(None, Reason::InvalidClient))?;
                if id.is_some_and(|id| id != from_header.0) {
                    return Err(Reason::InvalidRequest("client_id is not that of the header").into());
                }
                (from_header.0.as_str(), from_header.1.as_str())
            }
            (None, Some(id), Some(secret)) => (id, secret),
            _ => return Err(failed(id, Reason::InvalidClient)),
        };
        let authenticated = router.authority.authenticate(claimed, secret).await;
        authenticated.map_err(|error| failed(Some(claimed), authentication_refused(&error)))
    }

    async fn client_of_assertion(&self, router: &Router, assertion: &str) -> Result<Arc<LiveClient>, Reason> {
        let issuer = router.authority.state().issuer().unwrap_or_default().to_owned();
        let base = issuer.trim_end_matches('/');
        let (own, token) = (format!("{base}{}", self.path), format!("{base}/oauth2/token"));
        let authenticated = router.authority.authenticate_assertion(assertion, &[&issuer, &own, &token]).await;
        authenticated.map_err(|error| authentication_refused(&error))
    }

    /// Whoever sent the request: a client, or the bearer of a token with `scope`.
    pub(crate) async fn asker(&self, router: &Router, form: &Form<'_>, scope: &'static str) -> Result<Asker, Refusal> {
        if bearer::is_bearer(self.request.headers) {
            let others = ["client_secret", "client_assertion", "client_assertion_type"];
            if others.iter().any(|name| form.all(name).any(|value| !value.is_empty())) {
                return Err(Reason::InvalidRequest("There is more than one authentication").into());
            }
            let bearer = bearer::authorize(router, self.request, scope).await?;
            return Ok(Asker::Bearer(Box::new(bearer)));
        }
        self.client(router, form).await.map(Asker::Client)
    }
}

impl Asker {
    /// Whether it may ask about everybody's tokens.
    pub(crate) fn may(&self, scope: &str) -> bool {
        match self {
            Self::Client(client) => client.record.scopes.contains(scope),
            // It could not have come here without.
            Self::Bearer(_) => true,
        }
    }

    /// The client's id.
    pub(crate) fn client_id(&self) -> Option<&str> {
        match self {
            Self::Client(client) => Some(&client.record.id),
            Self::Bearer(_) => None,
        }
    }

    /// Whoever orders something.
    pub(crate) fn caller(&self) -> Caller {
        match self {
            Self::Client(client) => {
                let credential = Some(Credential::Client(Arc::clone(client)));
                Caller { credential, ..Caller::new(&*client.record.id) }
            }
            Self::Bearer(bearer) => bearer.caller(),
        }
    }

    /// How it is refused when it may not have anything done any more.
    pub(crate) fn refused(&self, error: AdminError) -> Refusal {
        match (self, error) {
            (Self::Client(_), AdminError::CallerRevoked) => Reason::InvalidClient.into(),
            (_, error) => error.into(),
        }
    }
}

/// Id and secret of `Basic` credentials (RFC 7617), both form-urlencoded (RFC 6749 section 2.3.1).
fn basic_credentials(header: &[u8]) -> Option<(String, String)> {
    let (scheme, encoded) = request::text(header)?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    // The alphabets differ in two letters and the padding.
    let letters = encoded.trim().trim_end_matches('=').bytes().map(|letter| match letter {
        b'+' => b'-',
        b'/' => b'_',
        b'-' | b'_' => b'=',
        letter => letter,
    });
    let credentials = String::from_utf8(base64url::decode(&letters.collect::<Vec<u8>>()).ok()?).ok()?;
    let (id, secret) = credentials.split_once(':')?;
    let decode = |text: &str| form::decode(text.as_bytes()).ok().map(Cow::into_owned);
    Some((decode(id)?, decode(secret)?))
}

/// An answer that no cache may keep (RFC 6749 section 5.1).
pub(crate) fn answer(body: Vec<u8>) -> Response {
    Response::json(body).with("pragma", "no-cache")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_clients_write_them() {
        for (header, expect) in [
            // printf 'id:secret' | base64, and so on
            ("Basic aWQ6c2VjcmV0", Some(("id", "secret"))),
            ("basic aWQ6c2VjcmV0", Some(("id", "secret"))),
            ("Basic aWQ6", Some(("id", ""))),
            ("Basic aSUzQWQ6YSUyQmIrYw==", Some(("i:d", "a+b c"))),
            ("Basic aWQ6Pz8/Pj4+", Some(("id", "???>>>"))),
            ("Basic aWQ6Pz8_Pj4-", None),
            ("Basic aWQ", None),
            ("Basic aWQ6JXp6", None),
            ("Bearer aWQ6c2VjcmV0", None),
            ("Basic", None),
        ] {
            let read = basic_credentials(header.as_bytes());
            assert_eq!(read, expect.map(|(id, secret)| (id.to_owned(), secret.to_owned())), "{header}");
        }
    }
}
