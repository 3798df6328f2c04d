//! Keys, clients and revocations as JSON: what the administration API answers and the command line prints.

use authority::store::{Change, RevokedToken};
use authority::{Client, ClientSecret, KeyRecord, KeyState, Revocation, Rotation, Rule, Slot, State, UnixTime, Whose};
use jose::Algorithm;
use serde_json::{Value, json};

/// A slot, and when it publishes its next key.
#[must_use]
pub fn slot(slot: &Slot, next: Option<UnixTime>) -> Value {
    json!({
        "algorithm": slot.algorithm.name(),
        "rotate_every": slot.rotate_every,
        "next_rotation_at": next,
        "default": slot.is_default,
    })
}

/// A key without its private part.
#[must_use]
pub fn key(state: &State, key: &KeyRecord) -> Value {
    let mut shown = json!({
        "id": key.id,
        "algorithm": key.algorithm.name(),
        "state": key.state.name(),
        "created_at": key.created_at,
        "state_since": key.state.since(),
        "origin": key.origin.name(),
    });
    if let KeyState::Pending { due, held: true, .. } = key.state {
        set(&mut shown, "held", true);
        set(&mut shown, "activation_allowed_at", due.0);
    }
    if let Some((next, at)) = state.next_step(key) {
        set(&mut shown, "next_state", next);
        set(&mut shown, "next_state_at", at.0);
    }
    if let Some(jwk) = key.public_jwk.as_deref().and_then(|jwk| serde_json::from_str::<Value>(jwk).ok()) {
        set(&mut shown, "public_jwk", jwk);
    }
    shown
}

/// A rotation.
#[must_use]
pub fn rotation(state: &State, rotation: &Rotation) -> Value {
    let step = |planned: &authority::Planned| {
        json!({
            "at": planned.at,
            "step": planned.step,
            "key": planned.key_id,
            "algorithm": rotation.algorithm.name(),
        })
    };
    json!({
        "timetable": rotation.timetable.iter().map(step).collect::<Vec<_>>(),
        "key": rotation.key.as_ref().map(|new| key(state, new)),
    })
}

/// A client without its secrets.
#[must_use]
pub fn client(client: &Client) -> Value {
    let secrets: Vec<_> =
        client.secrets.iter().map(|secret| json!({ "id": secret.id, "created_at": secret.created_at })).collect();
    json!({
        "id": client.id,
        "name": client.name,
        "scopes": client.scopes.iter().collect::<Vec<_>>(),
        "audiences": client.audiences,
        "token_lifetime": client.token_lifetime,
        "algorithm": client.algorithm.map(Algorithm::name),
        "secrets": secrets,
        "jwks": client.jwks.as_deref().and_then(|jwks| serde_json::from_str::<Value>(jwks).ok()),
        "created_at": client.created_at,
        "updated_at": client.updated_at,
    })
}

/// With the secret that was just made, which is shown this once.
#[must_use]
pub fn client_with_secret(new: &Client, secret: Option<ClientSecret>) -> Value {
    let mut shown = client(new);
    if let Some(secret) = secret {
        set(&mut shown, "secret", secret.expose());
    }
    shown
}

/// A revocation, as callers see it.
#[must_use]
pub fn revocation(revocation: &Revocation) -> Value {
    match revocation {
        Revocation::Token(token) => revoked_token(token),
        Revocation::Rule(rule) => self::rule(rule),
    }
}

/// A revoked token.
#[must_use]
pub fn revoked_token(token: &RevokedToken) -> Value {
    json!({
        "id": token.id.to_string(),
        "kind": "token",
        "revoked_at": token.revoked_at,
        "expires_at": token.expires_at,
        "key_id": token.key_id,
        "actor": token.actor,
        "reason": token.reason,
    })
}

/// A rule.
#[must_use]
pub fn rule(rule: &Rule) -> Value {
    let (kind, name, whose) = match &rule.whose {
        Whose::Subject(subject) => ("subject", "subject", subject),
        Whose::Client(client) => ("client", "client_id", client),
    };
    let mut shown = json!({
        "id": rule.id,
        "kind": kind,
        "before": rule.until,
        "revoked_at": rule.revoked_at,
        "actor": rule.actor,
        "reason": rule.reason,
    });
    set(&mut shown, name, whose.as_str());
    shown
}

/// An entry of the log.
#[must_use]
pub fn change(change: &Change) -> Value {
    json!({
        "position": change.position.0,
        "at": change.at,
        "actor": change.actor,
        "action": change.action,
        "kind": change.kind.name(),
        "id": change.id,
        "detail": serde_json::from_str::<Value>(&change.detail).unwrap_or(Value::Null),
    })
}

/// Sets a member of an object.
pub(crate) fn set(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value.into());
    }
}
