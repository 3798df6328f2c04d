//! The OpenAPI description, held against the running server.

use std::collections::BTreeSet;
use std::time::Duration;

use jotd_http::Limits;
use jotd_wire::{Answer, request};
use serde_json::{Value, json};

use crate::support::{JSON, KEY, TestServer, parse, verify_body};

struct Description(Value);

impl Description {
    fn read(server: &TestServer) -> Self {
        let answer = server.ask("GET", "/openapi.json", &[], "");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.text(), include_str!("../../openapi.json"), "what is served is what is kept");
        Self(parse(&answer))
    }

    fn operation(&self, method: &str, path: &str) -> &Value {
        &self.0["paths"][path][method.to_lowercase()]
    }

    fn follow<'d>(&'d self, value: &'d Value) -> &'d Value {
        match value["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.trim_start_matches('#')).expect(reference),
            None => value,
        }
    }

    /// Checks `answer` against the response that the description promises.
    fn check(&self, method: &str, path: &str, answer: &Answer) {
        // Other methods are described under the path's first operation.
        let operations = self.0["paths"][path].as_object().expect(path);
        let operation = operations.get(&method.to_lowercase()).unwrap_or_else(|| operations.values().next().unwrap());
        let described = &operation["responses"][answer.status.to_string()];
        assert!(!described.is_null(), "{method} {path} answers {}, which is not described", answer.status);
        let described = self.follow(described);
        for (name, header) in described["headers"].as_object().into_iter().flatten() {
            let header = self.follow(header);
            assert_eq!(header["required"], true);
            assert!(answer.header(&name.to_lowercase()).is_some_and(|value| !value.is_empty()), "{path} {name}");
        }
        let Some(content) = described["content"].as_object() else {
            assert!(answer.body.is_empty());
            return;
        };
        let content_type = answer.header("content-type").expect("a content type");
        let mut schema = content[content_type]["schema"].clone();
        schema["components"] = self.0["components"].clone();
        let validator = jsonschema::validator_for(&schema).unwrap();
        validator.validate(&parse(answer)).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    }
}

#[test]
fn every_answer_is_described_and_every_description_is_true() {
    let server = TestServer::with(Limits { body_timeout: Duration::from_millis(100), ..Limits::default() });
    let description = Description::read(&server);
    let token = server.mint("x");
    let verify = verify_body(&token, KEY);
    let large = "x".repeat(200_000);
    let generate_example =
        description.operation("POST", "/generateToken")["requestBody"]["content"]["application/json"]["example"]
            .to_string();
    let verify_example =
        description.0["components"]["requestBodies"]["Verify"]["content"]["application/json"]["example"].to_string();
    let example = server.ask("GET", "/verifyToken", &[JSON], &verify_example);
    assert_eq!(parse(&example)["Signature Verification"], true);

    let mut seen = BTreeSet::new();
    let mut check = |method: &str, path: &str, answer: &Answer| {
        description.check(method, path, answer);
        seen.insert((path.to_owned(), method.to_lowercase(), answer.status));
    };
    let mut ask = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        check(method, path, &server.ask(method, path, headers, body));
    };
    ask("POST", "/generateToken", &[JSON], &generate_example);
    ask("POST", "/generateToken", &[], &generate_example);
    ask("POST", "/generateToken", &[JSON], "{}");
    ask("POST", "/generateToken", &[JSON], &large);
    ask("PUT", "/generateToken", &[], "");
    for method in ["GET", "POST"] {
        ask(method, "/verifyToken", &[JSON], &verify_example);
        ask(method, "/verifyToken", &[JSON], &verify);
        ask(method, "/verifyToken", &[], &verify);
        ask(method, "/verifyToken", &[JSON], "{}");
        ask(method, "/verifyToken", &[JSON], r#"{"Token": "x"}"#);
        ask(method, "/verifyToken", &[JSON], r#"{"Token": "x", "Signing_key": "x"}"#);
        ask(method, "/verifyToken", &[JSON], &large);
    }
    ask("PUT", "/verifyToken", &[], "");
    for path in ["/healthz", "/openapi.json"] {
        ask("GET", path, &[], "");
        ask("PUT", path, &[], "");
    }
    for (method, path) in [("POST", "/generateToken"), ("GET", "/verifyToken"), ("POST", "/verifyToken")] {
        let mut wire = server.connect();
        let whole = request(method, path, &[JSON], "{}");
        wire.send(&whole[..whole.len() - 1]).unwrap();
        check(method, path, &wire.receive().unwrap());
    }
    server.clock.panic_next();
    check("POST", "/generateToken", &server.ask("POST", "/generateToken", &[JSON], &generate_example));

    // Whatever is described was seen. /verifyToken has nothing that could fail inside; a 405 is seen once for a path.
    for (path, operations) in description.0["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            for status in operation["responses"].as_object().unwrap().keys() {
                let status: u16 = status.parse().unwrap();
                let seen = seen.iter().any(|(p, m, s)| p == path && *s == status && (m == method || status == 405));
                assert!(seen || (path == "/verifyToken" && status == 500), "{method} {path} {status} was never seen");
            }
        }
    }
}

#[test]
fn the_description_has_the_version_of_the_program() {
    let server = TestServer::start();
    let description = Description::read(&server);
    assert_eq!(description.0["info"]["version"], json!(env!("CARGO_PKG_VERSION")));
    assert_eq!(description.0["openapi"], "3.1.0");
}
