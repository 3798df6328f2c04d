//! Every row of the simple contract's tables, the order of its checks, and its limits.

use crate::support::{JSON, KEY, TestServer, assert_refused, parse, token_of, verify_body};

const CONTENT_TYPE: &str = "Invalid content type";
const NO_TOKEN: &str = "Missing token in GET request body";
const NO_KEY: &str = "Missing signing key in GET request body";
const METHOD: &str = "Method not allowed, see the Allow header";
const NOT_OBJECT: &str = "Request body is not a JSON object";

#[test]
fn a_token_holds_exactly_what_the_contract_says() {
    let server = TestServer::start();
    server.clock.set(1_668_676_907);
    let answer = server.ask("POST", "/generateToken", &[JSON], r#"{"user_data": "this is test"}"#);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let token = token_of(&answer);
    assert_eq!(answer.text(), format!("{{\"JWT Token\": \"{token}\"}}"));

    let answer = server.verify(&token, KEY);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let jti = parse(&answer)["Claims"]["jti"].as_str().unwrap().to_owned();
    assert!(jti.len() == 32 && jti.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{jti}");
    assert_eq!(
        answer.text(),
        format!(
            "{{\"Header\": {{\"typ\":\"JWT\",\"alg\":\"HS512\"}}, \"Claims\": {{\"iat\":1668676907,\"jti\":\"{jti}\",\
             \"payload\":{{\"data\":\"this is test\",\"date\":\"2022-11-17\"}}}}, \"Signature Verification\": true}}"
        )
    );
    let posted = server.ask("POST", "/verifyToken", &[JSON], verify_body(&token, KEY));
    assert_eq!((posted.status, posted.text()), (200, answer.text()));
    for other in ["x", &KEY[1..], &format!("{KEY} "), &KEY.to_uppercase()] {
        assert_eq!(parse(&server.verify(&token, other))["Signature Verification"], false);
    }
}

#[test]
fn media_types() {
    let server = TestServer::start();
    let token = server.mint("x");
    for (value, is_json) in [
        ("application/json", true),
        ("APPLICATION/JSON", true),
        ("Application/Json;charset=UTF-8", true),
        ("application/json ; charset=utf-8", true),
        ("application/json; charset=\"utf-8\"; x=y", true),
        ("text/json", false),
        ("application/jsonp", false),
        ("application/json-patch+json", false),
        ("application/problem+json", false),
        ("text/plain; application/json", false),
        ("application/x-www-form-urlencoded", false),
        ("application", false),
        ("*/*", false),
        ("", false),
    ] {
        let header = [("Content-Type", value)];
        let minted = server.ask("POST", "/generateToken", &header, r#"{"user_data":""}"#);
        let verified = server.ask("GET", "/verifyToken", &header, verify_body(&token, KEY));
        if is_json {
            assert_eq!((minted.status, verified.status), (200, 200), "{value:?}");
        } else {
            assert_refused(&minted, 202, CONTENT_TYPE);
            assert_refused(&verified, 202, CONTENT_TYPE);
        }
    }
    assert_refused(&server.ask("POST", "/generateToken", &[], "{}"), 202, CONTENT_TYPE);
    assert_refused(&server.ask("GET", "/verifyToken", &[], verify_body(&token, KEY)), 202, CONTENT_TYPE);
    assert_refused(&server.ask("GET", "/verifyToken", &[], ""), 202, CONTENT_TYPE);
    assert_refused(&server.ask("POST", "/generateToken", &[JSON, JSON], r#"{"user_data":""}"#), 202, CONTENT_TYPE);
}

#[test]
fn what_verify_token_misses() {
    let server = TestServer::start();
    let token = server.mint("x");
    for (body, status, description) in [
        (r#"{}"#.to_owned(), 203, NO_TOKEN),
        (r#"{"Token": null, "Signing_key": "k"}"#.to_owned(), 203, NO_TOKEN),
        (r#"{"Token": "", "Signing_key": "k"}"#.to_owned(), 203, NO_TOKEN),
        (r#"{"token": "a.b.c", "Signing_key": "k"}"#.to_owned(), 203, NO_TOKEN),
        (r#"{"Token": 1}"#.to_owned(), 400, "Token is not a string"),
        (r#"{"Token": ["a.b.c"], "Signing_key": "k"}"#.to_owned(), 400, "Token is not a string"),
        (r#"{"Token": false, "Signing_key": 1}"#.to_owned(), 400, "Token is not a string"),
        (r#"{"Token": "a.b.c"}"#.to_owned(), 204, NO_KEY),
        (r#"{"Token": "x"}"#.to_owned(), 204, NO_KEY),
        (format!(r#"{{"Token": "{token}", "Signing_key": null}}"#), 204, NO_KEY),
        (format!(r#"{{"Token": "{token}", "Signing_key": ""}}"#), 204, NO_KEY),
        (format!(r#"{{"Token": "{token}", "Signing_key": {{}}}}"#), 400, "Signing_key is not a string"),
        (format!(r#"{{"Token": "{token}", "Signing_key": 0}}"#), 400, "Signing_key is not a string"),
    ] {
        for method in ["GET", "POST"] {
            assert_refused(&server.ask(method, "/verifyToken", &[JSON], &body), status, description);
        }
    }
}

#[test]
fn user_data_is_a_string_empty_or_not() {
    let server = TestServer::start();
    let ask = |body: &str| server.ask("POST", "/generateToken", &[JSON], body);
    assert_eq!(ask(r#"{"user_data": ""}"#).status, 200);
    assert_eq!(ask(r#"{"other": [1, {"user_data": 1, "user_data": 2}], "user_data": "x", "": null}"#).status, 200);
    assert_refused(&ask("{}"), 400, "Missing user_data in request body");
    assert_refused(&ask(r#"{"user_data": null}"#), 400, "Missing user_data in request body");
    assert_refused(&ask(r#"{"User_data": "x"}"#), 400, "Missing user_data in request body");
    for value in ["1", "true", "[]", "{}", "0.5"] {
        assert_refused(&ask(&format!(r#"{{"user_data": {value}}}"#)), 400, "user_data is not a string");
    }
}

#[test]
fn bodies_are_strict_json_objects() {
    let server = TestServer::start();
    let nested =
        |depth: usize| format!(r#"{{"user_data":"x","n":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert_eq!(server.ask("POST", "/generateToken", &[JSON], nested(128)).status, 200);
    for (body, description) in [
        (Vec::new(), NOT_OBJECT.to_owned()),
        (b"null".to_vec(), NOT_OBJECT.to_owned()),
        (b"[]".to_vec(), NOT_OBJECT.to_owned()),
        (b"\"user_data\"".to_vec(), NOT_OBJECT.to_owned()),
        (b"user_data=x".to_vec(), NOT_OBJECT.to_owned()),
        (br#"{"user_data": "x""#.to_vec(), NOT_OBJECT.to_owned()),
        (br#"{"user_data": "x",}"#.to_vec(), NOT_OBJECT.to_owned()),
        (br#"{"user_data": 'x'}"#.to_vec(), NOT_OBJECT.to_owned()),
        (b"{\"user_data\": \"\n\"}".to_vec(), NOT_OBJECT.to_owned()),
        ("\u{feff}{\"user_data\": \"x\"}".into(), NOT_OBJECT.to_owned()),
        (br#"{"user_data": "x"} {}"#.to_vec(), format!("{NOT_OBJECT}: something follows it")),
        (br#"{"user_data": "x"}x"#.to_vec(), format!("{NOT_OBJECT}: something follows it")),
        (br#"{"user_data": "x", "user_data": "x"}"#.to_vec(), format!("{NOT_OBJECT}: a member is given twice")),
        (br#"{"a": 1, "user_data": "x", "a": 1}"#.to_vec(), format!("{NOT_OBJECT}: a member is given twice")),
        (br#"{"user_data": "x", "user\u005fdata": "x"}"#.to_vec(), format!("{NOT_OBJECT}: a member is given twice")),
        (br#"{"user_data": "\ud800"}"#.to_vec(), format!("{NOT_OBJECT}: lone surrogate")),
        (b"{\"user_data\": \"\xff\"}".to_vec(), format!("{NOT_OBJECT}: invalid UTF-8")),
        (b"{\"user_data\": \"\xed\xa0\x80\"}".to_vec(), format!("{NOT_OBJECT}: invalid UTF-8")),
        (nested(129).into(), format!("{NOT_OBJECT}: nested deeper than 128")),
    ] {
        assert_refused(&server.ask("POST", "/generateToken", &[JSON], &body), 400, &description);
        assert_refused(&server.ask("GET", "/verifyToken", &[JSON], &body), 400, &description);
    }
}

#[test]
fn other_methods_are_told_which_there_are() {
    let server = TestServer::start();
    for (path, allow, methods) in [
        ("/generateToken", "POST", &["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"][..]),
        ("/verifyToken", "GET, POST", &["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"][..]),
    ] {
        for method in methods {
            // No content type and a body that is no JSON: the method comes first.
            let answer = server.ask(method, path, &[], "x");
            assert_eq!(answer.header("allow"), Some(allow), "{method}");
            if *method == "HEAD" {
                assert_eq!(answer.status, 405);
                assert_eq!(answer.header("x-error-description"), Some(METHOD));
            } else {
                assert_refused(&answer, 405, METHOD);
            }
        }
    }
}

#[test]
fn the_order_of_the_checks() {
    let server = TestServer::start();
    let large = vec![b'x'; 200_000];
    assert_refused(&server.ask("PUT", "/generateToken", &[], &large), 405, METHOD);
    assert_refused(&server.ask("PUT", "/verifyToken", &[JSON], "{}"), 405, METHOD);
    assert_refused(&server.ask("POST", "/generateToken", &[], &large), 202, CONTENT_TYPE);
    assert_refused(&server.ask("GET", "/verifyToken", &[("Content-Type", "text/plain")], &large), 202, CONTENT_TYPE);
    assert_refused(&server.ask("POST", "/generateToken", &[JSON], &large), 413, "Request body is too large");
    assert_refused(&server.ask("GET", "/verifyToken", &[JSON], &large), 413, "Request body is too large");
    // A token that is malformed is only looked at when there is a key.
    assert_refused(&server.ask("GET", "/verifyToken", &[JSON], r#"{"Token": "x"}"#), 204, NO_KEY);
    let answer = server.ask("GET", "/verifyToken", &[JSON], r#"{"Token": "x", "Signing_key": "k"}"#);
    assert_refused(&answer, 400, "Malformed token: not three parts");
}

#[test]
fn bodies_up_to_the_limit_are_taken() {
    let server = TestServer::start();
    let body = |length: usize| format!(r#"{{"user_data":"{}"}}"#, "x".repeat(length - 16));
    let answer = server.ask("POST", "/generateToken", &[JSON], body(64 * 1024));
    let token = token_of(&answer);
    assert_refused(
        &server.ask("POST", "/generateToken", &[JSON], body(64 * 1024 + 1)),
        413,
        "Request body is too large",
    );
    // Whatever was minted can be verified.
    assert_eq!(parse(&server.verify(&token, KEY))["Signature Verification"], true);

    let padded = |length: usize| {
        let body = verify_body(&token, KEY);
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    assert_eq!(server.ask("GET", "/verifyToken", &[JSON], padded(128 * 1024)).status, 200);
    let answer = server.ask("GET", "/verifyToken", &[JSON], padded(128 * 1024 + 1));
    assert_refused(&answer, 413, "Request body is too large");
}

#[test]
fn a_panicking_request_is_answered_and_the_next_one_too() {
    let server = TestServer::start();
    server.clock.panic_next();
    let mut wire = server.connect();
    let request = jotd_wire::request("POST", "/generateToken", &[JSON], r#"{"user_data":"x"}"#);
    wire.send(&request).unwrap();
    assert_refused(&wire.receive().unwrap(), 500, "Internal error");
    wire.send(&request).unwrap();
    assert_eq!(wire.receive().unwrap().status, 200);
}

#[test]
fn operators_have_their_own_listener() {
    let server = TestServer::start();
    for address in [server.address, server.admin] {
        let answer = jotd_wire::ask(address, "GET", "/healthz", &[], "").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"status": "ok"}"#));
        let answer = jotd_wire::ask(address, "DELETE", "/healthz", &[], "").unwrap();
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    assert_eq!(jotd_wire::ask(server.admin, "POST", "/generateToken", &[JSON], "{}").unwrap().status, 404);
    for path in ["/", "/generatetoken", "/generateToken/", "//verifyToken", "/verifyToken%00", "/../verifyToken"] {
        assert_eq!(server.ask("GET", path, &[JSON], "{}").status, 404, "{path}");
    }
    for path in ["/healthz", "/openapi.json", "/nothing"] {
        assert_eq!(server.ask("GET", path, &[], "").header("cache-control"), Some("no-store"), "{path}");
    }
    assert_eq!(server.ask("POST", "/generateToken?a=b", &[JSON], r#"{"user_data":"x"}"#).status, 200);
    let absolute = format!("http://{}/generateToken", server.address);
    assert_eq!(server.ask("POST", &absolute, &[JSON], r#"{"user_data":"x"}"#).status, 200);
}
