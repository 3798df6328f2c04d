//! What is held to be true of any bytes. The fuzz targets call these with what they come up with, the ordinary tests
//! with the seeds.

use std::sync::LazyLock;

use jose::dangerous::inspect_unverified;
use jose::{Algorithm, ClaimsPolicy, Jwk, JwkSet, NumericDate, Signer, SigningKey, UnverifiedJws, Verifier};

static SECRET: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::hmac(Algorithm::HS256, &[7; 32]).unwrap());

static HMAC: LazyLock<Verifier> =
    LazyLock::new(|| Verifier::new(&[Algorithm::HS256], [SECRET.verifying_key()]).unwrap());

/// The public keys of RFC 7515 appendix A.3 and RFC 8037 appendix A.2.
static PUBLIC: LazyLock<Verifier> = LazyLock::new(|| {
    let set = br#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
        {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    Verifier::from_jwk_set(&JwkSet::parse(set).unwrap(), &[Algorithm::ES256, Algorithm::EdDSA]).unwrap()
});

/// One key for each algorithm that is quick.
static KEYS: LazyLock<Vec<(Algorithm, Jwk)>> = LazyLock::new(|| {
    let quick = |algorithm: &Algorithm| !matches!(&algorithm.name()[..2], "RS" | "PS");
    Algorithm::all().filter(quick).map(|algorithm| (algorithm, Jwk::generate(algorithm).unwrap())).collect()
});

/// A token: what parses can be taken apart, and what verifies under a shared secret is what that secret would sign.
pub fn jws(data: &[u8]) {
    let inspected = inspect_unverified(data);
    let Ok(token) = UnverifiedJws::parse(data) else { return };
    let inspected = inspected.expect("what parses has three parts");
    let parts: Vec<_> = data.split(|byte| *byte == b'.').collect();
    for (bytes, part) in [&inspected.header, &inspected.payload, &inspected.signature].into_iter().zip(&parts) {
        assert_eq!(jose::base64url::encode(bytes).as_bytes(), *part, "one spelling for each part");
    }
    if let Ok(verified) = token.verify(&HMAC) {
        assert_eq!(verified.header().algorithm(), Some(Algorithm::HS256));
        let message = [parts[0], parts[1]].join(&b'.');
        assert_eq!(jose::dangerous::sign_anything(&SECRET, &message).unwrap(), inspected.signature);
    }
    let _ = UnverifiedJws::parse(data).map(|token| token.verify(&PUBLIC));
}

/// A key or a set of keys: what is taken comes back the same, and its public part says nothing private.
pub fn jwk(data: &[u8]) {
    if let Ok(key) = Jwk::parse(data) {
        same_key_after_a_round_trip(&key);
    }
    if let Ok(set) = JwkSet::parse(data) {
        let public = JwkSet::parse(set.to_public_json().as_bytes()).expect("what was written can be read");
        assert!(public.skipped().is_empty());
        assert!(public.keys().iter().all(|key| !key.is_private()));
        set.keys().iter().for_each(same_key_after_a_round_trip);
    }
}

/// A key in PEM.
pub fn pem(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(key) = Jwk::from_pem(text)
    {
        same_key_after_a_round_trip(&key);
    }
}

fn same_key_after_a_round_trip(key: &Jwk) {
    let back = Jwk::parse(key.to_json().as_bytes()).expect("what was written can be read");
    assert_eq!(back.to_json(), key.to_json());
    assert_eq!(back.thumbprint(), key.thumbprint());
    if let Ok(public) = key.public() {
        assert!(!public.is_private());
        assert_eq!(public.thumbprint(), key.thumbprint());
    }
    if let Ok(text) = key.to_pem() {
        let back = Jwk::from_pem(&text).expect("what was written can be read");
        assert_eq!(back.to_pem().unwrap(), text);
        assert_eq!((back.thumbprint(), back.is_private()), (key.thumbprint(), key.is_private()));
    }
    for algorithm in key.algorithms() {
        let _ = key.verifying_key(algorithm);
    }
}

/// A payload: the plain answer and the report agree, whatever it is.
pub fn claims(data: &[u8]) {
    let token = Signer::new(SECRET.clone(), Some("JWT")).unwrap().sign(data);
    let Ok(token) = token else { return };
    let verified = UnverifiedJws::parse(token.as_bytes()).unwrap().verify(&HMAC).unwrap();
    let now = NumericDate::from_seconds(1_700_000_000);
    let policies = [
        ClaimsPolicy::new(),
        ClaimsPolicy::new().issuer("me").audience("you").subject("42").typ("JWT").require("exp"),
        ClaimsPolicy::access_token("me", "you").max_age(std::time::Duration::from_secs(60)),
    ];
    for policy in policies {
        let report = policy.report(&verified, now);
        let answer = policy.validate(&verified, now);
        assert_eq!(answer.is_ok(), report.is_accepted());
        assert!(!report.to_string().is_empty());
        if let Ok(claims) = answer {
            assert_eq!(claims.as_json(), data);
        }
    }
}

/// An algorithm and a payload: what is signed verifies, and not with a bit changed.
pub fn round_trip(data: &[u8]) {
    let Some((first, payload)) = data.split_first() else { return };
    let (algorithm, key) = &KEYS[usize::from(*first) % KEYS.len()];
    let Ok(token) = Signer::new(key.signing_key(*algorithm).unwrap(), None).unwrap().sign(payload) else { return };
    let verifier = Verifier::from_jwk(key, &[*algorithm]).unwrap();
    let verified = UnverifiedJws::parse(token.as_bytes()).unwrap().verify(&verifier).unwrap();
    assert_eq!(verified.payload(), payload);
    let mut changed = token.into_bytes();
    let place = payload.len() * 7919 % changed.len();
    changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
    let verdict = UnverifiedJws::parse(&changed).map(|token| token.verify(&verifier).is_ok());
    assert_ne!(verdict, Ok(true));
}
