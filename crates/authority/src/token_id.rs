//! The id of a token (`jti`, RFC 7519 section 4.1.7): 128 random bits, so that none ever comes twice.

use crate::error::RandomnessError;
use crate::ports::Randomness;

/// A token's id: 16 bytes, written as 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenId([u8; 16]);

impl TokenId {
    /// A new id.
    ///
    /// # Errors
    /// [`RandomnessError`] when there are no random bytes.
    pub fn random(randomness: &dyn Randomness) -> Result<Self, RandomnessError> {
        let mut bytes = [0; 16];
        randomness.fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The hex digits, as ASCII.
    #[must_use]
    pub fn to_hex(self) -> [u8; 32] {
        let mut hex = [0; 32];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
        hex
    }
}

fn hex_digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' - 10 + value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_lower_case_and_keeps_zeros() {
        let id = TokenId([0, 1, 0x0f, 0x10, 0x9a, 0xff, 0xab, 0xcd, 0xef, 0, 0, 0, 0, 0, 0, 0x80]);
        assert_eq!(&id.to_hex(), b"00010f109affabcdef00000000000080");
    }
}
