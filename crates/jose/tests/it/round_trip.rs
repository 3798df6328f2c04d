//! Every algorithm, signed and verified, and never in another's place.

use std::sync::LazyLock;

use jose::{Algorithm, Jwk, JwkSet, Signer, UnverifiedJws, Verifier};
use proptest::prelude::*;

/// One key for each algorithm: making RSA keys takes a while.
pub(crate) static KEYS: LazyLock<Vec<(Algorithm, Jwk)>> =
    LazyLock::new(|| Algorithm::all().map(|algorithm| (algorithm, Jwk::generate(algorithm).unwrap())).collect());

fn sign(algorithm: Algorithm, key: &Jwk, payload: &[u8]) -> String {
    Signer::new(key.signing_key(algorithm).unwrap(), None).unwrap().sign(payload).unwrap()
}

fn holds(token: &str, verifier: &Verifier) -> bool {
    UnverifiedJws::parse(token.as_bytes()).unwrap().verify(verifier).is_ok()
}

#[test]
fn each_algorithm_verifies_its_own_tokens_and_no_others() {
    let tokens: Vec<_> = KEYS.iter().map(|(algorithm, key)| sign(*algorithm, key, b"{}")).collect();
    for (own, (algorithm, key)) in KEYS.iter().enumerate() {
        for key in [Some(key), key.public().ok().as_ref()].into_iter().flatten() {
            let verifier = Verifier::from_jwk(key, &[*algorithm]).unwrap();
            for (other, token) in tokens.iter().enumerate() {
                assert_eq!(holds(token, &verifier), own == other, "{algorithm} {other}");
            }
        }
    }
}

#[test]
fn the_header_decides_nothing_that_the_key_does_not_allow() {
    for (algorithm, key) in KEYS.iter() {
        let signing = key.signing_key(*algorithm).unwrap();
        let verifier = Verifier::from_jwk(key, &[*algorithm]).unwrap();
        for other in Algorithm::all().map(Algorithm::name).chain(["none", "None", ""]) {
            let header = jose::base64url::encode(format!("{{\"alg\":\"{other}\"}}").as_bytes());
            let message = format!("{header}.e30");
            let signature = jose::dangerous::sign_anything(&signing, message.as_bytes()).unwrap();
            let token = format!("{message}.{}", jose::base64url::encode(&signature));
            assert_eq!(holds(&token, &verifier), other == algorithm.name(), "{algorithm} as {other}");
        }
    }
}

#[test]
fn rsa_and_ed25519_keys_without_alg_serve_what_the_caller_allows() {
    let without_alg = |wanted: Algorithm| {
        let key = &KEYS.iter().find(|(algorithm, _)| *algorithm == wanted).unwrap().1;
        Jwk::from_pem(&key.to_pem().unwrap()).unwrap()
    };
    let rsa = without_alg(Algorithm::RS256);
    let names: Vec<_> = rsa.algorithms().into_iter().map(Algorithm::name).collect();
    assert_eq!(names, ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]);
    let token = sign(Algorithm::PS384, &rsa, b"x");
    assert!(holds(&token, &Verifier::from_jwk(&rsa, &rsa.algorithms()).unwrap()));
    assert!(!holds(&token, &Verifier::from_jwk(&rsa, &[Algorithm::RS256, Algorithm::PS256]).unwrap()));

    let ed25519 = without_alg(Algorithm::EdDSA);
    assert_eq!(ed25519.algorithms(), [Algorithm::EdDSA, Algorithm::Ed25519]);
    for algorithm in ed25519.algorithms() {
        let token = sign(algorithm, &ed25519, b"x");
        assert!(holds(&token, &Verifier::from_jwk(&ed25519, &ed25519.algorithms()).unwrap()));
        assert!(holds(&token, &Verifier::from_jwk(&ed25519, &[algorithm]).unwrap()));
    }
    let named = Jwk::generate(Algorithm::EdDSA).unwrap();
    assert_eq!(named.signing_key(Algorithm::Ed25519).unwrap_err().code(), "key_wrong_algorithm");
}

#[test]
fn sets_choose_by_key_id() {
    let keys: Vec<Jwk> = (0..3).map(|_| Jwk::generate(Algorithm::ES256).unwrap()).collect();
    let set = JwkSet::new(keys.clone()).unwrap();
    let verifier = Verifier::from_jwk_set(&set, &[Algorithm::ES256]).unwrap();
    for key in &keys {
        assert!(holds(&sign(Algorithm::ES256, key, b"x"), &verifier));
        // Without an id, each is tried; with the id of another key, only that one.
        let signer = |extra: &str| {
            let anonymous = Jwk::from_pem(&key.to_pem().unwrap()).unwrap().signing_key(Algorithm::ES256).unwrap();
            Signer::with_header(anonymous, None, extra.as_bytes()).unwrap().sign(b"x").unwrap()
        };
        assert!(holds(&signer("{}"), &verifier));
        let unknown = signer(r#"{"kid":"unknown"}"#);
        let error = UnverifiedJws::parse(unknown.as_bytes()).unwrap().verify(&verifier).unwrap_err();
        assert_eq!(error.code(), "no_key");
        // A verifier for one key was given that key for this token.
        assert!(holds(&unknown, &Verifier::from_jwk(key, &[Algorithm::ES256]).unwrap()));
    }
    let wrong = format!("{{\"kid\":\"{}\"}}", keys[1].key_id().unwrap());
    let anonymous = Jwk::from_pem(&keys[0].to_pem().unwrap()).unwrap().signing_key(Algorithm::ES256).unwrap();
    let token = Signer::with_header(anonymous, None, wrong.as_bytes()).unwrap().sign(b"x").unwrap();
    assert!(!holds(&token, &verifier));
}

#[test]
fn lists_of_algorithms_are_sane() {
    let hmac = &KEYS[0].1;
    let ec = &KEYS.iter().find(|(algorithm, _)| *algorithm == Algorithm::ES256).unwrap().1;
    for (result, code) in [
        (Verifier::from_jwk(hmac, &[]), "verifier_nothing_allowed"),
        (Verifier::from_jwk(hmac, &[Algorithm::HS256, Algorithm::ES256]), "verifier_mixed"),
        (Verifier::from_jwk(hmac, &[Algorithm::ES256]), "verifier_no_key"),
        (Verifier::from_jwk(ec, &[Algorithm::HS256]), "verifier_no_key"),
        (Verifier::from_jwk(ec, &[Algorithm::ES384]), "verifier_no_key"),
        (
            Verifier::new(&[Algorithm::HS384], [hmac.verifying_key(Algorithm::HS256).unwrap()]),
            "verifier_key_not_allowed",
        ),
    ] {
        assert_eq!(result.unwrap_err().code(), code);
    }
}

#[test]
fn headers_are_written_in_a_known_order() {
    let key = KEYS[0].1.clone().with_key_id("k\"1").signing_key(Algorithm::HS256).unwrap();
    let header = |typ, extra: &str| {
        let token = Signer::with_header(key.clone(), typ, extra.as_bytes()).unwrap().sign(b"").unwrap();
        String::from_utf8(jose::base64url::decode(token.split('.').next().unwrap().as_bytes()).unwrap()).unwrap()
    };
    assert_eq!(header(None, "{}"), r#"{"alg":"HS256","kid":"k\"1"}"#);
    assert_eq!(header(Some("JWT"), "{}"), r#"{"typ":"JWT","alg":"HS256","kid":"k\"1"}"#);
    assert_eq!(
        header(Some("JWT"), r#" { "x" : [1 , 2.0] , "kid":"other", "alg":"HS256", "typ" : "at+jwt" } "#),
        r#"{"alg":"HS256","x":[1 , 2.0],"kid":"other","typ":"at+jwt"}"#
    );
    for extra in
        [r#"{"alg":"HS512"}"#, r#"{"crit":["exp"]}"#, r#"{"b64":false}"#, r#"{"kid":1}"#, r#"{"a":1,"a":1}"#, "[]", ""]
    {
        assert!(Signer::with_header(key.clone(), None, extra.as_bytes()).is_err(), "{extra}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_payload_round_trips_under_any_algorithm(payload: Vec<u8>, place in 0..17_usize) {
        let (algorithm, key) = &KEYS[place];
        let token = sign(*algorithm, key, &payload);
        let verifier = Verifier::from_jwk(key, &[*algorithm]).unwrap();
        let verified = UnverifiedJws::parse(token.as_bytes()).unwrap().verify(&verifier).unwrap();
        prop_assert_eq!(verified.payload(), payload);
    }
}

#[test]
fn payloads_end_where_tokens_end() {
    let key = KEYS[2].1.signing_key(Algorithm::HS512).unwrap();
    let verifier = Verifier::new(&[Algorithm::HS512], [key.verifying_key()]).unwrap();
    let signer = Signer::new(key, None).unwrap();
    let longest = (0..300_000).rev().find(|length| signer.sign(&vec![0; *length]).is_ok()).unwrap();
    let token = signer.sign(&vec![0; longest]).unwrap();
    assert!(token.len() <= jose::MAX_TOKEN_LENGTH && token.len() > jose::MAX_TOKEN_LENGTH - 8);
    assert!(holds(&token, &verifier));
    assert_eq!(UnverifiedJws::parse(&[b'a'; 1 << 20]).unwrap_err().code(), "token_too_long");
}
