//! What one core does without HTTP, as JSON: the bare primitives, and the library with tokens of the size that
//! `/generateToken` makes. `cargo xtask bench http` runs it in turn with the servers.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
};
use jose::{Algorithm, Claims, ClaimsPolicy, Jwk, NumericDate, Signer, UnverifiedJws, Verifier};

/// How long each is measured.
const TIME: Duration = Duration::from_millis(500);
/// A token of the simple contract for `this is test`.
const TOKEN_LENGTH: usize = 275;

fn main() {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref()).expect("its public part");
    let message = [b'm'; 420];
    let signature = pair.sign(&random, &message).expect("a signature");
    let sign = rate(|| pair.sign(&random, black_box(&message)).expect("a signature").as_ref().len());
    let check = rate(|| usize::from(public.verify_sig(black_box(&message), signature.as_ref()).is_ok()));

    let secret = [7; 64];
    let key = format!(r#"{{"kty":"oct","k":"{}"}}"#, jose::base64url::encode(&secret));
    let key = Jwk::parse(key.as_bytes()).expect("a key");
    let algorithm = Algorithm::all().find(|algorithm| algorithm.name() == "HS512").expect("HS512");
    let signer = Signer::new(key.signing_key(algorithm).expect("a key for HS512"), Some("JWT")).expect("a signer");
    let verifier = Verifier::from_jwk(&key, &[algorithm]).expect("a verifier");
    let policy = ClaimsPolicy::new();
    let now = NumericDate::from_seconds(1_800_000_000);
    let (mut payload, mut token) = (Vec::new(), Vec::new());
    let (mut id, mut place) = ([b'0'; 32], 0);
    let mut mint = || {
        place = (place + 1) % id.len();
        id[place] = if id[place] == b'9' { b'0' } else { id[place] + 1 };
        let id = std::str::from_utf8(&id).expect("digits");
        payload.clear();
        let text = r#"{"data":"this is test","date":"2027-01-15"}"#;
        let claims = Claims::new().issued_at(now).token_id(id).claim("payload", text);
        claims.expect("claims").write_into(&mut payload);
        token.clear();
        signer.sign_into(&payload, &mut token).expect("a token");
        black_box(&token).len()
    };
    let length = mint();
    assert_eq!(length, TOKEN_LENGTH);
    let minted = rate(mint);
    let text = String::from_utf8(token).expect("text");
    let verified = rate(|| {
        let jws =
            UnverifiedJws::parse(black_box(text.as_bytes())).expect("a token").verify(&verifier).expect("verified");
        policy.validate(&jws, now).expect("accepted").token_id().map_or(0, str::len)
    });
    let es256 = Algorithm::all().find(|algorithm| algorithm.name() == "ES256").expect("ES256");
    let key = Jwk::generate(es256).expect("a key").with_key_id("a key".to_owned());
    let access = Signer::new(key.signing_key(es256).expect("a key for ES256"), Some("at+jwt")).expect("a signer");
    let access = rate(|| {
        let claims = Claims::new().issuer("https://issuer.example").subject("user-42").audience("https://api.example");
        let claims = claims.issued_at(now).expires_at(now).token_id("0123456789abcdef0123456789abcdef");
        let claims = claims.claim("client_id", "\"bench\"").expect("claims");
        access.sign(&claims.to_json()).expect("a token").len()
    });
    let bare = hmac::Key::new(hmac::HMAC_SHA512, &secret);
    let (message, _) = text.rsplit_once('.').expect("a token");
    let hmac = rate(|| hmac::sign(&bare, black_box(message.as_bytes())).as_ref().len());

    let rates = serde_json::json!({
        "bare ES256 signature": sign,
        "bare ES256 verification": check,
        "bare HMAC-SHA512": hmac,
        "jose ES256 mint": access,
        "jose HS512 mint": minted,
        "jose HS512 verify": verified,
    });
    println!("{rates}");
}

/// Calls a second: of the clock, and of this thread's processor time.
fn rate(mut call: impl FnMut() -> usize) -> serde_json::Value {
    let (started, cpu) = (Instant::now(), cpu());
    let mut calls: u64 = 0;
    while started.elapsed() < TIME {
        for _ in 0..100 {
            black_box(call());
        }
        calls += 100;
    }
    let (elapsed, cpu) = (started.elapsed(), self::cpu().saturating_sub(cpu));
    serde_json::json!({
        "per_second": calls as f64 / elapsed.as_secs_f64(),
        "per_cpu_second": calls as f64 / cpu.as_secs_f64(),
    })
}

/// This thread's processor time.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux with scheduler statistics");
    let nanos = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.expect("nanoseconds"))
}
