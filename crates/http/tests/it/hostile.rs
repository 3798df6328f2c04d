//! Tokens made to be misunderstood: `false` or 400, never anything else, never a hang.

use serde_json::Value;

use crate::support::{JSON, KEY, TestServer, assert_refused, parse, verify_body};

fn encode(bytes: impl AsRef<[u8]>) -> String {
    jose::base64url::encode(bytes.as_ref())
}

/// A token that is signed properly, whatever is in it.
fn signed(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    // The published way to make one: HMAC-SHA512 under the UTF-8 bytes of the key.
    let key = jose::SigningKey::hmac(jose::Algorithm::HS512, KEY.as_bytes()).unwrap();
    format!("{message}.{}", encode(jose::dangerous::sign_anything(&key, message.as_bytes()).unwrap()))
}

const HEADER: &str = r#"{"typ":"JWT","alg":"HS512"}"#;

#[test]
fn a_well_formed_token_that_does_not_hold_is_false() {
    let server = TestServer::start();
    let good = server.mint("x");
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (_, claims) = message.split_once('.').unwrap();
    let with_header = |header: &str| format!("{}.{claims}.{signature}", encode(header));
    let mut rows = vec![
        format!("{message}."),
        format!("{message}.AAAA"),
        format!("{good}AAAA"),
        signed(r#"{"typ":"JWT"}"#, "{}"),
        signed("{}", "{}"),
        signed(r#"{"alg":null}"#, "{}"),
        signed(r#"{"alg":512}"#, "{}"),
        signed(r#"{"alg":["HS512"]}"#, "{}"),
        signed(r#"{"alg":{"HS512":"HS512"}}"#, "{}"),
        signed(r#"{"ALG":"HS512"}"#, "{}"),
    ];
    for name in ["none", "None", "NONE", "nOnE", "", "HS256", "HS384", "hs512", "HS512 ", "RS512", "ES512", "EdDSA"] {
        let header = format!(r#"{{"typ":"JWT","alg":"{name}"}}"#);
        rows.push(with_header(&header));
        rows.push(format!("{}.{claims}.", encode(&header)));
        // Even when the signature is right: the header says something else.
        rows.push(signed(&header, "{}"));
    }
    for token in rows {
        let answer = server.verify(&token, KEY);
        assert_eq!(answer.status, 200, "{token}: {}", answer.text());
        assert_eq!(parse(&answer)["Signature Verification"], false, "{token}");
    }
}

#[test]
fn strange_tokens_that_hold_are_shown_as_they_are() {
    let server = TestServer::start();
    let deep = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    for (header, claims) in [
        (r#"{"alg":"HS512"}"#.to_owned(), "{}".to_owned()),
        (r#"{"alg":"\u0048S512","crit":["x"],"b64":false}"#.to_owned(), r#"{"exp":0,"nbf":99999999999}"#.to_owned()),
        (
            HEADER.to_owned(),
            r#"{"z":12345678901234567890.10,"a":1E400,"m":-0.0,"z2":123456789012345678901234567890}"#.to_owned(),
        ),
        (HEADER.to_owned(), "{ \"a\" :\t[1 , 2.50] ,\r\n \"b\": {\"x\":1,\"x\":2} }".to_owned()),
        (HEADER.to_owned(), r#"{"\u0000":"\ud83d\ude00😀","\"":"\/"}"#.to_owned()),
        (HEADER.to_owned(), deep(128)),
    ] {
        let answer = server.verify(&signed(&header, &claims), KEY);
        assert_eq!(
            answer.text(),
            format!("{{\"Header\": {header}, \"Claims\": {claims}, \"Signature Verification\": true}}")
        );
    }
}

#[test]
fn malformed_tokens_are_400() {
    let server = TestServer::start();
    let good = server.mint("x");
    let parts: Vec<&str> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("three parts") };
    let deep = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    let (part_count, encoding) = ("Malformed token: not three parts", "Malformed token: a part is not base64url");
    let bad_header = "Malformed token: the header is not a JSON object";
    let bad_claims = "Malformed token: the claims are not a JSON object";
    let rows = [
        (String::from("x"), part_count),
        (format!("{header}.{claims}"), part_count),
        (format!("{good}.{signature}"), part_count),
        (format!("{good}.."), part_count),
        (format!("{header}.{claims}.{signature}.{claims}.{header}"), part_count),
        ("..".to_owned(), bad_header),
        ("....".to_owned(), part_count),
        (format!(".{claims}.{signature}"), bad_header),
        (format!("{header}..{signature}"), bad_claims),
        (format!("{good}="), encoding),
        (format!("{good}=="), encoding),
        (format!("{header}=.{claims}.{signature}"), encoding),
        (format!(" {good}"), encoding),
        (format!("{good}\n"), encoding),
        (format!("{header} .{claims}.{signature}"), encoding),
        (format!("{header}.{claims}.{}", signature.replace(['-', '_'], "+")) + "+", encoding),
        (format!("{header}.{claims}.é"), encoding),
        (format!("{header}.{claims}.A"), encoding),
        (format!("{header}.{claims}.AB"), encoding),
        (format!("{header}.{claims}.\0"), encoding),
        (signed("[]", "{}"), bad_header),
        (signed("", "{}"), bad_header),
        (signed("null", "{}"), bad_header),
        (signed(r#""HS512""#, "{}"), bad_header),
        (signed(r#"{"alg":"HS512"} "#.repeat(2), "{}"), bad_header),
        (signed(r#"{"alg":"none","alg":"HS512"}"#, "{}"), bad_header),
        (signed(r#"{"alg":"HS512","\u0061lg":"HS512"}"#, "{}"), bad_header),
        (signed(b"{\"alg\":\"HS512\",\"x\":\"\xff\"}", "{}"), bad_header),
        (signed(r#"{"alg":"HS512","x":"\udead"}"#, "{}"), bad_header),
        (signed(HEADER, "[]"), bad_claims),
        (signed(HEADER, "1"), bad_claims),
        (signed(HEADER, ""), bad_claims),
        (signed(HEADER, "not json"), bad_claims),
        (signed(HEADER, r#"{"a":1,"a":2}"#), bad_claims),
        (signed(HEADER, r#"{"a":"\ud800"}"#), bad_claims),
        (signed(HEADER, b"{\"a\":\"\xc0\xaf\"}"), bad_claims),
        (signed(HEADER, "\u{feff}{}"), bad_claims),
        (signed(HEADER, r#"{"a":01}"#), bad_claims),
        (signed(HEADER, r#"{"a":Infinity}"#), bad_claims),
        (signed(HEADER, deep(129)), bad_claims),
        (signed(HEADER, deep(15_000)), bad_claims),
        (signed(HEADER, "[".repeat(40_000)), bad_claims),
        (signed("{\"a\":".repeat(15_000), "{}"), bad_header),
    ];
    for (token, description) in rows {
        let answer = server.ask("GET", "/verifyToken", &[JSON], verify_body(&token, KEY));
        assert_refused(&answer, 400, description);
    }
}

#[test]
fn many_members_cost_no_more_than_their_bytes() {
    let server = TestServer::start();
    let mut claims: String = (0..8000).map(|n| format!("\"{n:x}\":0,")).collect();
    claims = format!("{{{}}}", claims.trim_end_matches(','));
    let answer = server.verify(&signed(HEADER, &claims), KEY);
    assert_eq!(parse(&answer)["Claims"].as_object().map(serde_json::Map::len), Some(8000));
    let repeated = claims.replacen("\"1f3f\"", "\"0\"", 1);
    assert_eq!(server.verify(&signed(HEADER, repeated), KEY).status, 400);
}

#[test]
fn keys_may_be_anything_but_absent() {
    let server = TestServer::start();
    let token = server.mint("x");
    for key in ["k", "é", "\0", " ", &"k".repeat(20_000), "\u{10ffff}"] {
        let answer: Value = parse(&server.verify(&token, key));
        assert_eq!(answer["Signature Verification"], false);
    }
}
