//! What was checked about a token's claims, what was expected, and what was found.

use std::fmt;
use std::time::Duration;

use crate::error::ClaimsError;

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The token is as expected.
    Passed,
    /// It is not.
    Failed,
    /// Nothing was expected, or the token says nothing about it.
    NotChecked,
}

/// As [`Outcome`], with the reason.
pub(crate) enum Finding {
    Passed,
    Failed(ClaimsError),
    NotChecked,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The claim or header parameter; `age` for the maximum age, `claims` when they cannot be read at all.
    pub name: String,
    /// The outcome.
    pub outcome: Outcome,
    /// What was expected, for a person.
    pub expected: String,
    /// What was found, for a person.
    pub found: String,
    /// Why it failed.
    pub error: Option<ClaimsError>,
}

impl Check {
    pub(crate) fn new(finding: Finding, describe: &dyn Fn() -> [String; 3]) -> Self {
        let [name, expected, found] = describe();
        let (outcome, error) = match finding {
            Finding::Passed => (Outcome::Passed, None),
            Finding::NotChecked => (Outcome::NotChecked, None),
            Finding::Failed(error) => (Outcome::Failed, Some(error)),
        };
        Self { name, outcome, expected, found, error }
    }

    pub(crate) fn unreadable(error: ClaimsError) -> Self {
        Self {
            name: "claims".to_owned(),
            outcome: Outcome::Failed,
            expected: "a JSON object with claims of the right types".to_owned(),
            found: error.to_string(),
            error: Some(error),
        }
    }

    /// How far off a time is.
    #[must_use]
    pub fn off_by(&self) -> Option<Duration> {
        self.error.as_ref().and_then(ClaimsError::off_by)
    }
}

/// Every check of a [`ClaimsPolicy`](crate::ClaimsPolicy) on one token.
///
/// ```
/// use jose::{Algorithm, ClaimsPolicy, NumericDate, Outcome, Signer, SigningKey, UnverifiedJws, Verifier};
/// let key = SigningKey::hmac(Algorithm::HS256, &[7; 32])?;
/// let verifier = Verifier::new(&[Algorithm::HS256], [key.verifying_key()])?;
/// let token = Signer::new(key, None)?.sign(br#"{"iss":"me","exp":1000}"#)?;
/// let verified = UnverifiedJws::parse(token.as_bytes())?.verify(&verifier)?;
/// let report = ClaimsPolicy::new().issuer("you").report(&verified, NumericDate::from_seconds(1060));
///
/// assert!(!report.is_accepted());
/// let failed: Vec<_> = report.failures().map(|check| (check.name.as_str(), check.found.as_str())).collect();
/// assert_eq!(failed, [("iss", "\"me\""), ("exp", "1970-01-01T00:16:40Z")]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    checks: Vec<Check>,
}

impl Report {
    pub(crate) fn of(checks: Vec<Check>) -> Self {
        Self { checks }
    }

    /// The plain yes or no: whether no check failed.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.failures().next().is_none()
    }

    /// Every check, in order.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.outcome == Outcome::Failed)
    }
}

impl fmt::Display for Report {
    /// A line for each check.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            match (&check.error, check.outcome) {
                (Some(error), _) => {
                    writeln!(f, "{}: {error} (expected {}, found {})", check.name, check.expected, check.found)?;
                }
                (None, Outcome::NotChecked) => writeln!(f, "{}: not checked, found {}", check.name, check.found)?,
                (None, _) => writeln!(f, "{}: ok, {}", check.name, check.found)?,
            }
        }
        Ok(())
    }
}

/// A duration as people say it: the two largest units, as in `3h12m`.
///
/// ```
/// assert_eq!(jose::Spoken(std::time::Duration::from_secs(11_520)).to_string(), "3h12m");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Spoken(pub Duration);

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = [(365 * 86_400, "y"), (86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
        let Some(first) = units.iter().position(|(unit, _)| seconds >= *unit) else {
            return write!(f, "{}ms", self.0.as_millis());
        };
        let mut rest = seconds;
        for (index, (unit, name)) in units.iter().enumerate().skip(first).take(2) {
            let count = rest / unit;
            rest %= unit;
            if count > 0 || index == first {
                write!(f, "{count}{name}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_spoken_in_two_units() {
        for (millis, expect) in [
            (0, "0ms"),
            (999, "999ms"),
            (1000, "1s"),
            (59_999, "59s"),
            (60_000, "1m"),
            (11_520_000, "3h12m"),
            (11_520_500, "3h12m"),
            (86_400_000, "1d"),
            (90_000_000, "1d1h"),
            (400 * 86_400_000, "1y35d"),
        ] {
            assert_eq!(Spoken(Duration::from_millis(millis)).to_string(), expect);
        }
    }
}
