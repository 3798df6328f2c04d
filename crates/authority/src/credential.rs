//! What a caller was let in by. Between that and the order that it gives there may be a wait, in which it was revoked on
//! another node. So it is looked at once more when the order is decided, by what the store knows then.

use std::sync::Arc;

use crate::clients::LOCAL_CLIENT;
use crate::ports::UnixTime;
use crate::record::Client;
use crate::state::{LiveClient, State};
use crate::store::RevocationId;
use crate::tokens::AccessToken;

/// What a caller was let in by.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A token that was accepted.
    Token {
        /// What it is revoked by.
        revocation_id: RevocationId,
        /// The key that signed it.
        key_id: Option<String>,
        /// `sub`
        subject: String,
        /// `client_id`
        client_id: String,
        /// `iat`
        issued_at: UnixTime,
    },
    /// The client itself, as it was when it authenticated.
    Client(Arc<LiveClient>),
}

impl Credential {
    /// That this token was accepted.
    #[must_use]
    pub fn of(token: &AccessToken) -> Self {
        Self::Token {
            revocation_id: token.revocation_id,
            key_id: token.key_id.clone(),
            subject: token.subject.clone(),
            client_id: token.client_id.clone(),
            issued_at: token.issued_at,
        }
    }

    /// Whether it would still be accepted in `state`.
    pub(crate) fn is_good(&self, state: &State) -> bool {
        match self {
            Self::Token { revocation_id, key_id, subject, client_id, issued_at } => {
                let has_client = client_id == LOCAL_CLIENT || state.clients.contains_key(client_id);
                let is_published = |id| state.keys.get(id).is_some_and(|key| key.record.state.is_published());
                has_client
                    && key_id.as_ref().is_none_or(is_published)
                    && !state.revokes(*revocation_id, subject, client_id, *issued_at)
            }
            Self::Client(then) => {
                let now = state.clients.get(&then.record.id);
                now.is_some_and(|now| Arc::ptr_eq(now, then) || may_do_the_same(&now.record, &then.record))
            }
        }
    }
}

/// Whether a client can still authenticate as it could then, and may do what it might. The rest of it may be new.
fn may_do_the_same(now: &Client, then: &Client) -> bool {
    let has_secrets = then.secrets.iter().all(|secret| now.secrets.contains(secret));
    now.created_at == then.created_at && now.scopes == then.scopes && now.jwks == then.jwks && has_secrets
}
