//! `jotd inspect`: what a token says, with times made readable, and what is wrong or unwise about it. Nothing here is
//! verified, and every form of the answer says so.

use std::time::Duration;

use anyhow::Result;
use jose::dangerous::{Inspected, inspect_unverified};
use jose::error::JsonError;
use jose::json::{self, Value};
use jose::{Algorithm, NumericDate, Spoken};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::arguments::Format;
use crate::input;
use crate::output::{self, Palette};
use crate::system;

const NOTICE: &str = "NOT verified: anyone can have written this";

/// Longer than this and a token is carried around for no good reason, or refused by a proxy's header limit.
const LARGE: usize = 4096;

/// An access token that lives longer than this should rather be renewed.
const LONG_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Serialize)]
struct Inspection {
    verified: bool,
    notice: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64url: Option<String>,
    times: Vec<Time>,
    signature_bytes: usize,
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Time {
    claim: &'static str,
    at: String,
    relative: String,
}

#[derive(Serialize, PartialEq, Eq)]
struct Finding {
    severity: Severity,
    message: String,
}

#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Wrong,
    Unwise,
}

/// Prints what the token says, and answers whether it is one.
pub(crate) fn inspect(format: Option<Format>) -> Result<bool> {
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
    let format = format.unwrap_or(if is_terminal { Format::Text } else { Format::Json });
    let token = input::token()?;
    let now = system::now();
    let inspected = match inspect_unverified(&token) {
        Ok(inspected) => inspected,
        Err(error) => {
            let mut reason = error.to_string();
            if token.iter().filter(|byte| **byte == b'.').count() == 4 {
                reason += "; five parts are an encrypted token (JWE), which cannot be read without its key";
            }
            match format {
                Format::Json => output::json(&serde_json::json!({
                    "verified": false, "notice": NOTICE, "code": error.code(), "reason": reason,
                }))?,
                Format::Text => {
                    output::bytes(format!("{}: {reason}\n", Palette::new().bad("not a token")).as_bytes())?;
                }
            }
            return Ok(false);
        }
    };
    let inspection = Inspection::of(&inspected, token.len(), now);
    match format {
        Format::Json => output::json(&inspection)?,
        Format::Text => output::bytes(inspection.text().as_bytes())?,
    }
    Ok(true)
}

/// Collects findings.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn wrong(&mut self, message: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Wrong, message: message.into() });
    }

    fn unwise(&mut self, message: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Unwise, message: message.into() });
    }
}

impl Inspection {
    fn of(token: &Inspected<'_>, length: usize, now: NumericDate) -> Self {
        let mut findings = Findings::default();
        judge_header(&token.header, token.signature.len(), &mut findings);
        let times = judge_claims(&token.payload, now, &mut findings);
        if length > LARGE {
            findings
                .unwise(format!("the token has {length} bytes; many servers take no more than 8192 for all headers"));
        }
        let header = output::verbatim(&token.header);
        let claims = output::verbatim(&token.payload);
        let (payload, payload_base64url) = match (&claims, std::str::from_utf8(&token.payload)) {
            (Some(_), _) => (None, None),
            (None, Ok(text)) => (Some(text.to_owned()), None),
            (None, Err(_)) => (None, Some(jose::base64url::encode(&token.payload))),
        };
        Self {
            verified: false,
            notice: NOTICE,
            header_text: header.is_none().then(|| String::from_utf8_lossy(&token.header).into_owned()),
            header,
            claims,
            payload,
            payload_base64url,
            times,
            signature_bytes: token.signature.len(),
            findings: findings.0,
        }
    }

    fn text(&self) -> String {
        let palette = Palette::new();
        let pretty = |raw: &RawValue| {
            // A tree keeps one of two members of the same name: what has any is shown as it stands.
            let is_strict = json::object_of(usize::MAX, raw.get().as_bytes(), |_, _| Ok::<_, JsonError>(())).is_ok();
            let value: Option<serde_json::Value> = serde_json::from_str(raw.get()).ok().filter(|_| is_strict);
            match value.and_then(|value| serde_json::to_string_pretty(&value).ok()) {
                Some(text) => output::harmless(&text),
                None => format!("  {}", output::harmless_line(raw.get())),
            }
        };
        let mut out = format!("{}\n", palette.bad(NOTICE));
        if let Some(header) = &self.header {
            out += &format!("\n{}\n{}\n", palette.title("header"), pretty(header));
        }
        if let Some(text) = &self.header_text {
            out += &format!("\n{}\n  {}\n", palette.title("header"), output::harmless_line(text));
        }
        match (&self.claims, self.payload.as_ref().or(self.payload_base64url.as_ref())) {
            (Some(claims), _) => out += &format!("\n{}\n{}\n", palette.title("claims"), pretty(claims)),
            (None, Some(payload)) => {
                out += &format!("\n{}\n  {}\n", palette.title("payload"), output::harmless_line(payload));
            }
            (None, None) => {}
        }
        if !self.times.is_empty() {
            out += &format!("\n{}\n", palette.title("times"));
            for time in &self.times {
                out += &format!("{}: {} ({})\n", time.claim, time.at, time.relative);
            }
        }
        if !self.findings.is_empty() {
            out += &format!("\n{}\n", palette.title("findings"));
            for finding in &self.findings {
                let mark = match finding.severity {
                    Severity::Wrong => palette.bad("wrong"),
                    Severity::Unwise => palette.doubtful("unwise"),
                };
                out += &format!("{mark}: {}\n", output::harmless_line(&finding.message));
            }
        }
        out
    }
}

fn judge_header(text: &[u8], signature_bytes: usize, findings: &mut Findings) {
    let (mut algorithm, mut typ, mut key_id) = (None, None, false);
    let read = json::object_of(usize::MAX, text, |name, value| {
        match (name, value) {
            ("alg", Value::String(text)) => algorithm = Some(text.decode().into_owned()),
            ("typ", Value::String(text)) => typ = Some(text.decode().into_owned()),
            ("kid", Value::String(_)) => key_id = true,
            ("cty", Value::String(_)) => {}
            ("alg" | "typ" | "kid" | "cty", _) => findings.wrong(format!("{name} is not a string")),
            ("jwk" | "x5c", _) => findings.unwise(format!("{name} brings its own key: a verifier must not believe it")),
            ("jku" | "x5u", _) => {
                findings.unwise(format!("{name} says where to fetch a key: a verifier must not go there"));
            }
            ("crit", _) => findings.unwise("crit demands extensions: a verifier that does not know them must refuse"),
            ("b64", _) => findings.unwise("b64 (RFC 7797) changes what was signed; few verifiers know it"),
            ("enc" | "zip", _) => findings.wrong(format!("{name} belongs to encrypted tokens")),
            _ => {}
        }
        Ok::<_, JsonError>(())
    });
    if let Err(error) = read {
        findings.wrong(format!("the header: {error}"));
    }
    match algorithm.as_deref() {
        None => findings.wrong("the header names no algorithm"),
        Some(name) if name.eq_ignore_ascii_case("none") => findings.wrong("alg none: the token is not signed at all"),
        Some(name) => match Algorithm::find_by_name(name) {
            None => findings.wrong("alg is no signature algorithm that jotd knows"),
            Some(algorithm) if algorithm.is_symmetric() => {
                findings.unwise(format!("{algorithm} is a shared secret: whoever can verify can also mint"));
            }
            Some(_) => {}
        },
    }
    if signature_bytes == 0 {
        findings.wrong("the signature is empty");
    }
    if typ.is_none() {
        findings.unwise("no typ: a token of another kind can be taken for this one (RFC 8725 section 3.11)");
    }
    if !key_id {
        findings.unwise("no kid: keys cannot be rotated without trying each");
    }
}

fn judge_claims(payload: &[u8], now: NumericDate, findings: &mut Findings) -> Vec<Time> {
    let mut times = Vec::new();
    let mut dates = [("exp", None), ("nbf", None), ("iat", None)];
    let (mut issuer, mut audience, mut token_id) = (false, false, false);
    let read = json::object_of(usize::MAX, payload, |name, value| {
        match (name, value) {
            ("exp" | "nbf" | "iat", value) => {
                let date = if let Value::Number(text) = value { NumericDate::parse(text) } else { None };
                match dates.iter_mut().find(|(known, _)| name == *known) {
                    Some((_, slot)) if date.is_some() => *slot = date,
                    _ => findings.wrong(format!("{name} is not a number of seconds")),
                }
            }
            ("iss", Value::String(_)) => issuer = true,
            ("aud", Value::String(_) | Value::Array(_)) => audience = true,
            ("jti", Value::String(_)) => token_id = true,
            ("sub", Value::String(_)) => {}
            ("iss" | "sub" | "aud" | "jti", _) => findings.wrong(format!("{name} has a value of the wrong type")),
            (name, _) if is_secret(name) => {
                findings.unwise(format!("{name} looks like a secret, and the payload can be read by anyone"));
            }
            _ => {}
        }
        Ok::<_, JsonError>(())
    });
    if let Err(error) = read {
        let message = format!("the payload is not a set of claims: {error}");
        if !payload.trim_ascii_start().starts_with(b"{") {
            findings.unwise(message);
            return times;
        }
        // What could be read of them is still worth a word.
        findings.wrong(message);
    }
    for (claim, date) in dates {
        if let Some(at) = date {
            let relative = if at > now {
                format!("in {}", Spoken(at.since(now)))
            } else {
                format!("{} ago", Spoken(now.since(at)))
            };
            times.push(Time { claim, at: at.to_string(), relative });
        }
    }
    let [(_, expires), (_, starts), (_, issued)] = dates;
    match expires {
        None => findings.unwise("no exp: the token is valid for ever"),
        Some(end) if end <= now => findings.wrong(format!("expired {} ago", Spoken(now.since(end)))),
        Some(end) => {
            let life = end.since(issued.or(starts).unwrap_or(now));
            if life > LONG_LIFE {
                findings.unwise(format!("the token lives for {}", Spoken(life)));
            }
        }
    }
    if let Some(start) = starts.filter(|start| *start > now) {
        findings.wrong(format!("not valid for another {}", Spoken(start.since(now))));
    }
    if let Some(issued) = issued.filter(|issued| *issued > now) {
        findings.wrong(format!("issued {} in the future", Spoken(issued.since(now))));
    }
    // Milliseconds where seconds belong put a date some fifty thousand years ahead.
    if dates.iter().any(|(_, date)| date.is_some_and(|date| date.seconds() > 100_000_000_000)) {
        findings.wrong("a time is thousands of years ahead: milliseconds instead of seconds?");
    }
    for (is_there, name, consequence) in [
        (issuer, "iss", "nobody can tell whose token it is"),
        (audience, "aud", "it can be used at services that it was not meant for"),
        (token_id, "jti", "it can only be revoked together with others"),
    ] {
        if !is_there {
            findings.unwise(format!("no {name}: {consequence}"));
        }
    }
    times
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "passwd", "secret", "private_key", "api_key", "apikey"].iter().any(|word| name.contains(word))
}
