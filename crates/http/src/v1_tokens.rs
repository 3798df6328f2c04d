//! `/v1/tokens`: minting tokens with any claims, and verifying tokens with everything that can be said about them.

use authority::error::{Revoked, TokenError};
use authority::{Custom, Examination, Issued};
use jose::{Check, Outcome, json};
use serde_json::{Value, json};

use crate::members::Members;
use crate::refusal::Refusal;
use crate::response::Response;
use crate::router::Router;
use crate::shown::{self, set};
use crate::v1::{self, Call};

pub(crate) async fn mint(router: &Router, call: &Call<'_>) -> Result<Response, Refusal> {
    let custom = custom(call.members()?)?;
    let algorithm = custom.algorithm.or_else(|| router.authority.state().default_algorithm());
    let minted = router
        .turns
        .take(call.request, algorithm, || router.authority.mint(&call.bearer.accepted.client_id, &custom))
        .await?;
    let issued = minted.inspect_err(|error| router.metrics.refused(error.code()))?;
    router.metrics.minted("custom");
    let mut body = Vec::with_capacity(issued.token.len() + 256);
    write_issued(&issued, &mut body);
    Ok(Response::json(body))
}

/// What is to be minted.
pub(crate) fn custom(mut members: Members) -> Result<Custom, Refusal> {
    let custom = Custom {
        claims: Members::required(members.object("claims")?, "claims")?,
        lifetime: members.integer("lifetime")?,
        algorithm: members.algorithm("algorithm")?,
    };
    members.finish()?;
    Ok(custom)
}

/// Appends what was minted.
pub(crate) fn write_issued(issued: &Issued, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"token\":\"");
    out.extend_from_slice(issued.token.as_bytes());
    out.extend_from_slice(b"\",\"token_id\":\"");
    out.extend_from_slice(issued.token_id.as_bytes());
    out.extend_from_slice(b"\",\"key_id\":");
    json::write_string(&issued.key_id, out);
    out.extend_from_slice(b",\"issued_at\":");
    json::write_integer(issued.issued_at.0, out);
    out.extend_from_slice(b",\"expires_at\":");
    json::write_integer(issued.expires_at.0, out);
    out.push(b'}');
}

pub(crate) async fn verify(router: &Router, call: &Call<'_>) -> Result<Response, Refusal> {
    let mut members = call.members()?;
    let token = Members::required(members.text("token")?, "token")?;
    let audience = members.text("audience")?;
    members.finish()?;

    let examine = || router.authority.state().examine(&token, audience.as_deref(), router.authority.now());
    let mut examination = examine();
    if let Err(error) = &examination.outcome
        && router.authority.knows_more(error, &mut false).await
    {
        examination = examine();
    }
    if let Err(error) = &examination.outcome {
        router.metrics.refused(error.code());
    }
    let revocation = match &examination.revoked {
        None => Value::Null,
        Some(revoked) => {
            let id = match revoked {
                Revoked::Token(id) => id.to_string(),
                Revoked::Rule(id) => id.clone(),
            };
            // That it is revoked is known here. Who did it and why is not, and is left out where it cannot be asked for.
            let found = router.authority.find_revocation(&id).await.ok().flatten();
            found.map_or(json!({ "id": id }), |found| shown::revocation(&found))
        }
    };
    Ok(v1::ok(&report(&examination, revocation)))
}

fn report(examination: &Examination, revocation: Value) -> Value {
    let parse = |text: &[u8]| serde_json::from_slice::<Value>(text).ok();
    let header = examination.header.as_ref();
    let algorithm = header.and_then(|header| header.algorithm()).map(|algorithm| algorithm.name());
    let mut body = json!({
        "accepted": examination.outcome.is_ok(),
        "kind": header.map(|_| examination.kind),
        "signature": {
            "holds": examination.signature_holds,
            "algorithm": algorithm,
            "key_id": examination.key_id,
        },
        "checks": checks(examination),
        "revocation": revocation,
    });
    if let Err(error) = &examination.outcome {
        set(&mut body, "code", error.code());
        set(&mut body, "reason", reason(error));
    }
    if let Some(claims) = examination.claims.as_deref().and_then(parse) {
        set(&mut body, "claims", claims);
    }
    body
}

/// Why a token is not accepted.
pub(crate) fn reason(error: &TokenError) -> String {
    match error {
        TokenError::Revoked(Revoked::Rule(_)) => "revoked, with everything of its subject or client".to_owned(),
        error => error.to_string(),
    }
}

/// Each check once: that a claim is there goes without saying where its value was checked, too.
fn checks(examination: &Examination) -> Vec<Value> {
    let all = examination.report.as_ref().map_or(&[][..], |report| report.checks());
    let is_said_again = |place: usize, check: &Check| {
        let mut others = all.iter().enumerate().filter(|(other, _)| *other != place);
        check.outcome == Outcome::Passed
            && check.expected == "a value"
            && others.any(|(_, other)| other.name == check.name && other.outcome != Outcome::NotChecked)
    };
    all.iter().enumerate().filter(|(place, check)| !is_said_again(*place, check)).map(|(_, it)| check(it)).collect()
}

fn check(check: &Check) -> Value {
    let outcome = match check.outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::NotChecked => "not_checked",
    };
    let mut shown = json!({
        "name": check.name,
        "outcome": outcome,
        "expected": check.expected,
        "found": check.found,
    });
    if let Some(error) = &check.error {
        set(&mut shown, "code", error.code());
        set(&mut shown, "reason", error.to_string());
    }
    shown
}
