//! Lines out of pieces. A line that is too long is skipped, so that memory is bounded whatever comes.

/// Bytes that came, and where the next line begins.
pub(crate) struct Lines {
    input: Vec<u8>,
    begin: usize,
    /// Up to where there is no line feed.
    searched: usize,
    limit: usize,
    /// In the middle of a line that is too long.
    skips: bool,
}

/// The next line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'l> {
    Whole(&'l [u8]),
    TooLong,
}

impl Lines {
    pub(crate) fn new(limit: usize) -> Self {
        Self { input: Vec::new(), begin: 0, searched: 0, limit, skips: false }
    }

    /// Where the next piece is to be appended.
    pub(crate) fn input(&mut self) -> &mut Vec<u8> {
        self.input.drain(..self.begin);
        self.searched -= self.begin;
        self.begin = 0;
        &mut self.input
    }

    /// The next line that is not empty; `None` when more has to come. At the end, what is left is the last line.
    pub(crate) fn next(&mut self, is_end: bool) -> Option<Line<'_>> {
        loop {
            let begin = self.begin;
            let rest = self.input.get(self.searched..).unwrap_or_default();
            let Some(found) = rest.iter().position(|&byte| byte == b'\n') else {
                self.searched = self.input.len();
                let length = self.searched - begin;
                if length > self.limit || self.skips {
                    // Nothing of it is kept.
                    self.begin = self.searched;
                    let is_new = !std::mem::replace(&mut self.skips, !is_end);
                    return is_new.then_some(Line::TooLong);
                }
                if !is_end || length == 0 {
                    return None;
                }
                self.begin = self.searched;
                let line = self.input.get(begin..).unwrap_or_default().trim_ascii();
                return (!line.is_empty()).then_some(Line::Whole(line));
            };
            let end = self.searched + found;
            self.begin = end + 1;
            self.searched = self.begin;
            if std::mem::take(&mut self.skips) {
                continue;
            }
            if end - begin > self.limit {
                return Some(Line::TooLong);
            }
            let is_empty = self.input.get(begin..end).unwrap_or_default().trim_ascii().is_empty();
            if !is_empty {
                return Some(Line::Whole(self.input.get(begin..end).unwrap_or_default().trim_ascii()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pieces: &[&[u8]], limit: usize) -> Vec<Option<String>> {
        let mut lines = Lines::new(limit);
        let mut read = Vec::new();
        let mut take = |lines: &mut Lines, is_end| {
            while let Some(line) = lines.next(is_end) {
                read.push(match line {
                    Line::Whole(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
                    Line::TooLong => None,
                });
            }
        };
        for piece in pieces {
            lines.input().extend_from_slice(piece);
            take(&mut lines, false);
            assert!(lines.input().len() <= limit, "nothing is kept of a line that is too long");
        }
        take(&mut lines, true);
        read
    }

    #[test]
    fn lines_end_with_a_line_feed_or_at_the_end() {
        let some = |text: &str| Some(text.to_owned());
        for (text, expect) in [
            ("", vec![]),
            ("\n\r\n \n", vec![]),
            ("a", vec![some("a")]),
            ("a\r\n\nb\n", vec![some("a"), some("b")]),
            ("abcdef\nb", vec![None, some("b")]),
            ("a\nabcdef", vec![some("a"), None]),
            ("abcde\nabcdefghijkl\nabcdefghijkl\nx", vec![some("abcde"), None, None, some("x")]),
        ] {
            assert_eq!(read(&[text.as_bytes()], 5), expect, "{text:?}");
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(read(&bytes, 5), expect, "{text:?} byte by byte");
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_they_come(text in "[ab\n]{0,60}", cut in 1_usize..9) {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
            prop_assert_eq!(read(&pieces, 7), read(&[text.as_bytes()], 7));
        }
    }
}
