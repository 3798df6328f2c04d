//! Tokens and keys published in RFCs.

use jose::{Algorithm, Jwk, Signer, UnverifiedJws, Verifier};
use serde_json::Value;

fn rows(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn all_with_tokens() -> Vec<Value> {
    let files = [
        include_str!("../vectors/rfc7515.json"),
        include_str!("../vectors/rfc7520.json"),
        include_str!("../vectors/rfc8037.json"),
        include_str!("../vectors/rfc9964.json"),
    ];
    files.into_iter().flat_map(rows).collect()
}

#[test]
fn published_tokens_verify_under_their_keys_and_only_unchanged() {
    let rows = all_with_tokens();
    assert_eq!(rows.len(), 12);
    for row in rows {
        let name = row["name"].as_str().unwrap();
        let jwk = Jwk::parse(row["jwk"].to_string().as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let header: Value = serde_json::from_str(row["header"].as_str().unwrap()).unwrap();
        let algorithm = Algorithm::find_by_name(header["alg"].as_str().unwrap()).unwrap();
        let token = row["token"].as_str().unwrap();
        for key in [Some(&jwk), jwk.public().ok().as_ref()].into_iter().flatten() {
            let verifier = Verifier::from_jwk(key, &[algorithm]).unwrap();
            let verified = UnverifiedJws::parse(token.as_bytes()).unwrap().verify(&verifier).unwrap();
            assert_eq!(std::str::from_utf8(verified.payload()).unwrap(), row["payload"].as_str().unwrap(), "{name}");
            assert_eq!(verified.header().key_id(), header["kid"].as_str());

            let step = token.len() / 50 + 1;
            for position in (0..token.len()).step_by(step) {
                let mut changed = token.to_owned();
                changed.replace_range(position..=position, if &token[position..=position] == "A" { "B" } else { "A" });
                let verdict = UnverifiedJws::parse(changed.as_bytes()).map(|token| token.verify(&verifier).is_ok());
                assert_ne!(verdict, Ok(true), "{name} at {position}");
            }
        }
    }
}

#[test]
fn deterministic_tokens_are_made_again_byte_for_byte() {
    let mut made = 0;
    for row in all_with_tokens() {
        let jwk = Jwk::parse(row["jwk"].to_string().as_bytes()).unwrap();
        let header: Value = serde_json::from_str(row["header"].as_str().unwrap()).unwrap();
        let algorithm = Algorithm::find_by_name(header["alg"].as_str().unwrap()).unwrap();
        // aws-lc signs ML-DSA with fresh randomness, as FIPS 204 recommends.
        if row["deterministic"] != true || algorithm.name().starts_with("ML-DSA") {
            continue;
        }
        let key = jwk.signing_key(algorithm).unwrap();
        let token = row["token"].as_str().unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let made_again = jose::dangerous::sign_anything(&key, message.as_bytes()).unwrap();
        assert_eq!(jose::base64url::encode(&made_again), signature, "{}", row["name"]);
        // Where the published header is in our order and without white space, so is the whole token.
        let ours = Signer::new(key, header["typ"].as_str()).unwrap().sign(row["payload"].as_str().unwrap().as_bytes());
        if row["source"].as_str().unwrap().starts_with("RFC 7520") || row["source"].as_str().unwrap().contains("8037") {
            assert_eq!(ours.unwrap(), token, "{}", row["name"]);
        }
        made += 1;
    }
    assert!(made >= 5, "{made}");
}

#[test]
fn published_thumbprints() {
    let mut rows = rows(include_str!("../vectors/rfc7638.json"));
    rows.extend(all_with_tokens().into_iter().filter(|row| row["thumbprint"].is_string()));
    assert!(rows.len() >= 5);
    for row in rows {
        let jwk = Jwk::parse(row["jwk"].to_string().as_bytes()).unwrap();
        assert_eq!(jwk.thumbprint(), row["thumbprint"].as_str().unwrap());
        assert_eq!(jwk.public().unwrap().thumbprint(), jwk.thumbprint());
    }
}

#[test]
fn published_private_keys_come_back_unchanged() {
    for row in all_with_tokens() {
        let jwk = Jwk::parse(row["jwk"].to_string().as_bytes()).unwrap();
        let ours: Value = serde_json::from_str(&jwk.to_json()).unwrap();
        for (name, value) in row["jwk"].as_object().unwrap() {
            assert_eq!(&ours[name], value, "{} {name}", row["name"]);
        }
        if jwk.is_symmetric() {
            continue;
        }
        let back = Jwk::from_pem(&jwk.to_pem().unwrap()).unwrap();
        let back: Value = serde_json::from_str(&back.to_json()).unwrap();
        for name in ["n", "e", "d", "p", "q", "dp", "dq", "qi", "x", "y", "crv", "pub", "priv"] {
            assert_eq!(back[name], row["jwk"][name], "{} {name} through PEM", row["name"]);
        }
    }
}
