//! Minting and verifying with jose, against the bare primitive of aws-lc-rs on the same bytes and against the crate
//! jsonwebtoken on its aws-lc-rs backend, one after the other for each algorithm. `cargo xtask bench jose` prints the
//! ratios.
//!
//! All mint the same claims: issuer, subject, audience, times, and an id of 16 random bytes that come from one batch for
//! everybody. All verify signature, issuer, audience and expiry, and hand out the subject.

use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, ParsedPublicKey, PqdsaKeyPair,
    PqdsaSigningAlgorithm, RsaEncoding, RsaKeyPair, VerificationAlgorithm,
};
use aws_lc_rs::{hmac, rand};
use criterion::{Criterion, criterion_group, criterion_main};
use jose::{Algorithm, Claims, ClaimsPolicy, Jwk, NumericDate, Signer, UnverifiedJws, Verifier};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://api.example";
const SUBJECT: &str = "5ba552d67";
const LIFE: Duration = Duration::from_secs(900);

#[derive(Serialize, Deserialize)]
struct OwnedClaims {
    iss: String,
    sub: String,
    aud: String,
    exp: i64,
    iat: i64,
    jti: String,
}

/// Random bytes a page at a time, as a service would take them.
struct Ids {
    page: [u8; 4096],
    used: usize,
}

impl Ids {
    fn new() -> Self {
        Self { page: [0; 4096], used: 4096 }
    }

    fn next(&mut self) -> [u8; 32] {
        if self.used == self.page.len() {
            rand::fill(&mut self.page).unwrap();
            self.used = 0;
        }
        let mut hex = [0; 32];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(&self.page[self.used..]) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        self.used += 16;
        hex
    }
}

fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' - 10 + value }
}

/// The primitive without anything around it.
enum Bare {
    Hmac(hmac::Key),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding, ParsedPublicKey),
    Ecdsa(EcdsaKeyPair, ParsedPublicKey),
    Ed25519(Ed25519KeyPair, ParsedPublicKey),
    MlDsa(PqdsaKeyPair, usize, ParsedPublicKey),
}

impl Bare {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Hmac(key) => hmac::sign(key, message).as_ref().to_vec(),
            Self::Rsa(pair, encoding, _) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ecdsa(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair, _) => pair.sign(message).as_ref().to_vec(),
            Self::MlDsa(pair, length, _) => {
                let mut signature = vec![0; *length];
                pair.sign(message, &mut signature).unwrap();
                signature
            }
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Rsa(_, _, key) | Self::Ecdsa(_, key) | Self::Ed25519(_, key) | Self::MlDsa(_, _, key) => {
                key.verify_sig(message, signature).is_ok()
            }
        }
    }
}

/// The bytes of a PEM text.
fn der(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let base64 = base64.trim_end_matches('=').replace('+', "-").replace('/', "_");
    jose::base64url::decode(base64.as_bytes()).unwrap()
}

fn bare(algorithm: Algorithm, key: &Jwk, secret: &[u8]) -> Bare {
    use signature as s;
    let pkcs8 = || der(&key.to_pem().unwrap());
    let rsa = |encoding: &'static dyn RsaEncoding, verifying: &'static dyn VerificationAlgorithm| {
        let pair = RsaKeyPair::from_pkcs8(&pkcs8()).unwrap();
        let public = ParsedPublicKey::new(verifying, pair.public_key().as_ref()).unwrap();
        Bare::Rsa(pair, encoding, public)
    };
    let ecdsa = |signing: &'static EcdsaSigningAlgorithm, verifying: &'static dyn VerificationAlgorithm| {
        let pair = EcdsaKeyPair::from_pkcs8(signing, &pkcs8()).unwrap();
        let public = ParsedPublicKey::new(verifying, pair.public_key().as_ref()).unwrap();
        Bare::Ecdsa(pair, public)
    };
    let ml_dsa = |signing: &'static PqdsaSigningAlgorithm, verifying: &'static dyn VerificationAlgorithm| {
        let pair = PqdsaKeyPair::from_pkcs8(signing, &pkcs8()).unwrap();
        let public = ParsedPublicKey::new(verifying, pair.public_key().as_ref()).unwrap();
        Bare::MlDsa(pair, signing.signature_len(), public)
    };
    match algorithm.name() {
        "HS256" => Bare::Hmac(hmac::Key::new(hmac::HMAC_SHA256, secret)),
        "HS384" => Bare::Hmac(hmac::Key::new(hmac::HMAC_SHA384, secret)),
        "HS512" => Bare::Hmac(hmac::Key::new(hmac::HMAC_SHA512, secret)),
        "RS256" => rsa(&s::RSA_PKCS1_SHA256, &s::RSA_PKCS1_2048_8192_SHA256),
        "RS384" => rsa(&s::RSA_PKCS1_SHA384, &s::RSA_PKCS1_2048_8192_SHA384),
        "RS512" => rsa(&s::RSA_PKCS1_SHA512, &s::RSA_PKCS1_2048_8192_SHA512),
        "PS256" => rsa(&s::RSA_PSS_SHA256, &s::RSA_PSS_2048_8192_SHA256),
        "PS384" => rsa(&s::RSA_PSS_SHA384, &s::RSA_PSS_2048_8192_SHA384),
        "PS512" => rsa(&s::RSA_PSS_SHA512, &s::RSA_PSS_2048_8192_SHA512),
        "ES256" => ecdsa(&s::ECDSA_P256_SHA256_FIXED_SIGNING, &s::ECDSA_P256_SHA256_FIXED),
        "ES384" => ecdsa(&s::ECDSA_P384_SHA384_FIXED_SIGNING, &s::ECDSA_P384_SHA384_FIXED),
        "ES512" => ecdsa(&s::ECDSA_P521_SHA512_FIXED_SIGNING, &s::ECDSA_P521_SHA512_FIXED),
        "ML-DSA-44" => ml_dsa(&s::ML_DSA_44_SIGNING, &s::ML_DSA_44),
        "ML-DSA-65" => ml_dsa(&s::ML_DSA_65_SIGNING, &s::ML_DSA_65),
        "ML-DSA-87" => ml_dsa(&s::ML_DSA_87_SIGNING, &s::ML_DSA_87),
        _ => {
            let pair = Ed25519KeyPair::from_pkcs8(&pkcs8()).unwrap();
            let public = ParsedPublicKey::new(&s::ED25519, pair.public_key().as_ref()).unwrap();
            Bare::Ed25519(pair, public)
        }
    }
}

/// What jsonwebtoken needs, where it has the algorithm.
fn peer(algorithm: Algorithm, key: &Jwk, secret: &[u8]) -> Option<(jsonwebtoken::Algorithm, EncodingKey, DecodingKey)> {
    use jsonwebtoken::Algorithm as A;
    let theirs = match algorithm.name() {
        "HS256" => A::HS256,
        "HS384" => A::HS384,
        "HS512" => A::HS512,
        "RS256" => A::RS256,
        "RS384" => A::RS384,
        "RS512" => A::RS512,
        "PS256" => A::PS256,
        "PS384" => A::PS384,
        "PS512" => A::PS512,
        "ES256" => A::ES256,
        "ES384" => A::ES384,
        "EdDSA" => A::EdDSA,
        _ => return None,
    };
    if algorithm.is_symmetric() {
        return Some((theirs, EncodingKey::from_secret(secret), DecodingKey::from_secret(secret)));
    }
    let (private, public) = (key.to_pem().unwrap(), key.public().unwrap().to_pem().unwrap());
    let (private, public) = (private.as_bytes(), public.as_bytes());
    let (encoding, decoding) = match &algorithm.name()[..2] {
        "ES" => (EncodingKey::from_ec_pem(private), DecodingKey::from_ec_pem(public)),
        "Ed" => (EncodingKey::from_ed_pem(private), DecodingKey::from_ed_pem(public)),
        _ => (EncodingKey::from_rsa_pem(private), DecodingKey::from_rsa_pem(public)),
    };
    Some((theirs, encoding.unwrap(), decoding.unwrap()))
}

fn all(criterion: &mut Criterion) {
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let secret = [7; 64];
    let now = NumericDate::from_seconds(4_000_000_000);
    let mut ids = Ids::new();
    for algorithm in Algorithm::all() {
        let key = if algorithm.is_symmetric() {
            let text = format!(r#"{{"kty":"oct","k":"{}"}}"#, jose::base64url::encode(&secret));
            Jwk::parse(text.as_bytes()).unwrap()
        } else {
            Jwk::generate(algorithm).unwrap()
        };
        let bare = bare(algorithm, &key, &secret);
        let signer = Signer::new(key.signing_key(algorithm).unwrap(), Some("JWT")).unwrap();
        let verifier = Verifier::from_jwk(&key, &[algorithm]).unwrap();
        let policy = ClaimsPolicy::new().issuer(ISSUER).audience(AUDIENCE).require("exp");
        let peer = peer(algorithm, &key, &secret);
        let mut mint = |out: &mut Vec<u8>, payload: &mut Vec<u8>| {
            let id = ids.next();
            payload.clear();
            Claims::new()
                .issuer(ISSUER)
                .subject(SUBJECT)
                .audience(AUDIENCE)
                .issued_at(now)
                .expires_at(now + LIFE)
                .token_id(std::str::from_utf8(&id).unwrap())
                .write_into(payload);
            out.clear();
            signer.sign_into(payload, out).unwrap();
        };

        let (mut token, mut payload) = (Vec::new(), Vec::new());
        mint(&mut token, &mut payload);
        let text = String::from_utf8(token.clone()).unwrap();
        let (message, signature) = text.rsplit_once('.').unwrap();
        let signature = jose::base64url::decode(signature.as_bytes()).unwrap();
        assert!(bare.verify(message.as_bytes(), &signature));

        let mut group = criterion.benchmark_group(format!("{algorithm} mint"));
        group.bench_function("bare", |bencher| bencher.iter(|| bare.sign(black_box(message.as_bytes()))));
        group.bench_function("jose", |bencher| {
            bencher.iter(|| {
                mint(&mut token, &mut payload);
                black_box(&token).len()
            });
        });
        if let Some((theirs, encoding, _)) = &peer {
            let header = Header::new(*theirs);
            let mut ids = Ids::new();
            group.bench_function("jsonwebtoken", |bencher| {
                bencher.iter(|| {
                    let claims = OwnedClaims {
                        iss: ISSUER.to_owned(),
                        sub: SUBJECT.to_owned(),
                        aud: AUDIENCE.to_owned(),
                        exp: now.seconds() + 900,
                        iat: now.seconds(),
                        jti: String::from_utf8(ids.next().to_vec()).unwrap(),
                    };
                    jsonwebtoken::encode(&header, &claims, encoding).unwrap()
                });
            });
        }
        group.finish();

        let mut group = criterion.benchmark_group(format!("{algorithm} verify"));
        group.bench_function("bare", |bencher| {
            bencher.iter(|| bare.verify(black_box(message.as_bytes()), black_box(&signature)));
        });
        group.bench_function("jose", |bencher| {
            bencher.iter(|| {
                let verified = UnverifiedJws::parse(black_box(text.as_bytes())).unwrap().verify(&verifier).unwrap();
                let claims = policy.validate(&verified, now).unwrap();
                claims.subject().unwrap().len()
            });
        });
        if let Some((theirs, _, decoding)) = &peer {
            let mut validation = Validation::new(*theirs);
            validation.set_issuer(&[ISSUER]);
            validation.set_audience(&[AUDIENCE]);
            group.bench_function("jsonwebtoken", |bencher| {
                bencher.iter(|| {
                    let decoded = jsonwebtoken::decode::<OwnedClaims>(black_box(text.as_str()), decoding, &validation);
                    decoded.unwrap().claims.sub.len()
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(25)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .without_plots();
    targets = all
}
criterion_main!(benches);
