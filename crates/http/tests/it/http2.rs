//! HTTP/2 by prior knowledge, with hyper's client and with bytes of our own.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jotd_http::Limits;
use serde_json::{Value, json};

use crate::support::{KEY, TestServer, block_on, verify_body};

type Client = SendRequest<Full<Bytes>>;

async fn connect(server: &TestServer) -> Client {
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    // So much is accepted without being read.
    builder.initial_stream_window_size(32 * 1024);
    let (client, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn ask(
    client: &mut Client,
    method: Method,
    path: &str,
    media_type: &str,
    body: impl Into<Bytes>,
) -> hyper::Response<Bytes> {
    let uri = format!("http://localhost{path}");
    let request = Request::builder().method(method).uri(uri).header("content-type", media_type);
    let response = client.send_request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    hyper::Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

#[test]
fn many_requests_share_a_connection() {
    let server = TestServer::start();
    let key = KEY;
    block_on(async {
        let client = connect(&server).await;
        let asked = (0..150).map(|number| {
            let mut client = client.clone();
            async move {
                let text = format!("{number}");
                let body = json!({ "user_data": text }).to_string();
                let minted = ask(&mut client, Method::POST, "/generateToken", "application/json", body).await;
                assert_eq!(minted.status(), StatusCode::OK);
                assert!(minted.headers().contains_key("date") && minted.headers()["cache-control"] == "no-store");
                let minted: Value = serde_json::from_slice(minted.body()).unwrap();
                let body = verify_body(minted["JWT Token"].as_str().unwrap(), key);
                let verified = ask(&mut client, Method::GET, "/verifyToken", "application/json", body).await;
                let verified: Value = serde_json::from_slice(verified.body()).unwrap();
                assert_eq!(verified["Claims"]["payload"]["data"], text);
                assert_eq!(verified["Signature Verification"], true);
            }
        });
        // All at once: each is begun before any is waited for.
        let tasks: Vec<_> = asked.map(tokio::spawn).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn refusals_are_those_of_http_1() {
    let server = TestServer::start();
    block_on(async {
        let mut client = connect(&server).await;
        for (method, path, media_type, length, status) in [
            (Method::PUT, "/generateToken", "application/json", 2, 405),
            (Method::POST, "/generateToken", "text/plain", 2, 202),
            (Method::POST, "/generateToken", "application/json", 70_000, 413),
            (Method::POST, "/generateToken", "application/json", 2, 400),
            (Method::GET, "/verifyToken", "application/json", 0, 400),
            (Method::GET, "/nowhere", "application/json", 0, 404),
            (Method::POST, "/oauth2/token", "application/x-www-form-urlencoded", 0, 401),
            (Method::GET, "/v1/keys", "application/json", 0, 401),
        ] {
            let answer = ask(&mut client, method.clone(), path, media_type, vec![b' '; length]).await;
            assert_eq!(answer.status().as_u16(), status, "{method} {path}");
            assert!(!answer.headers().contains_key("connection"));
        }
        let head = ask(&mut client, Method::HEAD, "/healthz", "text/plain", "").await;
        assert_eq!((head.status(), head.body().len()), (StatusCode::OK, 0));
        let missing = ask(&mut client, Method::GET, "/verifyToken", "application/json", r#"{"Token":"x"}"#).await;
        assert_eq!((missing.status(), missing.body().len()), (StatusCode::NO_CONTENT, 0));
        assert_eq!(missing.headers()["x-error-description"], "Missing signing key in GET request body");
    });
}

#[test]
fn a_connection_without_requests_is_closed_and_so_is_one_that_is_told_to() {
    let server = TestServer::with(Limits { idle_timeout: Duration::from_millis(200), ..Limits::default() });
    let mut wire = server.connect();
    // The preface and an empty SETTINGS frame, in two pieces.
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM").unwrap();
    wire.send(b"\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    assert!(!wire.until_closed().unwrap().is_empty());

    let mut server = TestServer::start();
    let mut wire = server.connect();
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    block_on(async {
        let mut client = connect(&server).await;
        assert_eq!(ask(&mut client, Method::GET, "/healthz", "text/plain", "").await.status(), StatusCode::OK);
    });
    server.begin_stop();
    assert!(!wire.until_closed().unwrap().is_empty());
    assert_eq!(server.stopped(), 0);
}

#[test]
fn many_bodies_at_once_do_not_wait_for_each_other() {
    let server = TestServer::with(Limits { body_timeout: Duration::from_secs(60), ..Limits::default() });
    block_on(async {
        let client = connect(&server).await;
        let asked: Vec<_> = (0..90)
            .map(|_| {
                let mut client = client.clone();
                tokio::spawn(async move {
                    let body = json!({ "user_data": "x".repeat(30_000) }).to_string();
                    ask(&mut client, Method::POST, "/generateToken", "application/json", body).await.status()
                })
            })
            .collect();
        for status in asked {
            assert_eq!(status.await.unwrap(), StatusCode::OK);
        }
    });
}

/// The preface, SETTINGS with a window of one byte, and HEADERS of a GET (RFC 7541 appendix A).
fn get_with_a_window_of_one_byte(path: &str) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\x01".to_vec();
    let mut block = vec![0x82, 0x86, 0x04, path.len() as u8];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(b"\x41\x01x");
    bytes.extend_from_slice(&[0, 0, block.len() as u8, 1, 5, 0, 0, 0, 1]);
    bytes.extend(block);
    bytes
}

#[test]
fn a_client_that_takes_a_byte_at_a_time_is_cut_off_too() {
    for path in ["/healthz", "/.well-known/openid-configuration", "/openapi.json"] {
        let server = TestServer::with(Limits { write_timeout: Duration::from_millis(300), ..Limits::default() });
        let mut wire = server.connect();
        wire.send(get_with_a_window_of_one_byte(path)).unwrap();
        let sent = wire.until_closed().unwrap();
        assert!((20..1000).contains(&sent.len()), "{path}: {} bytes", sent.len());
    }
}

#[test]
fn a_stop_waits_for_an_answer_that_is_being_taken() {
    let mut server = TestServer::with(Limits { stop_timeout: Duration::from_secs(3), ..Limits::default() });
    let mut wire = server.connect();
    wire.send(get_with_a_window_of_one_byte("/.well-known/openid-configuration")).unwrap();
    // Nothing more is taken, so it is there until the time is over, and counted.
    let is_answered = || {
        let metrics = server.ask("GET", "/metrics", &[], "").text();
        metrics.contains("requests_total{route=\"/.well-known/oauth-authorization-server\"")
    };
    while !is_answered() {
        std::thread::yield_now();
    }
    server.begin_stop();
    assert_eq!(server.stopped(), 1);
}

#[test]
fn clients_that_do_not_read_are_cut_off() {
    let server = TestServer::with(Limits { write_timeout: Duration::from_millis(300), ..Limits::default() });
    block_on(async {
        let mut client = connect(&server).await;
        // Longer than what a client accepts without reading, and not read.
        let request = || Request::builder().uri("http://localhost/openapi.json").body(Full::default()).unwrap();
        let unread = client.send_request(request()).await.unwrap();
        // That others begin and end meanwhile is no excuse.
        for asked in 0.. {
            let head = Request::head("http://localhost/healthz").body(Full::default()).unwrap();
            let Ok(answer) = client.send_request(head).await else { break };
            assert_eq!(answer.status(), StatusCode::OK);
            assert!(asked < 1000, "it is never cut");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(unread.into_body().collect().await.is_err());
    });
}

#[test]
fn a_slow_reader_gets_everything_even_when_the_server_stops() {
    let mut server = TestServer::with(Limits { idle_timeout: Duration::from_secs(1), ..Limits::default() });
    let expected = server.ask("GET", "/openapi.json", &[], "").body;
    block_on(async {
        let mut client = connect(&server).await;
        let request = Request::builder().uri("http://localhost/openapi.json").body(Full::default()).unwrap();
        let mut body = client.send_request(request).await.unwrap().into_body();
        server.begin_stop();
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            read.extend_from_slice(frame.unwrap().data_ref().unwrap());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(read, expected);
    });
    assert_eq!(server.stopped(), 0);
}

#[test]
fn what_is_no_http_2_is_refused() {
    let server = TestServer::start();
    for bytes in [&b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"[..], b"PRI / HTTP/2.0\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n"] {
        let mut wire = server.connect();
        wire.send(bytes).unwrap();
        wire.finish_sending().unwrap();
        let rest = String::from_utf8(wire.until_closed().unwrap()).unwrap();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400 "), "{rest}");
    }
}
