//! Forms and queries (`application/x-www-form-urlencoded`, WHATWG URL section 5), read strictly: a malformed escape, text
//! that is not UTF-8, or a parameter given twice where one is meant, is an error and no guess.

use std::borrow::Cow;

/// More parameters than any request has.
const MOST: usize = 64;

/// The parameters in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Form<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// Why a form cannot be read, or a parameter of it cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FormError {
    Malformed,
    TooMany,
    Twice,
}

impl FormError {
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Malformed => "The parameters are not form-urlencoded UTF-8",
            Self::TooMany => "There are too many parameters",
            Self::Twice => "A parameter is given twice",
        }
    }
}

impl<'a> Form<'a> {
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, FormError> {
        let mut parameters = Vec::new();
        for pair in text.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            parameters.push((decode(name)?, decode(value)?));
            if parameters.len() > MOST {
                return Err(FormError::TooMany);
            }
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter that may be given once, empty or not.
    pub(crate) fn given(&self, name: &str) -> Result<Option<&str>, FormError> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(FormError::Twice),
            (value, None) => Ok(value),
        }
    }

    /// The value of a parameter that may be given once. Without a value it counts as not given (RFC 6749 section 3.2).
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, FormError> {
        Ok(self.given(name)?.filter(|value| !value.is_empty()))
    }

    /// The values of a parameter that may be given several times.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| &**value)
    }

    /// Whether every parameter is one of these.
    pub(crate) fn has_only(&self, names: &[&str]) -> bool {
        self.0.iter().all(|(own, _)| names.contains(&&**own))
    }

    /// Whether any parameter but `except` is given twice.
    pub(crate) fn repeats(&self, except: &str) -> bool {
        let names = || self.0.iter().map(|(name, _)| name).filter(|name| *name != except);
        names().enumerate().any(|(place, name)| names().take(place).any(|earlier| earlier == name))
    }
}

/// Text with `+` for spaces and `%` escapes.
pub(crate) fn decode(text: &[u8]) -> Result<Cow<'_, str>, FormError> {
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| FormError::Malformed);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else { return Err(FormError::Malformed) };
                u8::try_from(high << 4 | low).map_err(|_| FormError::Malformed)?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| FormError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_are_read_as_they_are_written() {
        let form = Form::parse(b"a=1&b=x+y%2Bz&&c=&d&resource=1&resource=2&%61b=%C3%A9").unwrap();
        assert_eq!(form.one("a"), Ok(Some("1")));
        assert_eq!(form.one("b"), Ok(Some("x y+z")));
        assert_eq!(form.one("c"), Ok(None));
        assert_eq!(form.one("d"), Ok(None));
        assert_eq!(form.one("resource"), Err(FormError::Twice));
        assert_eq!(form.all("resource").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(form.one("ab"), Ok(Some("é")));
        assert!(!form.repeats("resource") && form.repeats("a"));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%C3", "%ff=1"] {
            assert_eq!(Form::parse(text.as_bytes()), Err(FormError::Malformed), "{text}");
        }
        let many = |n: usize| (0..n).map(|n| format!("{n}=1")).collect::<Vec<_>>().join("&");
        assert!(Form::parse(many(64).as_bytes()).is_ok());
        assert_eq!(Form::parse(many(65).as_bytes()), Err(FormError::TooMany));
    }

    proptest! {
        #[test]
        fn any_text_comes_back(name: String, value: String) {
            let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
            let text = format!("{}={}", escape(&name), escape(&value));
            let form = Form::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(form.all(&name).collect::<Vec<_>>(), [value.as_str()]);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Form::parse(&bytes);
        }
    }
}
