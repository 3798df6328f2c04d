//! HTTP as clients really speak it, and as no client library would.

use std::fmt::Write as _;

use jotd_http::Limits;
use jotd_wire::request;

use crate::support::{JSON, KEY, TestServer, assert_refused, parse, token_of, verify_body, verify_request};

const MINT: &str = r#"{"user_data":"x"}"#;

#[test]
fn chunked_bodies() {
    let server = TestServer::start();
    let head = "POST /generateToken HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut wire = server.connect();
    wire.send(format!("{head}3\r\n{{\"u\r\nA;ext=1\r\nser_data\":\r\n4\r\n\"x\"}}\r\n0\r\nTrailer: y\r\n\r\n"))
        .unwrap();
    assert_eq!(wire.receive().unwrap().status, 200);
    wire.send(format!("{head}1\r\n{{\r\n0\r\n\r\n")).unwrap();
    assert_refused(&wire.receive().unwrap(), 400, "Request body is not a JSON object");
    wire.send(format!("{head}zz\r\n")).unwrap();
    assert_refused(&wire.receive().unwrap(), 400, "Request body is incomplete or wrongly framed");
    assert_eq!(wire.until_closed().unwrap(), b"");
    // Larger than the limit, without having said so.
    let mut wire = server.connect();
    wire.send(head).unwrap();
    for _ in 0..17 {
        wire.send(format!("1000\r\n{}\r\n", "x".repeat(0x1000))).unwrap();
    }
    assert_refused(&wire.receive().unwrap(), 413, "Request body is too large");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start();
    let token = server.mint("pipelined");
    let mut wire = server.connect();
    let mut bytes = Vec::new();
    for _ in 0..50 {
        bytes.extend(request("POST", "/generateToken", &[JSON], MINT));
        bytes.extend(request("GET", "/verifyToken", &[], "not looked at"));
        bytes.extend(verify_request(&token, KEY));
        bytes.extend(verify_request("x", ""));
        bytes.extend(request("GET", "/healthz", &[], ""));
    }
    wire.send(bytes).unwrap();
    for _ in 0..50 {
        for status in [200, 202, 200, 204, 200] {
            assert_eq!(wire.receive().unwrap().status, status);
        }
    }
}

#[test]
fn expect_100_continue() {
    let server = TestServer::start();
    let head = |path: &str, length: usize, more: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n{more}\r\n")
    };
    let json = "Content-Type: application/json\r\n";
    let mut wire = server.connect();
    wire.send(head("/generateToken", MINT.len(), json)).unwrap();
    assert_eq!(wire.receive().unwrap().status, 100);
    wire.send(MINT).unwrap();
    token_of(&wire.receive().unwrap());
    // What will be refused is refused before it is sent.
    let mut wire = server.connect();
    wire.send(head("/generateToken", 1 << 30, json)).unwrap();
    assert_refused(&wire.receive().unwrap(), 413, "Request body is too large");
    let mut wire = server.connect();
    wire.send(head("/generateToken", MINT.len(), "")).unwrap();
    assert_refused(&wire.receive().unwrap(), 202, "Invalid content type");
}

#[test]
fn a_body_that_ends_early_is_an_error_of_its_own() {
    let server = TestServer::start();
    for head in [
        "POST /generateToken HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n",
        "GET /verifyToken HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n",
    ] {
        let mut wire = server.connect();
        wire.send(head).unwrap();
        wire.send(MINT).unwrap();
        wire.finish_sending().unwrap();
        assert_refused(&wire.receive().unwrap(), 400, "Request body is incomplete or wrongly framed");
        assert_eq!(wire.until_closed().unwrap(), b"");
    }
}

#[test]
fn a_client_that_has_finished_sending_still_gets_its_answer() {
    let server = TestServer::start();
    let mut wire = server.connect();
    wire.send(request("POST", "/generateToken", &[JSON], MINT)).unwrap();
    wire.finish_sending().unwrap();
    token_of(&wire.receive().unwrap());
    assert_eq!(wire.until_closed().unwrap(), b"");
}

#[test]
fn a_413_reaches_a_client_that_is_still_sending() {
    let server = TestServer::start();
    // As clients do that send everything before they read anything.
    for chunked in [false, true] {
        let mut wire = server.connect();
        let length = 8 << 20;
        let framing =
            if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {length}") };
        wire.send(format!(
            "GET /verifyToken HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
        ))
        .unwrap();
        if chunked {
            wire.send(format!("{length:x}\r\n")).unwrap();
        }
        for _ in 0..length >> 16 {
            wire.send(vec![b' '; 1 << 16]).unwrap();
        }
        let answer = wire.receive().unwrap();
        assert_refused(&answer, 413, "Request body is too large");
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(wire.until_closed().unwrap(), b"");
    }
}

#[test]
fn refused_bodies_leave_the_connection_usable() {
    let server = TestServer::start();
    let mut wire = server.connect();
    let body = "x".repeat(60_000);
    for _ in 0..3 {
        wire.send(request("POST", "/generateToken", &[("Content-Type", "text/plain")], &body)).unwrap();
        assert_refused(&wire.receive().unwrap(), 202, "Invalid content type");
        wire.send(request("DELETE", "/generateToken", &[JSON], &body)).unwrap();
        let answer = wire.receive().unwrap();
        assert_eq!((answer.status, answer.header("connection")), (405, None));
    }
    wire.send(request("POST", "/generateToken", &[JSON], MINT)).unwrap();
    token_of(&wire.receive().unwrap());
}

#[test]
fn a_connection_that_cannot_go_on_says_so() {
    let server = TestServer::start();
    let large = "x".repeat(70_000);
    let chunked = "PUT /generateToken HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    let expecting = "PUT /generateToken HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    for bytes in [
        request("PUT", "/generateToken", &[JSON], &large),
        request("POST", "/generateToken", &[], &large),
        chunked.into(),
        expecting.into(),
    ] {
        let mut wire = server.connect();
        wire.send(bytes).unwrap();
        let answer = wire.receive().unwrap();
        assert!(matches!(answer.status, 202 | 405), "{}", answer.status);
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(wire.until_closed().unwrap(), b"");
    }
}

#[test]
fn two_lengths_are_not_obeyed_twice() {
    // A front end that believes the one and a server that believes the other would disagree on where a request ends.
    let server = TestServer::start();
    let mut wire = server.connect();
    wire.send(
        "POST /generateToken HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\
         Transfer-Encoding: chunked\r\n\r\n11\r\n{\"user_data\":\"x\"}\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    .unwrap();
    let first = wire.receive().unwrap();
    assert!(matches!(first.status, 200 | 400), "{}", first.status);
    assert_eq!(wire.until_closed().unwrap(), b"", "nothing behind it is taken for a request");
}

#[test]
fn get_with_a_body_in_pieces() {
    let server = TestServer::start();
    let token = server.mint("pieces");
    let mut wire = server.connect();
    for byte in verify_request(&token, KEY) {
        wire.send([byte]).unwrap();
    }
    assert_eq!(parse(&wire.receive().unwrap())["Signature Verification"], true);
}

#[test]
fn heads_beyond_the_limit_get_431() {
    let server = TestServer::start();
    let long = "y".repeat(20 * 1024);
    let mut wire = server.connect();
    wire.send(request("POST", "/generateToken", &[JSON, ("X", &long)], MINT)).unwrap();
    assert_eq!(wire.receive().unwrap().status, 431);
    let mut many = "GET /healthz HTTP/1.1\r\nHost: x\r\n".to_owned();
    (0..1000).for_each(|n| write!(many, "X-{n}: y\r\n").unwrap());
    let mut wire = server.connect();
    wire.send(many + "\r\n").unwrap();
    assert_eq!(wire.receive().unwrap().status, 431);
    // The next client is served.
    token_of(&server.ask("POST", "/generateToken", &[JSON, ("X", &long[..10_000])], MINT));
}

#[test]
fn malformed_heads_get_400_or_less() {
    let server = TestServer::start();
    for bytes in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c",
        "nonsense\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "POST /generateToken HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /generateToken HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
        "POST /generateToken HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        "GET /healthz HTTP/1.1\r\n Folded: x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nBad Name: x\r\n\r\n",
    ] {
        let mut wire = server.connect();
        wire.send(bytes).unwrap();
        wire.finish_sending().unwrap();
        let rest = String::from_utf8(wire.until_closed().unwrap()).unwrap();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400 "), "{bytes:?}: {rest}");
    }
    assert_eq!(server.ask("GET", "/healthz", &[], "").status, 200);
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let server = TestServer::start();
    let token = server.mint("old");
    let body = verify_body(&token, KEY);
    let mut wire = server.connect();
    wire.send(format!(
        "GET /verifyToken HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
    .unwrap();
    let answer = String::from_utf8(wire.until_closed().unwrap()).unwrap();
    assert!(
        answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("\"Signature Verification\": true}"),
        "{answer}"
    );
}

#[test]
fn connections_beyond_the_limit_wait_until_one_ends() {
    let server = TestServer::with(Limits { connections: 2, ..Limits::default() });
    let mut served: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for wire in &mut served {
        wire.send(request("GET", "/healthz", &[], "")).unwrap();
        assert_eq!(wire.receive().unwrap().status, 200);
    }
    let mut waiting = server.connect();
    waiting.send(request("GET", "/healthz", &[], "")).unwrap();
    // Operators are not kept waiting.
    assert_eq!(jotd_wire::ask(server.admin, "GET", "/healthz", &[], "").unwrap().status, 200);
    served[1].send(request("GET", "/healthz", &[], "")).unwrap();
    assert_eq!(served[1].receive().unwrap().status, 200);
    served.remove(0);
    assert_eq!(waiting.receive().unwrap().status, 200);
}
