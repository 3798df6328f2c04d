//! Rows as `COPY … (FORMAT binary)` sends them: a header, then for each row the number of its fields, and each field's
//! length and bytes; -1 for the length of a NULL, and in place of the number at the end. And rows for it to read.

use crate::failure::Failure;
use crate::postgres::failure::corrupt;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Signature, flags, and the length of an extension, of which there is none.
const HEADER: usize = 11 + 4 + 4;

/// No table has more.
const MOST_FIELDS: usize = 9;

/// Gets each row: its fields, `None` where they are NULL.
pub(crate) type Each<'e> = &'e mut dyn FnMut(&[Option<&[u8]>]) -> Result<(), Failure>;

/// Takes rows out of what comes.
#[derive(Debug, Default)]
pub(crate) struct Copied {
    /// What is not a whole row yet.
    rest: Vec<u8>,
    has_begun: bool,
    has_ended: bool,
}

impl Copied {
    /// Takes what has come, and hands out each row that is whole.
    pub(crate) fn take(&mut self, bytes: &[u8], each: Each<'_>) -> Result<(), Failure> {
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
    fn read<'b>(&mut self, mut bytes: &'b [u8], each: Each<'_>) -> Result<&'b [u8], Failure> {
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
                count => {
                    let mut fields = [None; MOST_FIELDS];
                    let fields = usize::try_from(count).ok().and_then(|count| fields.get_mut(..count));
                    let fields = fields.ok_or_else(malformed)?;
                    for field in &mut *fields {
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
            }
            bytes = after;
        }
        Ok(bytes)
    }
}

/// What comes before all rows.
pub(crate) fn begin(bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(SIGNATURE);
    bytes.extend_from_slice(&[0; HEADER - SIGNATURE.len()]);
}

/// A row.
pub(crate) fn put<'f>(bytes: &mut Vec<u8>, fields: impl ExactSizeIterator<Item = Option<&'f [u8]>>) {
    bytes.extend_from_slice(&i16::try_from(fields.len()).unwrap_or(i16::MAX).to_be_bytes());
    for field in fields {
        let length = field.map_or(-1, |field| i32::try_from(field.len()).unwrap_or(i32::MAX));
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(field.unwrap_or_default());
    }
}

/// What comes after all rows.
pub(crate) fn end(bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&(-1_i16).to_be_bytes());
}

/// The number in a field.
pub(crate) fn number(field: &[u8]) -> Result<i64, Failure> {
    field.try_into().map(i64::from_be_bytes).map_err(|_| malformed())
}

pub(crate) fn malformed() -> Failure {
    corrupt("what was copied is not in the form of COPY")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        begin(&mut bytes);
        put(&mut bytes, [Some(&b"abc"[..]), None].into_iter());
        put(&mut bytes, [Some(&b""[..]), Some(b"d")].into_iter());
        end(&mut bytes);
        bytes
    }

    #[test]
    fn rows_are_written_as_postgres_has_them() {
        let mut expected = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        expected.extend([0, 2, 0, 0, 0, 3, b'a', b'b', b'c', 0xff, 0xff, 0xff, 0xff]);
        expected.extend([0, 2, 0, 0, 0, 0, 0, 0, 0, 1, b'd', 0xff, 0xff]);
        assert_eq!(sample(), expected);
    }

    fn read(pieces: &[&[u8]]) -> Result<Vec<Vec<Option<Vec<u8>>>>, Failure> {
        let (mut copied, mut rows) = (Copied::default(), Vec::new());
        for piece in pieces {
            copied.take(piece, &mut |row| {
                rows.push(row.iter().map(|field| field.map(<[u8]>::to_vec)).collect());
                Ok(())
            })?;
        }
        copied.finish().map(|()| rows)
    }

    #[test]
    fn rows_are_the_same_in_whatever_pieces_they_come() {
        let sample = sample();
        let expected = vec![vec![Some(b"abc".to_vec()), None], vec![Some(vec![]), Some(b"d".to_vec())]];
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
        for (at, byte) in [(0, 0), (14, 1), (19, 1), (20, 10), (21, 0x80)] {
            let mut wrong = sample.clone();
            wrong[at] = byte;
            assert!(read(&[&wrong]).is_err(), "{at}");
        }
        assert!(read(&[&[&sample[..], &[0, 2]].concat()]).is_err());
    }
}
