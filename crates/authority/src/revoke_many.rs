//! Revoking many at a time. Each has an outcome of its own, and one that is wrong does not keep the others from being
//! revoked. They are decided and made durable a few hundred together, and between those others have their turn: whoever
//! revokes ten thousand does not keep waiting whoever revokes one.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::authority::{Authority, Caller, Created, Once};
use crate::error::{AdminError, RevokeError, StoreError};
use crate::order::Desk;
use crate::ports::UnixTime;
use crate::record::{Rule, Whose};
use crate::revoke::{Found, Revocation, Stored, check_reason, check_whose, revoke_whose};
use crate::store::{RevocationId, RevokedToken};

/// So many can be revoked by one call.
pub const MOST_REVOCATIONS: usize = 10_000;

/// So many are decided together.
const TOGETHER: usize = 500;

/// So many tokens are verified before others on the thread have their turn.
const IN_A_ROW: usize = 16;

/// One of many revocations that are wanted.
#[derive(Clone, PartialEq, Eq)]
pub struct NewRevocation {
    /// What is to be revoked.
    pub of: Revocable,
    /// Why; may be empty.
    pub reason: String,
}

/// What can be revoked many at a time: everything but keys.
#[derive(Clone, PartialEq, Eq)]
pub enum Revocable {
    /// A token that is in force.
    Token(String),
    /// The token with this `jti`, and when it expires where that is known.
    TokenId(String, Option<UnixTime>),
    /// Everything about a subject, or of a client, up to now.
    All(Whose),
}

/// What has become of one of many.
pub type Outcome = Result<Created<Revocation>, AdminError>;

/// What is to be decided in the order of the ledger.
enum Finding {
    Token(Found),
    All(Whose),
}

/// What was decided, as it is remembered for an idempotency key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Made {
    Token { token: Stored, is_new: bool },
    Rule(Rule),
    Refused(RevokeError),
}

impl Authority {
    /// Revokes many, and answers what has become of each, in their order. Those that are answered as revoked are durable.
    ///
    /// With an idempotency key, what was decided by an interrupted call is not decided again.
    ///
    /// # Errors
    /// [`AdminError`], when nothing was revoked: [`RevokeError::TooMany`] beyond [`MOST_REVOCATIONS`], and whatever went
    /// wrong before any was decided. What goes wrong later is the outcome of those that are left.
    pub async fn revoke_many(&self, caller: &Caller, wanted: Vec<NewRevocation>) -> Result<Vec<Outcome>, AdminError> {
        if wanted.len() > MOST_REVOCATIONS {
            return Err(RevokeError::TooMany.into());
        }
        // Nobody closes it.
        let _turn = self.batches.acquire().await;
        let (mut wanted, mut outcomes) = (wanted.into_iter(), Vec::new());
        for number in 0_usize.. {
            let part: Vec<_> = wanted.by_ref().take(TOGETHER).collect();
            if part.is_empty() {
                break;
            }
            let rest = part.len() + wanted.len();
            match self.revoke_together(&part_of(caller, number), part).await {
                Ok(part) => outcomes.extend(part),
                Err(error) if outcomes.is_empty() => return Err(error),
                Err(error) => {
                    outcomes.extend(std::iter::repeat_n(Err(error), rest));
                    break;
                }
            }
        }
        Ok(outcomes)
    }

    async fn revoke_together(&self, caller: &Caller, wanted: Vec<NewRevocation>) -> Result<Vec<Outcome>, AdminError> {
        let (mut found, mut is_caught_up) = (Vec::with_capacity(wanted.len()), false);
        for (index, wanted) in wanted.into_iter().enumerate() {
            if index % IN_A_ROW == IN_A_ROW - 1 {
                // Whatever else waits for this thread goes on.
                tokio::task::yield_now().await;
            }
            found.push((self.find_what(wanted.of, &wanted.reason, &mut is_caught_up).await?, wanted.reason));
        }
        let mut earlier = self.find_earlier(&found).await?;
        let actor = caller.name.clone();
        let made = self
            .order_once(caller, move |desk| {
                found
                    .into_iter()
                    .map(|(found, reason)| decide(desk, found, &mut earlier, &actor, reason))
                    .collect::<Result<Vec<_>, _>>()
            })
            .await?;
        let is_repeated = matches!(made, Created::Before(_));
        made.into_inner().into_iter().map(|made| Ok(made.into_outcome(is_repeated)?)).collect()
    }

    async fn find_what(
        &self,
        what: Revocable,
        reason: &str,
        is_caught_up: &mut bool,
    ) -> Result<Result<Finding, RevokeError>, StoreError> {
        let found = match what {
            Revocable::Token(token) => self.find_by_token(&token, is_caught_up).await?.map(Finding::Token),
            Revocable::TokenId(id, expires_at) => self.find_by_id(&id, expires_at).map(Finding::Token),
            Revocable::All(whose) => check_whose(&whose).map(|()| Finding::All(whose)),
        };
        Ok(found.and_then(|found| check_reason(reason).map(|()| found)))
    }

    /// The entries of those that are revoked already.
    async fn find_earlier(
        &self,
        found: &[(Result<Finding, RevokeError>, String)],
    ) -> Result<HashMap<RevocationId, RevokedToken>, StoreError> {
        let state = self.state();
        let ids = found.iter().filter_map(|(found, _)| match found {
            Ok(Finding::Token(found)) => Some(found.id),
            _ => None,
        });
        let known: Vec<_> = ids.filter(|id| state.tokens.contains(*id)).collect();
        drop(state);
        if known.is_empty() {
            return Ok(HashMap::new());
        }
        self.read(move |store| Ok(store.find_tokens(&known)?.into_iter().map(|entry| (entry.id, entry)).collect()))
            .await
    }
}

/// Whoever orders one part of many: each is remembered by itself. No caller's key has a line break in it.
fn part_of(caller: &Caller, number: usize) -> Caller {
    let part = |once: &Once| match number {
        0 => once.clone(),
        _ => Once { key: format!("{}\n{number}", once.key), request: once.request.clone() },
    };
    // What was begun by somebody who might is done to its end: it may revoke the caller, too.
    let credential = caller.credential.clone().filter(|_| number == 0);
    Caller { once: caller.once.as_ref().map(part), credential, ..caller.clone() }
}

fn decide(
    desk: &mut Desk<'_>,
    found: Result<Finding, RevokeError>,
    earlier: &mut HashMap<RevocationId, RevokedToken>,
    actor: &str,
    reason: String,
) -> Result<Made, AdminError> {
    Ok(match found {
        Ok(Finding::Token(found)) => match earlier.get(&found.id) {
            Some(earlier) if found.is_covered_by(earlier) => Made::Token { token: Stored::of(earlier), is_new: false },
            _ => {
                let token = found.revoke(desk, actor.to_owned(), reason);
                let made = Made::Token { token: Stored::of(&token), is_new: true };
                earlier.insert(token.id, token);
                made
            }
        },
        Ok(Finding::All(whose)) => match revoke_whose(desk, whose, actor.to_owned(), reason) {
            Ok(rule) => Made::Rule(rule),
            Err(AdminError::Revoke(error)) => Made::Refused(error),
            Err(error) => return Err(error),
        },
        Err(error) => Made::Refused(error),
    })
}

impl Made {
    fn into_outcome(self, is_repeated: bool) -> Result<Outcome, StoreError> {
        let (revocation, is_new) = match self {
            Self::Token { token, is_new } => (Revocation::Token(token.into_token()?), is_new),
            Self::Rule(rule) => (Revocation::Rule(rule), true),
            Self::Refused(error) => return Ok(Err(error.into())),
        };
        Ok(Ok(if is_new && !is_repeated { Created::Now(revocation) } else { Created::Before(revocation) }))
    }
}
