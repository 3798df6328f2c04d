//! Mints an access token as RFC 9068 describes it: `cargo run --package jotd-jose --example mint`.

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jose::{Algorithm, Claims, Jwk, NumericDate, Signer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Made once and kept in a safe place; `Jwk::parse` and `Jwk::from_pem` read it again.
    let key = Jwk::generate(Algorithm::ES256)?;
    // The header is encoded once; a signer is used for many tokens.
    let signer = Signer::new(key.signing_key(Algorithm::ES256)?, Some("at+jwt"))?;

    let now = NumericDate::from_seconds(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().try_into()?);
    let claims = Claims::new()
        .issuer("https://issuer.example")
        .subject("client-7")
        .audience("https://api.example")
        .issued_at(now)
        .expires_at(now + Duration::from_secs(15 * 60))
        .token_id("00f1c2d3e4a5968778695a4b3c2d1e0f")
        .claim("client_id", "\"client-7\"")?
        .claim("scope", "\"read write\"")?;
    println!("{}", signer.sign(&claims.to_json())?);
    Ok(())
}
