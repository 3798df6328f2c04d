//! The little of DER (X.690) that keys need, read strictly: definite lengths in their shortest form, and nothing left
//! over.

use crate::error::PemError;

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;

/// Reads one element after the other.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of these elements.
    pub(crate) fn new(elements: &'a [u8]) -> Self {
        Self(elements)
    }

    /// A reader of everything inside the one SEQUENCE that `bytes` must be.
    pub(crate) fn sequence(bytes: &'a [u8]) -> Result<Self, PemError> {
        let mut reader = Self(bytes);
        let inside = reader.element(SEQUENCE)?;
        reader.end()?;
        Ok(Self(inside))
    }

    /// The content of the next element, which must have this tag.
    pub(crate) fn element(&mut self, tag: u8) -> Result<&'a [u8], PemError> {
        self.optional(tag)?.ok_or(PemError::Der)
    }

    /// The content of the next element, if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, PemError> {
        let Some((_, rest)) = self.0.split_first().filter(|(first, _)| **first == tag) else { return Ok(None) };
        let (&first, rest) = rest.split_first().ok_or(PemError::Der)?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f)).ok_or(PemError::Der)?;
                let length = digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit));
                let shortest = digits.first() != Some(&0) && length >= 0x80;
                if !shortest {
                    return Err(PemError::Der);
                }
                (length, rest)
            }
            _ => return Err(PemError::Der),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(PemError::Der)?;
        self.0 = rest;
        Ok(Some(content))
    }

    /// The magnitude of the next INTEGER, which must not be negative: big-endian, without leading zeros.
    pub(crate) fn unsigned(&mut self) -> Result<&'a [u8], PemError> {
        match self.element(INTEGER)? {
            [] => Err(PemError::Der),
            // Negative, or with a zero in front that the sign does not need.
            [first, ..] if *first >= 0x80 => Err(PemError::Der),
            [0, second, ..] if *second < 0x80 => Err(PemError::Der),
            [0, rest @ ..] => Ok(rest),
            digits => Ok(digits),
        }
    }

    /// Makes sure that nothing is left.
    pub(crate) fn end(self) -> Result<(), PemError> {
        if self.0.is_empty() { Ok(()) } else { Err(PemError::Der) }
    }
}

/// Appends an element.
pub(crate) fn write(tag: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    let length = content.len();
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        out.push(0x80 | (bytes.len() - zeros) as u8);
        out.extend(bytes.iter().skip(zeros));
    }
    out.extend_from_slice(content);
}

/// Appends an INTEGER that is not negative, given as its magnitude.
pub(crate) fn write_unsigned(magnitude: &[u8], out: &mut Vec<u8>) {
    let mut content = zeroize::Zeroizing::new(Vec::with_capacity(magnitude.len() + 1));
    if magnitude.first().is_none_or(|first| *first >= 0x80) {
        content.push(0);
    }
    content.extend_from_slice(magnitude);
    write(INTEGER, &content, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_spelling() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let mut bytes = Vec::new();
            write(SEQUENCE, &vec![7; length], &mut bytes);
            assert_eq!(Reader::sequence(&bytes).unwrap().0.len(), length);
            bytes.push(0);
            assert!(Reader::sequence(&bytes).is_err());
        }
        for wrong in [
            &[0x30][..],
            &[0x30, 0x01],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x81, 0x01, 7],
            &[0x30, 0x82, 0x00, 0x80],
            &[0x30, 0x84, 0, 0, 0, 1, 7],
            &[0x31, 0x00],
        ] {
            assert!(Reader::sequence(wrong).is_err(), "{wrong:x?}");
        }
    }

    #[test]
    fn integers_have_one_spelling() {
        for (magnitude, expect) in [(&[][..], &[2, 1, 0][..]), (&[1], &[2, 1, 1]), (&[0x80], &[2, 2, 0, 0x80])] {
            let mut bytes = Vec::new();
            write_unsigned(magnitude, &mut bytes);
            assert_eq!(bytes, expect);
            assert_eq!(Reader(&bytes).unsigned().unwrap(), magnitude);
        }
        for wrong in [&[2, 0][..], &[2, 1, 0x80], &[2, 2, 0, 1]] {
            assert!(Reader(wrong).unsigned().is_err(), "{wrong:x?}");
        }
    }
}
