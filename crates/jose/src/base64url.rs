//! base64url without padding, exactly as JOSE wants it (RFC 7515 section 2, RFC 4648 section 5).
//!
//! One text stands for one byte string and the other way round: padding, white space, letters of the other
//! alphabet, an impossible length and non-zero trailing bits are all refused. Without that, one signed token
//! has several spellings, and a list of revoked tokens can be walked around.

use crate::error::Base64Error;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What a character outside the alphabet decodes to: a bit that no other one has.
const INVALID: u32 = 1 << 31;

/// What a character means at each of the four places of a group: its six bits, where they belong in 24.
static PLACES: [[u32; 256]; 4] = [places(18), places(12), places(6), places(0)];

#[allow(clippy::indexing_slicing, reason = "evaluated while compiling: out of range does not compile")]
const fn places(shift: u32) -> [u32; 256] {
    let mut table = [INVALID; 256];
    let mut value = 0;
    while value < 64 {
        table[ALPHABET[value] as usize] = (value as u32) << shift;
        value += 1;
    }
    table
}

/// The two characters of each twelve bits, the first in the low byte.
static PAIRS: [u16; 4096] = pairs();

#[allow(clippy::indexing_slicing, reason = "evaluated while compiling: out of range does not compile")]
const fn pairs() -> [u16; 4096] {
    let mut table = [0; 4096];
    let mut bits = 0;
    while bits < 4096 {
        table[bits] = u16::from_le_bytes([ALPHABET[bits >> 6], ALPHABET[bits & 63]]);
        bits += 1;
    }
    table
}

/// The number of characters that `bytes` bytes encode to.
#[must_use]
pub const fn encoded_len(bytes: usize) -> usize {
    (bytes / 3 * 8 + bytes % 3 * 3).div_ceil(2)
}

/// Encodes `input` into a new text.
///
/// ```
/// assert_eq!(jose::base64url::encode(b"\xfb\xff"), "-_8");
/// ```
#[must_use]
pub fn encode(input: &[u8]) -> String {
    let mut out = Vec::new();
    encode_into(input, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Appends the encoding of `input` to `out`, as ASCII.
pub fn encode_into(input: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + encoded_len(input.len()), 0);
    let (_, target) = out.split_at_mut(start);
    // Eight characters of six bytes at a time, read as eight where there are so many; then four of three; then the rest.
    let (octets, _) = target.as_chunks_mut::<8>();
    let mut input = input;
    let mut written = 0;
    for octet in octets {
        let Some(word) = input.first_chunk::<8>() else { break };
        let bits = u64::from_be_bytes(*word) >> 16;
        let pairs = [bits >> 36, bits >> 24, bits >> 12, bits].map(|bits| u64::from(pair(bits as u32)));
        let [first, second, third, fourth] = pairs;
        *octet = (first | second << 16 | third << 32 | fourth << 48).to_le_bytes();
        (_, input) = input.split_at(6);
        written += 8;
    }
    let (_, target) = target.split_at_mut(written);
    let (quads, last) = target.as_chunks_mut::<4>();
    let (triples, rest) = input.as_chunks::<3>();
    for (quad, &[a, b, c]) in quads.iter_mut().zip(triples) {
        let [w, x] = pair(u32::from(a) << 4 | u32::from(b) >> 4).to_le_bytes();
        let [y, z] = pair(u32::from(b) << 8 | u32::from(c)).to_le_bytes();
        *quad = [w, x, y, z];
    }
    match (rest, last) {
        ([a], [w, x]) => [*w, *x] = pair(u32::from(*a) << 4).to_le_bytes(),
        ([a, b], [w, x, y]) => {
            [*w, *x] = pair(u32::from(*a) << 4 | u32::from(*b) >> 4).to_le_bytes();
            [*y, _] = pair(u32::from(*b) << 8).to_le_bytes();
        }
        _ => {}
    }
}

/// The two characters of the low twelve bits.
#[allow(clippy::indexing_slicing, reason = "twelve bits always fall inside a table of 4096")]
fn pair(bits: u32) -> u16 {
    PAIRS[bits as usize & 0xfff]
}

/// Decodes `text`.
///
/// # Errors
/// [`Base64Error`] when `text` is not the one canonical encoding of some bytes.
///
/// ```
/// use jose::base64url::decode;
/// assert_eq!(decode(b"-_8").unwrap(), b"\xfb\xff");
/// assert!(decode(b"-_9").is_err()); // stray bits
/// assert!(decode(b"-_8=").is_err()); // padding
/// ```
pub fn decode(text: &[u8]) -> Result<Vec<u8>, Base64Error> {
    let mut out = Vec::new();
    decode_into(text, &mut out)?;
    Ok(out)
}

/// Appends the bytes that `text` stands for to `out`; on an error, `out` keeps what it had.
///
/// # Errors
/// [`Base64Error`] when `text` is not the one canonical encoding of some bytes.
pub fn decode_into(text: &[u8], out: &mut Vec<u8>) -> Result<(), Base64Error> {
    if text.len() % 4 == 1 {
        return Err(Base64Error::Length);
    }
    let start = out.len();
    out.resize(start + text.len() * 3 / 4, 0);
    let (_, target) = out.split_at_mut(start);
    // Six bytes of eight characters at a time, then three of four, then what is left.
    let (sextets, target) = target.as_chunks_mut::<6>();
    let (octets, text) = text.split_at(sextets.len() * 8);
    let mut seen = 0;
    for (sextet, octet) in sextets.iter_mut().zip(octets.as_chunks::<8>().0) {
        let [a, b, c, d, e, f, g, h] = *octet;
        let (high, low) = (group([a, b, c, d]), group([e, f, g, h]));
        seen |= high | low;
        let bits = u64::from(high) << 24 | u64::from(low);
        let [_, _, a, b, c, d, e, f] = bits.to_be_bytes();
        *sextet = [a, b, c, d, e, f];
    }
    let (triples, last) = target.as_chunks_mut::<3>();
    let (quads, rest) = text.as_chunks::<4>();
    for (triple, quad) in triples.iter_mut().zip(quads) {
        let group = group(*quad);
        seen |= group;
        let [_, a, b, c] = group.to_be_bytes();
        *triple = [a, b, c];
    }
    // What is missing of the last group counts as zeros, so whatever lies behind its last byte must be zero too.
    let mut padded = *b"AAAA";
    padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let group = group(padded);
    seen |= group;
    let [_, a, b, c] = group.to_be_bytes();
    let stray = match last {
        [one] => {
            *one = a;
            b | c
        }
        [one, two] => {
            [*one, *two] = [a, b];
            c
        }
        _ => 0,
    };
    let error = match (seen & INVALID, stray) {
        (0, 0) => return Ok(()),
        (0, _) => Base64Error::StrayBits,
        _ => Base64Error::Symbol,
    };
    out.truncate(start);
    Err(error)
}

/// The 24 bits of four characters, and [`INVALID`] where one is none of the alphabet's.
#[allow(clippy::indexing_slicing, reason = "a byte always falls inside a table of 256")]
fn group([a, b, c, d]: [u8; 4]) -> u32 {
    let [first, second, third, fourth] = &PLACES;
    first[usize::from(a)] | second[usize::from(b)] | third[usize::from(c)] | fourth[usize::from(d)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rfc4648_section_10_without_padding() {
        for (plain, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text.as_bytes()).unwrap(), plain.as_bytes());
            assert_eq!(encoded_len(plain.len()), text.len());
        }
    }

    #[test]
    fn refuses_everything_but_the_one_spelling() {
        for (text, expect) in [
            ("Zg==", Base64Error::Symbol),
            ("Zm9v ", Base64Error::Length),
            ("Zm9vYg\n", Base64Error::Symbol),
            ("Z", Base64Error::Length),
            ("Zm9vY", Base64Error::Length),
            ("Zh", Base64Error::StrayBits),
            ("Zm9", Base64Error::StrayBits),
            ("a+b/", Base64Error::Symbol),
            ("Zm\u{e9}v", Base64Error::Length),
            ("\u{ff3a}g", Base64Error::Symbol),
        ] {
            let mut out = b"kept".to_vec();
            assert_eq!(decode_into(text.as_bytes(), &mut out), Err(expect), "{text:?}");
            assert_eq!(out, b"kept");
        }
    }

    proptest! {
        #[test]
        fn round_trip(bytes: Vec<u8>) {
            let text = encode(&bytes);
            prop_assert_eq!(text.len(), encoded_len(bytes.len()));
            prop_assert_eq!(decode(text.as_bytes()).unwrap(), bytes);
        }

        #[test]
        fn what_decodes_encodes_to_itself(text in "[A-Za-z0-9_-]{0,40}") {
            if let Ok(bytes) = decode(text.as_bytes()) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
