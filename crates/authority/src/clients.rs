//! Clients: who they are, what they may ask for, and their secrets.
//!
//! A secret is 256 random bits that are made here and shown once, so a keyed hash is enough to keep it by: nobody can
//! guess it, and checking it costs next to nothing.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use jose::{Algorithm, JwkSet, base64url};
use serde_json::json;
use zeroize::Zeroizing;

use crate::authority::{Authority, Caller, Created};
use crate::error::{AdminError, ClientError, RandomnessError};
use crate::order::Desk;
use crate::ports::Randomness;
use crate::record::{Client, Rule, SecretRecord, Whose};
use crate::scope::Scopes;
use crate::state::{LiveClient, State};
use crate::store::{Kind, Put};
use crate::token_id::TokenId;

/// The client of tokens that are made on the machine itself.
pub const LOCAL_CLIENT: &str = "jotd-cli";

/// How long tokens live where nothing else is said, in seconds.
pub const DEFAULT_TOKEN_LIFETIME: i64 = 3600;

/// Stands before every secret, so that scanners can find one that was published by mistake.
const SECRET_PREFIX: &str = "jotd_secret_";

/// What a client is to be.
#[derive(Debug, Clone)]
pub struct NewClient {
    /// Its id; made up where there is none.
    pub id: Option<String>,
    /// For people.
    pub name: String,
    /// What it may ask for.
    pub scopes: Scopes,
    /// For whom its tokens may be.
    pub audiences: Vec<String>,
    /// How long its tokens live, in seconds; an hour, or the longest that is allowed, where nothing is said.
    pub token_lifetime: Option<i64>,
    /// What they are signed with.
    pub algorithm: Option<Algorithm>,
    /// Public keys for assertions, as a JWK Set; such a client gets no secret.
    pub jwks: Option<String>,
}

/// What is to change about a client; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct ClientChange {
    /// The name.
    pub name: Option<String>,
    /// The scopes.
    pub scopes: Option<Scopes>,
    /// The audiences.
    pub audiences: Option<Vec<String>>,
    /// The lifetime, in seconds.
    pub token_lifetime: Option<i64>,
    /// The algorithm; `Some(None)` is the default slot's.
    pub algorithm: Option<Option<Algorithm>>,
    /// The keys; `Some(None)` removes them.
    pub jwks: Option<Option<String>>,
}

/// A secret, to be shown once.
#[derive(Clone)]
pub struct ClientSecret(Zeroizing<String>);

impl ClientSecret {
    fn generate(randomness: &dyn Randomness) -> Result<Self, RandomnessError> {
        let mut bytes = Zeroizing::new([0; 32]);
        randomness.fill(&mut *bytes)?;
        let encoded = Zeroizing::new(base64url::encode(&*bytes));
        Ok(Self(Zeroizing::new(format!("{SECRET_PREFIX}{}", *encoded))))
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientSecret(redacted)")
    }
}

impl State {
    /// All clients, in the order of their ids.
    pub fn clients(&self) -> impl Iterator<Item = &LiveClient> {
        self.clients.values().map(|client| &**client)
    }

    /// The client of this id.
    #[must_use]
    pub fn find_client(&self, id: &str) -> Option<&LiveClient> {
        self.clients.get(id).map(|client| &**client)
    }

    /// The hash that a secret is kept by. Without a key there is no client either.
    fn hash_secret(&self, secret: &str) -> String {
        self.hash_key.as_deref().map_or_else(String::new, |key| hash(key, secret))
    }

    /// The client, if `secret` is one of its secrets. An unknown client takes as long as a wrong secret.
    pub(crate) fn client_with_secret(&self, id: &str, secret: &str) -> Option<&Arc<LiveClient>> {
        let client = self.clients.get(id);
        let presented = self.hash_secret(secret);
        let mut holds = false;
        // As many comparisons as a client can have secrets.
        for place in 0..MOST_SECRETS {
            let kept = client.and_then(|client| client.record.secrets.get(place)).map(|secret| secret.hash.as_bytes());
            let (kept, exists) = kept.map_or((&[0; 43][..], false), |kept| (kept, true));
            holds |= verify_slices_are_equal(kept, presented.as_bytes()).is_ok() & exists;
        }
        client.filter(|_| holds)
    }
}

fn hash(key: &hmac::Key, secret: &str) -> String {
    base64url::encode(hmac::sign(key, secret.as_bytes()).as_ref())
}

/// Two while they are being rotated.
const MOST_SECRETS: usize = 2;

impl Authority {
    /// Creates a client, and its secret unless it has keys. The secret is not there when the order was a repeat.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn create_client(
        &self,
        caller: &Caller,
        new: NewClient,
    ) -> Result<(Created<Client>, Option<ClientSecret>), AdminError> {
        let secret = ClientSecret::generate(&*self.randomness).map_err(ClientError::from)?;
        let (kept, own) = (secret.clone(), caller.scopes.clone());
        let created = self
            .order_once(caller, move |desk| {
                may_have(own.as_ref(), &new.scopes)?;
                let id = match new.id {
                    Some(id) if is_client_id(&id) => id,
                    Some(_) => return Err(ClientError::Id.into()),
                    None => random_id(desk.randomness)?,
                };
                let has_keys = new.jwks.is_some();
                let longest = desk.state.terms().ok_or(ClientError::NotSetUp)?.longest_token;
                let client = Client {
                    id,
                    name: new.name,
                    scopes: new.scopes,
                    audiences: new.audiences,
                    token_lifetime: new.token_lifetime.unwrap_or(DEFAULT_TOKEN_LIFETIME.min(longest)),
                    algorithm: new.algorithm,
                    secrets: if has_keys { Vec::new() } else { vec![new_secret(desk, &kept)?] },
                    jwks: new.jwks,
                    created_at: desk.now,
                    updated_at: desk.now,
                };
                check(desk.state, &client, true)?;
                if desk.state.clients.contains_key(&client.id) {
                    return Err(ClientError::ClientExists.into());
                }
                desk.put("client.created", &client, detail(&client));
                Ok(client)
            })
            .await?;
        let shown = match &created {
            Created::Now(client) if client.jwks.is_none() => Some(secret),
            _ => None,
        };
        Ok((created, shown))
    }

    /// Changes a client. Tokens that it has already stay as they are.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn update_client(&self, caller: &Caller, id: &str, change: ClientChange) -> Result<Client, AdminError> {
        let (id, own) = (id.to_owned(), caller.scopes.clone());
        self.order(caller, move |desk| {
            let mut client = desk.state.find_client(&id).ok_or(ClientError::NoSuchClient)?.record.clone();
            may_have(own.as_ref(), &client.scopes)?;
            let put = |field: &mut Vec<String>, value: Option<Vec<String>>| {
                if let Some(value) = value {
                    *field = value
                }
            };
            put(&mut client.audiences, change.audiences);
            client.name = change.name.unwrap_or(client.name);
            client.scopes = change.scopes.unwrap_or(client.scopes);
            client.token_lifetime = change.token_lifetime.unwrap_or(client.token_lifetime);
            client.algorithm = change.algorithm.unwrap_or(client.algorithm);
            client.jwks = change.jwks.unwrap_or(client.jwks);
            client.updated_at = desk.now;
            may_have(own.as_ref(), &client.scopes)?;
            check(desk.state, &client, change.token_lifetime.is_some())?;
            if client.jwks.is_none() && client.secrets.is_empty() {
                return Err(ClientError::LastSecret.into());
            }
            desk.put("client.updated", &client, detail(&client));
            Ok::<_, AdminError>(client)
        })
        .await
    }

    /// Removes a client, and with it every token that it has.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn remove_client(&self, caller: &Caller, id: &str) -> Result<(), AdminError> {
        let (id, actor) = (id.to_owned(), caller.name.clone());
        self.order(caller, move |desk| {
            desk.state.find_client(&id).ok_or(ClientError::NoSuchClient)?;
            desk.draft("client.removed", Put::Remove(Kind::Client, id.clone()), &json!({}));
            // Another client of the same name must not find its tokens alive.
            let gone = id.clone();
            let rule = Rule {
                id: random_id(desk.randomness)?,
                whose: Whose::Client(id),
                until: desk.issued_until,
                revoked_at: desk.now,
                actor,
                reason: "the client was removed".to_owned(),
            };
            desk.put("client.revoked", &rule, json!({ "until": rule.until, "client_id": gone, "reason": rule.reason }));
            Ok::<_, AdminError>(())
        })
        .await
    }

    /// Makes another secret for a client; both are valid until one is removed.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn add_secret(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<(Created<Client>, Option<ClientSecret>), AdminError> {
        let secret = ClientSecret::generate(&*self.randomness).map_err(ClientError::from)?;
        let (id, kept, own) = (id.to_owned(), secret.clone(), caller.scopes.clone());
        let created = self
            .order_once(caller, move |desk| {
                let mut client = desk.state.find_client(&id).ok_or(ClientError::NoSuchClient)?.record.clone();
                may_have(own.as_ref(), &client.scopes)?;
                if client.secrets.len() >= MOST_SECRETS {
                    return Err(ClientError::TooManySecrets.into());
                }
                let new = new_secret(desk, &kept)?;
                let detail = json!({ "secret": new.id });
                client.secrets.push(new);
                client.updated_at = desk.now;
                desk.put("client.secret_added", &client, detail);
                Ok(client)
            })
            .await?;
        let shown = matches!(created, Created::Now(_)).then_some(secret);
        Ok((created, shown))
    }

    /// Removes a secret of a client: it is refused from now on.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn remove_secret(&self, caller: &Caller, id: &str, secret: &str) -> Result<(), AdminError> {
        let (id, secret) = (id.to_owned(), secret.to_owned());
        self.order(caller, move |desk| {
            let mut client = desk.state.find_client(&id).ok_or(ClientError::NoSuchClient)?.record.clone();
            let before = client.secrets.len();
            client.secrets.retain(|own| own.id != secret);
            if client.secrets.len() == before {
                return Err(ClientError::NoSuchSecret.into());
            }
            if client.secrets.is_empty() && client.jwks.is_none() {
                return Err(ClientError::LastSecret.into());
            }
            client.updated_at = desk.now;
            desk.put("client.secret_removed", &client, json!({ "secret": secret }));
            Ok::<_, AdminError>(())
        })
        .await
    }
}

/// 32 lower-case hex digits that nobody can guess.
pub(crate) fn random_id(randomness: &dyn Randomness) -> Result<String, ClientError> {
    Ok(TokenId::random(randomness)?.to_hex().iter().copied().map(char::from).collect())
}

/// Whoever gives a client its scopes, or its secret, could use them.
fn may_have(own: Option<&Scopes>, scopes: &Scopes) -> Result<(), ClientError> {
    if own.is_none_or(|own| own.cover_own(scopes)) { Ok(()) } else { Err(ClientError::Beyond) }
}

fn new_secret(desk: &Desk<'_>, secret: &ClientSecret) -> Result<SecretRecord, ClientError> {
    let key = desk.state.hash_key.as_deref().ok_or(ClientError::NotSetUp)?;
    let mut id = random_id(desk.randomness)?;
    id.truncate(12);
    Ok(SecretRecord { id, created_at: desk.now, hash: hash(key, secret.expose()) })
}

fn is_client_id(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    // The first two would be steps in a path.
    let is_plain = (1..=128).contains(&id.len()) && id.bytes().all(is_allowed);
    // Nor options on a command line.
    is_plain && !id.starts_with('-') && ![".", "..", LOCAL_CLIENT].contains(&id)
}

/// `lifetime_is_new`: what was allowed when it was set is cut when a token is made.
fn check(state: &State, client: &Client, lifetime_is_new: bool) -> Result<(), ClientError> {
    let length = client.name.chars().count();
    if !(1..=256).contains(&length) || client.name.chars().any(char::is_control) {
        return Err(ClientError::Name);
    }
    let is_audience =
        |text: &String| (1..=1024).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, 0x21..=0x7e));
    let mut audiences = client.audiences.clone();
    audiences.sort();
    audiences.dedup();
    if !(1..=32).contains(&audiences.len())
        || audiences.len() != client.audiences.len()
        || !audiences.iter().all(is_audience)
    {
        return Err(ClientError::Audiences);
    }
    let longest = state.terms().ok_or(ClientError::NotSetUp)?.longest_token;
    if lifetime_is_new && !(1..=longest).contains(&client.token_lifetime) {
        return Err(ClientError::Lifetime { longest });
    }
    if let Some(jwks) = &client.jwks {
        check_jwks(jwks)?;
    }
    if let Some(algorithm) = client.algorithm
        && state.ring().and_then(|ring| ring.active(algorithm)).is_none_or(|key| key.is_simple())
    {
        return Err(ClientError::Algorithm);
    }
    Ok(())
}

/// Keys for assertions must all be usable, public, and not shared secrets: what is skipped here is missed later.
fn check_jwks(text: &str) -> Result<(), ClientError> {
    let set = JwkSet::parse(text.as_bytes()).map_err(|error| ClientError::Jwks(error.to_string()))?;
    if let Some(skipped) = set.skipped().first() {
        return Err(ClientError::Jwks(format!("key {}: {}", skipped.index, skipped.reason)));
    }
    if set.keys().is_empty() || set.keys().len() > 16 || text.len() > 48 * 1024 {
        return Err(ClientError::Jwks("1 to 16 keys, in up to 48 KiB, are wanted".to_owned()));
    }
    if set.keys().iter().any(|key| key.is_private() || key.is_symmetric()) {
        return Err(ClientError::Jwks("only public keys belong here".to_owned()));
    }
    Ok(())
}

fn detail(client: &Client) -> serde_json::Value {
    json!({
        "name": client.name,
        "scopes": client.scopes.iter().collect::<Vec<_>>(),
        "audiences": client.audiences,
        "token_lifetime": client.token_lifetime,
        "algorithm": client.algorithm.map(Algorithm::name),
        "has_keys": client.jwks.is_some(),
    })
}
