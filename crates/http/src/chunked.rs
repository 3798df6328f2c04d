//! Chunked bodies (RFC 9112 section 7.1), taken out of their framing as they come. Extensions and trailers are dropped,
//! and bounded.

/// How much there may be of extensions of one chunk, and of trailers.
const MOST_EXTRA: usize = 8 * 1024;

/// Between two pieces of a chunked body.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    at: At,
    /// Bytes of the chunk's extensions, or of the trailers, so far.
    extra: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the digits of a size, of which there were so many.
    Size {
        digits: u32,
        size: u64,
    },
    /// In the space behind the digits.
    Space {
        size: u64,
    },
    /// Behind a semicolon, up to the end of the line.
    Extension {
        size: u64,
    },
    /// Before the line feed that ends the line.
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataEnd,
    DataLineFeed,
    /// At the start of a trailer's line, or of the empty line.
    Trailer,
    InTrailer {
        has_colon: bool,
    },
    TrailerLineFeed,
    LastLineFeed,
    Done,
}

impl Default for At {
    fn default() -> Self {
        Self::Size { digits: 0, size: 0 }
    }
}

/// The framing is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Chunks {
    /// Whether the last chunk and the trailers were read.
    pub(crate) fn are_done(&self) -> bool {
        self.at == At::Done
    }

    /// Reads from `raw`, gives each piece of the body to `take`, and answers how many bytes it took: all of them, unless
    /// the body ends before.
    pub(crate) fn read(&mut self, raw: &[u8], mut take: impl FnMut(&[u8])) -> Result<usize, Malformed> {
        let mut rest = raw;
        while let (false, Some((&byte, behind))) = (self.are_done(), rest.split_first()) {
            if let At::Data { left } = self.at {
                let (piece, behind) = rest.split_at(usize::try_from(left).unwrap_or(usize::MAX).min(rest.len()));
                take(piece);
                let left = left - piece.len() as u64;
                self.at = if left == 0 { At::DataEnd } else { At::Data { left } };
                rest = behind;
                continue;
            }
            self.at = self.next(byte)?;
            rest = behind;
        }
        Ok(raw.len() - rest.len())
    }

    fn next(&mut self, byte: u8) -> Result<At, Malformed> {
        let behind_size = |size| if size == 0 { At::Trailer } else { At::Data { left: size } };
        Ok(match (self.at, byte) {
            (At::Size { digits, size }, _) if byte.is_ascii_hexdigit() && digits < 16 => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                At::Size { digits: digits + 1, size: size << 4 | u64::from(digit) }
            }
            (At::Size { digits: 1.., size } | At::Space { size } | At::Extension { size }, b'\r') => {
                At::SizeEnd { size }
            }
            (At::Size { digits: 1.., size } | At::Space { size }, b';') => At::Extension { size },
            (At::Size { digits: 1.., size } | At::Space { size }, b' ' | b'\t') => self.extra(At::Space { size })?,
            (At::Extension { size }, b'\t' | b' '..) => self.extra(At::Extension { size })?,
            (At::SizeEnd { size }, b'\n') => behind_size(size),
            (At::DataEnd, b'\r') => At::DataLineFeed,
            (At::DataLineFeed, b'\n') => {
                self.extra = 0;
                At::default()
            }
            (At::Trailer, b'\r') => At::LastLineFeed,
            (At::InTrailer { has_colon: true }, b'\r') => At::TrailerLineFeed,
            (At::Trailer, _) if is_in_name(byte) => self.extra(At::InTrailer { has_colon: false })?,
            (At::InTrailer { has_colon: false }, _) if is_in_name(byte) => self.extra(self.at)?,
            (At::InTrailer { has_colon: false }, b':') => self.extra(At::InTrailer { has_colon: true })?,
            (At::InTrailer { has_colon: true }, b'\t' | b' '..) => self.extra(self.at)?,
            (At::TrailerLineFeed, b'\n') => At::Trailer,
            (At::LastLineFeed, b'\n') => At::Done,
            _ => return Err(Malformed),
        })
    }

    fn extra(&mut self, next: At) -> Result<At, Malformed> {
        self.extra += 1;
        if self.extra > MOST_EXTRA { Err(Malformed) } else { Ok(next) }
    }
}

/// Whether a byte may stand in the name of a field (RFC 9110 section 5.6.2).
fn is_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), Malformed> {
        let (mut chunks, mut body, mut used) = (Chunks::default(), Vec::new(), 0);
        for piece in pieces {
            used += chunks.read(piece, |piece| body.extend_from_slice(piece))?;
        }
        Ok((body, used, chunks.are_done()))
    }

    #[test]
    fn bodies_end_where_they_say() {
        for (raw, body, done) in [
            ("0\r\n\r\n", "", true),
            ("3\r\nabc\r\n0\r\n\r\n", "abc", true),
            ("0003;x=\"y\"\r\nabc\r\n00\r\nT: x\r\nU: y\r\n\r\n", "abc", true),
            ("a \r\n0123456789\r\n1", "0123456789", false),
            ("3\r\nab", "ab", false),
        ] {
            assert_eq!(read(&[raw.as_bytes()]), Ok((body.into(), raw.len(), done)), "{raw:?}");
        }
        assert_eq!(read(&[b"0\r\n\r\nGET /"]), Ok((vec![], 5, true)));
    }

    #[test]
    fn wrong_framing_is_an_error() {
        for raw in [
            "\r\n",
            ";x\r\n",
            "g\r\n",
            "-1\r\n",
            "0x1\r\n",
            "1\nx",
            "1\r\rx",
            "1\r\nxx",
            "1\r\nx\n",
            "1\r\nx\rx",
            "00000000000000001\r\n",
            "1;\n",
            "1 0\r\n",
            "0\r\n T: x\r\n",
            "0\r\nT\r\n",
            "0\r\n: x\r\n",
            "0\r\nT : x\r\n",
            "0\r\n\n",
            "0\r\nT\n",
            "0\r\n\0",
        ] {
            assert_eq!(read(&[raw.as_bytes()]), Err(Malformed), "{raw:?}");
        }
        let long = format!("1;{}\r\n", "x".repeat(MOST_EXTRA + 1));
        assert_eq!(read(&[long.as_bytes()]), Err(Malformed));
        let long = format!("0\r\n{}", "T: x\r\n".repeat(MOST_EXTRA / 4 + 1));
        assert_eq!(read(&[long.as_bytes()]), Err(Malformed));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_it_comes(bodies in proptest::collection::vec(".{1,40}", 0..5), cut in 1_usize..7) {
            let mut raw = Vec::new();
            for body in &bodies {
                raw.extend_from_slice(format!("{:x}\r\n{body}\r\n", body.len()).as_bytes());
            }
            raw.extend_from_slice(b"0\r\n\r\n");
            let pieces: Vec<_> = raw.chunks(cut).collect();
            prop_assert_eq!(read(&pieces), Ok((bodies.concat().into_bytes(), raw.len(), true)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(raw: Vec<u8>) {
            let _ = read(&[&raw]);
        }
    }
}
