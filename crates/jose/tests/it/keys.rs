//! Which keys are taken, which are refused and why, and how they are written.

use jose::error::{JwkSetError, PemError};
use jose::{Algorithm, Jwk, JwkSet, Signer, UnverifiedJws, Verifier};
use serde_json::{Map, Value, json};

use crate::round_trip::KEYS;

fn jwk(wanted: Algorithm) -> Map<String, Value> {
    let key = &KEYS.iter().find(|(algorithm, _)| *algorithm == wanted).unwrap().1;
    serde_json::from_str(&key.to_json()).unwrap()
}

fn verdict(jwk: &Map<String, Value>) -> &'static str {
    match Jwk::parse(Value::Object(jwk.clone()).to_string().as_bytes()) {
        Ok(_) => "accepted",
        Err(error) => error.code(),
    }
}

/// What becomes of a key with one member changed (`null` takes it away).
fn changed(algorithm: Algorithm, name: &str, value: Value) -> &'static str {
    let mut jwk = jwk(algorithm);
    if value.is_null() {
        jwk.remove(name).unwrap();
    } else {
        jwk.insert(name.to_owned(), value);
    }
    verdict(&jwk)
}

fn decode(jwk: &Map<String, Value>, name: &str) -> Vec<u8> {
    jose::base64url::decode(jwk[name].as_str().unwrap().as_bytes()).unwrap()
}

fn encode(bytes: &[u8]) -> Value {
    jose::base64url::encode(bytes).into()
}

#[test]
fn members_missing_mistyped_or_spelled_otherwise() {
    use Algorithm as A;
    for (algorithm, names) in [
        (A::HS256, &["kty", "k"][..]),
        (A::RS256, &["kty", "n", "e", "d", "p", "q", "dp", "dq", "qi"]),
        (A::ES256, &["kty", "crv", "x", "y"]),
        (A::EdDSA, &["kty", "crv", "x"]),
        (A::ML_DSA_65, &["kty", "alg", "pub"]),
    ] {
        assert_eq!(verdict(&jwk(algorithm)), "accepted");
        for name in names {
            assert_eq!(changed(algorithm, name, Value::Null), "jwk_missing_member", "{algorithm} {name}");
            assert_eq!(changed(algorithm, name, json!(7)), "jwk_member_type", "{algorithm} {name}");
        }
        for name in names.iter().filter(|name| !["kty", "crv", "alg"].contains(name)) {
            let value = jwk(algorithm)[*name].as_str().unwrap().to_owned();
            for spelled in [format!("{value}="), format!(" {value}"), format!("{value}\n"), format!("+{value}")] {
                let code = changed(algorithm, name, spelled.clone().into());
                assert_ne!(code, "accepted", "{algorithm} {name} {spelled:?}");
            }
        }
        for (name, value) in
            [("kid", json!(7)), ("use", json!(["sig"])), ("alg", json!({})), ("key_ops", json!("sign"))]
        {
            assert_eq!(changed(algorithm, name, value), "jwk_member_type", "{algorithm} {name}");
        }
    }
    for text in ["", "[]", "null", r#"{"kty":"oct","kty":"oct","k":""}"#, r#"{"kty":"oct","k":"x"} x"#] {
        assert!(Jwk::parse(text.as_bytes()).is_err(), "{text}");
    }
    assert_eq!(Jwk::parse(&vec![b' '; 2 << 20]).unwrap_err().code(), "jwk_too_long");
    let deep = format!(r#"{{"kty":{}"#, "[".repeat(10_000));
    assert_eq!(Jwk::parse(deep.as_bytes()).unwrap_err().code(), "json_too_deep");
}

#[test]
fn kinds_that_are_not_known_or_not_for_signatures() {
    use Algorithm as A;
    for (algorithm, name, value, expect) in [
        (A::ES256, "kty", json!("ec"), "jwk_unknown_key_type"),
        (A::ES256, "kty", json!("RSA"), "jwk_missing_member"),
        (A::ES256, "kty", json!("oct"), "jwk_missing_member"),
        (A::ES256, "crv", json!("P-384"), "key_length"),
        (A::ES256, "crv", json!("secp256k1"), "jwk_unknown_curve"),
        (A::EdDSA, "crv", json!("X25519"), "jwk_unknown_curve"),
        (A::EdDSA, "crv", json!("Ed448"), "jwk_unknown_curve"),
        (A::ES256, "alg", json!("ES384"), "key_wrong_algorithm"),
        (A::ES256, "alg", json!("RS256"), "key_wrong_algorithm"),
        (A::ES256, "alg", json!("ES521"), "jwk_unknown_algorithm"),
        (A::ES256, "alg", json!("none"), "jwk_unknown_algorithm"),
        (A::ES256, "alg", json!("ECDH-ES"), "jwk_unknown_algorithm"),
        (A::HS256, "alg", json!("A256KW"), "jwk_unknown_algorithm"),
        (A::RS256, "alg", json!("RSA-OAEP"), "jwk_unknown_algorithm"),
        (A::ML_DSA_44, "alg", json!("ML-DSA-65"), "key_length"),
        (A::ML_DSA_44, "alg", json!("ES256"), "key_wrong_algorithm"),
        (A::ES256, "use", json!("enc"), "jwk_not_for_signatures"),
        (A::ES256, "use", json!("tls"), "jwk_not_for_signatures"),
        (A::ES256, "use", json!("sig"), "accepted"),
        (A::ES256, "key_ops", json!(["sign", "verify"]), "accepted"),
        (A::ES256, "key_ops", json!(["verify", "deriveKey"]), "accepted"),
        (A::ES256, "key_ops", json!(["encrypt", "decrypt"]), "jwk_not_for_signatures"),
        (A::ES256, "key_ops", json!([]), "jwk_not_for_signatures"),
        (A::ES256, "key_ops", json!(["sign, verify"]), "jwk_not_for_signatures"),
        (A::ES256, "key_ops", json!(["sign", "sign"]), "jwk_repeated_operation"),
        (
            A::ES256,
            "key_ops",
            json!((0..20_000).map(|n| format!("x{n}")).collect::<Vec<_>>()),
            "jwk_not_for_signatures",
        ),
        (A::ES256, "key_ops", json!(["sign", 7]), "jwk_member_type"),
        (A::ES256, "unknown", json!([{"x": 1}]), "accepted"),
        (A::ES256, "x5c", json!(["MIIB"]), "accepted"),
        (A::RS256, "oth", json!([]), "jwk_multi_prime"),
    ] {
        assert_eq!(changed(algorithm, name, value.clone()), expect, "{algorithm} {name} {value}");
    }
}

#[test]
fn key_ops_and_alg_are_honoured() {
    for (operations, signs, verifies) in
        [(json!(["sign"]), true, false), (json!(["verify"]), false, true), (json!(["verify", "sign"]), true, true)]
    {
        let mut jwk = jwk(Algorithm::ES256);
        jwk.insert("key_ops".to_owned(), operations);
        let key = Jwk::parse(Value::Object(jwk).to_string().as_bytes()).unwrap();
        assert_eq!(key.signing_key(Algorithm::ES256).is_ok(), signs);
        assert_eq!(key.verifying_key(Algorithm::ES256).is_ok(), verifies);
        // Its public part is there to verify.
        let public = key.public().unwrap();
        assert!(public.verifying_key(Algorithm::ES256).is_ok());
        assert_eq!(public.signing_key(Algorithm::ES256).unwrap_err().code(), "key_operation");
    }
    let key = Jwk::generate(Algorithm::PS256).unwrap();
    assert_eq!(key.verifying_key(Algorithm::RS256).unwrap_err().code(), "key_wrong_algorithm");
    assert_eq!(key.public().unwrap().signing_key(Algorithm::PS256).unwrap_err().code(), "key_not_private");
}

#[test]
fn shared_secrets_are_as_long_as_the_hash() {
    for (length, algorithm, expect) in [
        (0, None, "key_too_short"),
        (31, None, "key_too_short"),
        (32, None, "accepted"),
        (31, Some("HS256"), "key_too_short"),
        (47, Some("HS384"), "key_too_short"),
        (48, Some("HS384"), "accepted"),
        (63, Some("HS512"), "key_too_short"),
        (64, Some("HS512"), "accepted"),
        (200, Some("HS256"), "accepted"),
        (32, Some("ES256"), "key_wrong_algorithm"),
    ] {
        let mut jwk = Map::from_iter([("kty".to_owned(), json!("oct")), ("k".to_owned(), encode(&vec![7; length]))]);
        jwk.extend(algorithm.map(|name| ("alg".to_owned(), json!(name))));
        assert_eq!(verdict(&jwk), expect, "{length} {algorithm:?}");
    }
    // Without alg, a secret serves only the hashes that it is long enough for.
    let key = Jwk::parse(format!(r#"{{"kty":"oct","k":{}}}"#, encode(&[7; 50])).as_bytes()).unwrap();
    assert_eq!(key.algorithms(), [Algorithm::HS256, Algorithm::HS384]);
    assert_eq!(key.signing_key(Algorithm::HS512).unwrap_err().code(), "key_too_short");
}

#[test]
fn rsa_keys_that_are_weak_or_wrong() {
    use Algorithm::RS256;
    let good = jwk(RS256);
    let public = |n: &[u8], e: &[u8]| {
        verdict(&Map::from_iter([
            ("kty".to_owned(), json!("RSA")),
            ("n".to_owned(), encode(n)),
            ("e".to_owned(), encode(e)),
        ]))
    };
    let n = decode(&good, "n");
    for (e, expect) in [
        (&[1, 0, 1][..], "accepted"),
        (&[3], "accepted"),
        (&[1], "key_rsa_exponent"),
        (&[2], "key_rsa_exponent"),
        (&[1, 0, 0], "key_rsa_exponent"),
        (&[0xff; 5], "key_rsa_exponent"),
        (&[0], "jwk_not_minimal"),
        (&[0, 1, 0, 1], "jwk_not_minimal"),
        (&[], "jwk_not_minimal"),
    ] {
        assert_eq!(public(&n, e), expect, "{e:x?}");
    }
    assert_eq!(public(&n[..128], &[1, 0, 1]), "key_rsa_size");
    assert_eq!(public(&n[..255], &[1, 0, 1]), "key_rsa_size");
    assert_eq!(public(&[&[0x7f], &n[1..]].concat(), &[1, 0, 1]), "key_rsa_size");
    assert_eq!(public(&[&[0], &n[..]].concat(), &[1, 0, 1]), "jwk_not_minimal");
    assert_eq!(public(&[&n[..255], &[n[255] & 0xfe]].concat(), &[1, 0, 1]), "key_rsa_parameters");
    assert_eq!(public(&n.repeat(5), &[1, 0, 1]), "key_rsa_size");
    // Three times a sound modulus, of one bit or two more.
    let mut carry = 0;
    let mut triple: Vec<u8> = n
        .iter()
        .rev()
        .map(|byte| {
            let product = u16::from(*byte) * 3 + carry;
            carry = product >> 8;
            product as u8
        })
        .collect();
    triple.push(carry as u8);
    triple.reverse();
    assert_eq!(public(&triple, &[1, 0, 1]), "key_rsa_parameters");

    // Each private member belongs to the others.
    for name in ["d", "p", "q", "dp", "dq", "qi"] {
        let mut value = decode(&good, name);
        *value.last_mut().unwrap() ^= 2;
        assert_eq!(changed(RS256, name, encode(&value)), "key_private_part", "{name}");
        assert_eq!(
            changed(RS256, name, encode(&[&[0], &decode(&good, name)[..]].concat())),
            "jwk_not_minimal",
            "{name}"
        );
    }
    let mut other: Map<String, Value> = serde_json::from_str(&Jwk::generate(RS256).unwrap().to_json()).unwrap();
    other.insert("n".to_owned(), good["n"].clone());
    assert_eq!(verdict(&other), "key_private_part");
}

/// A modulus with the fingerprint of the flawed generator: modulo each small prime a power of 65537. It is not a
/// product of two primes, and need not be.
#[test]
fn rsa_keys_of_the_roca_generator() {
    // 65537^1 modulo the product of the primes, plus a multiple of that product, has the fingerprint for every multiple.
    let primes = [
        3_u32, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107,
        109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    let mut number = vec![2_u32]; // little-endian, so that the sum below is odd
    let multiply = |number: &mut Vec<u32>, factor: u32| {
        let mut carry = 0_u64;
        for limb in number.iter_mut() {
            let product = u64::from(*limb) * u64::from(factor) + carry;
            *limb = product as u32;
            carry = product >> 32;
        }
        if carry > 0 {
            number.push(carry as u32);
        }
    };
    primes.iter().for_each(|prime| multiply(&mut number, *prime));
    while number.len() < 64 || number[63] < 1 << 31 {
        let factor = if number.len() < 64 { 0xffff_fffb } else { 2 };
        multiply(&mut number, factor);
    }
    let mut carry = 65_537_u64;
    for limb in &mut number {
        let sum = u64::from(*limb) + carry;
        *limb = sum as u32;
        carry = sum >> 32;
    }
    let n: Vec<u8> = number.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
    let text = format!(r#"{{"kty":"RSA","n":{},"e":"AQAB"}}"#, encode(&n));
    assert_eq!(Jwk::parse(text.as_bytes()).unwrap_err().code(), "key_roca");
}

#[test]
fn points_that_are_none_and_private_parts_of_others() {
    use Algorithm as A;
    for algorithm in [A::ES256, A::ES384, A::ES512] {
        let good = jwk(algorithm);
        for name in ["x", "y"] {
            let mut value = decode(&good, name);
            *value.last_mut().unwrap() ^= 1;
            assert_eq!(changed(algorithm, name, encode(&value)), "key_not_a_point", "{algorithm} {name}");
            assert_eq!(changed(algorithm, name, encode(&value[1..])), "key_length");
            assert_eq!(changed(algorithm, name, encode(&[&[0], &value[..]].concat())), "key_length");
        }
        let length = decode(&good, "d").len();
        let mut zero = good.clone();
        zero.insert("x".to_owned(), encode(&vec![0; length]));
        zero.insert("y".to_owned(), encode(&vec![0; length]));
        assert_eq!(verdict(&zero), "key_not_a_point");
        for d in [
            vec![0; length],
            vec![0xff; length],
            decode(&serde_json::from_str(&Jwk::generate(algorithm).unwrap().to_json()).unwrap(), "d"),
        ] {
            assert_eq!(changed(algorithm, "d", encode(&d)), "key_private_part", "{algorithm}");
        }
        assert_eq!(changed(algorithm, "d", encode(&decode(&good, "d")[1..])), "key_length");
    }
    let good = jwk(A::EdDSA);
    assert_eq!(changed(A::EdDSA, "x", encode(&[0; 32])), "key_not_a_point");
    assert_eq!(changed(A::EdDSA, "x", encode(&decode(&good, "x")[1..])), "key_length");
    assert_eq!(changed(A::EdDSA, "d", encode(&[7; 32])), "key_private_part");
    assert_eq!(changed(A::EdDSA, "d", encode(&[7; 31])), "key_length");
    for algorithm in [A::ML_DSA_44, A::ML_DSA_65, A::ML_DSA_87] {
        let good = jwk(algorithm);
        assert_eq!(changed(algorithm, "priv", encode(&[7; 32])), "key_private_part");
        assert_eq!(changed(algorithm, "priv", encode(&[7; 33])), "key_length");
        assert_eq!(changed(algorithm, "pub", encode(&decode(&good, "pub")[1..])), "key_length");
        let mut public = decode(&good, "pub");
        public[40] ^= 1;
        assert_eq!(changed(algorithm, "pub", encode(&public)), "key_private_part");
    }
}

#[test]
fn sets_skip_what_cannot_be_used_and_say_so() {
    let (ec, rsa) = (jwk(Algorithm::ES256), jwk(Algorithm::RS256));
    let mut encryption = rsa.clone();
    encryption.insert("use".to_owned(), json!("enc"));
    let set = json!({"keys": [7, ec, encryption, {"kty": "future"}, rsa, {}], "more": 1}).to_string();
    let set = JwkSet::parse(set.as_bytes()).unwrap();
    assert_eq!(set.keys().len(), 2);
    let skipped: Vec<_> = set.skipped().iter().map(|skipped| (skipped.index, skipped.reason.code())).collect();
    assert_eq!(
        skipped,
        [
            (0, "json_not_an_object"),
            (2, "jwk_not_for_signatures"),
            (3, "jwk_unknown_key_type"),
            (5, "jwk_missing_member")
        ]
    );
    assert!(JwkSet::parse(br#"{"keys":[]}"#).unwrap().keys().is_empty());
    for (text, code) in [
        (r#"{}"#, "jwk_set_no_keys"),
        (r#"{"keys":{}}"#, "jwk_set_no_keys"),
        (r#"{"keys":[],"keys":[]}"#, "json_duplicate_member"),
        ("[]", "json_not_an_object"),
    ] {
        assert_eq!(JwkSet::parse(text.as_bytes()).unwrap_err().code(), code);
    }
    let twice = json!({"keys": [ec, ec]}).to_string();
    assert_eq!(JwkSet::parse(twice.as_bytes()).unwrap_err(), JwkSetError::RepeatedKeyId);
    // Also when one of the two cannot be used, unless it is for something else.
    let mut broken = ec.clone();
    broken.remove("x");
    let twice = json!({"keys": [broken, ec]}).to_string();
    assert_eq!(JwkSet::parse(twice.as_bytes()).unwrap_err(), JwkSetError::RepeatedKeyId);
    assert_eq!(JwkSet::parse(json!({"keys": [rsa, encryption]}).to_string().as_bytes()).unwrap().keys().len(), 1);
    assert!(
        JwkSet::new([
            Jwk::generate(Algorithm::ES256).unwrap().with_key_id("a"),
            Jwk::generate(Algorithm::EdDSA).unwrap().with_key_id("a")
        ])
        .is_ok()
    );
    // Another kind of key, known or not, is not in the way of the one that is meant.
    let ed = jwk(Algorithm::EdDSA);
    let x25519 = json!({"kty": "OKP", "crv": "X25519", "x": "AA", "kid": ed["kid"]});
    let unknown = json!({"kty": "new", "kid": "a"});
    let mut wrap = rsa.clone();
    wrap.insert("alg".to_owned(), json!("RSA-OAEP"));
    let mut pss = rsa.clone();
    pss.insert("alg".to_owned(), json!("PS256"));
    for (keys, usable) in
        [(json!([unknown, unknown, ec]), 1), (json!([x25519, ed]), 1), (json!([wrap, rsa]), 1), (json!([rsa, pss]), 2)]
    {
        let set = JwkSet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        assert_eq!(set.keys().len(), usable);
    }
    let many = format!("{{\"keys\":[{}]}}", vec!["0"; 1025].join(","));
    assert_eq!(JwkSet::parse(many.as_bytes()).unwrap_err(), JwkSetError::TooManyKeys);
    let key = Jwk::generate(Algorithm::ES256).unwrap();
    assert_eq!(JwkSet::new([key.clone(), key]).unwrap_err(), JwkSetError::RepeatedKeyId);
    let public: Value = serde_json::from_str(&set.to_public_json()).unwrap();
    assert_eq!(public["keys"].as_array().unwrap().len(), 2);
    assert!(public["keys"][0]["d"].is_null() && public["keys"][1]["qi"].is_null());
}

#[test]
fn pem_round_trips_and_is_what_openssl_writes() {
    for (algorithm, key) in KEYS.iter().filter(|(algorithm, _)| !algorithm.is_symmetric()) {
        let public = key.public().unwrap();
        for key in [key, &public] {
            let pem = key.to_pem().unwrap();
            let label = if key.is_private() { "PRIVATE KEY" } else { "PUBLIC KEY" };
            assert!(
                pem.starts_with(&format!("-----BEGIN {label}-----\n"))
                    && pem.ends_with(&format!("-----END {label}-----\n"))
            );
            assert!(pem.lines().all(|line| line.len() <= 64));
            let back = Jwk::from_pem(&pem).unwrap();
            assert_eq!(back.to_pem().unwrap(), pem, "{algorithm}");
            assert_eq!(back.thumbprint(), key.thumbprint());
            assert_eq!(back.is_private(), key.is_private());
            let windows = format!("some words\r\n{}", pem.replace('\n', "\r\n"));
            assert!(Jwk::from_pem(&windows).is_ok());
        }
    }
    assert_eq!(KEYS[0].1.to_pem().unwrap_err().code(), "key_no_public_part");
}

/// The bytes of a PEM block.
fn der(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let base64 = base64.trim_end_matches('=').replace('+', "-").replace('/', "_");
    jose::base64url::decode(base64.as_bytes()).unwrap()
}

fn private_pem(der: &[u8]) -> String {
    let base64 = jose::base64url::encode(der).replace('-', "+").replace('_', "/");
    let padding = "=".repeat((4 - base64.len() % 4) % 4);
    format!("-----BEGIN PRIVATE KEY-----\n{base64}{padding}\n-----END PRIVATE KEY-----\n")
}

/// An element of DER.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut bytes = vec![tag];
    match length {
        0..0x80 => bytes.push(length as u8),
        0x80..0x100 => bytes.extend([0x81, length as u8]),
        _ => bytes.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    bytes.extend_from_slice(content);
    bytes
}

/// The content of the one element that `bytes` are.
fn content(bytes: &[u8]) -> &[u8] {
    match bytes[1] {
        0x81 => &bytes[3..],
        0x82 => &bytes[4..],
        _ => &bytes[2..],
    }
}

#[test]
fn a_public_part_in_pkcs8_belongs_to_the_private_one() {
    use Algorithm as A;
    for algorithm in [A::RS256, A::ES256, A::ES512, A::EdDSA, A::ML_DSA_44] {
        let key = &KEYS.iter().find(|(own, _)| *own == algorithm).unwrap().1;
        // RFC 5958: version 1, and the public part as [1] IMPLICIT BIT STRING behind the private one.
        let mut v2 = content(&der(&key.to_pem().unwrap())).to_vec();
        assert_eq!(&v2[..3], [2, 1, 0]);
        v2[2] = 1;
        let spki = der(&key.public().unwrap().to_pem().unwrap());
        let spki = content(&spki);
        let algorithm_len = 2 + usize::from(spki[1]);
        let bits = content(&spki[algorithm_len..]).to_vec();
        let with = |bits: &[u8]| {
            let bytes = element(0x30, &[v2.clone(), element(0x81, bits)].concat());
            Jwk::from_pem(&private_pem(&bytes)).map(|key| key.thumbprint())
        };
        assert_eq!(with(&bits), Ok(key.thumbprint()), "{algorithm}");
        let mut other = bits.clone();
        *other.last_mut().unwrap() ^= 1;
        assert_eq!(with(&other).unwrap_err().code(), "key_private_part", "{algorithm}");
        assert!(with(&bits[1..]).is_err(), "{algorithm}");
    }
}

#[test]
fn ml_dsa_seeds_stand_alone_or_beside_the_expanded_key_and_nothing_else() {
    let key = &KEYS.iter().find(|(own, _)| *own == Algorithm::ML_DSA_44).unwrap().1;
    let pkcs8 = der(&key.to_pem().unwrap());
    let inside = content(&pkcs8);
    let algorithm_end = 3 + 2 + usize::from(inside[4]);
    let (head, private) = inside.split_at(algorithm_end);
    let seed = content(private).to_vec();
    let pem = |private: &[u8]| private_pem(&element(0x30, &[head, &element(4, private)].concat()));
    assert_eq!(Jwk::from_pem(&pem(&seed)).unwrap().thumbprint(), key.thumbprint());
    for wrong in [
        [&seed[..], &[5, 0]].concat(),
        element(0x30, &element(4, content(&seed))),
        element(4, &[7; 2560]),
        seed[..seed.len() - 1].to_vec(),
    ] {
        assert!(Jwk::from_pem(&pem(&wrong)).is_err());
    }
}

#[test]
fn pem_that_is_wrong() {
    let key = &KEYS.iter().find(|(algorithm, _)| *algorithm == Algorithm::ES256).unwrap().1;
    let pem = key.to_pem().unwrap().to_string();
    let lines: Vec<_> = pem.lines().collect();
    let body = lines[1..lines.len() - 1].join("\n");
    let block = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
    for (text, expect) in [
        (String::new(), PemError::NoBlock),
        ("-----BEGIN PRIVATE KEY-----".to_owned(), PemError::NoBlock),
        (pem.replace("END PRIVATE", "END PUBLIC"), PemError::NoBlock),
        (pem.repeat(2), PemError::SeveralBlocks),
        (block("RSA PRIVATE KEY", &body), PemError::Label),
        (block("ENCRYPTED PRIVATE KEY", &body), PemError::Label),
        (block("CERTIFICATE", &body), PemError::Label),
        (block("PUBLIC KEY", &body), PemError::Der),
        (block("PRIVATE KEY", ""), PemError::Der),
        (block("PRIVATE KEY", "!!!!"), PemError::Encoding),
        (block("PRIVATE KEY", &body.replace('=', "")), PemError::Encoding),
        (block("PRIVATE KEY", "AA-_"), PemError::Encoding),
        (block("PRIVATE KEY", &body[..60]), PemError::Der),
        (block("PRIVATE KEY", "MAA="), PemError::Der),
    ] {
        if text.contains(&body.replace('=', "")) && !body.contains('=') && expect == PemError::Encoding {
            continue; // this key's length needs no padding
        }
        assert_eq!(Jwk::from_pem(&text).unwrap_err(), expect, "{text}");
    }
    assert_eq!(Jwk::from_pem(&" ".repeat(2 << 20)).unwrap_err(), PemError::TooLong);
}

#[test]
fn a_key_read_back_signs_what_the_first_verifies() {
    for (algorithm, key) in KEYS.iter() {
        let back = Jwk::parse(key.to_json().as_bytes()).unwrap();
        assert_eq!(back.key_id(), Some(key.thumbprint().as_str()));
        let token = Signer::new(back.signing_key(*algorithm).unwrap(), Some("JWT")).unwrap().sign(b"{}").unwrap();
        let verifier = Verifier::from_jwk(key, &[*algorithm]).unwrap();
        assert!(UnverifiedJws::parse(token.as_bytes()).unwrap().verify(&verifier).is_ok());
    }
}
