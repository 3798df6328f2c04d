//! The JOSE header (RFC 7515 section 4): what is read from it, and how ours is written.
//!
//! Keys and addresses of keys in a header (`jwk`, `jku`, `x5c`, `x5u`) are an attacker's to choose; they are never
//! looked at.

use crate::algorithm::Algorithm;
use crate::error::ParseError;
use crate::json::{self, Value};

/// The parameters of a header that this crate reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) critical: bool,
    key_id: Option<String>,
    typ: Option<String>,
}

impl Header {
    /// Reads the JSON text of a header.
    ///
    /// # Errors
    /// [`ParseError`] when it is not a JSON object with unique members, or `alg`, `kid` or `typ` is not a string.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, ParseError> {
        let mut header = Self::default();
        json::object(text, |name, value| {
            match (&*name, value) {
                ("alg", Value::String(text)) => header.algorithm = Algorithm::find_by_name(&text.decode()),
                ("kid", Value::String(text)) => header.key_id = Some(text.decode().into_owned()),
                ("typ", Value::String(text)) => header.typ = Some(text.decode().into_owned()),
                ("alg", _) => return Err(ParseError::HeaderType("alg")),
                ("kid", _) => return Err(ParseError::HeaderType("kid")),
                ("typ", _) => return Err(ParseError::HeaderType("typ")),
                ("crit", _) => header.critical = true,
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
}

/// The JSON text of a header in the order `typ`, `alg`, without white space.
pub(crate) fn write(typ: Option<&str>, algorithm: Algorithm) -> Vec<u8> {
    let mut out = b"{".to_vec();
    if let Some(typ) = typ {
        out.extend_from_slice(b"\"typ\":");
        json::write_string(typ, &mut out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"alg\":");
    json::write_string(algorithm.name(), &mut out);
    out.push(b'}');
    out
}
