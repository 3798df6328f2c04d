//! `jotd verify`: a token from standard input, its signature and its claims.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use jose::{Algorithm, Check, ClaimsPolicy, JwkSet, Outcome, Report, UnverifiedJws, VerifiedJws, Verifier};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::arguments::{Format, Verify};
use crate::input::{self, Keys};
use crate::output::{self, Palette};
use crate::system;

/// What is printed as JSON.
#[derive(Serialize, Default)]
struct Verdict {
    accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64url: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checks: Vec<Row>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipped_keys: Vec<Skipped>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    outcome: &'static str,
    expected: String,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    off_by_seconds: Option<f64>,
}

/// A member of the set that cannot be used.
#[derive(Serialize)]
struct Skipped {
    index: usize,
    code: &'static str,
    reason: String,
}

/// Prints the verdict, and answers whether the token was accepted.
pub(crate) fn verify(arguments: &Verify) -> Result<bool> {
    if arguments.jwk == Path::new("-") {
        bail!("standard input holds the token; give the key as a file");
    }
    let mut verdict = Verdict::default();
    let verifier = match input::keys(&arguments.jwk)? {
        Keys::One(key) => {
            let allowed = if arguments.alg.is_empty() { key.algorithms() } else { arguments.alg.clone() };
            Verifier::from_jwk(&key, &allowed)
        }
        Keys::Set(set) => {
            verdict.skipped_keys = skipped(&set);
            let allowed = if arguments.alg.is_empty() { all_algorithms(&set)? } else { arguments.alg.clone() };
            Verifier::from_jwk_set(&set, &allowed)
        }
    };
    let verifier = verifier.map_err(|error| anyhow!("{}: {error}", arguments.jwk.display()))?;

    let token = input::token()?;
    let verified = match UnverifiedJws::parse(&token) {
        Err(error) => Err((error.code(), error.to_string())),
        Ok(token) => token.verify(&verifier).map_err(|error| (error.code(), error.to_string())),
    };
    let mut report = None;
    match verified {
        Err((code, reason)) => (verdict.code, verdict.reason) = (Some(code), Some(reason)),
        Ok(jws) => {
            verdict.algorithm = jws.header().algorithm().map(Algorithm::name);
            verdict.key_id = jws.header().key_id().map(str::to_owned);
            if arguments.no_claims {
                verdict.accepted = true;
                match std::str::from_utf8(jws.payload()) {
                    Ok(text) => verdict.payload = Some(text.to_owned()),
                    Err(_) => verdict.payload_base64url = Some(jose::base64url::encode(jws.payload())),
                }
            } else {
                report = Some(check_claims(arguments, &jws, &mut verdict));
            }
        }
    }
    match arguments.format {
        Format::Json => output::json(&verdict)?,
        Format::Text => output::bytes(text(&verdict, report.as_ref()).as_bytes())?,
    }
    Ok(verdict.accepted)
}

fn check_claims(arguments: &Verify, jws: &VerifiedJws, verdict: &mut Verdict) -> Report {
    let mut policy = ClaimsPolicy::new();
    policy = arguments.iss.iter().fold(policy, |policy, name| policy.issuer(name));
    policy = arguments.aud.iter().fold(policy, |policy, name| policy.audience(name));
    policy = arguments.sub.iter().fold(policy, |policy, name| policy.subject(name));
    policy = arguments.typ.iter().fold(policy, |policy, name| policy.typ(name));
    policy = arguments.require.iter().fold(policy, |policy, name| policy.require(name));
    policy = arguments.leeway.into_iter().fold(policy, ClaimsPolicy::leeway);
    policy = arguments.max_age.into_iter().fold(policy, ClaimsPolicy::max_age);

    let report = policy.report(jws, system::now());
    verdict.accepted = report.is_accepted();
    if let Some(error) = report.failures().find_map(|check| check.error.as_ref()) {
        (verdict.code, verdict.reason) = (Some(error.code()), Some(error.to_string()));
    }
    verdict.claims = output::verbatim(jws.payload());
    verdict.checks = report.checks().iter().map(row).collect();
    report
}

fn row(check: &Check) -> Row {
    Row {
        name: check.name.clone(),
        outcome: match check.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::NotChecked => "not_checked",
        },
        expected: check.expected.clone(),
        found: check.found.clone(),
        code: check.error.as_ref().map(|error| error.code()),
        reason: check.error.as_ref().map(ToString::to_string),
        off_by_seconds: check.off_by().map(|off_by| off_by.as_secs_f64()),
    }
}

fn skipped(set: &JwkSet) -> Vec<Skipped> {
    let row = |skipped: &jose::SkippedKey| Skipped {
        index: skipped.index,
        code: skipped.reason.code(),
        reason: skipped.reason.to_string(),
    };
    set.skipped().iter().map(row).collect()
}

/// What the keys of a set may be used with, unless that mixes shared secrets with public keys.
fn all_algorithms(set: &JwkSet) -> Result<Vec<Algorithm>> {
    let mut all = Vec::new();
    for algorithm in set.keys().iter().flat_map(jose::Jwk::algorithms) {
        if !all.contains(&algorithm) {
            all.push(algorithm);
        }
    }
    if all.iter().any(|algorithm| algorithm.is_symmetric()) && !all.iter().all(|algorithm| algorithm.is_symmetric()) {
        bail!("the set holds shared secrets beside public keys; say with --alg which are meant");
    }
    if all.is_empty() {
        match set.skipped().first() {
            Some(skipped) => bail!("the set holds no key that can be used; the first: {}", skipped.reason),
            None => bail!("the set holds no key"),
        }
    }
    Ok(all)
}

fn text(verdict: &Verdict, report: Option<&Report>) -> String {
    let palette = Palette::new();
    let mut out = match (&verdict.reason, verdict.accepted) {
        (_, true) => format!("{}\n", palette.good("accepted")),
        (reason, false) => {
            let reason = output::harmless_line(reason.as_deref().unwrap_or_default());
            format!("{}: {reason}\n", palette.bad("rejected"))
        }
    };
    if let Some(algorithm) = verdict.algorithm {
        let key_id = verdict.key_id.as_deref().map(|key_id| format!(", kid {key_id}")).unwrap_or_default();
        out += &format!("signature: {} {algorithm}{}\n", palette.good("holds"), output::harmless_line(&key_id));
    }
    if let Some(report) = report {
        out += &output::harmless(&report.to_string());
    }
    if let Some(claims) = &verdict.claims {
        out += &format!("claims: {}\n", output::harmless_line(claims.get()));
    }
    if let Some(payload) = verdict.payload.as_ref().or(verdict.payload_base64url.as_ref()) {
        out += &format!("payload: {}\n", output::harmless_line(payload));
    }
    for skipped in &verdict.skipped_keys {
        out += &format!("{}: {}\n", palette.doubtful(&format!("key {} skipped", skipped.index)), skipped.reason);
    }
    out
}
