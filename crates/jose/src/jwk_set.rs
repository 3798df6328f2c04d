//! Sets of keys (RFC 7517 section 5). Members that cannot be used are skipped, and reported.

use std::collections::HashSet;

use crate::error::{JsonError, JwkError, JwkSetError};
use crate::json::{self, Value};
use crate::jwk::{Jwk, MAX_JWK_LENGTH};

/// No honest set has more keys, and each of them costs time.
const MAX_KEYS: usize = 1024;

/// The keys of a set that can be used, and why the others cannot.
#[derive(Debug, Clone, Default)]
pub struct JwkSet {
    keys: Vec<Jwk>,
    skipped: Vec<SkippedKey>,
}

/// A member of a set that cannot be used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in `keys`, from 0.
    pub index: usize,
    /// Why.
    pub reason: JwkError,
}

impl JwkSet {
    /// Reads the JSON text of a set.
    ///
    /// # Errors
    /// [`JwkSetError`] when it is not a JSON object with an array `keys`, or has more than 1024, or two keys of
    /// the same kind (`kty`, `crv`, `alg`) have the same `kid`, so that it would not say which one is meant.
    ///
    /// ```
    /// let set = jose::JwkSet::parse(br#"{"keys":[{"kty":"oct","k":"c2hvcnQ"}]}"#)?;
    /// assert!(set.keys().is_empty());
    /// assert_eq!(set.skipped()[0].reason.code(), "key_too_short");
    /// # Ok::<_, jose::error::JwkSetError>(())
    /// ```
    pub fn parse(text: &[u8]) -> Result<Self, JwkSetError> {
        if text.len() > MAX_JWK_LENGTH {
            return Err(JwkSetError::TooLong);
        }
        let mut array = None;
        json::object(text, |name, value| {
            if name == "keys" {
                array = Some(value);
            }
            Ok::<_, JwkSetError>(())
        })?;
        let Some(Value::Array(array)) = array else { return Err(JwkSetError::NoKeys) };
        let mut set = Self::default();
        let mut index = 0;
        // Counted even where a key is broken: its id still does not say which one is meant. What is for something
        // else is not in the way.
        let mut names = HashSet::new();
        json::array(array, |value| {
            if index == MAX_KEYS {
                return Err(JwkSetError::TooManyKeys);
            }
            let parsed = match value {
                Value::Object(text) => Jwk::parse(text.as_bytes()),
                _ => Err(JwkError::Json(JsonError::NotAnObject)),
            };
            let is_another_kind = matches!(
                parsed,
                Err(JwkError::UnknownKeyType
                    | JwkError::UnknownCurve
                    | JwkError::UnknownAlgorithm
                    | JwkError::NotForSignatures)
            );
            if let Value::Object(text) = value
                && let Some(name) = name_of(text).filter(|_| !is_another_kind)
                && !names.insert(name)
            {
                return Err(JwkSetError::RepeatedKeyId);
            }
            match parsed {
                Ok(key) => set.keys.push(key),
                Err(reason) => set.skipped.push(SkippedKey { index, reason }),
            }
            index += 1;
            Ok::<_, JwkSetError>(())
        })?;
        Ok(set)
    }

    /// A set of these keys.
    ///
    /// # Errors
    /// [`JwkSetError::RepeatedKeyId`] as [`parse`](Self::parse).
    pub fn new(keys: impl IntoIterator<Item = Jwk>) -> Result<Self, JwkSetError> {
        let keys: Vec<Jwk> = keys.into_iter().collect();
        let mut names = HashSet::new();
        for key in &keys {
            if let Some(key_id) = key.key_id()
                && !names.insert((key.kind(), key_id))
            {
                return Err(JwkSetError::RepeatedKeyId);
            }
        }
        Ok(Self { keys, skipped: Vec::new() })
    }

    /// The keys that can be used.
    #[must_use]
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// The members that cannot.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// The JSON text of the keys that can be used, without their private parts. Shared secrets are left out, because
    /// they have no public part.
    #[must_use]
    pub fn to_public_json(&self) -> String {
        let keys: Vec<_> = self.keys.iter().filter_map(|key| Some(key.public().ok()?.to_json().to_string())).collect();
        format!("{{\"keys\":[{}]}}", keys.join(","))
    }
}

/// `kid` of a key, where it has one, with `kty`, `crv` and `alg`.
fn name_of(text: &str) -> Option<[String; 4]> {
    let names = ["kid", "kty", "crv", "alg"];
    let mut values = [None, None, None, None];
    let _ = json::object(text.as_bytes(), |name, value| {
        if let Value::String(text) = value
            && let Some((_, slot)) = names.iter().zip(&mut values).find(|(known, _)| **known == name)
        {
            *slot = Some(text.decode().into_owned());
        }
        Ok::<_, JsonError>(())
    });
    let has_id = values.first().is_some_and(Option::is_some);
    has_id.then(|| values.map(Option::unwrap_or_default))
}
