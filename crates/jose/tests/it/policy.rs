//! Claims: what is accepted, when, and what the report says about it.

use std::time::Duration;

use jose::{
    Algorithm, Claims, ClaimsPolicy, NumericDate, Outcome, Signer, SigningKey, UnverifiedJws, VerifiedJws, Verifier,
};

const NOW: NumericDate = NumericDate::from_seconds(1_700_000_000);

fn verified(typ: Option<&str>, payload: &[u8]) -> VerifiedJws {
    let key = SigningKey::hmac(Algorithm::HS256, &[7; 32]).unwrap();
    let verifier = Verifier::new(&[Algorithm::HS256], [key.verifying_key()]).unwrap();
    let token = Signer::new(key, typ).unwrap().sign(payload).unwrap();
    UnverifiedJws::parse(token.as_bytes()).unwrap().verify(&verifier).unwrap()
}

/// The code of the first failure, or `accepted`; the report must agree.
#[track_caller]
fn verdict(policy: &ClaimsPolicy, typ: Option<&str>, payload: &str) -> &'static str {
    let jws = verified(typ, payload.as_bytes());
    let verdict = policy.validate(&jws, NOW).map_or_else(|error| error.code(), |_| "accepted");
    let report = policy.report(&jws, NOW);
    assert_eq!(report.is_accepted(), verdict == "accepted", "{payload}: {report}");
    let first = report.failures().next().map_or("accepted", |check| check.error.as_ref().unwrap().code());
    assert_eq!(first, verdict, "{payload}: {report}");
    verdict
}

#[test]
fn times() {
    let strict = ClaimsPolicy::new();
    let lenient = ClaimsPolicy::new().leeway(Duration::from_secs(60));
    for (payload, expect, with_leeway) in [
        ("{}", "accepted", "accepted"),
        (r#"{"exp":1700000001}"#, "accepted", "accepted"),
        (r#"{"exp":1700000000.5}"#, "accepted", "accepted"),
        (r#"{"exp":1700000000}"#, "expired", "accepted"),
        (r#"{"exp":1699999940.5}"#, "expired", "accepted"),
        (r#"{"exp":1699999940}"#, "expired", "expired"),
        (r#"{"exp":0}"#, "expired", "expired"),
        (r#"{"exp":-1}"#, "expired", "expired"),
        (r#"{"exp":-99999999999999999999999}"#, "expired", "expired"),
        (r#"{"exp":99999999999999999999999}"#, "accepted", "accepted"),
        (r#"{"exp":9223372036854775808}"#, "accepted", "accepted"),
        (r#"{"nbf":1700000000}"#, "accepted", "accepted"),
        (r#"{"nbf":1700000000.000000001}"#, "not_yet_valid", "accepted"),
        (r#"{"nbf":1700000060}"#, "not_yet_valid", "accepted"),
        (r#"{"nbf":1700000061}"#, "not_yet_valid", "not_yet_valid"),
        (r#"{"nbf":99999999999999999999999}"#, "not_yet_valid", "not_yet_valid"),
        (r#"{"iat":1700000000}"#, "accepted", "accepted"),
        (r#"{"iat":1700000001}"#, "issued_in_the_future", "accepted"),
        (r#"{"iat":1700000061}"#, "issued_in_the_future", "issued_in_the_future"),
        (r#"{"iat":0}"#, "accepted", "accepted"),
    ] {
        assert_eq!(verdict(&strict, None, payload), expect, "{payload}");
        assert_eq!(verdict(&lenient, None, payload), with_leeway, "{payload} with leeway");
    }
    for name in ["exp", "nbf", "iat"] {
        for value in ["\"1700000001\"", "null", "true", "[1700000001]", "{}", "17e8", "1.7E9", "1700000001e0"] {
            assert_eq!(verdict(&strict, None, &format!(r#"{{"{name}":{value}}}"#)), "claim_type", "{name} {value}");
        }
        for value in ["01700000001", "+1700000001", "1700000001.", ".5", "0x65", "NaN", "Infinity", "1_700_000_001"] {
            assert_eq!(verdict(&strict, None, &format!(r#"{{"{name}":{value}}}"#)), "claims_json", "{name} {value}");
        }
    }
}

#[test]
fn names() {
    let policy = ClaimsPolicy::new().issuer("a").issuer("b").audience("x").audience("y").subject("s");
    for (payload, expect) in [
        (r#"{"iss":"a","aud":"x","sub":"s"}"#, "accepted"),
        (r#"{"iss":"b","aud":["z","y"],"sub":"s"}"#, "accepted"),
        (r#"{"iss":"\u0061","aud":["\u0078"],"sub":"s"}"#, "accepted"),
        (r#"{"aud":"x","sub":"s"}"#, "wrong_issuer"),
        (r#"{"iss":"A","aud":"x","sub":"s"}"#, "wrong_issuer"),
        (r#"{"iss":"a ","aud":"x","sub":"s"}"#, "wrong_issuer"),
        (r#"{"iss":["a"],"aud":"x","sub":"s"}"#, "claim_type"),
        (r#"{"iss":"a","sub":"s"}"#, "wrong_audience"),
        (r#"{"iss":"a","aud":[],"sub":"s"}"#, "wrong_audience"),
        (r#"{"iss":"a","aud":"X","sub":"s"}"#, "wrong_audience"),
        (r#"{"iss":"a","aud":"x y","sub":"s"}"#, "wrong_audience"),
        (r#"{"iss":"a","aud":["x",7],"sub":"s"}"#, "claim_type"),
        (r#"{"iss":"a","aud":{"x":1},"sub":"s"}"#, "claim_type"),
        (r#"{"iss":"a","aud":null,"sub":"s"}"#, "claim_type"),
        (r#"{"iss":"a","aud":"x"}"#, "wrong_subject"),
        (r#"{"iss":"a","aud":"x","sub":"S"}"#, "wrong_subject"),
        (r#"{"iss":"a","aud":"x","sub":7}"#, "claim_type"),
        (r#"{"iss":"a","aud":"x","sub":"s","jti":7}"#, "claim_type"),
        (r#"{"iss":"a","iss":"a","aud":"x","sub":"s"}"#, "claims_json"),
        (r#"{"iss":"evil","\u0069ss":"a","aud":"x","sub":"s"}"#, "claims_json"),
        (r#"{"iss":"a","aud":"x","sub":"s","cnf":{"jkt":"1","jkt":"2"}}"#, "claims_json"),
        (r#"{"iss":"a","aud":"x","sub":"s","l":[{"b":1,"\u0062":2}]}"#, "claims_json"),
        (r#"{"iss":"a","aud":"x","sub":"s","l":[{"b":1},{"b":2,"a":{"b":3}}]}"#, "accepted"),
    ] {
        assert_eq!(verdict(&policy, None, payload), expect, "{payload}");
    }
    // What is not asked for is still held to its type.
    assert_eq!(verdict(&ClaimsPolicy::new(), None, r#"{"iss":7}"#), "claim_type");
    for payload in ["", "[]", "7", "\"{}\"", "{}{}", "not json", "{\"a\":\"\u{0}\"}"] {
        assert_eq!(verdict(&ClaimsPolicy::new(), None, payload), "claims_json", "{payload}");
    }
}

#[test]
fn types_are_media_types() {
    let policy = ClaimsPolicy::new().typ("at+jwt");
    for (typ, expect) in [
        (Some("at+jwt"), "accepted"),
        (Some("AT+JWT"), "accepted"),
        (Some("application/at+jwt"), "accepted"),
        (Some("JWT"), "wrong_typ"),
        (Some("text/at+jwt"), "wrong_typ"),
        (Some("at+jwt "), "wrong_typ"),
        (None, "wrong_typ"),
    ] {
        assert_eq!(verdict(&policy, typ, "{}"), expect, "{typ:?}");
    }
}

#[test]
fn required_claims_and_age() {
    let policy = ClaimsPolicy::new().require("exp").require("client_id").require("exp");
    assert_eq!(verdict(&policy, None, r#"{"exp":1800000000,"client_id":null}"#), "accepted");
    assert_eq!(verdict(&policy, None, r#"{"client_id":"c"}"#), "claim_missing");
    assert_eq!(verdict(&policy, None, r#"{"exp":1800000000,"client_i":"c"}"#), "claim_missing");

    // However many there are.
    let many = (0..100).fold(ClaimsPolicy::new(), |policy, number| policy.require(&format!("c{number}")));
    let claims = |count: usize| {
        let members: Vec<_> = (0..count).map(|number| format!("\"c{number}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert_eq!(verdict(&many, None, &claims(99)), "claim_missing");
    assert_eq!(verdict(&many, None, &claims(100)), "accepted");

    let policy = ClaimsPolicy::new().max_age(Duration::from_secs(600));
    assert_eq!(verdict(&policy, None, "{}"), "claim_missing");
    assert_eq!(verdict(&policy, None, r#"{"iat":1699999400}"#), "accepted");
    assert_eq!(verdict(&policy, None, r#"{"iat":1699999399.9}"#), "too_old");
    assert_eq!(verdict(&policy.leeway(Duration::from_secs(1)), None, r#"{"iat":1699999399.9}"#), "accepted");
}

#[test]
fn access_tokens_of_rfc_9068() {
    let policy = ClaimsPolicy::access_token("https://issuer", "api");
    let good = r#"{"iss":"https://issuer","aud":"api","sub":"5","client_id":"c","iat":1,"exp":1800000000,"jti":"j"}"#;
    assert_eq!(verdict(&policy, Some("at+jwt"), good), "accepted");
    assert_eq!(verdict(&policy, Some("JWT"), good), "wrong_typ");
    for name in ["iss", "aud", "sub", "client_id", "iat", "exp", "jti"] {
        assert_ne!(
            verdict(&policy, Some("at+jwt"), &good.replace(&format!("\"{name}\""), "\"x\"")),
            "accepted",
            "{name}"
        );
    }
}

#[test]
fn the_report_says_what_how_and_how_far() {
    let jws = verified(Some("JWT"), br#"{"iss":"me","aud":["a","b"],"exp":1699988480,"iat":1699988400}"#);
    let policy = ClaimsPolicy::new().issuer("you").audience("a").typ("at+jwt").max_age(Duration::from_secs(60));
    let report = policy.report(&jws, NOW);
    let rows: Vec<_> = report.checks().iter().map(|check| (check.name.as_str(), check.outcome)).collect();
    assert_eq!(
        rows,
        [
            ("typ", Outcome::Failed),
            ("iss", Outcome::Failed),
            ("aud", Outcome::Passed),
            ("sub", Outcome::NotChecked),
            ("exp", Outcome::Failed),
            ("nbf", Outcome::NotChecked),
            ("iat", Outcome::Passed),
            ("age", Outcome::Failed),
        ]
    );
    let expired = report.checks().iter().find(|check| check.name == "exp").unwrap();
    assert_eq!(expired.off_by(), Some(Duration::from_secs(11_520)));
    assert_eq!(expired.error.as_ref().unwrap().to_string(), "expired 3h12m ago");
    assert_eq!(
        (expired.expected.as_str(), expired.found.as_str()),
        ("after 2023-11-14T22:13:20Z", "2023-11-14T19:01:20Z")
    );
    assert_eq!(
        report.to_string(),
        "typ: the token is of another type (expected \"at+jwt\", found \"JWT\")\n\
         iss: the token has another issuer (expected \"you\", found \"me\")\n\
         aud: ok, \"a\" or \"b\"\n\
         sub: not checked, found nothing\n\
         exp: expired 3h12m ago (expected after 2023-11-14T22:13:20Z, found 2023-11-14T19:01:20Z)\n\
         nbf: not checked, found nothing\n\
         iat: ok, 2023-11-14T19:00:00Z\n\
         age: too old by 3h12m (expected iat not before 2023-11-14T22:12:20Z, found 2023-11-14T19:00:00Z)\n"
    );
}

#[test]
fn what_is_written_is_read() {
    let claims = Claims::new().issuer("i\"").subject("s").audience("a").audience("b").token_id("j");
    let claims = claims.issued_at(NOW).not_before(NOW).expires_at(NOW + Duration::from_secs(1));
    let claims = claims.claim("n", " 12345678901234567890.10 ").unwrap().claim("iss", "\"other\"").unwrap();
    let jws = verified(None, &claims.to_json());
    let read = ClaimsPolicy::new().validate(&jws, NOW).unwrap();
    assert_eq!(read.issuer(), Some("i\""));
    assert_eq!(read.subject(), Some("s"));
    assert_eq!(read.audience().unwrap().iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(read.token_id(), Some("j"));
    assert_eq!((read.issued_at(), read.not_before()), (Some(NOW), Some(NOW)));
    assert_eq!(read.expires_at(), Some(NOW + Duration::from_secs(1)));
    assert!(matches!(read.find("n"), Some(jose::json::Value::Number("12345678901234567890.10"))));
    assert_eq!(read.as_json(), claims.to_json());
    assert_eq!(Claims::new().to_json(), b"{}");
    let twice = Claims::new().claim("a", "1").unwrap().claim("b", "2").unwrap().claim("a", "3").unwrap();
    assert_eq!(twice.to_json(), br#"{"b":2,"a":3}"#);
    assert!(Claims::new().claim("x", "{").is_err());
}
