//! Who a client is: by its secret (RFC 6749 section 2.3.1), or by an assertion that it signs (RFC 7523 section 2.2).

use std::sync::Arc;

use jose::{ClaimsPolicy, NumericDate, UnverifiedJws, VerifiedJws};

use crate::authority::Authority;
use crate::error::AuthenticationError;
use crate::ports::UnixTime;
use crate::state::{LiveClient, State};
use crate::store::{Expected, RevocationId};

/// An assertion that lives longer is refused: it would have to be remembered for as long.
const LONGEST_ASSERTION: i64 = 60 * 60;

/// The longest that an assertion may be, in bytes.
const LONGEST_TEXT: usize = 16 * 1024;

impl State {
    /// The client that signed `assertion` for one of `audiences`, with the assertion's id and its expiry. That it was
    /// not used before is still to be found out.
    fn check_assertion(
        &self,
        assertion: &str,
        audiences: &[&str],
        now: UnixTime,
    ) -> Result<(Arc<LiveClient>, RevocationId, UnixTime), AuthenticationError> {
        if assertion.len() > LONGEST_TEXT {
            return Err(AuthenticationError::MalformedAssertion);
        }
        let token = UnverifiedJws::parse(assertion.as_bytes()).map_err(|_| AuthenticationError::MalformedAssertion)?;
        // Access tokens and whatever else has a type of its own must not serve as assertions (RFC 8725 section 3.11).
        let typ = token.header().typ().map(str::to_ascii_lowercase);
        if typ.as_deref().is_some_and(|typ| !["jwt", "client-authentication+jwt"].contains(&typ)) {
            return Err(AuthenticationError::AssertionClaims);
        }
        // Who is to be believed stands in what is not verified yet; nothing else is taken from there.
        let id = claimed_issuer(assertion).ok_or(AuthenticationError::MalformedAssertion)?;
        let client = self.clients.get(&id).filter(|client| client.assertions.is_some());
        let verifier = client.and_then(|client| client.assertions.as_ref());
        let verified = verifier.and_then(|verifier| token.verify(verifier).ok());
        let (Some(client), Some(verified)) = (client, verified) else {
            return Err(AuthenticationError::AssertionSignature);
        };
        let (replay, expires_at) = self.check_claims(&verified, &client.record.id, audiences, now)?;
        Ok((Arc::clone(client), replay, expires_at))
    }

    fn check_claims(
        &self,
        assertion: &VerifiedJws,
        id: &str,
        audiences: &[&str],
        now: UnixTime,
    ) -> Result<(RevocationId, UnixTime), AuthenticationError> {
        let leeway = self.terms().map_or(0, |terms| terms.leeway);
        let patience = std::time::Duration::from_secs(leeway.unsigned_abs());
        let policy = ClaimsPolicy::new().issuer(id).subject(id).require("exp").require("jti").leeway(patience);
        let policy = audiences.iter().fold(policy, |policy, audience| policy.audience(audience));
        let claims = policy
            .validate(assertion, NumericDate::from_seconds(now.0))
            .map_err(|_| AuthenticationError::AssertionClaims)?;
        let (Some(expires_at), Some(token_id)) = (claims.expires_at(), claims.token_id()) else {
            return Err(AuthenticationError::AssertionClaims);
        };
        let expires_at = UnixTime(expires_at.seconds());
        if expires_at > now.plus(LONGEST_ASSERTION + leeway) || token_id.is_empty() {
            return Err(AuthenticationError::AssertionClaims);
        }
        let replay = RevocationId::digest("assertion", format!("{id}\n{token_id}").as_bytes());
        // As long as it would still be accepted, and a second for its fraction.
        Ok((replay, expires_at.plus(leeway + 1)))
    }
}

impl Authority {
    /// The client with this id and secret.
    ///
    /// # Errors
    /// [`AuthenticationError::Secret`], without a difference between an unknown client and a wrong secret.
    pub async fn authenticate(&self, id: &str, secret: &str) -> Result<Arc<LiveClient>, AuthenticationError> {
        let find = || self.state().client_with_secret(id, secret).cloned();
        match find() {
            Some(client) => Ok(client),
            None => {
                self.catch_up_before_refusing().await;
                find().ok_or(AuthenticationError::Secret)
            }
        }
    }

    /// Another node may just have added what is not known here. Where it cannot be asked, it is not.
    async fn catch_up_before_refusing(&self) {
        let _ = self.catch_up().await;
    }

    /// The client that signed `assertion` for one of `audiences`. That it was used is durable when this is answered.
    ///
    /// # Errors
    /// [`AuthenticationError`].
    pub async fn authenticate_assertion(
        &self,
        assertion: &str,
        audiences: &[&str],
    ) -> Result<Arc<LiveClient>, AuthenticationError> {
        let check = || self.state().check_assertion(assertion, audiences, self.now());
        let (client, replay, until) = match check() {
            Ok(checked) => checked,
            Err(_) => {
                self.catch_up_before_refusing().await;
                check()?
            }
        };
        let is_first = self
            .order_as(&client.record.id, Some(Expected::Assertion(replay)), move |desk| {
                // It is kept by the clock that it will be forgotten by.
                let until = until.max(desk.now);
                desk.remember_assertion(replay, until).map_err(AuthenticationError::from)
            })
            .await?;
        if !is_first {
            return Err(AuthenticationError::Replayed);
        }
        // With that, what others have changed was taken in: the client may be gone by now, or have other keys.
        let present = self.state().clients.get(&client.record.id).cloned();
        match present {
            Some(present) if Arc::ptr_eq(&present, &client) => Ok(client),
            _ => {
                check()?;
                let present = self.state().clients.get(&client.record.id).cloned();
                present.ok_or(AuthenticationError::AssertionSignature)
            }
        }
    }
}

/// The `iss` of an assertion that is not verified yet.
fn claimed_issuer(assertion: &str) -> Option<String> {
    let inspected = jose::dangerous::inspect_unverified(assertion.as_bytes()).ok()?;
    let mut issuer = None;
    jose::json::object(&inspected.payload, |name, value| {
        if let ("iss", jose::json::Value::String(text)) = (name, value) {
            issuer = Some(text.decode().into_owned());
        }
        Ok::<_, jose::error::JsonError>(())
    })
    .ok()?;
    issuer
}
