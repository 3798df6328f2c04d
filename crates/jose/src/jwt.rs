//! The claims of a token that is about to be signed (RFC 7519 section 4).

use std::collections::HashMap;

use crate::error::JsonError;
use crate::json::{self, write_string};
use crate::numeric_date::NumericDate;

/// Claims to be written. Registered claims come first, in the order of RFC 7519; no name comes twice.
///
/// ```
/// use jose::{Claims, NumericDate};
/// let claims = Claims::new().issuer("me").audience("you").issued_at(NumericDate::from_seconds(7)).claim("n", "[1]")?;
/// assert_eq!(claims.to_json(), br#"{"iss":"me","aud":"you","iat":7,"n":[1]}"#);
/// # Ok::<_, jose::error::JsonError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Claims<'a> {
    issuer: Option<&'a str>,
    subject: Option<&'a str>,
    /// The first, because there seldom is another, and the rest.
    audience: Option<&'a str>,
    audiences: Vec<&'a str>,
    expires_at: Option<NumericDate>,
    not_before: Option<NumericDate>,
    issued_at: Option<NumericDate>,
    token_id: Option<&'a str>,
    others: Vec<(&'a str, &'a str)>,
}

impl<'a> Claims<'a> {
    /// No claims.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `iss`
    #[must_use]
    pub fn issuer(mut self, issuer: &'a str) -> Self {
        self.issuer = Some(issuer);
        self
    }

    /// `sub`
    #[must_use]
    pub fn subject(mut self, subject: &'a str) -> Self {
        self.subject = Some(subject);
        self
    }

    /// Adds one name to `aud`. A single one is written as a string, several as an array.
    #[must_use]
    pub fn audience(mut self, audience: &'a str) -> Self {
        match self.audience {
            None => self.audience = Some(audience),
            Some(_) => self.audiences.push(audience),
        }
        self
    }

    /// `exp`, in whole seconds
    #[must_use]
    pub fn expires_at(mut self, time: NumericDate) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// `nbf`, in whole seconds
    #[must_use]
    pub fn not_before(mut self, time: NumericDate) -> Self {
        self.not_before = Some(time);
        self
    }

    /// `iat`, in whole seconds
    #[must_use]
    pub fn issued_at(mut self, time: NumericDate) -> Self {
        self.issued_at = Some(time);
        self
    }

    /// `jti`
    #[must_use]
    pub fn token_id(mut self, token_id: &'a str) -> Self {
        self.token_id = Some(token_id);
        self
    }

    /// Any claim, its value given as JSON text. Of several with the same name the last one is written; a registered
    /// claim that was set by its own method wins.
    ///
    /// # Errors
    /// [`JsonError`] when `value` is not one strict JSON value.
    pub fn claim(mut self, name: &'a str, value: &'a str) -> Result<Self, JsonError> {
        json::value(value.as_bytes())?;
        self.others.push((name, value));
        Ok(self)
    }

    /// The JSON text, without white space of its own.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.write_into(&mut out);
        out
    }

    /// Appends the JSON text to `out`.
    pub fn write_into(&self, out: &mut Vec<u8>) {
        let start = out.len();
        // The comma, or the brace before the first, and the name with its quotes and colon.
        let name = |name: &[u8], out: &mut Vec<u8>| {
            out.push(if out.len() == start { b'{' } else { b',' });
            out.extend_from_slice(name);
        };
        for (key, text) in [(b"\"iss\":", self.issuer), (b"\"sub\":", self.subject)] {
            if let Some(text) = text {
                name(key, out);
                write_string(text, out);
            }
        }
        match (self.audience, &*self.audiences) {
            (None, _) => {}
            (Some(one), []) => {
                name(b"\"aud\":", out);
                write_string(one, out);
            }
            (Some(first), rest) => {
                name(b"\"aud\":[", out);
                write_string(first, out);
                for audience in rest {
                    out.push(b',');
                    write_string(audience, out);
                }
                out.push(b']');
            }
        }
        let times = [(b"\"exp\":", self.expires_at), (b"\"nbf\":", self.not_before), (b"\"iat\":", self.issued_at)];
        for (key, time) in times {
            if let Some(time) = time {
                name(key, out);
                json::write_integer(time.seconds(), out);
            }
        }
        if let Some(token_id) = self.token_id {
            name(b"\"jti\":", out);
            write_string(token_id, out);
        }
        if !self.others.is_empty() {
            self.write_others(start, out);
        }
        out.extend_from_slice(if out.len() == start { b"{}" } else { b"}" });
    }

    /// Appends the claims that have no method of their own, the last of each name.
    fn write_others(&self, start: usize, out: &mut Vec<u8>) {
        let last: HashMap<_, _> = self.others.iter().enumerate().map(|(place, (key, _))| (*key, place)).collect();
        for (place, (key, value)) in self.others.iter().enumerate() {
            if last.get(key) == Some(&place) && !self.is_set(key) {
                out.push(if out.len() == start { b'{' } else { b',' });
                write_string(key, out);
                out.push(b':');
                out.extend_from_slice(value.trim_ascii().as_bytes());
            }
        }
    }

    fn is_set(&self, name: &str) -> bool {
        match name {
            "iss" => self.issuer.is_some(),
            "sub" => self.subject.is_some(),
            "aud" => self.audience.is_some(),
            "exp" => self.expires_at.is_some(),
            "nbf" => self.not_before.is_some(),
            "iat" => self.issued_at.is_some(),
            "jti" => self.token_id.is_some(),
            _ => false,
        }
    }
}
