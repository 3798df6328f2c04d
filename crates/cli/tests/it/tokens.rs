//! `jotd sign`, `verify`, `inspect` and `jwk`, as a person or a script would call them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{jotd, new_home};

/// Runs a command with this standard input.
#[track_caller]
fn pipe(home: &Path, arguments: &[&str], input: impl AsRef<[u8]>) -> Output {
    let mut child =
        jotd(home).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that has heard enough may leave before everything is written.
    let _ = child.stdin.take().unwrap().write_all(input.as_ref());
    child.wait_with_output().unwrap()
}

/// Standard output of a command that must succeed.
#[track_caller]
fn text(home: &Path, arguments: &[&str], input: impl AsRef<[u8]>) -> String {
    let output = pipe(home, arguments, input);
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn answer(home: &Path, arguments: &[&str], input: impl AsRef<[u8]>, code: i32) -> Value {
    let output = pipe(home, arguments, input);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The complaint of a command that cannot do what it is told.
#[track_caller]
fn complaint(home: &Path, arguments: &[&str], input: impl AsRef<[u8]>) -> String {
    let output = pipe(home, arguments, input);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

/// A folder with a key for each of these algorithms: `ES256.jwk`, `ES256.public.jwk` and so on.
fn home_with_keys(algorithms: &[&str]) -> TempDir {
    let home = new_home();
    for algorithm in algorithms {
        let key = text(home.path(), &["jwk", "new", "--alg", algorithm], "");
        fs::write(home.path().join(format!("{algorithm}.jwk")), &key).unwrap();
        if !algorithm.starts_with("HS") {
            let public = text(home.path(), &["jwk", "public"], &key);
            assert!(!public.contains("\"d\"") && !public.contains("\"priv\""));
            fs::write(home.path().join(format!("{algorithm}.public.jwk")), public).unwrap();
        }
    }
    home
}

#[test]
fn every_algorithm_signs_here_and_verifies_there() {
    let algorithms = [
        "HS256",
        "HS384",
        "HS512",
        "RS256",
        "RS384",
        "RS512",
        "PS256",
        "PS384",
        "PS512",
        "ES256",
        "ES384",
        "ES512",
        "EdDSA",
        "Ed25519",
        "ML-DSA-44",
        "ML-DSA-65",
        "ML-DSA-87",
    ];
    let home = home_with_keys(&algorithms);
    for algorithm in algorithms {
        let (private, public) = (format!("{algorithm}.jwk"), format!("{algorithm}.public.jwk"));
        let public = if algorithm.starts_with("HS") { &private } else { &public };
        let token = text(home.path(), &["sign", "--jwk", &private], "any\0bytes\n");
        assert_eq!(token.matches('.').count(), 2);
        assert!(token.ends_with('\n') && token.trim_end().len() + 1 == token.len());
        let verdict = answer(home.path(), &["verify", "--jwk", public, "--no-claims"], &token, 0);
        let kid: Value = serde_json::from_str(&fs::read_to_string(home.path().join(public)).unwrap()).unwrap();
        assert_eq!(
            verdict,
            json!({"accepted": true, "algorithm": algorithm, "key_id": kid["kid"], "payload": "any\0bytes\n"})
        );
        let thumbprint = answer(home.path(), &["jwk", "thumbprint", public], "", 0);
        assert_eq!(thumbprint["thumbprint"], kid["kid"]);
        assert_eq!(text(home.path(), &["jwk", "thumbprint", "--format", "text", public], "").trim_end(), kid["kid"]);
        if algorithm.starts_with("HS") {
            assert!(complaint(home.path(), &["jwk", "to-pem", &private], "").contains("no public part"));
            continue;
        }
        // Through PEM and back.
        for file in [&private, public] {
            let pem = text(home.path(), &["jwk", "to-pem", file], "");
            let back = text(home.path(), &["jwk", "from-pem", "--alg", algorithm], &pem);
            assert_eq!(back, fs::read_to_string(home.path().join(file)).unwrap());
            fs::write(home.path().join("key.pem"), pem).unwrap();
            let verify = ["verify", "--jwk", "key.pem", "--no-claims", "--alg", algorithm];
            assert_eq!(answer(home.path(), &verify, &token, 0)["accepted"], true);
        }
        let public_pem = text(home.path(), &["jwk", "to-pem", "--public", &private], "");
        assert!(public_pem.starts_with("-----BEGIN PUBLIC KEY-----"));
    }
}

#[test]
fn claims_from_flags_arguments_and_standard_input() {
    let home = home_with_keys(&["ES256"]);
    let claims = |arguments: &[&str], input: &str| {
        let arguments = [&["sign", "--jwk", "ES256.jwk"], arguments].concat();
        let token = text(home.path(), &arguments, input);
        let header = jose::base64url::decode(token.split('.').next().unwrap().as_bytes()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        let mut verdict = answer(home.path(), &["verify", "--jwk", "ES256.public.jwk"], &token, 0);
        (header, verdict["claims"].take())
    };
    let (header, all) = claims(
        &[
            "--iss",
            "me",
            "--sub",
            "42",
            "--aud",
            "a",
            "--aud",
            "b",
            "--ttl",
            "15m",
            "--claims",
            r#"{"n":1.50,"iss":"x"}"#,
        ],
        "",
    );
    assert_eq!(header["typ"], "JWT");
    assert_eq!(header["alg"], "ES256");
    let (issued, expires) = (all["iat"].as_i64().unwrap(), all["exp"].as_i64().unwrap());
    assert_eq!(expires - issued, 900);
    assert_eq!(
        all.to_string(),
        format!(r#"{{"iss":"me","sub":"42","aud":["a","b"],"exp":{expires},"iat":{issued},"n":1.50}}"#)
    );
    let (_, from_stdin) = claims(&["--claims", "--ttl", "1h"], r#"{"iat":7,"big":12345678901234567890123}"#);
    assert_eq!((&from_stdin["iat"], from_stdin["big"].to_string().as_str()), (&json!(7), "12345678901234567890123"));
    let (header, one) = claims(&["--aud", "a", "--header", r#"{"typ":"at+jwt","x":[1]}"#], "");
    assert_eq!((&header["typ"], &header["x"], &one["aud"]), (&json!("at+jwt"), &json!([1]), &json!("a")));
}

#[test]
fn verify_judges_claims_and_says_what_is_wrong() {
    let home = home_with_keys(&["EdDSA"]);
    let sign = |claims: &str| text(home.path(), &["sign", "--jwk", "EdDSA.jwk", "--claims", claims], "");
    let verify = |arguments: &[&str], token: &str, code| {
        answer(home.path(), &[&["verify", "--jwk", "EdDSA.public.jwk"], arguments].concat(), token, code)
    };
    let token = sign(r#"{"iss":"me","aud":["a","b"],"sub":"s"}"#);
    let accepted = verify(
        &["--iss", "you", "--iss", "me", "--aud", "b", "--sub", "s", "--typ", "jwt", "--require", "iat"],
        &token,
        0,
    );
    assert_eq!(accepted["accepted"], true);
    assert!(accepted["checks"].as_array().unwrap().iter().all(|check| check["outcome"] != "failed"));
    for (arguments, code) in [
        (&["--iss", "you"][..], "wrong_issuer"),
        (&["--aud", "c"], "wrong_audience"),
        (&["--sub", "t"], "wrong_subject"),
        (&["--typ", "at+jwt"], "wrong_typ"),
        (&["--require", "exp"], "claim_missing"),
    ] {
        let verdict = verify(arguments, &token, 1);
        assert_eq!((&verdict["accepted"], &verdict["code"]), (&json!(false), &json!(code)));
    }
    let expired = sign(r#"{"iat":1000000000,"exp":1000003600}"#);
    let verdict = verify(&["--leeway", "5m"], &expired, 1);
    assert_eq!(verdict["code"], "expired");
    assert!(verdict["reason"].as_str().unwrap().starts_with("expired "), "{verdict}");
    let check = verdict["checks"].as_array().unwrap().iter().find(|check| check["name"] == "exp").unwrap();
    assert_eq!(check["found"], "2001-09-09T02:46:40Z");
    assert!(check["off_by_seconds"].as_f64().unwrap() > 1e8);
    // Times have fractions, here as there: what was issued this very moment is not of the future.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert_eq!(verify(&["--leeway", "0"], &sign(&format!(r#"{{"iat":{now:.6}}}"#)), 0)["accepted"], true);
    assert_eq!(verify(&["--max-age", "1h"], &sign(r#"{"iat":1000000000}"#), 1)["code"], "too_old");
    assert_eq!(verify(&[], &sign(r#"{"nbf":99999999999}"#), 1)["code"], "not_yet_valid");
    let mistyped = text(home.path(), &["sign", "--jwk", "EdDSA.jwk"], r#"{"exp":"99999999999"}"#);
    assert_eq!(verify(&[], &mistyped, 1)["code"], "claim_type");
    // The signature alone.
    assert_eq!(verify(&["--no-claims"], &expired, 0)["payload"], r#"{"iat":1000000000,"exp":1000003600}"#);
    let not_claims = text(home.path(), &["sign", "--jwk", "EdDSA.jwk"], "hello");
    assert_eq!(verify(&[], &not_claims, 1)["code"], "claims_json");
    assert_eq!(verify(&["--no-claims"], &not_claims, 0)["accepted"], true);
    let binary = text(home.path(), &["sign", "--jwk", "EdDSA.jwk"], [0xff, 0xfe]);
    assert_eq!(verify(&["--no-claims"], &binary, 0)["payload_base64url"], "__4");
}

#[test]
fn tokens_that_are_rejected() {
    let home = home_with_keys(&["ES256", "HS256", "RS256"]);
    let token = text(home.path(), &["sign", "--jwk", "ES256.jwk", "--sub", "42"], "");
    let token = token.trim_end();
    let verify = |key: &str, token: &str| answer(home.path(), &["verify", "--jwk", key], token, 1)["code"].clone();
    assert_eq!(answer(home.path(), &["verify", "--jwk", "ES256.jwk"], format!("{token}\r\n"), 0)["accepted"], true);
    for (changed, code) in [
        (String::new(), "token_part_count"),
        ("\n".to_owned(), "token_part_count"),
        (format!(" {token}"), "header_encoding"),
        (format!("{token} "), "signature_encoding"),
        (format!("{token}\n\n"), "signature_encoding"),
        (format!("{token}."), "token_part_count"),
        (format!("{token}="), "signature_encoding"),
        (token.replacen("ey", "e0", 1), "header_json"),
        (token[..token.len() - 2].to_owned(), "bad_signature"),
        ("a".repeat(1 << 20), "token_too_long"),
        (format!("{}.e30.", jose::base64url::encode("[".repeat(10_000).as_bytes())), "header_json"),
        ("eyJhbGciOiJub25lIn0.e30.".to_owned(), "algorithm_not_allowed"),
    ] {
        assert_eq!(verify("ES256.public.jwk", &changed), code, "{}", &changed[..changed.len().min(100)]);
    }
    assert_eq!(verify("RS256.public.jwk", token), "algorithm_not_allowed");
    assert_eq!(verify("HS256.jwk", token), "algorithm_not_allowed");
    let other = home_with_keys(&["ES256"]);
    assert_eq!(answer(other.path(), &["verify", "--jwk", "ES256.jwk"], token, 1)["code"], "bad_signature");
    // A forger who uses the public key's text as a shared secret.
    let pem = text(home.path(), &["jwk", "to-pem", "RS256.public.jwk"], "");
    fs::write(home.path().join("public.pem"), &pem).unwrap();
    let secret = format!(r#"{{"kty":"oct","k":"{}"}}"#, jose::base64url::encode(pem.as_bytes()));
    fs::write(home.path().join("forged.jwk"), secret).unwrap();
    let forged = text(home.path(), &["sign", "--jwk", "forged.jwk", "--alg", "HS256", "--sub", "42"], "");
    for key in ["public.pem", "RS256.public.jwk"] {
        assert_eq!(verify(key, &forged), "algorithm_not_allowed");
    }
}

#[test]
fn sets_of_keys() {
    let home = home_with_keys(&["ES256", "EdDSA", "HS256"]);
    let read = |name: &str| fs::read_to_string(home.path().join(name)).unwrap();
    let write = |name: &str, keys: &[&str]| {
        fs::write(home.path().join(name), format!("{{\"keys\":[{}]}}", keys.join(","))).unwrap();
    };
    let (ec, ed, secret) = (read("ES256.public.jwk"), read("EdDSA.public.jwk"), read("HS256.jwk"));
    write("set.json", &[&ec, r#"{"kty":"new"}"#, &ed]);
    for key in ["ES256.jwk", "EdDSA.jwk"] {
        let token = text(home.path(), &["sign", "--jwk", key, "--sub", "42"], "");
        let verdict = answer(home.path(), &["verify", "--jwk", "set.json"], &token, 0);
        assert_eq!(verdict["skipped_keys"][0]["index"], 1);
        assert_eq!(verdict["skipped_keys"][0]["code"], "jwk_unknown_key_type");
    }
    let foreign =
        text(home.path(), &["sign", "--jwk", "ES256.jwk", "--sub", "x", "--header", r#"{"kid":"foreign"}"#], "");
    assert_eq!(answer(home.path(), &["verify", "--jwk", "set.json"], &foreign, 1)["code"], "no_key");
    assert_eq!(answer(home.path(), &["verify", "--jwk", "ES256.public.jwk"], &foreign, 0)["accepted"], true);

    // Shared secrets beside public keys only where the caller says which are meant.
    write("mixed.json", &[&ec, &secret]);
    let token = text(home.path(), &["sign", "--jwk", "HS256.jwk", "--sub", "42"], "");
    assert!(complaint(home.path(), &["verify", "--jwk", "mixed.json"], &token).contains("--alg"));
    let mixed = ["verify", "--jwk", "mixed.json", "--alg", "HS256", "--alg", "ES256"];
    assert!(complaint(home.path(), &mixed, &token).contains("cannot be mixed"));
    assert_eq!(answer(home.path(), &["verify", "--jwk", "mixed.json", "--alg", "HS256"], &token, 0)["accepted"], true);
    assert_eq!(
        answer(home.path(), &["verify", "--jwk", "mixed.json", "--alg", "ES256"], &token, 1)["code"],
        "algorithm_not_allowed"
    );

    write("empty.json", &[]);
    assert!(complaint(home.path(), &["verify", "--jwk", "empty.json"], &token).contains("no key"));
    write("useless.json", &[r#"{"kty":"oct","k":"AA"}"#]);
    assert!(complaint(home.path(), &["verify", "--jwk", "useless.json"], &token).contains("1 bytes"));
    let public = pipe(home.path(), &["jwk", "public", "mixed.json"], "");
    assert_eq!(String::from_utf8(public.stdout).unwrap(), format!("{{\"keys\":[{}]}}\n", ec.trim_end()));
    assert!(String::from_utf8(public.stderr).unwrap().contains("shared secrets have no public part"));
}

#[test]
fn keys_and_calls_that_cannot_be_used() {
    let home = home_with_keys(&["ES256", "RS256"]);
    let write = |name: &str, content: &str| fs::write(home.path().join(name), content).unwrap();
    write("text", "no key at all");
    write("broken.jwk", r#"{"kty":"EC","crv":"P-256","x":"AA"}"#);
    write("short.jwk", r#"{"kty":"oct","k":"AAECAw"}"#);
    write(
        "enc.jwk",
        &fs::read_to_string(home.path().join("RS256.jwk")).unwrap().replace("\"alg\"", "\"use\":\"enc\",\"alg\""),
    );
    write(
        "sign-only.jwk",
        &fs::read_to_string(home.path().join("ES256.jwk")).unwrap().replace("{", "{\"key_ops\":[\"sign\"],"),
    );
    for (key, expect) in [
        ("missing", "cannot read missing"),
        ("text", "neither a JWK, a JWK Set nor PEM"),
        ("broken.jwk", "instead of 32"),
        ("short.jwk", "4 bytes"),
        ("enc.jwk", "not for signatures"),
        ("sign-only.jwk", "key_ops"),
    ] {
        let line = complaint(home.path(), &["verify", "--jwk", key], "x");
        assert!(line.contains(expect) && line.starts_with("jotd: ") && line.lines().count() == 1, "{line}");
    }
    for (arguments, expect) in [
        (&["sign", "--jwk", "ES256.public.jwk"][..], "no private part"),
        (&["sign", "--jwk", "ES256.jwk", "--alg", "RS256"], "does not fit"),
        (&["sign", "--jwk", "ES256.jwk", "--alg", "none"], "known are HS256"),
        (&["sign", "--jwk", "ES256.jwk", "--header", r#"{"alg":"none"}"#], "alg cannot be set so"),
        (&["sign", "--jwk", "ES256.jwk", "--header", r#"{"crit":["x"],"x":1}"#], "crit cannot be set so"),
        (&["sign", "--jwk", "ES256.jwk", "--header", "["], "malformed JSON"),
        (&["sign", "--jwk", "ES256.jwk", "--claims", "[]"], "not a JSON object"),
        (&["sign", "--jwk", "ES256.jwk", "--claims", r#"{"a":1,"a":2}"#], "given twice"),
        (&["sign", "--jwk", "ES256.jwk", "--ttl", "soon"], "--ttl"),
        (&["sign", "--jwk", "ES256.jwk", "--claims", r#"{"exp":"x"}"#], "exp has a value of the wrong type"),
        (&["sign", "--jwk", "ES256.jwk", "--claims", r#"{"a":{"b":1,"b":1}}"#], "given twice"),
        (&["sign", "--jwk", "ES256.jwk", "--ttl", "0"], "longer --ttl"),
        (&["verify", "--jwk", "-"], "standard input holds the token"),
        (&["jwk", "new", "--alg", "ES256", "--bits", "2048"], "--bits is for RSA"),
        (&["sign"], "--jwk"),
        (&["verify", "--jwk", "ES256.jwk", "--alg", "RS256"], "no key fits"),
        (&["verify", "--jwk", "ES256.jwk", "--alg", "nonsense"], "known are HS256"),
        (&["verify", "--jwk", "ES256.jwk", "--no-claims", "--iss", "x"], "cannot be used with"),
        (&["jwk", "new", "--alg", "RS256", "--bits", "1024"], "1024 bits"),
        (&["jwk", "from-pem", "--alg", "ES256"], "no PEM block"),
        (&["jwk", "thumbprint", "broken.jwk"], "instead of 32"),
        (&["jwk"], "Usage"),
    ] {
        let line = complaint(home.path(), arguments, "x");
        assert!(line.contains(expect), "{arguments:?}: {line}");
    }
}

#[test]
fn new_keys_in_files_are_for_their_owner_only() {
    let home = new_home();
    assert_eq!(text(home.path(), &["jwk", "new", "--kid", "mine", "--out", "key.jwk"], ""), "");
    let file = home.path().join("key.jwk");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let key: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!((&key["kid"], &key["alg"], &key["crv"]), (&json!("mine"), &json!("ES256"), &json!("P-256")));
    let line = complaint(home.path(), &["jwk", "new", "--out", "key.jwk"], "");
    assert!(line.contains("key.jwk") && line.contains("exists"), "{line}");
    let rsa: Value =
        serde_json::from_str(&text(home.path(), &["jwk", "new", "--alg", "PS256", "--bits", "3072"], "")).unwrap();
    assert_eq!(jose::base64url::decode(rsa["n"].as_str().unwrap().as_bytes()).unwrap().len(), 384);
}

#[test]
fn inspect_shows_everything_and_trusts_nothing() {
    let home = home_with_keys(&["ES256"]);
    let inspect = |header: &str, payload: &str, signature: &str| {
        let encode = |text: &str| jose::base64url::encode(text.as_bytes());
        answer(home.path(), &["inspect"], format!("{}.{}.{signature}", encode(header), encode(payload)), 0)
    };
    let findings = |answer: &Value| -> Vec<String> {
        let rows = answer["findings"].as_array().unwrap().iter();
        rows.map(|row| format!("{}: {}", row["severity"].as_str().unwrap(), row["message"].as_str().unwrap())).collect()
    };
    let good = text(
        home.path(),
        &[
            "sign",
            "--jwk",
            "ES256.jwk",
            "--iss",
            "me",
            "--aud",
            "you",
            "--ttl",
            "1h",
            "--claims",
            r#"{"jti":"1","n":1.10}"#,
        ],
        "",
    );
    let shown = answer(home.path(), &["inspect"], &good, 0);
    assert_eq!(
        (&shown["verified"], shown["notice"].as_str().unwrap().starts_with("NOT verified")),
        (&json!(false), true)
    );
    assert_eq!(findings(&shown), Vec::<String>::new());
    assert_eq!(shown["claims"]["n"].to_string(), "1.10");
    assert_eq!(shown["signature_bytes"], 64);
    let times: Vec<_> = shown["times"].as_array().unwrap().iter().map(|time| time["claim"].as_str().unwrap()).collect();
    assert_eq!(times, ["exp", "iat"]);

    let bad = inspect(
        r#"{"alg":"None","jku":"http://127.0.0.1/","jwk":{},"crit":["x"],"kid":7}"#,
        r#"{"exp":1000000000,"nbf":"x","iat":99999999999999,"password":"p","aud":7}"#,
        "",
    );
    let found = findings(&bad).join("\n");
    for expect in [
        "wrong: kid is not a string",
        "unwise: jku says where",
        "unwise: jwk brings its own key",
        "unwise: crit demands",
        "wrong: alg none",
        "wrong: the signature is empty",
        "unwise: no typ",
        "wrong: nbf is not a number of seconds",
        "wrong: aud has a value of the wrong type",
        "unwise: password looks like a secret",
        "wrong: expired ",
        "in the future",
        "milliseconds instead of seconds?",
        "unwise: no iss",
        "unwise: no jti",
    ] {
        assert!(found.contains(expect), "{expect}:\n{found}");
    }
    let found =
        findings(&inspect(r#"{"alg":"HS256","typ":"JWT","kid":"k"}"#, r#"{"iat":0,"exp":99999999999}"#, "AAAA"))
            .join("\n");
    assert!(found.contains("whoever can verify can also mint") && found.contains("the token lives for"), "{found}");
    let found = findings(&inspect(r#"{"alg":"ES256","alg":"none"}"#, "hello", "AAAA")).join("\n");
    assert!(
        found.contains("wrong: the header: a member is given twice") && found.contains("not a set of claims"),
        "{found}"
    );

    let found = findings(&inspect(r#"{"alg":"ES256"}"#, r#"{"exp":1,"a":{"x":1,"x":2}}"#, "AAAA")).join("\n");
    assert!(
        found.contains("wrong: the payload is not a set of claims") && found.contains("wrong: expired "),
        "{found}"
    );
    assert_eq!(inspect("no json", "{}", "AAAA")["header_text"], "no json");

    let refused = answer(home.path(), &["inspect"], "a.b.c.d.e", 1);
    assert!(refused["reason"].as_str().unwrap().contains("JWE"), "{refused}");
}

#[test]
fn text_is_for_people_and_cannot_be_abused() {
    let home = home_with_keys(&["ES256"]);
    let token = text(
        home.path(),
        &["sign", "--jwk", "ES256.jwk", "--claims", r#"{"iss":"\u001b[2J\u202eevil","exp":1000000000}"#],
        "",
    );
    let inspected = text(home.path(), &["inspect", "--format", "text"], &token);
    assert!(inspected.starts_with("NOT verified"), "{inspected}");
    assert!(inspected.contains("exp: 2001-09-09T01:46:40Z ("), "{inspected}");
    let verdict = pipe(home.path(), &["verify", "--jwk", "ES256.jwk", "--format", "text"], &token);
    assert_eq!(verdict.status.code(), Some(1));
    let verdict = String::from_utf8(verdict.stdout).unwrap();
    assert!(verdict.starts_with("rejected: expired ") && verdict.contains("signature: holds ES256"), "{verdict}");
    // Two members of one name are shown, both of them.
    let double = format!("{}.e30.AAAA", jose::base64url::encode(br#"{"alg":"ES256","alg":"none"}"#));
    let double = text(home.path(), &["inspect", "--format", "text"], &double);
    assert!(double.contains(r#"{"alg":"ES256","alg":"none"}"#), "{double}");
    // Neither lines nor characters of a token's pass for ours.
    let payload = format!("{{\n\"x\":\"\u{9b}2J\u{202e}\u{e0041}\",\"y\":\"{}\"}}", "\\nfindings");
    let header = r#"{"kid":"x\naccepted"}"#;
    let odd = text(home.path(), &["sign", "--jwk", "ES256.jwk", "--header", header], &payload);
    let json = pipe(home.path(), &["verify", "--jwk", "ES256.jwk"], &odd);
    let json = String::from_utf8(json.stdout).unwrap();
    assert_eq!(json.lines().count(), 1);
    assert!(json.contains(r"\u009b2J\u202e\udb40\udc41"), "{json}");
    let lines = pipe(home.path(), &["verify", "--jwk", "ES256.jwk", "--format", "text"], &odd);
    let lines = String::from_utf8(lines.stdout).unwrap();
    assert!(!lines.lines().skip(1).any(|line| line.starts_with("accepted")), "{lines}");
    for shown in [inspected, verdict, json, lines] {
        // No colour but on a terminal, and nothing of the token's that a terminal would obey.
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown:?}");
    }
}
