//! Scopes (RFC 6749 section 3.3): what a token may be used for. Those that begin with `jotd:` open jotd itself.

use crate::error::ScopeError;

/// What each of jotd's own scopes opens.
pub const OWN_SCOPES: [&str; 7] =
    ["jotd:mint", "jotd:verify", "jotd:keys", "jotd:clients", "jotd:revoke", "jotd:introspect", "jotd:audit"];

/// Stands for all of [`OWN_SCOPES`].
const ALL: &str = "jotd:*";

/// No honest request has more, and each of them is compared with each that a client may have.
const MOST: usize = 100;

/// Scopes in the order in which they were given, none twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// Reads scopes that are separated by single spaces.
    ///
    /// # Errors
    /// [`ScopeError`] when a character is not allowed, there are more than a hundred, one is longer than 128 bytes, or
    /// one claims to be jotd's own and is not.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        Self::of(text.split(' '))
    }

    /// Takes each as one scope; `jotd:*` becomes all of jotd's own.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn of<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopeError> {
        let mut all = Self::default();
        for scope in scopes {
            if scope == ALL {
                OWN_SCOPES.into_iter().for_each(|own| all.add(own));
            }
            let is_allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            if scope.is_empty() || scope.len() > 128 || !scope.bytes().all(is_allowed) {
                return Err(ScopeError::Malformed);
            }
            if scope != ALL {
                if is_own(scope) && !OWN_SCOPES.contains(&scope) {
                    return Err(ScopeError::UnknownOwn);
                }
                all.add(scope);
            }
            if all.0.len() > MOST {
                return Err(ScopeError::TooMany);
            }
        }
        Ok(all)
    }

    fn add(&mut self, scope: &str) {
        if !self.contains(scope) {
            self.0.push(scope.to_owned());
        }
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.0.iter().any(|own| own == scope)
    }

    /// Whether all of `others` are among them.
    #[must_use]
    pub fn cover(&self, others: &Self) -> bool {
        others.iter().all(|scope| self.contains(scope))
    }

    /// Whether all of `others` that open jotd are among them.
    #[must_use]
    pub fn cover_own(&self, others: &Self) -> bool {
        others.iter().filter(|scope| is_own(scope)).all(|scope| self.contains(scope))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any opens jotd itself.
    #[must_use]
    pub fn open_jotd(&self) -> bool {
        self.iter().any(is_own)
    }

    /// The form in tokens and requests: separated by spaces.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.0.join(" ")
    }
}

fn is_own(scope: &str) -> bool {
    scope.starts_with("jotd:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_rfc_6749_writes_them() {
        for (text, expect) in [
            ("", Ok("")),
            ("read", Ok("read")),
            ("read write read", Ok("read write")),
            ("jotd:keys", Ok("jotd:keys")),
            ("a!#[]~", Ok("a!#[]~")),
            (" read", Err(ScopeError::Malformed)),
            ("read  write", Err(ScopeError::Malformed)),
            ("re\"ad", Err(ScopeError::Malformed)),
            ("re\\ad", Err(ScopeError::Malformed)),
            ("é", Err(ScopeError::Malformed)),
            ("jotd:everything", Err(ScopeError::UnknownOwn)),
        ] {
            assert_eq!(Scopes::parse(text).map(|scopes| scopes.to_text()), expect.map(str::to_owned), "{text}");
        }
        assert_eq!(Scopes::parse("jotd:* x").unwrap().iter().count(), OWN_SCOPES.len() + 1);
        let many = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        assert!(Scopes::parse(&many(100)).is_ok());
        assert_eq!(Scopes::parse(&many(101)), Err(ScopeError::TooMany));
        assert_eq!(Scopes::parse(&format!("{} jotd:*", many(94))), Err(ScopeError::TooMany));
    }
}
