//! The JOSE header (RFC 7515 section 4): what is read from it, and how ours is written.
//!
//! Keys and addresses of keys in a header (`jwk`, `jku`, `x5c`, `x5u`) are an attacker's to choose; they are never
//! looked at.

use std::borrow::Cow;

use crate::algorithm::Algorithm;
use crate::error::{ParseError, SignError};
use crate::json::{self, Value, write_string};
use crate::key::SigningKey;

/// No honest header has more members.
const MAX_MEMBERS: usize = 256;

/// The parameters of a header that this crate reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    algorithm: Option<Algorithm>,
    /// `crit`, or `b64`, which means nothing without it (RFC 7797 section 6).
    critical: bool,
    key_id: Option<String>,
    typ: Option<Cow<'static, str>>,
}

impl Header {
    /// Reads the JSON text of a header.
    ///
    /// # Errors
    /// [`ParseError`] when it is not a JSON object with unique members, or `alg`, `kid`, `typ` or `cty` is not a string.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, ParseError> {
        let mut header = Self::default();
        json::object_of(MAX_MEMBERS, text, |name, value| {
            match (name, value) {
                ("alg", Value::String(text)) => header.algorithm = Algorithm::find_by_name(&text.decode()),
                ("kid", Value::String(text)) => header.key_id = Some(text.decode().into_owned()),
                ("typ", Value::String(text)) => header.typ = Some(own(text.decode())),
                ("alg", _) => return Err(ParseError::HeaderType("alg")),
                ("kid", _) => return Err(ParseError::HeaderType("kid")),
                ("typ", _) => return Err(ParseError::HeaderType("typ")),
                ("cty", Value::String(_)) => {}
                ("cty", _) => return Err(ParseError::HeaderType("cty")),
                ("crit" | "b64", _) => header.critical = true,
                _ => {}
            }
            Ok(())
        })?;
        Ok(header)
    }

    /// `alg`; `None` when it is absent or not one of this crate's.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// `kid`, a hint which key to use (RFC 7515 section 4.1.4).
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// `typ`, the kind of token (RFC 7515 section 4.1.9, RFC 8725 section 3.11).
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// Whether the header demands something that is not understood here (RFC 7515 section 4.1.11).
    pub(crate) fn is_critical(&self) -> bool {
        self.critical
    }
}

/// The types that nearly every token has need no copy.
fn own(typ: Cow<'_, str>) -> Cow<'static, str> {
    let known = ["JWT", "at+jwt"].into_iter().find(|known| *known == typ);
    known.map_or_else(|| Cow::Owned(typ.into_owned()), Cow::Borrowed)
}

/// The JSON text of a header without white space: `typ` where given, `alg`, `kid` where the key has one, then the
/// members of `extra`, a JSON object that may set `typ` and `kid` itself.
///
/// # Errors
/// [`SignError::Header`] when `extra` is not a strict JSON object, [`SignError::HeaderParameter`] when it contradicts
/// the key or demands what no verifier here would understand.
pub(crate) fn write(typ: Option<&str>, key: &SigningKey, extra: &[u8]) -> Result<Vec<u8>, SignError> {
    let (mut typ, mut key_id) = (typ, key.key_id());
    let mut members = Vec::new();
    json::object_of(MAX_MEMBERS, extra, |name, value| {
        match (name, value) {
            ("alg", Value::String(text)) if text == *key.algorithm().name() => return Ok(()),
            ("alg", _) => return Err(SignError::HeaderParameter("alg")),
            ("crit", _) => return Err(SignError::HeaderParameter("crit")),
            ("b64", _) => return Err(SignError::HeaderParameter("b64")),
            ("typ", Value::String(_)) => typ = None,
            ("kid", Value::String(_)) => key_id = None,
            ("cty", Value::String(_)) => {}
            ("typ", _) => return Err(SignError::HeaderParameter("typ")),
            ("kid", _) => return Err(SignError::HeaderParameter("kid")),
            ("cty", _) => return Err(SignError::HeaderParameter("cty")),
            _ => {}
        }
        members.push((name.to_owned(), value));
        Ok(())
    })?;
    let mut out = b"{".to_vec();
    for (name, text) in [("typ", typ), ("alg", Some(key.algorithm().name())), ("kid", key_id)] {
        if let Some(text) = text {
            separate(&mut out);
            write_string(name, &mut out);
            out.push(b':');
            write_string(text, &mut out);
        }
    }
    for (name, value) in members {
        separate(&mut out);
        write_string(&name, &mut out);
        out.push(b':');
        value.write_into(&mut out);
    }
    out.push(b'}');
    Ok(out)
}

fn separate(out: &mut Vec<u8>) {
    if out.len() > 1 {
        out.push(b',');
    }
}
