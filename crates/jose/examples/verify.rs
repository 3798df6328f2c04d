//! Verifies a token under a public key, and says what is wrong with another:
//! `cargo run --package jotd-jose --example verify`.

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use std::time::Duration;

use jose::{Algorithm, Claims, ClaimsPolicy, Jwk, NumericDate, Signer, UnverifiedJws, Verifier};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = Jwk::generate(Algorithm::EdDSA)?;
    let now = NumericDate::from_seconds(1_800_000_000);
    let signer = Signer::new(key.signing_key(Algorithm::EdDSA)?, Some("JWT"))?;
    let claims = Claims::new().issuer("https://issuer.example").audience("api").subject("42");
    let token = signer.sign(&claims.expires_at(now + Duration::from_secs(60)).to_json())?;

    // What a service has: a public key, the algorithms that it allows, and what it expects of claims.
    let public = Jwk::parse(key.public()?.to_json().as_bytes())?;
    let verifier = Verifier::from_jwk(&public, &[Algorithm::EdDSA])?;
    let policy = ClaimsPolicy::new().issuer("https://issuer.example").audience("api").leeway(Duration::from_secs(5));

    let verified = UnverifiedJws::parse(token.as_bytes())?.verify(&verifier)?;
    let claims = policy.validate(&verified, now)?;
    println!("accepted: {:?}", claims.subject());

    // Three hours later the plain answer is an error, and the report says why.
    let later = now + Duration::from_secs(3 * 60 * 60);
    match policy.validate(&verified, later) {
        Ok(_) => println!("accepted"),
        Err(error) => println!("rejected: {error} ({})", error.code()),
    }
    print!("{}", policy.report(&verified, later));
    Ok(())
}
