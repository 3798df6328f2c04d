//! Rows as `COPY … (FORMAT binary)` sends them: a header, then for each row the number of its fields, and each field's
//! length and bytes; -1 for the length of a NULL, and in place of the number at the end.

use crate::failure::Failure;
use crate::postgres::failure::corrupt;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Signature, flags, and the length of an extension, of which there is none.
const HEADER: usize = 11 + 4 + 4;

/// Gets each row: its fields, `None` where they are NULL.
pub(crate) type Each<'e, const N: usize> = &'e mut dyn FnMut([Option<&[u8]>; N]) -> Result<(), Failure>;

/// Takes rows of `N` fields out of what comes.
#[derive(Debug, Default)]
pub(crate) struct Copied<const N: usize> {
    /// What is not a whole row yet.
    rest: Vec<u8>,
    has_begun: bool,
    has_ended: bool,
}

impl<const N: usize> Copied<N> {
    /// Takes what has come, and hands out each row that is whole.
    pub(crate) fn take(&mut self, bytes: &[u8], each: Each<'_, N>) -> Result<(), Failure> {
        if self.rest.is_empty() {
            let left = self.read(bytes, each)?;
            self.rest.extend_from_slice(left);
        } else {
            let mut whole = std::mem::take(&mut self.rest);
            whole.extend_from_slice(bytes);
            let left = self.read(&whole, each)?.len();
            whole.drain(..whole.len() - left);
            self.rest = whole;
        }
        Ok(())
    }

    /// Sees that nothing is missing at the end.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        if self.has_ended && self.rest.is_empty() { Ok(()) } else { Err(corrupt("what was copied is cut off")) }
    }

    /// Answers what is left.
    fn read<'b>(&mut self, mut bytes: &'b [u8], each: Each<'_, N>) -> Result<&'b [u8], Failure> {
        if !self.has_begun {
            let Some((header, rows)) = bytes.split_at_checked(HEADER) else { return Ok(bytes) };
            if !header.starts_with(SIGNATURE) || !header.ends_with(&[0; 8]) {
                return Err(malformed());
            }
            (bytes, self.has_begun) = (rows, true);
        }
        while !bytes.is_empty() {
            if self.has_ended {
                return Err(malformed());
            }
            let Some((count, mut after)) = bytes.split_first_chunk() else { return Ok(bytes) };
            match i16::from_be_bytes(*count) {
                -1 => self.has_ended = true,
                count if usize::try_from(count) == Ok(N) => {
                    let mut fields = [None; N];
                    for field in &mut fields {
                        let Some((length, value)) = after.split_first_chunk() else { return Ok(bytes) };
                        let length = i32::from_be_bytes(*length);
                        if length == -1 {
                            after = value;
                            continue;
                        }
                        let length = usize::try_from(length).map_err(|_| malformed())?;
                        let Some((value, next)) = value.split_at_checked(length) else { return Ok(bytes) };
                        (*field, after) = (Some(value), next);
                    }
                    each(fields)?;
                }
                _ => return Err(malformed()),
            }
            bytes = after;
        }
        Ok(bytes)
    }
}

/// The number in a field.
pub(crate) fn number(field: &[u8]) -> Result<i64, Failure> {
    field.try_into().map(i64::from_be_bytes).map_err(|_| malformed())
}

fn malformed() -> Failure {
    corrupt("what was copied is not in the form of COPY")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = [SIGNATURE, &[0; 8]].concat();
        bytes.extend([0, 2, 0, 0, 0, 3, b'a', b'b', b'c', 0xff, 0xff, 0xff, 0xff]);
        bytes.extend([0, 2, 0, 0, 0, 0, 0, 0, 0, 1, b'd']);
        bytes.extend([0xff, 0xff]);
        bytes
    }

    fn read(pieces: &[&[u8]]) -> Result<Vec<[Option<Vec<u8>>; 2]>, Failure> {
        let (mut copied, mut rows) = (Copied::<2>::default(), Vec::new());
        for piece in pieces {
            copied.take(piece, &mut |row| {
                rows.push(row.map(|field| field.map(<[u8]>::to_vec)));
                Ok(())
            })?;
        }
        copied.finish().map(|()| rows)
    }

    #[test]
    fn rows_are_the_same_in_whatever_pieces_they_come() {
        let sample = sample();
        let expected = vec![[Some(b"abc".to_vec()), None], [Some(vec![]), Some(b"d".to_vec())]];
        for first in 0..=sample.len() {
            for second in first..=sample.len() {
                let pieces = [&sample[..first], &sample[first..second], &sample[second..]];
                assert_eq!(read(&pieces).unwrap(), expected, "{first} {second}");
            }
        }
    }

    #[test]
    fn what_is_cut_off_or_has_another_form_is_refused() {
        let sample = sample();
        for end in 0..sample.len() {
            assert!(read(&[&sample[..end]]).is_err(), "{end}");
        }
        for (at, byte) in [(0, 0), (14, 1), (19, 1), (20, 3), (21, 0x80)] {
            let mut wrong = sample.clone();
            wrong[at] = byte;
            assert!(read(&[&wrong]).is_err(), "{at}");
        }
        assert!(read(&[&[&sample[..], &[0, 2]].concat()]).is_err());
    }
}
