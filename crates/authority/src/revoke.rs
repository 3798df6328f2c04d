//! Revoking: one token, everything of a subject or a client, or, with `compromise_key`, of a key. It is durable when it
//! is answered, and nothing that it covers is accepted here from then on.

use jose::error::ClaimsError;
use serde_json::json;

use crate::authority::{Authority, Caller, Created};
use crate::clients::random_id;
use crate::error::{AdminError, RevokeError, StoreError, TokenError};
use crate::order::Desk;
use crate::ports::UnixTime;
use crate::record::{Rule, Whose};
use crate::state::State;
use crate::store::{Change, Position, Put, RevocationId, RevokedToken};
use crate::tokens::AcceptedToken;

/// The longest reason, subject or token id, in characters.
const LONGEST_TEXT: usize = 1024;

/// The last second of the year 9999.
const LAST_SECOND: UnixTime = UnixTime(253_402_300_799);

/// A revocation, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// Of one token.
    Token(RevokedToken),
    /// Of everything up to a time.
    Rule(Rule),
}

impl State {
    /// The rules that are wanted, in the order of their ids: at most `limit` after `after`.
    pub fn rules(&self, after: Option<&str>, limit: usize, wanted: impl Fn(&Rule) -> bool) -> Vec<Rule> {
        self.rules.after(after, limit, wanted)
    }

    /// How many rules there are.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// What the entries of revoked tokens take up in memory, in bytes.
    #[must_use]
    pub fn revoked_tokens_size(&self) -> usize {
        self.tokens.size()
    }

    /// Whether the token with this id is revoked by itself.
    #[must_use]
    pub fn is_revoked(&self, id: RevocationId) -> bool {
        self.tokens.contains(id)
    }

    /// How many tokens are revoked one by one.
    #[must_use]
    pub fn revoked_tokens(&self) -> usize {
        self.tokens.len()
    }
}

impl Authority {
    /// Revokes a token that is in force. Revoking it again changes nothing.
    ///
    /// # Errors
    /// [`AdminError`]; [`RevokeError::NotOurs`] and [`RevokeError::Expired`] when there is nothing to revoke.
    pub async fn revoke_token(
        &self,
        caller: &Caller,
        token: &str,
        reason: &str,
    ) -> Result<Created<RevokedToken>, AdminError> {
        let found = self.find_by_token(token, &mut false).await?;
        self.revoke_found(caller, found, reason).await
    }

    /// The token, in force or revoked already, so that it can be revoked. Nobody is told that there is nothing to revoke
    /// because this node has not heard yet of the client or the key.
    ///
    /// # Errors
    /// [`StoreError`], where that cannot be found out.
    pub async fn find_revocable(&self, token: &str) -> Result<Result<AcceptedToken, TokenError>, StoreError> {
        self.find_revocable_of_many(token, &mut false).await
    }

    /// As above; once for many is enough.
    async fn find_revocable_of_many(
        &self,
        token: &str,
        is_caught_up: &mut bool,
    ) -> Result<Result<AcceptedToken, TokenError>, StoreError> {
        let found = self.state().find_revocable(token, self.now());
        let may_be_unheard_of = match &found {
            Ok(_) | Err(TokenError::Form(_) | TokenError::Revoked(_)) => false,
            Err(TokenError::Claims(error)) => !matches!(error, ClaimsError::Expired { .. }),
            Err(TokenError::Signature(_) | TokenError::ClientGone) => true,
        };
        if !may_be_unheard_of || *is_caught_up {
            return Ok(found);
        }
        self.catch_up().await?;
        *is_caught_up = true;
        Ok(self.state().find_revocable(token, self.now()))
    }

    /// Revokes a token that was found to be in force.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn revoke_accepted(
        &self,
        caller: &Caller,
        token: &AcceptedToken,
        reason: &str,
    ) -> Result<Created<RevokedToken>, AdminError> {
        self.revoke_found(caller, Ok(Found::of(token)), reason).await
    }

    /// Revokes the token with this `jti`, which need not be at hand. Where its expiry is not known, it may be a token that
    /// has none.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn revoke_token_id(
        &self,
        caller: &Caller,
        token_id: &str,
        expires_at: Option<UnixTime>,
        reason: &str,
    ) -> Result<Created<RevokedToken>, AdminError> {
        let found = self.find_by_id(token_id, expires_at);
        self.revoke_found(caller, found, reason).await
    }

    pub(crate) async fn find_by_token(
        &self,
        token: &str,
        is_caught_up: &mut bool,
    ) -> Result<Result<Found, RevokeError>, StoreError> {
        let found = self.find_revocable_of_many(token, is_caught_up).await?.map_err(|error| match error {
            TokenError::Claims(ClaimsError::Expired { .. }) => RevokeError::Expired,
            _ => RevokeError::NotOurs,
        });
        Ok(found.map(|found| Found::of(&found)))
    }

    pub(crate) fn find_by_id(&self, token_id: &str, expires_at: Option<UnixTime>) -> Result<Found, RevokeError> {
        let (state, now) = (self.state(), self.now());
        if !(1..=LONGEST_TEXT).contains(&token_id.chars().count()) {
            return Err(RevokeError::TooLong);
        }
        if expires_at.is_some_and(|at| at <= now) {
            return Err(RevokeError::Past);
        }
        if expires_at.is_some_and(|at| at > LAST_SECOND) {
            return Err(RevokeError::Far);
        }
        let id = RevocationId::of_token_id(token_id);
        if expires_at.is_some() {
            return Ok(Found { id, expires_at, key_id: None });
        }
        // It may be one of the simple contract's, which do not expire.
        match state.simple_key_id() {
            Some(key_id) => Ok(Found { id, expires_at: None, key_id: Some(key_id.to_owned()) }),
            None => {
                let longest = state.ring().map(|ring| ring.timing.last_token_gone(now.max(state.newest_at)));
                Ok(Found { id, expires_at: longest, key_id: None })
            }
        }
    }

    /// Revokes what was found. What is wrong with it is told only to whoever comes for the first time.
    async fn revoke_found(
        &self,
        caller: &Caller,
        found: Result<Found, RevokeError>,
        reason: &str,
    ) -> Result<Created<RevokedToken>, AdminError> {
        let found = found.and_then(|found| check_reason(reason).map(|()| found));
        let earlier = match &found {
            Ok(found) if self.state().tokens.contains(found.id) => {
                let id = found.id;
                self.read(move |store| store.find_token(id)).await?
            }
            _ => None,
        };
        let earlier = earlier.filter(|earlier| found.as_ref().is_ok_and(|found| found.is_covered_by(earlier)));
        let (actor, reason, was_earlier) = (caller.name.clone(), reason.to_owned(), earlier.is_some());
        let created = self
            .order_once(caller, move |desk| {
                let found = found?;
                Ok(Stored::of(&earlier.unwrap_or_else(|| found.revoke(desk, actor, reason))))
            })
            .await?;
        Ok(match created {
            Created::Now(token) if !was_earlier => Created::Now(token.into_token()?),
            Created::Now(token) | Created::Before(token) => Created::Before(token.into_token()?),
        })
    }

    /// Revokes everything that was issued about a subject up to now, the present second included.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn revoke_subject(
        &self,
        caller: &Caller,
        subject: &str,
        reason: &str,
    ) -> Result<Created<Rule>, AdminError> {
        self.revoke_all(caller, Whose::Subject(subject.to_owned()), reason).await
    }

    /// Revokes everything that was issued to a client up to now, the present second included. The client stays.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn revoke_client(&self, caller: &Caller, id: &str, reason: &str) -> Result<Created<Rule>, AdminError> {
        self.revoke_all(caller, Whose::Client(id.to_owned()), reason).await
    }

    async fn revoke_all(&self, caller: &Caller, whose: Whose, reason: &str) -> Result<Created<Rule>, AdminError> {
        check_whose(&whose)?;
        check_reason(reason)?;
        let (actor, reason) = (caller.name.clone(), reason.to_owned());
        self.order_once(caller, move |desk: &mut Desk<'_>| revoke_whose(desk, whose, actor, reason)).await
    }

    /// The revocation of this id: a rule, or a revoked token.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find_revocation(&self, id: &str) -> Result<Option<Revocation>, StoreError> {
        if let Some(rule) = self.state().rules.find(id) {
            return Ok(Some(Revocation::Rule(rule)));
        }
        let Some(id) = RevocationId::parse(id) else { return Ok(None) };
        let token = self.read(move |store| store.find_token(id)).await?;
        Ok(token.map(Revocation::Token))
    }

    /// Tokens that are revoked one by one, in the order of their ids: at most `limit` after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revocations(
        &self,
        after: Option<RevocationId>,
        limit: usize,
    ) -> Result<Vec<RevokedToken>, StoreError> {
        self.read(move |store| store.tokens(after, limit)).await
    }

    /// Who changed what and when, newest first: at most `limit` entries before `before`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log(&self, before: Option<Position>, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.read(move |store| store.log(before, limit)).await
    }

    /// Proves that the store takes mutations.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.read(|store| store.probe()).await
    }
}

/// Revokes everything up to now.
pub(crate) fn revoke_whose(
    desk: &mut Desk<'_>,
    whose: Whose,
    actor: String,
    reason: String,
) -> Result<Rule, AdminError> {
    if let Whose::Client(id) = &whose
        && id != crate::clients::LOCAL_CLIENT
        && !desk.state.clients.contains_key(id)
    {
        return Err(RevokeError::NoSuchClient.into());
    }
    let id = random_id(desk.randomness)?;
    let rule = Rule { id, whose, until: desk.issued_until, revoked_at: desk.now, actor, reason };
    let (action, name, whose) = match &rule.whose {
        Whose::Subject(subject) => ("subject.revoked", "subject", subject),
        Whose::Client(client) => ("client.revoked", "client_id", client),
    };
    let mut detail = json!({ "until": rule.until, "reason": rule.reason });
    if let Some(detail) = detail.as_object_mut() {
        detail.insert(name.to_owned(), whose.as_str().into());
    }
    desk.put(action, &rule, detail);
    Ok(rule)
}

/// A subject may be anybody. A client is looked for when it is revoked.
pub(crate) fn check_whose(whose: &Whose) -> Result<(), RevokeError> {
    match whose {
        Whose::Subject(subject) if !(1..=LONGEST_TEXT).contains(&subject.chars().count()) => Err(RevokeError::TooLong),
        Whose::Subject(_) | Whose::Client(_) => Ok(()),
    }
}

pub(crate) fn check_reason(reason: &str) -> Result<(), RevokeError> {
    if reason.chars().count() > LONGEST_TEXT { Err(RevokeError::TooLong) } else { Ok(()) }
}

/// What is to be revoked.
pub(crate) struct Found {
    pub(crate) id: RevocationId,
    expires_at: Option<UnixTime>,
    key_id: Option<String>,
}

impl Found {
    fn of(token: &AcceptedToken) -> Self {
        let (expires_at, key_id) = match token {
            AcceptedToken::Access(token) => (Some(token.expires_at), token.key_id.clone()),
            AcceptedToken::Simple(token) => (token.expires_at, Some(token.key_id.clone())),
        };
        // Until the end of the second that it names.
        Self { id: token.revocation_id(), expires_at: expires_at.map(|at| at.plus(1)), key_id }
    }

    /// Whether an earlier entry lasts as long. One that does not is to be extended.
    pub(crate) fn is_covered_by(&self, earlier: &RevokedToken) -> bool {
        earlier.expires_at.is_none() || self.expires_at.is_some_and(|wanted| earlier.expires_at >= Some(wanted))
    }

    pub(crate) fn revoke(self, desk: &mut Desk<'_>, actor: String, reason: String) -> RevokedToken {
        let Self { id, expires_at, key_id } = self;
        let token = RevokedToken { id, expires_at, key_id, revoked_at: desk.now, actor, reason };
        let detail = json!({ "expires_at": token.expires_at, "reason": token.reason });
        desk.draft("token.revoked", Put::Token(token.clone()), &detail);
        token
    }
}

/// A revoked token, as it is remembered for an idempotency key.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Stored {
    id: String,
    expires_at: Option<UnixTime>,
    key_id: Option<String>,
    revoked_at: UnixTime,
    actor: String,
    reason: String,
}

impl Stored {
    pub(crate) fn of(token: &RevokedToken) -> Self {
        Self {
            id: token.id.to_string(),
            expires_at: token.expires_at,
            key_id: token.key_id.clone(),
            revoked_at: token.revoked_at,
            actor: token.actor.clone(),
            reason: token.reason.clone(),
        }
    }

    pub(crate) fn into_token(self) -> Result<RevokedToken, StoreError> {
        let id = RevocationId::parse(&self.id).ok_or_else(|| StoreError::Corrupt("an id is no id".to_owned()))?;
        let Self { expires_at, key_id, revoked_at, actor, reason, .. } = self;
        Ok(RevokedToken { id, expires_at, key_id, revoked_at, actor, reason })
    }
}
