//! Strict JSON (RFC 8259) without a document tree: one pass that checks everything and lends out slices.
//!
//! What two parsers read differently is where forged tokens live, so this one refuses it: a member name given
//! twice in the object at hand (also when spelled with escapes), lone surrogates, invalid UTF-8, a byte order mark,
//! numbers outside the grammar, anything after the value, nesting deeper than [`MAX_DEPTH`]. Numbers are never
//! converted: they stay the text that was sent, with every digit.

use std::borrow::Cow;

use crate::error::JsonError;
use crate::json_reader::{Names, Reader, unescape};
pub use crate::json_writer::{write_integer, write_string};

/// How deep objects and arrays may be nested; the outermost counts as one.
pub const MAX_DEPTH: usize = 128;

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
    pub(crate) raw: &'a str,
    pub(crate) escaped: bool,
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
    read_object(Reader::new(input)?.unique_inside(), most, member)
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
    let mut reader = Reader::of(input);
    reader.white_space();
    if reader.peek() != Some(b'[') {
        return Err(JsonError::Syntax { at: reader.at() }.into());
    }
    reader.elements(|reader| element(reader.value(1)?))?;
    reader.end()?;
    Ok(())
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
