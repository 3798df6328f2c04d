//! Access tokens as RFC 9068 profiles them: for clients that ask with the client credentials grant (RFC 6749 section
//! 4.4), for operators on the machine itself, and with any claims for those who may mint them. Nothing is stored.

use jose::{Algorithm, Claims, NumericDate, Signer, json};
use serde_json::{Map, Value};

use crate::authority::Authority;
use crate::clients::{DEFAULT_TOKEN_LIFETIME, LOCAL_CLIENT};
use crate::error::{GrantError, MintError};
use crate::ports::{Randomness, UnixTime};
use crate::record::Client;
use crate::scope::Scopes;
use crate::state::State;
use crate::token_id::TokenId;

/// Claims that are set here and nowhere else, or would be taken for something else in an introspection.
const RESERVED: [&str; 8] = ["iss", "exp", "nbf", "iat", "jti", "client_id", "active", "token_type"];

/// A token that was just made.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The compact serialization.
    pub token: String,
    /// Its `jti`.
    pub token_id: String,
    /// The key that signed it.
    pub key_id: String,
    /// `iat`
    pub issued_at: UnixTime,
    /// `exp`
    pub expires_at: UnixTime,
    /// What it may be used for.
    pub scopes: Scopes,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("token_id", &self.token_id).finish_non_exhaustive()
    }
}

/// What stands in an access token, but for what every token has.
struct Content<'a> {
    subject: &'a str,
    client_id: &'a str,
    audiences: &'a [&'a str],
    scopes: &'a Scopes,
    lifetime: i64,
    algorithm: Option<Algorithm>,
    others: &'a [(String, String)],
}

/// A token with claims of the caller's.
#[derive(Debug, Clone, Default)]
pub struct Custom {
    /// The claims: `sub`, `aud`, and any others but those that jotd sets itself.
    pub claims: Map<String, Value>,
    /// How long it lives, in seconds.
    pub lifetime: Option<i64>,
    /// What it is signed with.
    pub algorithm: Option<Algorithm>,
}

impl State {
    /// What tokens are signed with where nobody asks for anything else.
    #[must_use]
    pub fn default_algorithm(&self) -> Option<Algorithm> {
        self.ring()?.default_algorithm()
    }

    fn signer(&self, algorithm: Option<Algorithm>) -> Result<(&str, &Signer), GrantError> {
        let ring = self.ring().ok_or(GrantError::NoKey)?;
        let algorithm = algorithm.or_else(|| ring.default_algorithm()).ok_or(GrantError::NoKey)?;
        let active = self.keys.values().find(|key| key.is_active() && key.record.algorithm == algorithm);
        let signer = active.and_then(|key| Some((key.record.id.as_str(), key.signers.as_ref()?)));
        let (key_id, [access, _]) = signer.ok_or(GrantError::NoKey)?;
        Ok((key_id, access))
    }

    fn issue(&self, content: &Content<'_>, now: UnixTime, randomness: &dyn Randomness) -> Result<Issued, GrantError> {
        let issuer = self.issuer.as_deref().ok_or(GrantError::NoKey)?;
        // A token that is revoked as soon as it is made would only be found out by whoever uses it.
        if let Some((until, _)) = self.rules.covering(content.subject, content.client_id, now) {
            return Err(GrantError::JustRevoked { seconds: until.0.saturating_sub(now.0).saturating_add(1) });
        }
        let (key_id, signer) = self.signer(content.algorithm)?;
        let id = TokenId::random(randomness).map_err(MintError::from)?.to_hex();
        let token_id: String = id.iter().copied().map(char::from).collect();
        let expires_at = now.plus(content.lifetime);

        let claims = Claims::new().issuer(issuer).subject(content.subject).token_id(&token_id);
        let claims = claims.issued_at(NumericDate::from_seconds(now.0));
        let claims = claims.expires_at(NumericDate::from_seconds(expires_at.0));
        let claims = content.audiences.iter().fold(claims, |claims, audience| claims.audience(audience));
        let mut payload = Vec::with_capacity(512);
        claims.write_into(&mut payload);
        write_others(content, &mut payload);
        if !content.others.is_empty() {
            // What would be refused by every verifier is better not signed.
            jose::check_registered_claims(&payload).map_err(|error| GrantError::Claims(error.to_string()))?;
        }
        let token = signer.sign(&payload).map_err(MintError::from)?;
        let (key_id, scopes) = (key_id.to_owned(), content.scopes.clone());
        Ok(Issued { token, token_id, key_id, issued_at: now, expires_at, scopes })
    }

    fn lifetime(&self, wanted: Option<i64>) -> Result<i64, GrantError> {
        let longest = self.terms().map_or(0, |terms| terms.longest_token);
        match wanted.unwrap_or(DEFAULT_TOKEN_LIFETIME.min(longest)) {
            lifetime if (1..=longest).contains(&lifetime) => Ok(lifetime),
            _ => Err(GrantError::Lifetime { longest }),
        }
    }
}

/// Writes the claims that are not registered behind those that are.
fn write_others(content: &Content<'_>, payload: &mut Vec<u8>) {
    // The brace that ends the object.
    payload.pop();
    payload.extend_from_slice(b",\"client_id\":");
    json::write_string(content.client_id, payload);
    for (place, scope) in content.scopes.iter().enumerate() {
        // No character of a scope is escaped in JSON.
        payload.extend_from_slice(if place == 0 { b",\"scope\":\"" } else { b" " });
        payload.extend_from_slice(scope.as_bytes());
    }
    if !content.scopes.is_empty() {
        payload.push(b'"');
    }
    for (name, value) in content.others {
        payload.push(b',');
        json::write_string(name, payload);
        payload.push(b':');
        payload.extend_from_slice(value.as_bytes());
    }
    payload.push(b'}');
}

impl Authority {
    /// Appends a token of the simple contract that holds `data` to `out`.
    ///
    /// # Errors
    /// [`MintError`]; `out` is then unchanged.
    pub fn mint_simple(&self, data: &str, out: &mut Vec<u8>) -> Result<(), MintError> {
        let state = self.state();
        let minter = state.simple_minter().ok_or(MintError::NoKey)?;
        minter.mint_into(data, self.now(), TokenId::random(&*self.randomness)?, out)
    }

    /// The client credentials grant. Without scopes, all that the client may have; without resources (RFC 8707), its
    /// first audience.
    ///
    /// # Errors
    /// [`GrantError`].
    pub fn grant(&self, client: &Client, scope: Option<&str>, resources: &[&str]) -> Result<Issued, GrantError> {
        let state = self.state();
        // Between authentication and this there may have been a wait, in which it was removed or lost what it had.
        let live = state.find_client(&client.id).filter(|live| live.record == *client);
        let live = live.ok_or(GrantError::ClientChanged)?;
        let scopes = match scope {
            Some(text) => Scopes::parse(text).map_err(|_| GrantError::Scope)?,
            None => client.scopes.clone(),
        };
        if !client.scopes.cover(&scopes) {
            return Err(GrantError::Scope);
        }
        let mut audiences = Vec::new();
        for resource in resources {
            let own = client.audiences.iter().find(|own| own == resource).ok_or(GrantError::Target)?;
            if !audiences.contains(&own.as_str()) {
                audiences.push(own.as_str());
            }
        }
        if audiences.is_empty() {
            audiences.extend(client.audiences.first().map(String::as_str));
        }
        // The longest that is allowed may have become shorter since.
        let longest = state.terms().map_or(0, |terms| terms.longest_token);
        let content = Content {
            subject: &client.id,
            client_id: &client.id,
            audiences: &audiences,
            scopes: &scopes,
            lifetime: client.token_lifetime.min(longest),
            algorithm: client.algorithm,
            others: &[],
        };
        let now = self.now();
        live.last_issued.note(now);
        state.issue(&content, now, &*self.randomness)
    }

    /// A token for whoever administers the machine itself. Without audiences, for jotd.
    ///
    /// # Errors
    /// [`GrantError`].
    pub fn grant_locally(
        &self,
        subject: &str,
        scopes: &Scopes,
        audiences: &[&str],
        lifetime: Option<i64>,
        algorithm: Option<Algorithm>,
    ) -> Result<Issued, GrantError> {
        let state = self.state();
        let own = [state.issuer.as_deref().ok_or(GrantError::NoKey)?];
        let audiences = if audiences.is_empty() { &own[..] } else { audiences };
        let lifetime = state.lifetime(lifetime)?;
        let content = Content { subject, client_id: LOCAL_CLIENT, audiences, scopes, lifetime, algorithm, others: &[] };
        state.issue(&content, self.now(), &*self.randomness)
    }

    /// A token with any claims, for a caller who may mint them. It can not open jotd itself.
    ///
    /// # Errors
    /// [`GrantError`].
    pub fn mint(&self, client_id: &str, custom: &Custom) -> Result<Issued, GrantError> {
        let state = self.state();
        let text = |name: &'static str| match custom.claims.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.as_str()),
            Some(_) => Err(GrantError::Claims(format!("{name} is not a text of its own"))),
            None => Err(GrantError::MissingClaim(name)),
        };
        let audiences: Vec<&str> = match custom.claims.get("aud") {
            Some(Value::Array(names)) => {
                let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
                names
                    .filter(|names| !names.is_empty())
                    .ok_or_else(|| GrantError::Claims("aud is not texts".to_owned()))?
            }
            _ => vec![text("aud")?],
        };
        if state.issuer.as_deref().is_some_and(|issuer| audiences.contains(&issuer)) {
            return Err(GrantError::OwnAudience);
        }
        let scopes = match custom.claims.get("scope") {
            None => Scopes::default(),
            Some(Value::String(text)) => Scopes::parse(text).map_err(|_| GrantError::Scope)?,
            Some(_) => return Err(GrantError::Scope),
        };
        if scopes.open_jotd() {
            return Err(GrantError::OwnScope);
        }
        if let Some(name) = custom.claims.keys().find(|name| RESERVED.contains(&name.as_str())) {
            return Err(GrantError::ReservedClaim(name.clone()));
        }
        let others = custom.claims.iter().filter(|(name, _)| !["sub", "aud", "scope"].contains(&name.as_str()));
        let others: Vec<_> = others.map(|(name, value)| (name.clone(), value.to_string())).collect();
        let content = Content {
            subject: text("sub")?,
            client_id,
            audiences: &audiences,
            scopes: &scopes,
            lifetime: state.lifetime(custom.lifetime)?,
            algorithm: custom.algorithm,
            others: &others,
        };
        if let Some(algorithm) = custom.algorithm {
            state.signer(Some(algorithm)).map_err(|_| GrantError::Algorithm)?;
        }
        let now = self.now();
        self.minted.note(now);
        if let Some(client) = state.find_client(client_id) {
            client.last_issued.note(now);
        }
        state.issue(&content, now, &*self.randomness)
    }
}
