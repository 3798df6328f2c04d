//! The reader behind [`crate::json`]: one pass over the text, which checks everything on the way.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::error::JsonError;
use crate::json::{MAX_DEPTH, Text, Value};

/// Up to this many names are compared one by one, more through a hash set, so that no input costs quadratic time.
const FEW_NAMES: usize = 16;

/// How many bytes come before the first that a JSON string may not have as it is: a quote, a backslash, or a control
/// character. Eight bytes at a time, as long as there are eight.
pub(crate) fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 0x80;
    // The high bit of the first byte below `limit` is set, and of none before it.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGH;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let special = quote | backslash | below(word, 0x20);
        if special != 0 {
            return index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let is_special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    bytes.len() - rest.len() + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// The names of one object, so that none comes twice.
pub(crate) struct Names<'a> {
    few: [&'a str; FEW_NAMES],
    used: usize,
    /// All of them, once there are more, or one had to be unescaped.
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    pub(crate) fn new() -> Self {
        Self { few: [""; FEW_NAMES], used: 0, many: HashSet::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.used.max(self.many.len())
    }

    pub(crate) fn insert(&mut self, name: Text<'a>) -> Result<(), JsonError> {
        if !name.escaped
            && self.many.is_empty()
            && let Some(slot) = self.few.get_mut(self.used)
        {
            *slot = name.raw;
            let (before, _) = self.few.split_at(self.used);
            // Nearly all names differ in their first byte or their length, and then need no call to compare.
            let first = |name: &str| name.as_bytes().first().copied();
            if before.iter().any(|other| first(other) == first(name.raw) && *other == name.raw) {
                return Err(JsonError::DuplicateMember);
            }
            self.used += 1;
            return Ok(());
        }
        if self.many.is_empty() {
            self.many.extend(self.few.iter().take(self.used).map(|name| Cow::Borrowed(*name)));
        }
        if self.many.insert(name.decode()) { Ok(()) } else { Err(JsonError::DuplicateMember) }
    }
}

pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Whether repeated names are looked for in objects inside of others too.
    is_unique_inside: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(input).map_err(|error| JsonError::NotUtf8 { at: error.valid_up_to() })?;
        Ok(Self::of(text))
    }

    pub(crate) fn of(text: &'a str) -> Self {
        Self { text, at: 0, is_unique_inside: false }
    }

    /// The same, which looks for repeated names in objects inside of others too.
    pub(crate) fn unique_inside(self) -> Self {
        Self { is_unique_inside: true, ..self }
    }

    /// Where it stands, in bytes from the start.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    pub(crate) fn white_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn wrong<T>(&self) -> Result<T, JsonError> {
        Err(JsonError::Syntax { at: self.at })
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            self.wrong()
        }
    }

    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        self.white_space();
        if self.at == self.text.len() { Ok(()) } else { Err(JsonError::Trailing { at: self.at }) }
    }

    /// The text between two places that this reader has been at; both are character boundaries.
    fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    /// A value inside `depth` others.
    pub(crate) fn value(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
        self.white_space();
        let start = self.at;
        match self.peek() {
            Some(b'{') => {
                let inside = nested(depth)?;
                if self.is_unique_inside {
                    let mut names = Names::new();
                    self.members(|name, reader| {
                        names.insert(name)?;
                        reader.value(inside).map(drop)
                    })?;
                } else {
                    self.members(|_, reader| reader.value(inside).map(drop))?;
                }
                Ok(Value::Object(self.slice(start, self.at)))
            }
            Some(b'[') => {
                let inside = nested(depth)?;
                self.elements(|reader| reader.value(inside).map(drop))?;
                Ok(Value::Array(self.slice(start, self.at)))
            }
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.wrong(),
        }
    }

    /// An object, at its brace; `member` is called with each name, the reader standing before the value.
    pub(crate) fn members<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(Text<'a>, &mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{')?;
        self.white_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.white_space();
            let name = self.string()?;
            self.white_space();
            self.expect(b':')?;
            member(name, self)?;
            self.white_space();
            match self.next() {
                Some(b',') => {}
                Some(b'}') => return Ok(()),
                _ => return Err(JsonError::Syntax { at: self.at }.into()),
            }
        }
    }

    /// An array, at its bracket; `element` is called with the reader standing before each value.
    pub(crate) fn elements<E: From<JsonError>>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'[')?;
        self.white_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            element(self)?;
            self.white_space();
            match self.next() {
                Some(b',') => {}
                Some(b']') => return Ok(()),
                _ => return Err(JsonError::Syntax { at: self.at }.into()),
            }
        }
    }

    fn string(&mut self) -> Result<Text<'a>, JsonError> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_len(self.text.as_bytes().get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    let raw = self.slice(start, self.at);
                    self.at += 1;
                    return Ok(Text { raw, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return self.wrong(),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.at += 1;
        match self.next() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => {
                let unit = self.code_unit()?;
                match unit {
                    0xD800..0xDC00 => {
                        if self.peek() == Some(b'\\') {
                            self.at += 1;
                            if self.next() == Some(b'u') && (0xDC00..0xE000).contains(&self.code_unit()?) {
                                return Ok(());
                            }
                        }
                        Err(JsonError::LoneSurrogate { at: start })
                    }
                    0xDC00..0xE000 => Err(JsonError::LoneSurrogate { at: start }),
                    _ => Ok(()),
                }
            }
            _ => Err(JsonError::Syntax { at: start }),
        }
    }

    fn code_unit(&mut self) -> Result<u32, JsonError> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else { return self.wrong() };
            unit = unit << 4 | digit;
            self.at += 1;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<Value<'a>, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Value::Number(self.slice(start, self.at)))
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { self.wrong() }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, JsonError> {
        for &byte in word.as_bytes() {
            self.expect(byte)?;
        }
        Ok(value)
    }
}

/// The depth inside a container that stands at `depth`.
fn nested(depth: usize) -> Result<usize, JsonError> {
    if depth < MAX_DEPTH { Ok(depth + 1) } else { Err(JsonError::TooDeep) }
}

/// Resolves the escapes of a string that [`Reader::string`] has accepted.
pub(crate) fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        match chars.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let first = four_digits(&mut chars);
                let code = if (0xD800..0xDC00).contains(&first) {
                    chars.nth(1); // the `\u` of the second half
                    0x10000 + ((first - 0xD800) << 10) + (four_digits(&mut chars).wrapping_sub(0xDC00) & 0x3ff)
                } else {
                    first
                };
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

fn four_digits(chars: &mut std::str::Chars<'_>) -> u32 {
    chars.take(4).filter_map(|char| char.to_digit(16)).fold(0, |unit, digit| unit << 4 | digit)
}
