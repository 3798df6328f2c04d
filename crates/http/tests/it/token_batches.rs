//! Many tokens with one request.

use std::fmt::Write as _;

use authority::Caller;
use jotd_http::Limits;
use jotd_wire::{Wire, request};
use serde_json::{Value, json};

use crate::support::{JSON, TestServer, block_on, parse};

const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");
const MINT: &str = "/v1/tokens/mint-batch";
const VERIFY: &str = "/v1/tokens/verify-batch";

fn item(subject: &str) -> Value {
    json!({ "claims": { "sub": subject, "aud": "https://api.example" } })
}

fn lines(text: &[u8]) -> Vec<Value> {
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// A request whose body is still to come, in chunks.
fn begin(server: &TestServer, path: &str) -> Wire {
    let mut wire = server.connect();
    wire.send(head(path, &server.bearer("jotd:*"))).unwrap();
    wire
}

fn head(path: &str, bearer: &str) -> String {
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer}\r\n");
    format!("{head}Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
}

fn send_chunk(wire: &mut Wire, text: &str) {
    wire.send(format!("{:x}\r\n{text}\r\n", text.len())).unwrap();
}

#[test]
fn arrays_are_answered_item_by_item_in_their_order() {
    let server = TestServer::start();
    let bearer = server.bearer("jotd:*");
    let headers = [JSON, ("Authorization", bearer.as_str())];
    let simple = server.mint("x");
    let minted = server.ask(
        "POST",
        MINT,
        &headers,
        json!([item("a"), {}, 7, { "claims": { "sub": "b" } }, item("c"), { "claims": { "iss": "x" } }]).to_string(),
    );
    assert_eq!(minted.status, 200, "{}", minted.text());
    let minted = parse(&minted);
    let code = |place: usize| minted[place]["problem"]["code"].as_str().unwrap_or("none");
    assert_eq!(
        (1..6).map(code).collect::<Vec<_>>(),
        ["member_missing", "json_not_an_object", "claim_missing", "none", "claim_missing"]
    );
    let (first, last) = (minted[0]["token"].as_str().unwrap(), minted[4]["token"].as_str().unwrap());

    let wrong = format!("{first}x");
    let items = json!([
        { "token": first },
        { "token": wrong },
        { "token": last, "audience": "https://api.example" },
        { "token": last, "audience": "https://other.example" },
        { "token": simple },
        { "token": 1 },
        { "token": "x", "more": 1 },
        {},
    ]);
    let verified = parse(&server.ask("POST", VERIFY, &headers, items.to_string()));
    assert_eq!((&verified[0]["accepted"], &verified[0]["claims"]["sub"]), (&json!(true), &json!("a")));
    assert_eq!((&verified[1]["accepted"], &verified[1]["code"]), (&json!(false), &json!("signature_encoding")));
    assert_eq!((&verified[2]["accepted"], &verified[2]["kind"]), (&json!(true), &json!("access_token")));
    assert_eq!((&verified[3]["accepted"], &verified[3]["code"]), (&json!(false), &json!("wrong_audience")));
    assert_eq!((&verified[4]["kind"], &verified[4]["claims"]["payload"]["data"]), (&json!("simple"), &json!("x")));
    let code = |place: usize| verified[place]["problem"]["code"].as_str().unwrap_or("none");
    assert_eq!((5..8).map(code).collect::<Vec<_>>(), ["member_type", "member_unknown", "member_missing"]);
    assert_eq!(server.ask("POST", MINT, &headers, "[]").text(), "[]");
}

#[test]
fn lines_are_answered_as_they_come() {
    let server = TestServer::start();
    let mut wire = begin(&server, MINT);
    send_chunk(&mut wire, &format!("{}\n{{}}\n\n", item("a")));
    let head = wire.receive_head().unwrap();
    assert_eq!((head.status, head.header("content-type")), (200, Some("application/x-ndjson")));
    // Nothing more has been sent, and both are answered.
    let mut answered = Vec::new();
    while lines_in(&answered) < 2 {
        answered.extend(wire.receive_chunk().unwrap());
    }
    send_chunk(&mut wire, &format!("nonsense\n{}", item("b")));
    // The last line needs no end.
    wire.send("0\r\n\r\n").unwrap();
    loop {
        let chunk = wire.receive_chunk().unwrap();
        if chunk.is_empty() {
            break;
        }
        answered.extend(chunk);
    }
    let answers = lines(&answered);
    let codes: Vec<_> = answers.iter().map(|line| line["problem"]["code"].as_str().unwrap_or("none")).collect();
    assert_eq!(codes, ["none", "member_missing", "json_syntax", "none"]);
    // The connection goes on.
    wire.send(request("GET", "/healthz", &[], "")).unwrap();
    assert_eq!(wire.receive().unwrap().status, 200);
}

fn lines_in(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte == b'\n').count()
}

#[test]
fn many_lines_cost_no_memory_and_keep_their_order() {
    const LINES: usize = 20_000;
    let server = TestServer::start();
    let token = server.mint("x");
    let bearer = server.bearer("jotd:*");
    let mut wire = begin(&server, VERIFY);
    let mut other = server.connect();
    let mut answered = None;
    for number in 0..LINES / 100 {
        let mut text = String::new();
        for _ in 0..99 {
            writeln!(text, "{{\"token\":\"{token}\"}}").unwrap();
        }
        writeln!(text, "{{\"token\":\"{number}\"}}").unwrap();
        send_chunk(&mut wire, &text);
        if number % 10 == 9 {
            // Others are served meanwhile.
            other.send(request("POST", VERIFY, &[JSON, ("Authorization", &bearer)], "[]")).unwrap();
            assert_eq!(other.receive().unwrap().status, 200);
        }
        // What is answered is read: whoever does not read is not read from either.
        let mut piece = Vec::new();
        if answered.is_none() {
            answered = Some(0);
            assert_eq!(wire.receive_head().unwrap().status, 200);
        }
        while lines_in(&piece) < 100 {
            piece.extend(wire.receive_chunk().unwrap());
        }
        let piece = lines(&piece);
        assert!(piece.iter().take(99).all(|line| line["accepted"] == true));
        assert_eq!((piece.len(), &piece[99]["code"]), (100, &json!("token_part_count")));
    }
    wire.send("0\r\n\r\n").unwrap();
    assert!(wire.receive_chunk().unwrap().is_empty());
}

#[test]
fn a_line_that_is_too_long_is_an_error_of_its_own() {
    let server = TestServer::with(Limits { api_body_bytes: 1024, ..Limits::default() });
    let bearer = server.bearer("jotd:*");
    let body = format!("{}\n{{\"x\":\"{}\"}}\n{}\n", item("a"), "y".repeat(200_000), item("b"));
    let answer = server.ask("POST", MINT, &[NDJSON, ("Authorization", &bearer)], body);
    let codes: Vec<_> =
        lines(&answer.body).iter().map(|line| line["problem"]["code"].as_str().unwrap_or("none").to_owned()).collect();
    assert_eq!(codes, ["none", "body_too_large", "none"]);
}

#[test]
fn whoever_may_not_is_refused_before_the_body() {
    let server = TestServer::start();
    let wrong_scope = server.bearer("jotd:keys");
    let head = |media_type: &str, more: &str| {
        format!("POST {MINT} HTTP/1.1\r\nHost: x\r\nContent-Type: {media_type}\r\nContent-Length: 9999\r\n{more}\r\n")
    };
    let authorized = format!("Authorization: {}\r\n", server.bearer("jotd:mint"));
    for (text, status) in [
        (head("application/json", ""), 401),
        (head("application/x-ndjson", ""), 401),
        (head("application/json", &format!("Authorization: {wrong_scope}\r\n")), 403),
        (head("application/x-ndjson", &format!("Authorization: {wrong_scope}\r\n")), 403),
        (head("text/plain", &authorized), 415),
        (head("application/json", &authorized).replace("9999", "99999999"), 413),
        (head("application/json", &authorized).replace("POST", "PUT"), 405),
        (head("application/x-ndjson", &authorized).replace("POST", "PUT"), 405),
    ] {
        let mut wire = server.connect();
        wire.send(&text).unwrap();
        let answer = wire.receive().unwrap();
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{text}");
    }
    let headers = [JSON, ("Authorization", &*format!("{} ", server.bearer("jotd:mint")))];
    for (body, code) in [("{}", "json_not_an_array"), ("[", "json_not_an_array"), ("", "json_not_an_array")] {
        assert_eq!(parse(&server.ask("POST", MINT, &headers, body))["code"], code);
    }
    let many = format!("[{}1]", "1,".repeat(10_000));
    assert_eq!(parse(&server.ask("POST", MINT, &headers, many))["code"], "too_many_items");
    let wide = format!("[{}1]", "1,".repeat(9999));
    assert_eq!(parse(&server.ask("POST", MINT, &headers, wide)).as_array().unwrap().len(), 10_000);
}

#[test]
fn a_stream_whose_framing_breaks_is_cut() {
    let server = TestServer::start();
    let mut wire = begin(&server, MINT);
    send_chunk(&mut wire, &format!("{}\n", item("a")));
    wire.receive_head().unwrap();
    assert!(!wire.receive_chunk().unwrap().is_empty());
    wire.send("nonsense\r\n").unwrap();
    let rest = wire.until_closed().unwrap();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it does not look as if it were complete");
}

#[test]
fn a_stream_does_not_hold_back_what_was_answered_before() {
    let server = TestServer::start();
    let bearer = server.bearer("jotd:*");
    let mut wire = server.connect();
    let mut bytes = request("POST", "/generateToken", &[JSON], r#"{"user_data":"x"}"#);
    bytes.extend(head(MINT, &bearer).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n").bytes());
    wire.send(bytes).unwrap();
    assert_eq!(wire.receive().unwrap().status, 200);
    // Before anything of the body was sent.
    assert_eq!(wire.receive_head().unwrap().status, 100);
    assert_eq!(wire.receive_head().unwrap().status, 200);
    send_chunk(&mut wire, &format!("{}\n", item("a")));
    assert_eq!(lines(&wire.receive_chunk().unwrap()).len(), 1);
    // What is complete is out before the next request is looked at, which breaks.
    wire.send(format!("0\r\n\r\n{}nonsense", head(MINT, &bearer))).unwrap();
    assert!(wire.receive_chunk().unwrap().is_empty());
}

#[test]
fn a_stop_lets_a_stream_with_pauses_come_to_its_end() {
    let mut server = TestServer::start();
    let mut wire = begin(&server, MINT);
    wire.receive_head().unwrap();
    send_chunk(&mut wire, &format!("{}\n", item("a")));
    assert_eq!(lines(&wire.receive_chunk().unwrap()).len(), 1);
    let mut idle = server.connect();
    server.begin_stop();
    // A connection without a request is closed when the pause that it is given is over.
    assert_eq!(idle.until_closed().unwrap(), b"");
    send_chunk(&mut wire, &format!("{}\n", item("b")));
    assert_eq!(lines(&wire.receive_chunk().unwrap()).len(), 1);
    wire.send("0\r\n\r\n").unwrap();
    assert_eq!(wire.receive_chunk().unwrap(), b"");
    assert_eq!(wire.until_closed().unwrap(), b"");
    assert_eq!(server.stopped(), 0);
}

#[test]
fn a_stream_ends_when_its_token_does() {
    let server = TestServer::start();
    let bearer = server.bearer("jotd:mint");
    let mut wire = server.connect();
    wire.send(head(MINT, &bearer)).unwrap();
    wire.receive_head().unwrap();
    send_chunk(&mut wire, &format!("{}\n", item("a")));
    assert!(lines(&wire.receive_chunk().unwrap())[0]["token"].is_string());
    let token = bearer.trim_start_matches("Bearer ");
    block_on(server.authority.revoke_token(&Caller::new("test"), token, "")).unwrap();
    // It is looked at once a second.
    let refused = loop {
        send_chunk(&mut wire, &format!("{}\n", item("b")));
        let answer = lines(&wire.receive_chunk().unwrap()).remove(0);
        if answer["token"].is_null() {
            break answer;
        }
    };
    assert_eq!(refused["problem"]["code"], "invalid_token");
    assert!(wire.receive_chunk().unwrap().is_empty());
    assert_eq!(wire.until_closed().unwrap(), b"");
}
