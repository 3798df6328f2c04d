//! Which 32 bytes are a sound Ed25519 public key (RFC 8032 section 5.1.3).
//!
//! The crypto library only says that a signature does not hold; a key that is no point, is not in its canonical
//! encoding, or has small order deserves to be refused before it is trusted: under a key of small order, one
//! signature holds for many messages.
//!
//! Nothing here is secret, so nothing here is constant-time.

/// A number modulo p = 2^255 - 19, little-endian, not always reduced.
#[derive(Clone, Copy)]
struct Field([u64; 4]);

const P: [u64; 4] = [0xffff_ffff_ffff_ffed, u64::MAX, u64::MAX, 0x7fff_ffff_ffff_ffff];
const ONE: Field = Field([1, 0, 0, 0]);

/// The curve's constant d = -121665/121666.
const D: Field = Field([0x75eb_4dca_1359_78a3, 0x0070_0a4d_4141_d8ab, 0x8cc7_4079_7779_e898, 0x5203_6cee_2b6f_fe73]);

/// Whether `encoded` is the canonical encoding of a point on the curve whose order is not small.
pub(crate) fn is_sound_public_key(encoded: &[u8; 32]) -> bool {
    let mut y = [0; 4];
    for (limb, bytes) in y.iter_mut().zip(encoded.as_chunks::<8>().0) {
        *limb = u64::from_le_bytes(*bytes);
    }
    y[3] &= 0x7fff_ffff_ffff_ffff;
    if !less(&y, &P) {
        return false;
    }
    let y = Field(y);
    // x² = (y² - 1) / (d·y² + 1)
    let y2 = y.mul(y);
    let (u, v) = (y2.sub(ONE), D.mul(y2).add(ONE));
    // u/v is a square exactly when u·v is one (v is never zero, because -1/d is not a square).
    let uv = u.mul(v);
    // x = 0 belongs to y = ±1 only, and both have small order.
    if uv.is_zero() || !uv.is_square() {
        return false;
    }
    // Eight times the point is neutral exactly when its order divides eight; doubling needs x² and y² only:
    // y' = (y² + x²) / (1 - d·x²·y²), x'² is found again from y'.
    let mut y2 = y2;
    for _ in 0..3 {
        let Some(doubled) = double_y(y2) else { return false };
        if doubled.sub(ONE).is_zero() {
            return false;
        }
        y2 = doubled.mul(doubled);
    }
    true
}

/// The y of twice a point, from the y² of the point; `None` when something divides by zero, which a point of the curve
/// does not.
fn double_y(y2: Field) -> Option<Field> {
    let x2 = y2.sub(ONE).mul(D.mul(y2).add(ONE).inverse()?);
    let denominator = ONE.sub(D.mul(x2).mul(y2)).inverse()?;
    Some(y2.add(x2).mul(denominator))
}

fn less(a: &[u64; 4], b: &[u64; 4]) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

impl Field {
    fn add(self, other: Self) -> Self {
        let mut sum = [0; 4];
        let mut carry = 0;
        for ((out, a), b) in sum.iter_mut().zip(self.0).zip(other.0) {
            let wide = u128::from(a) + u128::from(b) + carry;
            *out = wide as u64;
            carry = wide >> 64;
        }
        // 2^256 = 38 modulo p.
        Self(fold(sum, carry as u64 * 38))
    }

    fn sub(self, other: Self) -> Self {
        // a - b = a + (2p - b), with b reduced so that nothing borrows.
        let other = other.reduced();
        let mut negated = [0; 4];
        let mut borrow = 0;
        for ((out, p), b) in negated.iter_mut().zip(P).zip(other.0) {
            let (difference, under) = p.overflowing_sub(b);
            let (difference, under_too) = difference.overflowing_sub(borrow);
            *out = difference;
            borrow = u64::from(under || under_too);
        }
        self.add(Self(negated))
    }

    fn mul(self, other: Self) -> Self {
        let mut wide = [0_u64; 8];
        for (i, a) in self.0.into_iter().enumerate() {
            let mut carry = 0;
            for (out, b) in wide.iter_mut().skip(i).zip(other.0) {
                let sum = u128::from(a) * u128::from(b) + u128::from(*out) + carry;
                *out = sum as u64;
                carry = sum >> 64;
            }
            if let Some(out) = wide.get_mut(i + 4) {
                *out = carry as u64;
            }
        }
        let [a, b, c, d, high @ ..] = wide;
        let mut low = [a, b, c, d];
        let mut carry = 0;
        for (out, high) in low.iter_mut().zip(high) {
            let sum = u128::from(*out) + u128::from(high) * 38 + carry;
            *out = sum as u64;
            carry = sum >> 64;
        }
        Self(fold(low, carry as u64 * 38))
    }

    fn reduced(self) -> Self {
        let mut value = self.0;
        while !less(&value, &P) {
            let mut borrow = 0;
            for (out, p) in value.iter_mut().zip(P) {
                let (difference, under) = out.overflowing_sub(p);
                let (difference, under_too) = difference.overflowing_sub(borrow);
                *out = difference;
                borrow = u64::from(under || under_too);
            }
        }
        Self(value)
    }

    fn is_zero(self) -> bool {
        self.reduced().0 == [0; 4]
    }

    /// Euler's criterion: a^((p-1)/2) is 1 for squares.
    fn is_square(self) -> bool {
        self.power([0xffff_ffff_ffff_fff6, u64::MAX, u64::MAX, 0x3fff_ffff_ffff_ffff]).sub(ONE).is_zero()
    }

    /// a^(p-2), which is 1/a.
    fn inverse(self) -> Option<Self> {
        let exponent = [0xffff_ffff_ffff_ffeb, u64::MAX, u64::MAX, 0x7fff_ffff_ffff_ffff];
        (!self.is_zero()).then(|| self.power(exponent))
    }

    fn power(self, exponent: [u64; 4]) -> Self {
        let mut result = ONE;
        for limb in exponent.into_iter().rev() {
            for bit in (0..64).rev() {
                result = result.mul(result);
                if limb >> bit & 1 == 1 {
                    result = result.mul(self);
                }
            }
        }
        result
    }
}

/// Adds a small number, folding what overflows.
fn fold(mut value: [u64; 4], mut small: u64) -> [u64; 4] {
    while small != 0 {
        let mut carry = u128::from(small);
        for limb in &mut value {
            let sum = u128::from(*limb) + carry;
            *limb = sum as u64;
            carry = sum >> 64;
        }
        small = carry as u64 * 38;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    fn bytes(hex: &str) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        }
        bytes
    }

    #[test]
    fn real_keys_are_sound() {
        for _ in 0..50 {
            let key = Ed25519KeyPair::generate().unwrap();
            assert!(is_sound_public_key(key.public_key().as_ref().try_into().unwrap()));
        }
        // RFC 8032 section 7.1, tests 1 to 3.
        for key in [
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        ] {
            assert!(is_sound_public_key(&bytes(key)));
        }
    }

    #[test]
    fn points_of_small_order_are_not() {
        // The eight points of the torsion subgroup, and spellings of them that are not canonical.
        for key in [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
            "0100000000000000000000000000000000000000000000000000000000000080",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        ] {
            assert!(!is_sound_public_key(&bytes(key)), "{key}");
        }
    }

    #[test]
    fn what_is_no_point_is_no_key() {
        // About half of all byte strings decode to a point; for the others, no x exists.
        let sound = (2..=101).filter(|byte| {
            let mut key = [0; 32];
            key[0] = *byte;
            is_sound_public_key(&key)
        });
        let sound = sound.count();
        assert!((30..70).contains(&sound), "{sound}");
        // RFC 8032 leaves y = 2 without an x.
        assert!(!is_sound_public_key(&bytes("0200000000000000000000000000000000000000000000000000000000000000")));
    }
}
