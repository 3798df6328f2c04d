//! What a token may be verified with: the algorithms that are allowed, and the keys.
//!
//! The list of algorithms is mandatory (RFC 8725 section 3.1), and never has HMAC beside public keys: whoever knows a
//! public key could otherwise hope that it is taken for a shared secret.

use crate::algorithm::Algorithm;
use crate::error::VerifierError;
use crate::jwk::Jwk;
use crate::jwk_set::JwkSet;
use crate::key::VerifyingKey;

/// The algorithms that are allowed, and the keys.
#[derive(Debug, Clone)]
pub struct Verifier {
    allowed: Vec<Algorithm>,
    keys: Vec<VerifyingKey>,
    selection: Selection,
}

/// Which keys are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selection {
    /// Each that is bound to the header's algorithm: they were given for this token.
    Any,
    /// Of those, the ones whose id is the header's `kid`, or that have no id.
    ByKeyId,
}

impl Verifier {
    /// A verifier that accepts the algorithms `allowed` under `keys`, whatever `kid` a token names.
    ///
    /// # Errors
    /// [`VerifierError`] when nothing is allowed, HMAC is allowed beside public keys, a key is bound to an algorithm
    /// that is not allowed, or there is none.
    ///
    /// ```compile_fail
    /// # let key = jose::SigningKey::hmac(jose::Algorithm::HS256, &[7; 32]).unwrap();
    /// // There is no verifier without a list of algorithms.
    /// let verifier = jose::Verifier::new([key.verifying_key()]);
    /// ```
    pub fn new(allowed: &[Algorithm], keys: impl IntoIterator<Item = VerifyingKey>) -> Result<Self, VerifierError> {
        check(allowed)?;
        let keys: Vec<_> = keys.into_iter().collect();
        if keys.iter().any(|key| !allowed.contains(&key.algorithm())) {
            return Err(VerifierError::KeyNotAllowed);
        }
        if keys.is_empty() {
            return Err(VerifierError::NoKey);
        }
        Ok(Self { allowed: allowed.to_vec(), keys, selection: Selection::Any })
    }

    /// A verifier for the one key `jwk`, under those of the algorithms `allowed` that it may be used with, whatever
    /// `kid` a token names.
    ///
    /// # Errors
    /// [`VerifierError`] as [`new`](Self::new), and when the key may not be used with any of them.
    pub fn from_jwk(jwk: &Jwk, allowed: &[Algorithm]) -> Result<Self, VerifierError> {
        check(allowed)?;
        let fitting = jwk.algorithms().into_iter().filter(|algorithm| allowed.contains(algorithm));
        let keys = fitting.map(|algorithm| jwk.verifying_key(algorithm)).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(VerifierError::NoKey);
        }
        Ok(Self { allowed: allowed.to_vec(), keys, selection: Selection::Any })
    }

    /// A verifier for the keys of `set`, under the algorithms `allowed`. Where a token names a `kid`, only the keys with
    /// this id, or without any, are tried.
    ///
    /// # Errors
    /// [`VerifierError`] as [`new`](Self::new), and when no key may be used with any of the algorithms.
    ///
    /// ```
    /// use jose::{Algorithm, Jwk, JwkSet, Signer, UnverifiedJws, Verifier};
    /// let old = Jwk::generate(Algorithm::ES256)?;
    /// let new = Jwk::generate(Algorithm::ES256)?;
    /// let token = Signer::new(old.signing_key(Algorithm::ES256)?, None)?.sign(b"signed before the rotation")?;
    /// let verifier = Verifier::from_jwk_set(&JwkSet::new([old, new])?, &[Algorithm::ES256])?;
    /// assert!(UnverifiedJws::parse(token.as_bytes())?.verify(&verifier).is_ok());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_jwk_set(set: &JwkSet, allowed: &[Algorithm]) -> Result<Self, VerifierError> {
        check(allowed)?;
        let fits = |algorithm: &Algorithm| allowed.contains(algorithm);
        let keys = set.keys().iter().flat_map(|jwk| jwk.algorithms().into_iter().filter(fits).map(move |a| (jwk, a)));
        // Members whose key_ops does not allow to verify are left out, as RFC 7517 section 5 says.
        let keys: Vec<_> = keys.filter_map(|(jwk, algorithm)| jwk.verifying_key(algorithm).ok()).collect();
        if keys.is_empty() {
            return Err(VerifierError::NoKey);
        }
        Ok(Self { allowed: allowed.to_vec(), keys, selection: Selection::ByKeyId })
    }

    pub(crate) fn allows(&self, algorithm: Algorithm) -> bool {
        self.allowed.contains(&algorithm)
    }

    /// The keys that a token with this header is tried with.
    pub(crate) fn candidates(&self, algorithm: Algorithm, key_id: Option<&str>) -> impl Iterator<Item = &VerifyingKey> {
        self.keys.iter().filter(move |key| {
            let named = match (self.selection, key_id, key.key_id()) {
                (Selection::ByKeyId, Some(wanted), Some(own)) => wanted == own,
                _ => true,
            };
            named && key.algorithm() == algorithm
        })
    }
}

fn check(allowed: &[Algorithm]) -> Result<(), VerifierError> {
    let Some(first) = allowed.first() else { return Err(VerifierError::NothingAllowed) };
    if allowed.iter().any(|algorithm| algorithm.is_symmetric() != first.is_symmetric()) {
        return Err(VerifierError::Mixed);
    }
    Ok(())
}
