//! Tokens made to be accepted by mistake.

use jose::{Algorithm, Jwk, UnverifiedJws, Verifier};

use crate::round_trip::KEYS;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    jose::base64url::encode(bytes.as_ref())
}

fn key(wanted: Algorithm) -> &'static Jwk {
    &KEYS.iter().find(|(algorithm, _)| *algorithm == wanted).unwrap().1
}

/// A token that is signed properly, whatever its header says.
fn signed(algorithm: Algorithm, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let key = key(algorithm).signing_key(algorithm).unwrap();
    format!("{message}.{}", encode(jose::dangerous::sign_anything(&key, message.as_bytes()).unwrap()))
}

/// The code of the error, or `accepted`.
fn verdict(algorithm: Algorithm, token: &str) -> &'static str {
    let verifier = Verifier::from_jwk(key(algorithm), &[algorithm]).unwrap();
    match UnverifiedJws::parse(token.as_bytes()) {
        Err(error) => error.code(),
        Ok(token) => token.verify(&verifier).map_or_else(|error| error.code(), |_| "accepted"),
    }
}

#[test]
fn headers() {
    let nested = |depth: usize| format!(r#"{{"alg":"ES256","x":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    let members = |count: usize| {
        let more: String = (0..count - 1).map(|n| format!(",\"m{n}\":0")).collect();
        format!(r#"{{"alg":"ES256"{more}}}"#)
    };
    for (header, expect) in [
        (r#"{"alg":"ES256"}"#.to_owned(), "accepted"),
        (r#" { "alg" : "ES256" , "x" : {"y":[1]} } "#.to_owned(), "accepted"),
        (r#"{"\u0061lg":"E\u0053256"}"#.to_owned(), "accepted"),
        (r#"{"alg":"ES256","jwk":{"kty":"oct"},"jku":"http://127.0.0.1/","x5u":7,"x5c":["x"]}"#.to_owned(), "accepted"),
        (r#"{"alg":"none"}"#.to_owned(), "algorithm_not_allowed"),
        (r#"{"alg":"es256"}"#.to_owned(), "algorithm_not_allowed"),
        (r#"{"alg":"ES256 "}"#.to_owned(), "algorithm_not_allowed"),
        (r#"{"alg":"ES256\u0000"}"#.to_owned(), "algorithm_not_allowed"),
        (r#"{"alg":""}"#.to_owned(), "algorithm_not_allowed"),
        (r#"{"ALG":"ES256"}"#.to_owned(), "algorithm_not_allowed"),
        (r#"{}"#.to_owned(), "algorithm_not_allowed"),
        (r#"{"alg":null}"#.to_owned(), "header_type"),
        (r#"{"alg":["ES256"]}"#.to_owned(), "header_type"),
        (r#"{"alg":"ES256","kid":7}"#.to_owned(), "header_type"),
        (r#"{"alg":"ES256","typ":null}"#.to_owned(), "header_type"),
        (r#"{"alg":"ES256","cty":[]}"#.to_owned(), "header_type"),
        (r#"{"alg":"ES256","crit":["exp"],"exp":1}"#.to_owned(), "critical_extension"),
        (r#"{"alg":"ES256","crit":[]}"#.to_owned(), "critical_extension"),
        (r#"{"alg":"ES256","crit":null}"#.to_owned(), "critical_extension"),
        (r#"{"alg":"ES256","crit":["b64"],"b64":true}"#.to_owned(), "critical_extension"),
        (r#"{"alg":"ES256","b64":false}"#.to_owned(), "critical_extension"),
        (r#"{"alg":"none","alg":"ES256"}"#.to_owned(), "header_json"),
        (r#"{"alg":"ES256","\u0061lg":"ES256"}"#.to_owned(), "header_json"),
        (r#"{"alg":"ES256","x":{"y":1,"y":1}}"#.to_owned(), "header_json"),
        (r#"{"alg":"ES256"}x"#.to_owned(), "header_json"),
        (r#"{"alg":"ES256",}"#.to_owned(), "header_json"),
        (r#"["ES256"]"#.to_owned(), "header_json"),
        (r#""ES256""#.to_owned(), "header_json"),
        (String::new(), "header_json"),
        (r#"{"alg":"ES256","x":"\ud800"}"#.to_owned(), "header_json"),
        ("\u{feff}{\"alg\":\"ES256\"}".to_owned(), "header_json"),
        (nested(128), "accepted"),
        (nested(129), "header_json"),
        (nested(10_000), "header_json"),
        (members(256), "accepted"),
        (members(257), "header_json"),
    ] {
        assert_eq!(verdict(Algorithm::ES256, &signed(Algorithm::ES256, &header, "{}")), expect, "{header}");
    }
    let token = signed(Algorithm::ES256, b"{\"alg\":\"ES256\",\"x\":\"\xff\"}", "{}");
    assert_eq!(verdict(Algorithm::ES256, &token), "header_json");
}

#[test]
fn serializations() {
    let good = signed(Algorithm::ES256, r#"{"alg":"ES256"}"#, "payload");
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    assert_eq!(verdict(Algorithm::ES256, &good), "accepted");
    for (token, expect) in [
        (String::new(), "token_part_count"),
        (".".to_owned(), "token_part_count"),
        ("..".to_owned(), "header_json"),
        (message.to_owned(), "token_part_count"),
        (format!("{message}."), "bad_signature"),
        (format!("{good}."), "token_part_count"),
        (format!("{good}..."), "token_part_count"),
        (format!(".{payload}.{signature}"), "header_json"),
        (format!("{header}..{signature}"), "bad_signature"),
        (format!(" {good}"), "header_encoding"),
        (format!("{good} "), "signature_encoding"),
        (format!("{good}\n"), "signature_encoding"),
        (format!("{header}\n.{payload}.{signature}"), "header_encoding"),
        (format!("{header}.{payload}=.{signature}"), "payload_encoding"),
        (format!("{message}.{signature}=="), "signature_encoding"),
        (format!("{message}.{}", &signature[..signature.len() - 1]), "signature_encoding"),
        (format!("{message}.{}", signature.replacen(&signature[..1], "+", 1)), "signature_encoding"),
        (format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#), "token_part_count"),
    ] {
        assert_eq!(verdict(Algorithm::ES256, &token), expect, "{token:?}");
    }
    // Bits that stand for nothing: the last character of 86 has four that count.
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = alphabet.find(last).unwrap();
    let stray = &alphabet[place + 1..place + 2];
    let token = format!("{message}.{}{stray}", &signature[..signature.len() - 1]);
    assert_eq!(verdict(Algorithm::ES256, &token), "signature_encoding");
}

#[test]
fn ecdsa_signatures_are_two_numbers_in_range() {
    for (algorithm, length, order) in [
        (Algorithm::ES256, 32, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
        (
            Algorithm::ES384,
            48,
            "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
        ),
    ] {
        let order: Vec<u8> =
            (0..order.len()).step_by(2).map(|at| u8::from_str_radix(&order[at..at + 2], 16).unwrap()).collect();
        let message = format!("{}.e30", encode(format!("{{\"alg\":\"{algorithm}\"}}")));
        let signing = key(algorithm).signing_key(algorithm).unwrap();
        let good = jose::dangerous::sign_anything(&signing, message.as_bytes()).unwrap();
        let token = |signature: &[u8]| format!("{message}.{}", encode(signature));
        assert_eq!(good.len(), 2 * length);
        assert_eq!(verdict(algorithm, &token(&good)), "accepted");
        let (r, s) = good.split_at(length);
        let (zero, one, full) = (vec![0; length], [vec![0; length - 1], vec![1]].concat(), vec![0xff; length]);
        for (name, signature) in [
            ("r zero", [&zero, s].concat()),
            ("s zero", [r, &zero].concat()),
            ("both zero", [zero.clone(), zero.clone()].concat()),
            ("both one", [one.clone(), one].concat()),
            ("r the order", [&order, s].concat()),
            ("s the order", [r, &order].concat()),
            ("both the order", [order.clone(), order].concat()),
            ("both full", [full.clone(), full].concat()),
            ("swapped", [s, r].concat()),
            ("too long", [&good[..], &[0]].concat()),
            ("longer halves", [&[0], r, &[0], s].concat()),
            ("too short", good[1..].to_vec()),
            ("half", r.to_vec()),
            ("empty", Vec::new()),
            ("DER", [&[0x30, 2 * length as u8 + 4, 2, length as u8], r, &[2, length as u8], s].concat()),
        ] {
            assert_eq!(verdict(algorithm, &token(&signature)), "bad_signature", "{algorithm} {name}");
        }
    }
}

#[test]
fn rsa_and_ed25519_signatures_have_one_length() {
    for algorithm in [Algorithm::RS256, Algorithm::PS256, Algorithm::EdDSA, Algorithm::ML_DSA_44, Algorithm::HS256] {
        let message = format!("{}.e30", encode(format!("{{\"alg\":\"{algorithm}\"}}")));
        let signing = key(algorithm).signing_key(algorithm).unwrap();
        let good = jose::dangerous::sign_anything(&signing, message.as_bytes()).unwrap();
        let token = |signature: &[u8]| format!("{message}.{}", encode(signature));
        assert_eq!(verdict(algorithm, &token(&good)), "accepted");
        for wrong in [
            vec![],
            vec![0; good.len()],
            vec![0xff; good.len()],
            good[1..].to_vec(),
            [&[0], &good[..]].concat(),
            [&good[..], &[0]].concat(),
        ] {
            assert_eq!(verdict(algorithm, &token(&wrong)), "bad_signature", "{algorithm}");
        }
    }
}

#[test]
fn a_public_key_is_never_a_shared_secret() {
    // The classic: sign with HMAC under what everybody knows, and hope that the verifier takes it for the secret.
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let public = key(algorithm).public().unwrap();
        for secret in [public.to_pem().unwrap().to_string(), public.to_json().to_string()] {
            for hmac in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let forger = jose::SigningKey::hmac(hmac, secret.as_bytes()).unwrap();
                let token = jose::Signer::new(forger, None).unwrap().sign(b"{}").unwrap();
                assert_eq!(verdict(algorithm, &token), "algorithm_not_allowed");
            }
        }
    }
}

#[test]
fn errors_say_nothing_secret() {
    let token = signed(Algorithm::ES256, r#"{"alg":"ES256"}"#, "payload");
    let other = token.replacen("cGF5", "cGF6", 1);
    let verifier = Verifier::from_jwk(key(Algorithm::ES256), &[Algorithm::ES256]).unwrap();
    let error = UnverifiedJws::parse(other.as_bytes()).unwrap().verify(&verifier).unwrap_err();
    assert_eq!(error.to_string(), "the signature does not hold");
    for (_, key) in KEYS.iter() {
        let private: serde_json::Value = serde_json::from_str(&key.to_json()).unwrap();
        for name in ["k", "d", "priv"] {
            if let Some(secret) = private[name].as_str() {
                assert!(!format!("{key:?}").contains(&secret[..8]));
            }
        }
    }
}
