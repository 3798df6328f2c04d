//! base64url without padding, exactly as JOSE wants it (RFC 7515 section 2, RFC 4648 section 5).
//!
//! One text stands for one byte string and the other way round: padding, white space, letters of the other
//! alphabet, an impossible length and non-zero trailing bits are all refused. Without that, one signed token
//! has several spellings, and a list of revoked tokens can be walked around.

use crate::error::Base64Error;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What a byte outside the alphabet decodes to. Its top bit is what the decoder looks for.
const INVALID: u8 = 0x80;

#[allow(clippy::indexing_slicing, reason = "evaluated while compiling: out of range does not compile")]
const DECODE: [u8; 256] = {
    let mut table = [INVALID; 256];
    let mut value = 0;
    while value < 64 {
        table[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    table
};

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
    let (quads, last) = target.as_chunks_mut::<4>();
    let (triples, rest) = input.as_chunks::<3>();
    for (quad, &[a, b, c]) in quads.iter_mut().zip(triples) {
        *quad = [symbol(a >> 2), symbol(a << 4 | b >> 4), symbol(b << 2 | c >> 6), symbol(c)];
    }
    match *rest {
        [a] => last.copy_from_slice(&[symbol(a >> 2), symbol(a << 4)]),
        [a, b] => last.copy_from_slice(&[symbol(a >> 2), symbol(a << 4 | b >> 4), symbol(b << 2)]),
        _ => {}
    }
}

/// The character of the low six bits.
#[allow(clippy::indexing_slicing, reason = "six bits always fall inside a table of 64")]
fn symbol(bits: u8) -> u8 {
    ALPHABET[usize::from(bits & 63)]
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
    let (triples, last) = target.as_chunks_mut::<3>();
    let (quads, rest) = text.as_chunks::<4>();
    let mut seen = 0;
    for (triple, quad) in triples.iter_mut().zip(quads) {
        let [a, b, c, d] = quad.map(bits);
        seen |= a | b | c | d;
        *triple = [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d];
    }
    let [a, b, c] = [0, 1, 2].map(|place| rest.get(place).map_or(0, |symbol| bits(*symbol)));
    seen |= a | b | c;
    let stray = match last {
        [one] => {
            *one = a << 2 | b >> 4;
            b & 0x0f
        }
        [one, two] => {
            (*one, *two) = (a << 2 | b >> 4, b << 4 | c >> 2);
            c & 0x03
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

#[allow(clippy::indexing_slicing, reason = "a byte always falls inside a table of 256")]
fn bits(symbol: u8) -> u8 {
    DECODE[usize::from(symbol)]
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
