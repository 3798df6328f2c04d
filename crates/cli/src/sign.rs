//! `jotd sign`: a payload from standard input, or claims, signed.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use jose::json::Value;
use jose::{Claims, Jwk, MAX_TOKEN_LENGTH, NumericDate, Signer};
use zeroize::Zeroizing;

use crate::arguments::Sign;
use crate::input::{self, Keys};
use crate::output;
use crate::system;

/// Prints the bare token.
pub(crate) fn sign(arguments: &Sign) -> Result<()> {
    let key = private_key(input::keys(&arguments.jwk)?)?;
    let algorithm = match arguments.alg.or(key.algorithm()) {
        Some(algorithm) => algorithm,
        None => key.algorithms().first().copied().context("no algorithm fits the key")?,
    };
    let signing_key =
        key.signing_key(algorithm).map_err(|error| anyhow!("the key cannot sign {algorithm}: {error}"))?;

    let is_jwt = arguments.claims.is_some()
        || arguments.iss.is_some()
        || arguments.sub.is_some()
        || !arguments.aud.is_empty()
        || arguments.ttl.is_some();
    let from_stdin = || {
        if arguments.jwk == Path::new("-") {
            bail!("standard input holds the key already; give the key as a file");
        }
        input::read(Path::new("-"), MAX_TOKEN_LENGTH)
    };
    let payload = match &arguments.claims {
        _ if !is_jwt => from_stdin()?,
        None => claims(arguments, b"{}")?,
        Some(given) if given == "-" => claims(arguments, &from_stdin()?)?,
        Some(given) => claims(arguments, given.as_bytes())?,
    };
    let header = arguments.header.as_deref().unwrap_or("{}");
    let signer = Signer::with_header(signing_key, is_jwt.then_some("JWT"), header.as_bytes())?;
    let mut token = signer.sign(&payload)?;
    token.push('\n');
    output::bytes(token.as_bytes())
}

fn private_key(keys: Keys) -> Result<Jwk> {
    match keys {
        Keys::One(key) => Ok(key),
        Keys::Set(set) => {
            let mut private = set.keys().iter().filter(|key| key.is_private());
            match (private.next(), private.next()) {
                (Some(key), None) => Ok(key.clone()),
                (None, _) => bail!("the set holds no private key that can be used"),
                (Some(_), Some(_)) => bail!("the set holds several private keys; give one of them"),
            }
        }
    }
}

/// The claims that were given, with those that flags set in their place.
fn claims(arguments: &Sign, given: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let mut members: Vec<(String, String)> = Vec::new();
    jose::json::object_of(usize::MAX, given, |name, value: Value<'_>| {
        let mut text = Vec::new();
        value.write_into(&mut text);
        members.push((name.to_owned(), String::from_utf8(text).unwrap_or_default()));
        Ok::<_, jose::error::JsonError>(())
    })
    .map_err(|error| anyhow!("the claims: {error}"))?;

    let now = NumericDate::from_seconds(system::now().seconds());
    let mut claims = Claims::new();
    if let Some(issuer) = &arguments.iss {
        claims = claims.issuer(issuer);
    }
    if let Some(subject) = &arguments.sub {
        claims = claims.subject(subject);
    }
    for audience in &arguments.aud {
        claims = claims.audience(audience);
    }
    if !members.iter().any(|(name, _)| name == "iat") {
        claims = claims.issued_at(now);
    }
    if let Some(ttl) = arguments.ttl {
        if ttl < Duration::from_secs(1) {
            bail!("a token that lives less than a second is over before it arrives; give a longer --ttl");
        }
        claims = claims.expires_at(now + ttl);
    }
    for (name, value) in &members {
        claims = claims.claim(name, value)?;
    }
    let payload = Zeroizing::new(claims.to_json());
    // What every verifier would refuse is better not signed.
    jose::check_registered_claims(&payload)?;
    Ok(payload)
}
