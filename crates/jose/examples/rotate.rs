//! A JWK Set that rotates without breaking anybody: `cargo run --package jotd-jose --example rotate`.
//!
//! A new key is published before it signs, and an old one stays published until the last token that it has signed is
//! over. At every step, whoever verifies needs nothing but the set.

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use jose::{Algorithm, Jwk, JwkSet, Signer, UnverifiedJws, Verifier};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sign = |key: &Jwk| -> Result<String, Box<dyn std::error::Error>> {
        Ok(Signer::new(key.signing_key(Algorithm::ES256)?, None)?.sign(b"payload")?)
    };
    let holds = |token: &str, published: &str| -> Result<bool, Box<dyn std::error::Error>> {
        let verifier = Verifier::from_jwk_set(&JwkSet::parse(published.as_bytes())?, &[Algorithm::ES256])?;
        Ok(UnverifiedJws::parse(token.as_bytes())?.verify(&verifier).is_ok())
    };

    let first = Jwk::generate(Algorithm::ES256)?;
    let second = Jwk::generate(Algorithm::ES256)?;
    let old_token = sign(&first)?;

    // Published beside the first, but not signing yet: caches learn it in time.
    let both = JwkSet::new([first.clone(), second.clone()])?.to_public_json();
    println!("while the second is pending, the old token holds: {}", holds(&old_token, &both)?);

    // Now the second signs, and the first only verifies.
    let new_token = sign(&second)?;
    println!("after the switch both hold: {}", holds(&old_token, &both)? && holds(&new_token, &both)?);

    // The last token of the first is over: it is retired.
    let second_only = JwkSet::new([second])?.to_public_json();
    println!("after the first is retired, its token holds: {}", holds(&old_token, &second_only)?);
    println!("and the new one: {}", holds(&new_token, &second_only)?);
    Ok(())
}
