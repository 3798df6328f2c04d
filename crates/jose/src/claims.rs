//! The registered claims of a token (RFC 7519 section 4.1), read in one pass over its payload, without a tree.

use std::borrow::Cow;

use crate::error::ClaimsError;
use crate::json::{self, Value};
use crate::jws::VerifiedJws;
use crate::numeric_date::NumericDate;

/// No honest token has more claims at its top level.
const MAX_CLAIMS: usize = 4096;

/// The registered claims, with their types checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registered<'a> {
    pub(crate) issuer: Option<Cow<'a, str>>,
    pub(crate) subject: Option<Cow<'a, str>>,
    pub(crate) audience: Option<Audience<'a>>,
    pub(crate) expires_at: Option<NumericDate>,
    pub(crate) not_before: Option<NumericDate>,
    pub(crate) issued_at: Option<NumericDate>,
    pub(crate) token_id: Option<Cow<'a, str>>,
}

impl<'a> Registered<'a> {
    /// Reads a payload, and calls `seen` with the name of each claim.
    pub(crate) fn read(payload: &'a [u8], mut seen: impl FnMut(&str)) -> Result<Self, ClaimsError> {
        let mut claims = Self::default();
        json::object_of(MAX_CLAIMS, payload, |name, value| {
            match name {
                "iss" => claims.issuer = Some(string(value, "iss")?),
                "sub" => claims.subject = Some(string(value, "sub")?),
                "jti" => claims.token_id = Some(string(value, "jti")?),
                "aud" => claims.audience = Some(Audience::read(value)?),
                "exp" => claims.expires_at = Some(date(value, "exp")?),
                "nbf" => claims.not_before = Some(date(value, "nbf")?),
                "iat" => claims.issued_at = Some(date(value, "iat")?),
                _ => {}
            }
            seen(name);
            Ok::<_, ClaimsError>(())
        })?;
        Ok(claims)
    }
}

/// Checks that a payload is a strict JSON object whose registered claims have values of the right types: what is not
/// would be refused by every verifier, so it is better not signed.
///
/// # Errors
/// [`ClaimsError::Json`] or [`ClaimsError::Type`].
///
/// ```
/// use jose::check_registered_claims;
/// assert!(check_registered_claims(br#"{"exp":1800000000,"n":"any"}"#).is_ok());
/// assert_eq!(check_registered_claims(br#"{"exp":"soon"}"#).unwrap_err().code(), "claim_type");
/// ```
pub fn check_registered_claims(payload: &[u8]) -> Result<(), ClaimsError> {
    Registered::read(payload, |_| ()).map(drop)
}

fn string<'a>(value: Value<'a>, name: &'static str) -> Result<Cow<'a, str>, ClaimsError> {
    match value {
        Value::String(text) => Ok(text.decode()),
        _ => Err(ClaimsError::Type(name)),
    }
}

fn date(value: Value<'_>, name: &'static str) -> Result<NumericDate, ClaimsError> {
    match value {
        Value::Number(text) => NumericDate::parse(text).ok_or(ClaimsError::Type(name)),
        _ => Err(ClaimsError::Type(name)),
    }
}

/// For whom a token is: one name, or several (RFC 7519 section 4.1.3).
#[derive(Debug, Clone)]
pub struct Audience<'a>(Names<'a>);

#[derive(Debug, Clone)]
enum Names<'a> {
    One(Cow<'a, str>),
    Several(Vec<Cow<'a, str>>),
}

impl<'a> Audience<'a> {
    fn read(value: Value<'a>) -> Result<Self, ClaimsError> {
        match value {
            Value::Array(text) => {
                let mut names = Vec::new();
                json::array(text, |value| {
                    names.push(string(value, "aud")?);
                    Ok::<_, ClaimsError>(())
                })?;
                Ok(Self(Names::Several(names)))
            }
            value => Ok(Self(Names::One(string(value, "aud")?))),
        }
    }

    /// Whether `name` is among them, compared exactly.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|own| own == name)
    }

    /// The names, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let names = match &self.0 {
            Names::One(name) => std::slice::from_ref(name),
            Names::Several(names) => names,
        };
        names.iter().map(|name| &**name)
    }
}

/// Claims of a token whose signature holds and which a [`ClaimsPolicy`](crate::ClaimsPolicy) has accepted.
///
/// They cannot be had from an unverified token:
///
/// ```compile_fail
/// fn trust(policy: &jose::ClaimsPolicy, token: jose::UnverifiedJws<'_>, now: jose::NumericDate) {
///     let claims = policy.validate(&token, now);
/// }
/// ```
#[derive(Debug, Clone)]
pub struct VerifiedClaims<'a> {
    jws: &'a VerifiedJws,
    registered: Registered<'a>,
}

impl<'a> VerifiedClaims<'a> {
    pub(crate) fn new(jws: &'a VerifiedJws, registered: Registered<'a>) -> Self {
        Self { jws, registered }
    }

    /// `iss`
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.registered.issuer.as_deref()
    }

    /// `sub`
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.registered.subject.as_deref()
    }

    /// `aud`
    #[must_use]
    pub fn audience(&self) -> Option<&Audience<'a>> {
        self.registered.audience.as_ref()
    }

    /// `exp`
    #[must_use]
    pub fn expires_at(&self) -> Option<NumericDate> {
        self.registered.expires_at
    }

    /// `nbf`
    #[must_use]
    pub fn not_before(&self) -> Option<NumericDate> {
        self.registered.not_before
    }

    /// `iat`
    #[must_use]
    pub fn issued_at(&self) -> Option<NumericDate> {
        self.registered.issued_at
    }

    /// `jti`
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.registered.token_id.as_deref()
    }

    /// The claim of this name, registered or not.
    ///
    /// ```
    /// # use jose::{json::Value, Algorithm, ClaimsPolicy, NumericDate, Signer, SigningKey, UnverifiedJws, Verifier};
    /// # let key = SigningKey::hmac(Algorithm::HS256, &[7; 32])?;
    /// # let verifier = Verifier::new(&[Algorithm::HS256], [key.verifying_key()])?;
    /// let token = Signer::new(key, None)?.sign(br#"{"admin":true}"#)?;
    /// let verified = UnverifiedJws::parse(token.as_bytes())?.verify(&verifier)?;
    /// let claims = ClaimsPolicy::new().validate(&verified, NumericDate::from_seconds(0))?;
    /// assert_eq!(claims.find("admin"), Some(Value::Bool(true)));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Value<'a>> {
        let mut found = None;
        let _ = json::object(self.jws.payload(), |own, value| {
            if own == name {
                found = Some(value);
            }
            Ok::<_, ClaimsError>(())
        });
        found
    }

    /// The JSON text of all claims: a strict object, to be read with any JSON library.
    #[must_use]
    pub fn as_json(&self) -> &'a [u8] {
        self.jws.payload()
    }
}
