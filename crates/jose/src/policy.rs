//! What a token must say to be accepted (RFC 7519 section 4.1, RFC 8725 section 3, RFC 9068 section 4).
//!
//! [`ClaimsPolicy::validate`] answers at the first failure and builds nothing; [`ClaimsPolicy::report`] goes through
//! every check and says what was expected and what was found. Both are the same code.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::claims::{Registered, VerifiedClaims};
use crate::error::ClaimsError;
use crate::header::Header;
use crate::jws::VerifiedJws;
use crate::numeric_date::NumericDate;
use crate::report::{Check, Finding, Report};

/// What is checked. Without further ado: the types of the registered claims, `exp`, `nbf`, and that `iat` is not in the
/// future.
#[derive(Debug, Clone, Default)]
pub struct ClaimsPolicy {
    issuers: Vec<String>,
    audiences: Vec<String>,
    subject: Option<String>,
    typ: Option<String>,
    required: Vec<String>,
    leeway: Duration,
    max_age: Option<Duration>,
}

impl ClaimsPolicy {
    /// A policy that checks the times a token names, without leeway.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The policy of RFC 9068 section 4 for access tokens: `typ` is `at+jwt`, issuer and audience are those given, and
    /// `exp`, `sub`, `client_id`, `iat` and `jti` are there.
    #[must_use]
    pub fn access_token(issuer: &str, audience: &str) -> Self {
        let required = ["exp", "sub", "client_id", "iat", "jti"];
        let policy = Self::new().typ("at+jwt").issuer(issuer).audience(audience);
        required.into_iter().fold(policy, Self::require)
    }

    /// `iss` must be this, or another one that was given so (RFC 7519 section 4.1.1). Compared exactly.
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuers.push(issuer.to_owned());
        self
    }

    /// `aud` must name this, or another one that was given so (RFC 7519 section 4.1.3). Compared exactly.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.audiences.push(audience.to_owned());
        self
    }

    /// `sub` must be this (RFC 7519 section 4.1.2). Compared exactly.
    #[must_use]
    pub fn subject(mut self, subject: &str) -> Self {
        self.subject = Some(subject.to_owned());
        self
    }

    /// The header's `typ` must be this (RFC 8725 section 3.11). Compared as a media type: in any case, and with
    /// `application/` before it or not (RFC 7515 section 4.1.9).
    #[must_use]
    pub fn typ(mut self, typ: &str) -> Self {
        self.typ = Some(typ.to_owned());
        self
    }

    /// The claim of this name must be there.
    #[must_use]
    pub fn require(mut self, name: &str) -> Self {
        if !self.required.iter().any(|known| known == name) {
            self.required.push(name.to_owned());
        }
        self
    }

    /// How far clocks may be apart.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// `iat` must be there, and not longer ago than this.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// The claims of `jws`, if they are what this policy asks for at `now`.
    ///
    /// # Errors
    /// [`ClaimsError`] for the first check that fails.
    ///
    /// ```
    /// use std::time::Duration;
    /// use jose::{Algorithm, ClaimsPolicy, NumericDate, Signer, SigningKey, UnverifiedJws, Verifier};
    /// let key = SigningKey::hmac(Algorithm::HS256, &[7; 32])?;
    /// let verifier = Verifier::new(&[Algorithm::HS256], [key.verifying_key()])?;
    /// let token = Signer::new(key, None)?.sign(br#"{"exp":1000}"#)?;
    /// let verified = UnverifiedJws::parse(token.as_bytes())?.verify(&verifier)?;
    ///
    /// let policy = ClaimsPolicy::new();
    /// assert!(policy.validate(&verified, NumericDate::from_seconds(999)).is_ok());
    /// let late = NumericDate::from_seconds(12_520);
    /// assert_eq!(policy.validate(&verified, late).unwrap_err().to_string(), "expired 3h12m ago");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn validate<'a>(&self, jws: &'a VerifiedJws, now: NumericDate) -> Result<VerifiedClaims<'a>, ClaimsError> {
        let (claims, missing) = self.read(jws)?;
        let checks = self.checks(jws.header(), &claims, &missing, now, |finding, _| match finding {
            Finding::Failed(error) => ControlFlow::Break(error),
            Finding::Passed | Finding::NotChecked => ControlFlow::Continue(()),
        });
        match checks {
            ControlFlow::Break(error) => Err(error),
            ControlFlow::Continue(()) => Ok(VerifiedClaims::new(jws, claims)),
        }
    }

    /// Every check, with what was expected and what was found.
    #[must_use]
    pub fn report(&self, jws: &VerifiedJws, now: NumericDate) -> Report {
        let (claims, missing) = match self.read(jws) {
            Ok(read) => read,
            Err(error) => return Report::of(vec![Check::unreadable(error)]),
        };
        let mut checks = Vec::new();
        let _ = self.checks(jws.header(), &claims, &missing, now, |finding, describe| {
            checks.push(Check::new(finding, describe));
            ControlFlow::<()>::Continue(())
        });
        Report::of(checks)
    }

    /// The claims, and the names of those that are required and not there.
    fn read<'a>(&self, jws: &'a VerifiedJws) -> Result<(Registered<'a>, Vec<&str>), ClaimsError> {
        // No name comes twice, neither here nor there, so counting is enough as long as nothing is missing.
        let mut seen = 0;
        let is_required = |name: &str| self.required.iter().any(|wanted| wanted == name);
        let claims = Registered::read(jws.payload(), |name| seen += usize::from(is_required(name)))?;
        if seen == self.required.len() {
            return Ok((claims, Vec::new()));
        }
        let mut missing: Vec<&str> = self.required.iter().map(String::as_str).collect();
        let _ = Registered::read(jws.payload(), |name| missing.retain(|wanted| *wanted != name));
        Ok((claims, missing))
    }

    /// Goes through the checks in order, until `take` has had enough.
    fn checks<B>(
        &self,
        header: &Header,
        claims: &Registered<'_>,
        missing: &[&str],
        now: NumericDate,
        mut take: impl FnMut(Finding, &dyn Fn() -> [String; 3]) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let leeway = self.leeway;
        let quoted = |text: Option<&str>| text.map_or_else(|| "nothing".to_owned(), |text| format!("{text:?}"));
        let moment = |time: Option<NumericDate>| time.map_or_else(|| "nothing".to_owned(), |time| time.to_string());

        let finding = match (&self.typ, header.typ()) {
            (None, _) => Finding::NotChecked,
            (Some(wanted), Some(own)) if same_media_type(wanted, own) => Finding::Passed,
            (Some(_), _) => Finding::Failed(ClaimsError::Typ),
        };
        take(finding, &|| ["typ".to_owned(), quoted(self.typ.as_deref()), quoted(header.typ())])?;

        let issuer = claims.issuer.as_deref();
        let finding = match issuer {
            _ if self.issuers.is_empty() => Finding::NotChecked,
            Some(own) if self.issuers.iter().any(|wanted| wanted == own) => Finding::Passed,
            _ => Finding::Failed(ClaimsError::Issuer),
        };
        take(finding, &|| ["iss".to_owned(), one_of(&self.issuers), quoted(issuer)])?;

        let audience = claims.audience.as_ref();
        let finding = match audience {
            _ if self.audiences.is_empty() => Finding::NotChecked,
            Some(own) if self.audiences.iter().any(|wanted| own.contains(wanted)) => Finding::Passed,
            _ => Finding::Failed(ClaimsError::Audience),
        };
        take(finding, &|| {
            let own: Vec<_> = audience.into_iter().flat_map(|own| own.iter().map(str::to_owned)).collect();
            ["aud".to_owned(), one_of(&self.audiences), one_of(&own)]
        })?;

        let subject = claims.subject.as_deref();
        let finding = match &self.subject {
            None => Finding::NotChecked,
            Some(wanted) if subject == Some(wanted) => Finding::Passed,
            Some(_) => Finding::Failed(ClaimsError::Subject),
        };
        take(finding, &|| ["sub".to_owned(), quoted(self.subject.as_deref()), quoted(subject)])?;

        for name in &self.required {
            let is_missing = missing.contains(&name.as_str());
            let finding =
                if is_missing { Finding::Failed(ClaimsError::Missing(name.clone())) } else { Finding::Passed };
            take(finding, &|| {
                let found = if is_missing { "nothing" } else { "a value" };
                [name.clone(), "a value".to_owned(), found.to_owned()]
            })?;
        }

        let finding = match claims.expires_at {
            None => Finding::NotChecked,
            // The token must not be accepted on or after this time.
            Some(end) if now < end + leeway => Finding::Passed,
            Some(end) => Finding::Failed(ClaimsError::Expired { by: now.since(end) }),
        };
        take(finding, &|| ["exp".to_owned(), format!("after {now}"), moment(claims.expires_at)])?;

        let finding = match claims.not_before {
            None => Finding::NotChecked,
            Some(start) if now + leeway >= start => Finding::Passed,
            Some(start) => Finding::Failed(ClaimsError::NotYetValid { by: start.since(now) }),
        };
        take(finding, &|| ["nbf".to_owned(), format!("not after {now}"), moment(claims.not_before)])?;

        let finding = match claims.issued_at {
            None => Finding::NotChecked,
            Some(issued) if now + leeway >= issued => Finding::Passed,
            Some(issued) => Finding::Failed(ClaimsError::IssuedInTheFuture { by: issued.since(now) }),
        };
        take(finding, &|| ["iat".to_owned(), format!("not after {now}"), moment(claims.issued_at)])?;

        if let Some(max_age) = self.max_age {
            let finding = match claims.issued_at {
                None => Finding::Failed(ClaimsError::Missing("iat".to_owned())),
                Some(issued) if now <= issued + max_age + leeway => Finding::Passed,
                Some(issued) => Finding::Failed(ClaimsError::TooOld { by: now.since(issued + max_age) }),
            };
            take(finding, &|| {
                ["age".to_owned(), format!("iat not before {}", now - max_age), moment(claims.issued_at)]
            })?;
        }
        ControlFlow::Continue(())
    }
}

fn one_of(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" or ")
}

fn same_media_type(one: &str, other: &str) -> bool {
    let short = |name: &str| {
        let name = name.to_ascii_lowercase();
        // The prefix may be left out only where no other slash follows.
        match name.strip_prefix("application/") {
            Some(rest) if !rest.contains('/') => rest.to_owned(),
            _ => name,
        }
    };
    short(one) == short(other)
}
