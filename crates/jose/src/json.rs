//! Strict JSON (RFC 8259) without a document tree: one pass that checks everything and lends out slices.
//!
//! What two parsers read differently is where forged tokens live, so this one refuses it: a member name given
//! twice in the object at hand (also when spelled with escapes), lone surrogates, invalid UTF-8, a byte order mark,
//! numbers outside the grammar, anything after the value, nesting deeper than [`MAX_DEPTH`]. Numbers are never
//! converted: they stay the text that was sent, with every digit.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::error::JsonError;

/// How deep objects and arrays may be nested; the outermost counts as one.
pub const MAX_DEPTH: usize = 128;

/// Up to this many names are compared one by one, more through a hash set, so that no input costs quadratic time.
const FEW_NAMES: usize = 16;

/// A JSON value, borrowed from the text that it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// The digits as they were sent.
    Number(&'a str),
    /// A string.
    String(Text<'a>),
    /// The whole array, brackets included: checked, to be read with [`array()`].
    Array(&'a str),
    /// The whole object, braces included: checked (by [`object()`] but for repeated names), to be read with it again.
    Object(&'a str),
}

impl Value<'_> {
    /// Appends the value as it was sent.
    pub fn write_into(&self, out: &mut Vec<u8>) {
        let text = match self {
            Self::Null => "null",
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
            Self::Number(text) | Self::Array(text) | Self::Object(text) => text,
            Self::String(text) => {
                out.push(b'"');
                out.extend_from_slice(text.raw.as_bytes());
                out.push(b'"');
                return;
            }
        };
        out.extend_from_slice(text.as_bytes());
    }
}

/// Reads `input`, which must be one JSON value.
///
/// # Errors
/// [`JsonError`].
pub fn value(input: &[u8]) -> Result<Value<'_>, JsonError> {
    let mut reader = Reader::new(input)?;
    let value = reader.value(0)?;
    reader.end()?;
    Ok(value)
}

/// A checked JSON string that may still have its escapes.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// The text with its escapes resolved; borrowed when there are none.
    #[must_use]
    pub fn decode(&self) -> Cow<'a, str> {
        if self.escaped { Cow::Owned(unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.decode() == other.decode()
    }
}

impl Eq for Text<'_> {}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.decode() == other
    }
}

/// Reads `input`, which must be one JSON object, and hands each member to `member` in its order.
///
/// # Errors
/// [`JsonError`], or whatever `member` returns. Members before the error have been handed out by then.
///
/// ```
/// use jose::json::{self, Value};
/// let mut seen = Vec::new();
/// json::object(br#"{"a": 1.50, "b": "x"}"#, |name, value| {
///     seen.push((name.to_owned(), matches!(value, Value::Number("1.50"))));
///     Ok::<_, jose::error::JsonError>(())
/// })?;
/// assert_eq!(seen, [("a".to_owned(), true), ("b".to_owned(), false)]);
/// # Ok::<_, jose::error::JsonError>(())
/// ```
pub fn object<'a, E: From<JsonError>>(
    input: &'a [u8],
    member: impl FnMut(&str, Value<'a>) -> Result<(), E>,
) -> Result<(), E> {
    read_object(Reader::new(input)?, usize::MAX, member)
}

/// As [`object()`], with at most `most` members, and no name given twice in any object inside either.
///
/// # Errors
/// [`JsonError`], or whatever `member` returns.
pub fn object_of<'a, E: From<JsonError>>(
    most: usize,
    input: &'a [u8],
    member: impl FnMut(&str, Value<'a>) -> Result<(), E>,
) -> Result<(), E> {
    read_object(Reader { is_unique_inside: true, ..Reader::new(input)? }, most, member)
}

fn read_object<'a, E: From<JsonError>>(
    mut reader: Reader<'a>,
    most: usize,
    mut member: impl FnMut(&str, Value<'a>) -> Result<(), E>,
) -> Result<(), E> {
    reader.white_space();
    if reader.peek() != Some(b'{') {
        // What follows may still be worth a more precise answer than "not an object".
        reader.value(0)?;
        return Err(JsonError::NotAnObject.into());
    }
    let mut names = Names::new();
    reader.members(|name, reader| {
        if names.len() >= most {
            return Err(JsonError::TooManyMembers.into());
        }
        names.insert(name)?;
        let value = reader.value(1)?;
        let decoded;
        let name = if name.escaped {
            decoded = unescape(name.raw);
            &decoded
        } else {
            name.raw
        };
        member(name, value)
    })?;
    reader.end()?;
    Ok(())
}

/// Reads `input`, which must be one JSON array, and hands each element to `element` in its order.
///
/// # Errors
/// [`JsonError`], or whatever `element` returns.
pub fn array<'a, E: From<JsonError>>(
    input: &'a str,
    mut element: impl FnMut(Value<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = Reader { text: input, at: 0, is_unique_inside: false };
    reader.white_space();
    if reader.peek() != Some(b'[') {
        return Err(JsonError::Syntax { at: reader.at }.into());
    }
    reader.elements(|reader| element(reader.value(1)?))?;
    reader.end()?;
    Ok(())
}

/// Appends `text` as a JSON string with its quotes to `out`. Only `"`, `\` and U+0000 to U+001F are escaped, each in
/// its shortest form.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = rest.split_at(plain_len(rest));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = special.split_first() else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            _ => {
                out.extend_from_slice(if byte < 0x10 { b"\\u000" } else { b"\\u001" });
                out.push(match byte & 0x0f {
                    digit @ 0..=9 => b'0' + digit,
                    digit => b'a' - 10 + digit,
                });
            }
        }
        rest = after;
    }
    out.push(b'"');
}

/// Appends `number` in decimal.
pub fn write_integer(number: i64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut rest = number.unsigned_abs();
    let mut length = 0;
    // Two digits for each division, from the end.
    let (pairs, _) = digits.as_chunks_mut::<2>();
    for pair in pairs.iter_mut().rev() {
        let two = (rest % 100) as u8;
        *pair = [b'0' + two / 10, b'0' + two % 10];
        rest /= 100;
        length += 2;
        if rest == 0 {
            length -= usize::from(two < 10);
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(digits.get(digits.len() - length..).unwrap_or_default());
}

/// How many bytes come before the first that a JSON string may not have as it is: a quote, a backslash, or a control
/// character. Eight bytes at a time, as long as there are eight.
fn plain_len(bytes: &[u8]) -> usize {
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
struct Names<'a> {
    few: [&'a str; FEW_NAMES],
    used: usize,
    /// All of them, once there are more, or one had to be unescaped.
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    fn new() -> Self {
        Self { few: [""; FEW_NAMES], used: 0, many: HashSet::new() }
    }

    fn len(&self) -> usize {
        self.used.max(self.many.len())
    }

    fn insert(&mut self, name: Text<'a>) -> Result<(), JsonError> {
        if !name.escaped
            && self.many.is_empty()
            && let Some(slot) = self.few.get_mut(self.used)
        {
            *slot = name.raw;
            let (before, _) = self.few.split_at(self.used);
            if before.contains(&name.raw) {
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

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Whether repeated names are looked for in objects inside of others too.
    is_unique_inside: bool,
}

impl<'a> Reader<'a> {
    fn new(input: &'a [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(input).map_err(|error| JsonError::NotUtf8 { at: error.valid_up_to() })?;
        Ok(Self { text, at: 0, is_unique_inside: false })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn white_space(&mut self) {
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

    fn end(&mut self) -> Result<(), JsonError> {
        self.white_space();
        if self.at == self.text.len() { Ok(()) } else { Err(JsonError::Trailing { at: self.at }) }
    }

    /// The text between two places that this reader has been at; both are character boundaries.
    fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    /// A value inside `depth` others.
    fn value(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
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
    fn members<E: From<JsonError>>(
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
    fn elements<E: From<JsonError>>(&mut self, mut element: impl FnMut(&mut Self) -> Result<(), E>) -> Result<(), E> {
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
fn unescape(raw: &str) -> String {
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

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
