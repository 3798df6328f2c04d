//! Encryption at rest: AES-256-GCM (NIST SP 800-38D) under the master key, each text bound to what it is for, so that
//! nobody who can write to the store can put one secret in another's place.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use jose::base64url;
use zeroize::Zeroizing;

use crate::error::{MasterKeyError, RandomnessError, SealError};
use crate::ports::Randomness;

/// Stands before everything that is sealed, with the form of what follows.
const FORM: &str = "v1";

/// The key under which the store's secrets are encrypted: 256 random bits, wiped from memory when it is dropped.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// A new one.
    ///
    /// # Errors
    /// [`RandomnessError`] when there are no random bytes.
    pub fn generate(randomness: &dyn Randomness) -> Result<Self, RandomnessError> {
        let mut bytes = Zeroizing::new([0; 32]);
        randomness.fill(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// Reads 64 hex digits; white space around them does not count.
    ///
    /// # Errors
    /// [`MasterKeyError`] when it is anything else.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let text = text.trim().as_bytes();
        let mut bytes = Zeroizing::new([0; 32]);
        if text.len() != 64 {
            return Err(MasterKeyError);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            for &digit in pair {
                let digit = char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                *byte = *byte << 4 | digit.ok_or(MasterKeyError)?;
            }
        }
        Ok(Self(bytes))
    }

    /// The key as hex digits, for the file that it is kept in.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(64));
        for byte in *self.0 {
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(digit.into(), 16));
            }
        }
        text
    }

    /// Tells it from other master keys, and nothing about it.
    #[must_use]
    pub fn id(&self) -> String {
        let mut input = Zeroizing::new(b"jotd master key".to_vec());
        input.extend_from_slice(&*self.0);
        base64url::encode(digest(&SHA256, &input).as_ref().get(..12).unwrap_or_default())
    }

    /// The id of the key that something was sealed under.
    pub(crate) fn id_of(sealed: &str) -> Option<&str> {
        sealed.split('.').nth(1)
    }

    /// Encrypts `secret` for `purpose`.
    ///
    /// # Errors
    /// [`SealError`] when there are no random bytes, or the crypto library fails.
    pub fn seal(&self, purpose: &str, secret: &[u8], randomness: &dyn Randomness) -> Result<String, SealError> {
        let mut nonce = [0; NONCE_LEN];
        randomness.fill(&mut nonce)?;
        let mut sealed = Zeroizing::new(Vec::with_capacity(secret.len() + AES_256_GCM.tag_len()));
        sealed.extend_from_slice(secret);
        self.key()?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose), &mut *sealed)
            .map_err(|_| SealError::Primitive)?;
        Ok(format!("{FORM}.{}.{}.{}", self.id(), base64url::encode(&nonce), base64url::encode(&sealed)))
    }

    /// Decrypts what was sealed for `purpose`.
    ///
    /// # Errors
    /// [`SealError::OtherKey`] when it was sealed under another key, [`SealError::Damaged`] when it was changed or is
    /// for something else.
    pub fn open(&self, purpose: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let parts: Vec<&str> = sealed.split('.').collect();
        let [FORM, id, nonce, sealed] = parts[..] else { return Err(SealError::Damaged) };
        if id != self.id() {
            return Err(SealError::OtherKey);
        }
        let nonce = base64url::decode(nonce.as_bytes()).ok().and_then(|nonce| nonce.try_into().ok());
        let nonce = Nonce::assume_unique_for_key(nonce.ok_or(SealError::Damaged)?);
        let mut secret = Zeroizing::new(base64url::decode(sealed.as_bytes()).map_err(|_| SealError::Damaged)?);
        let length =
            self.key()?.open_in_place(nonce, Aad::from(purpose), &mut secret).map_err(|_| SealError::Damaged)?.len();
        secret.truncate(length);
        Ok(secret)
    }

    fn key(&self) -> Result<LessSafeKey, SealError> {
        UnboundKey::new(&AES_256_GCM, &*self.0).map(LessSafeKey::new).map_err(|_| SealError::Primitive)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random bytes that are not.
    struct Fixed(u8);

    impl Randomness for Fixed {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomnessError> {
            bytes.fill(self.0);
            Ok(())
        }
    }

    #[test]
    fn what_is_sealed_opens_for_its_purpose_and_under_its_key_only() {
        let (key, other) = (MasterKey::generate(&Fixed(1)).unwrap(), MasterKey::generate(&Fixed(2)).unwrap());
        let sealed = key.seal("key a", b"secret", &Fixed(3)).unwrap();
        assert_eq!(&**key.open("key a", &sealed).unwrap(), b"secret");
        assert_eq!(key.open("key b", &sealed).unwrap_err(), SealError::Damaged);
        assert_eq!(other.open("key a", &sealed).unwrap_err(), SealError::OtherKey);
        assert!(!sealed.contains(&base64url::encode(b"secret")));
    }

    #[test]
    fn no_character_of_what_is_sealed_can_be_changed() {
        let key = MasterKey::generate(&Fixed(1)).unwrap();
        let sealed = key.seal("p", b"secret", &Fixed(3)).unwrap();
        for place in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert!(key.open("p", std::str::from_utf8(&changed).unwrap()).is_err(), "{place}");
        }
        for cut in 0..sealed.len() {
            assert!(key.open("p", &sealed[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let key = MasterKey::generate(&Fixed(0xa7)).unwrap();
        assert_eq!(MasterKey::parse(&format!("{}\n", *key.expose())).unwrap().id(), key.id());
        for wrong in ["", "a7", &"g7".repeat(32), &"a7".repeat(33), &"é".repeat(32)] {
            assert_eq!(MasterKey::parse(wrong).unwrap_err(), MasterKeyError, "{wrong}");
        }
        assert_eq!(format!("{key:?}"), "MasterKey(redacted)");
    }
}
