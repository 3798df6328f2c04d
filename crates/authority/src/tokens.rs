//! Which tokens are accepted: access tokens of this authority (RFC 9068 section 4), and the simple contract's. Neither
//! can stand for the other: they have different keys and types, and only one of them has an issuer and an audience.

use std::time::Duration;

use jose::error::VerifyError;
use jose::{Algorithm, ClaimsPolicy, Header, NumericDate, Report, UnverifiedJws, VerifiedJws};

use crate::authority::Authority;
use crate::clients::LOCAL_CLIENT;
use crate::error::{Revoked, TokenError};
use crate::ports::UnixTime;
use crate::scope::Scopes;
use crate::state::State;
use crate::store::RevocationId;

/// Longer than any clock is wrong.
const AGES: Duration = Duration::from_secs(100 * 365 * 86_400);

/// An access token that is accepted.
#[derive(Debug)]
pub struct AccessToken {
    jws: VerifiedJws,
    /// What it is revoked by.
    pub revocation_id: RevocationId,
    /// The key that signed it.
    pub key_id: Option<String>,
    /// `sub`
    pub subject: String,
    /// `client_id`
    pub client_id: String,
    /// `aud`
    pub audiences: Vec<String>,
    /// `scope`
    pub scopes: Scopes,
    /// `iat`
    pub issued_at: UnixTime,
    /// `exp`
    pub expires_at: UnixTime,
}

impl AccessToken {
    /// All its claims, as the JSON text that was signed.
    #[must_use]
    pub fn claims(&self) -> &[u8] {
        self.jws.payload()
    }
}

/// A token of the simple contract that is accepted.
#[derive(Debug)]
pub struct SimpleToken {
    jws: VerifiedJws,
    /// What it is revoked by.
    pub revocation_id: RevocationId,
    /// The key that signed it.
    pub key_id: String,
    /// `exp`; those that are minted here have none.
    pub expires_at: Option<UnixTime>,
}

impl SimpleToken {
    /// All its claims, as the JSON text that was signed.
    #[must_use]
    pub fn claims(&self) -> &[u8] {
        self.jws.payload()
    }
}

/// A token of either kind.
#[derive(Debug)]
pub enum AcceptedToken {
    /// An access token.
    Access(AccessToken),
    /// The simple contract's.
    Simple(SimpleToken),
}

impl AcceptedToken {
    /// What it is revoked by.
    #[must_use]
    pub fn revocation_id(&self) -> RevocationId {
        match self {
            Self::Access(token) => token.revocation_id,
            Self::Simple(token) => token.revocation_id,
        }
    }
}

/// What was found out about a token.
#[derive(Debug)]
pub struct Examination {
    /// `access_token` or `simple`, by what the header says.
    pub kind: &'static str,
    /// The header, where there is one.
    pub header: Option<Header>,
    /// The key that signed it, where that is known.
    pub key_id: Option<String>,
    /// Whether the signature holds under one of the published keys.
    pub signature_holds: bool,
    /// Each claim, with what was expected and found; where the signature holds.
    pub report: Option<Report>,
    /// The claims, where the signature holds.
    pub claims: Option<Vec<u8>>,
    /// Why it is not accepted.
    pub outcome: Result<(), TokenError>,
    /// What revokes it, whether or not it is accepted otherwise.
    pub revoked: Option<Revoked>,
}

impl State {
    /// What access tokens must say (RFC 9068 section 4). Clocks of nodes may be apart, but an expiry is an expiry: that
    /// is checked without leeway elsewhere.
    fn policy(&self, audience: Option<&str>, leeway: Duration) -> ClaimsPolicy {
        let required = ["exp", "sub", "client_id", "iat", "jti", "aud"];
        let policy = ClaimsPolicy::new()
            .typ(crate::state::ACCESS_TOKEN)
            .issuer(self.issuer.as_deref().unwrap_or_default())
            .leeway(leeway);
        let policy = required.into_iter().fold(policy, ClaimsPolicy::require);
        audience.into_iter().fold(policy, ClaimsPolicy::audience)
    }

    /// The access token, if it is one of ours and in force: signature, claims, revocation. For `audience`, where one is
    /// given.
    ///
    /// # Errors
    /// [`TokenError`] for the first reason against it.
    pub fn accept_access_token(
        &self,
        token: &str,
        audience: Option<&str>,
        now: UnixTime,
    ) -> Result<AccessToken, TokenError> {
        let jws = self.verify(token)?;
        let accepted = self.validate(jws, audience, now, self.leeway())?;
        match self.find_revoked(&accepted) {
            Some(revoked) => Err(TokenError::Revoked(revoked)),
            None => Ok(accepted),
        }
    }

    fn verify(&self, token: &str) -> Result<VerifiedJws, TokenError> {
        let unverified = UnverifiedJws::parse(token.as_bytes())?;
        match &self.published.verifier {
            Some(verifier) => Ok(unverified.verify(verifier)?),
            None => Err(TokenError::Signature(VerifyError::Signature)),
        }
    }

    fn validate(
        &self,
        jws: VerifiedJws,
        audience: Option<&str>,
        now: UnixTime,
        leeway: Duration,
    ) -> Result<AccessToken, TokenError> {
        let present = NumericDate::from_seconds(now.0);
        let claims = self.policy(audience, leeway).validate(&jws, present)?;
        let expires_at = claims.expires_at().unwrap_or(present);
        if expires_at <= present {
            return Err(jose::error::ClaimsError::Expired { by: present.since(expires_at) }.into());
        }
        let text = |name: &str| match claims.find(name) {
            Some(jose::json::Value::String(text)) => Some(text.decode().into_owned()),
            _ => None,
        };
        let client_id = text("client_id").ok_or(jose::error::ClaimsError::Type("client_id"))?;
        let scopes = Scopes::parse(&text("scope").unwrap_or_default()).unwrap_or_default();
        let token_id = claims.token_id().unwrap_or_default();
        let accepted = AccessToken {
            revocation_id: RevocationId::of_token_id(token_id),
            key_id: jws.header().key_id().map(str::to_owned),
            subject: claims.subject().unwrap_or_default().to_owned(),
            audiences: claims.audience().into_iter().flat_map(|own| own.iter().map(str::to_owned)).collect(),
            issued_at: UnixTime(claims.issued_at().unwrap_or(present).seconds()),
            // Until the end of the second that it names.
            expires_at: UnixTime(expires_at.seconds()),
            client_id,
            scopes,
            jws,
        };
        if accepted.client_id != LOCAL_CLIENT && !self.clients.contains_key(&accepted.client_id) {
            return Err(TokenError::ClientGone);
        }
        Ok(accepted)
    }

    fn find_revoked(&self, token: &AccessToken) -> Option<Revoked> {
        if self.tokens.contains(token.revocation_id) {
            return Some(Revoked::Token(token.revocation_id));
        }
        let rule = self.rules.covering(&token.subject, &token.client_id, token.issued_at);
        rule.map(|(_, id)| Revoked::Rule(id))
    }

    /// A token of ours that may be revoked: one that has not expired, whether it is revoked already or not, and though it
    /// may be from the future, because a clock was ahead when it was made.
    ///
    /// # Errors
    /// [`TokenError`], but for [`TokenError::Revoked`].
    pub fn find_revocable(&self, token: &str, now: UnixTime) -> Result<AcceptedToken, TokenError> {
        let parsed = UnverifiedJws::parse(token.as_bytes())?;
        if is_simple(parsed.header()) {
            self.verify_simple(parsed, token, now, AGES).map(AcceptedToken::Simple)
        } else {
            self.validate(self.verify(token)?, None, now, AGES).map(AcceptedToken::Access)
        }
    }

    /// How far clocks may be apart.
    fn leeway(&self) -> Duration {
        Duration::from_secs(self.terms().map_or(0, |terms| terms.leeway).unsigned_abs())
    }

    fn unless_revoked(&self, token: SimpleToken) -> Result<SimpleToken, TokenError> {
        if self.tokens.contains(token.revocation_id) {
            return Err(TokenError::Revoked(Revoked::Token(token.revocation_id)));
        }
        Ok(token)
    }

    fn verify_simple(
        &self,
        parsed: UnverifiedJws<'_>,
        token: &str,
        now: UnixTime,
        leeway: Duration,
    ) -> Result<SimpleToken, TokenError> {
        let mut failure = TokenError::Signature(VerifyError::Signature);
        // Nearly always it is the first key.
        let mut parsed = Some(parsed);
        let keys = self.keys.values().filter(|key| key.record.state.is_published());
        for (id, key) in keys.filter_map(|key| Some((&key.record.id, key.simple.as_ref()?))) {
            let unverified = match parsed.take() {
                Some(parsed) => parsed,
                None => UnverifiedJws::parse(token.as_bytes())?,
            };
            match unverified.verify(&key.verifier) {
                Ok(jws) => return self.validate_simple(jws, token, id, now, leeway),
                Err(error) => failure = error.into(),
            }
        }
        Err(failure)
    }

    /// Whoever knows the key can sign tokens that do expire, so that is looked at, too.
    fn validate_simple(
        &self,
        jws: VerifiedJws,
        token: &str,
        key_id: &str,
        now: UnixTime,
        leeway: Duration,
    ) -> Result<SimpleToken, TokenError> {
        let present = NumericDate::from_seconds(now.0);
        let claims = ClaimsPolicy::new().typ("JWT").leeway(leeway).validate(&jws, present)?;
        let expires_at = claims.expires_at();
        if let Some(end) = expires_at.filter(|end| *end <= present) {
            return Err(jose::error::ClaimsError::Expired { by: present.since(end) }.into());
        }
        let by_id = claims.token_id().map(RevocationId::of_token_id);
        let revocation_id = by_id.unwrap_or_else(|| RevocationId::of_signed(token));
        let expires_at = expires_at.map(|end| UnixTime(end.seconds()));
        Ok(SimpleToken { jws, revocation_id, key_id: key_id.to_owned(), expires_at })
    }

    /// The token, of whichever kind its header says; an access token for `audience`, where one is given.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn accept_token(
        &self,
        token: &str,
        audience: Option<&str>,
        now: UnixTime,
    ) -> Result<AcceptedToken, TokenError> {
        let parsed = UnverifiedJws::parse(token.as_bytes())?;
        if is_simple(parsed.header()) {
            let accepted = self.verify_simple(parsed, token, now, self.leeway())?;
            self.unless_revoked(accepted).map(AcceptedToken::Simple)
        } else {
            self.accept_access_token(token, audience, now).map(AcceptedToken::Access)
        }
    }

    /// Everything that can be said about a token; `audience` is for whom it should be.
    #[must_use]
    pub fn examine(&self, token: &str, audience: Option<&str>, now: UnixTime) -> Examination {
        let mut examination = Examination {
            kind: "access_token",
            header: None,
            key_id: None,
            signature_holds: false,
            report: None,
            claims: None,
            outcome: Ok(()),
            revoked: None,
        };
        let parsed = match UnverifiedJws::parse(token.as_bytes()) {
            Ok(parsed) => parsed,
            Err(error) => return Examination { outcome: Err(error.into()), ..examination },
        };
        let header = parsed.header().clone();
        examination.key_id = header.key_id().map(str::to_owned);
        let simple = is_simple(&header);
        examination.header = Some(header);
        if simple {
            examination.kind = "simple";
            match self.verify_simple(parsed, token, now, self.leeway()) {
                Ok(accepted) => {
                    examination.signature_holds = true;
                    examination.claims = Some(accepted.claims().to_vec());
                    if self.tokens.contains(accepted.revocation_id) {
                        examination.revoked = Some(Revoked::Token(accepted.revocation_id));
                    }
                    examination.key_id = Some(accepted.key_id);
                }
                Err(error) => {
                    examination.signature_holds = matches!(error, TokenError::Claims(_));
                    examination.outcome = Err(error);
                }
            }
        } else {
            match self.verify(token) {
                Ok(jws) => self.examine_claims(jws, audience, now, &mut examination),
                Err(error) => examination.outcome = Err(error),
            }
        }
        if let (Ok(()), Some(revoked)) = (&examination.outcome, &examination.revoked) {
            examination.outcome = Err(TokenError::Revoked(revoked.clone()));
        }
        examination
    }

    fn examine_claims(&self, jws: VerifiedJws, audience: Option<&str>, now: UnixTime, examination: &mut Examination) {
        examination.signature_holds = true;
        examination.claims = Some(jws.payload().to_vec());
        examination.report = Some(self.policy(audience, self.leeway()).report(&jws, NumericDate::from_seconds(now.0)));
        let token_id = {
            let claims = ClaimsPolicy::new().leeway(Duration::from_secs(u32::MAX.into()));
            claims.validate(&jws, NumericDate::from_seconds(now.0)).ok().and_then(|c| c.token_id().map(str::to_owned))
        };
        if let Some(id) = token_id.map(|token_id| RevocationId::of_token_id(&token_id))
            && self.tokens.contains(id)
        {
            examination.revoked = Some(Revoked::Token(id));
        }
        match self.validate(jws, audience, now, self.leeway()) {
            Ok(accepted) => examination.revoked = self.find_revoked(&accepted),
            Err(error) => examination.outcome = Err(error),
        }
    }
}

/// How long the store is looked at for whoever shows an unknown token.
const LOOK_AT_MOST: Duration = Duration::from_secs(1);

impl Authority {
    /// Whether a token that was refused here may be accepted now: where its client or its key is not known, another node
    /// may have made that a moment ago, so the store is asked. Once for `is_caught_up`, and never where there is no other
    /// node.
    pub async fn knows_more(&self, refused: &TokenError, is_caught_up: &mut bool) -> bool {
        let may_be_unheard_of = matches!(refused, TokenError::ClientGone | TokenError::Signature(VerifyError::NoKey));
        if !may_be_unheard_of || *is_caught_up || !self.is_shared() {
            return false;
        }
        *is_caught_up = true;
        // Where it cannot be asked, the refusal stands; nor is anybody kept waiting for long by an invented key.
        let look = Box::pin(tokio::time::timeout(LOOK_AT_MOST, self.catch_up()));
        look.await.is_ok_and(|looked| looked.is_ok())
    }
}

/// Only the simple contract uses shared secrets.
fn is_simple(header: &Header) -> bool {
    header.algorithm() == Some(Algorithm::HS512)
}
