//! The OpenAPI description, held against the running server: every answer that any of these tests sees is checked, and
//! whatever is described was seen.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jotd_http::Limits;
use jotd_wire::{Answer, request};
use serde_json::{Value, json};

use crate::support::{JSON, KEY, TestServer, parse, verify_body};

const TEXT: &str = include_str!("../../openapi.json");

struct Description {
    document: Value,
    /// By path, method, status and media type: making one takes long.
    validators: HashMap<String, jsonschema::Validator>,
}

thread_local! {
    static DESCRIPTION: RefCell<Description> =
        RefCell::new(Description { document: serde_json::from_str(TEXT).unwrap(), validators: HashMap::new() });
}

/// Checks an answer against the response that the description promises. Paths that are not described say so.
pub(crate) fn check(method: &str, path: &str, answer: &Answer) {
    DESCRIPTION.with_borrow_mut(|description| description.check(method, path, answer));
}

impl Description {
    /// The described path that this one is an instance of.
    fn template(&self, path: &str) -> Option<String> {
        // A request may name the whole address.
        let path = path.strip_prefix("http://").and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or(path);
        let path = path.split('?').next().unwrap();
        let paths = self.document["paths"].as_object().unwrap();
        let fits = |template: &str| {
            let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
            let same = |(own, other): (&&str, &&str)| own == other || (own.starts_with('{') && !other.is_empty());
            template.len() == path.len() && template.iter().zip(&path).all(same)
        };
        let found = paths.contains_key(path).then(|| path.to_owned());
        found.or_else(|| paths.keys().find(|template| fits(template)).cloned())
    }

    fn follow<'d>(&'d self, value: &'d Value) -> &'d Value {
        match value["$ref"].as_str() {
            Some(reference) => self.document.pointer(reference.trim_start_matches('#')).expect(reference),
            None => value,
        }
    }

    fn check(&mut self, method: &str, path: &str, answer: &Answer) {
        let Some(path) = self.template(path) else {
            assert_eq!(answer.status, 404, "{path} is not described");
            return;
        };
        // What browsers ask beforehand is no operation; and what is nested this deep is not for the reader of these tests.
        let is_read = serde_json::from_slice::<Value>(&answer.body).is_ok();
        if (method == "OPTIONS" && answer.status == 204) || (path == "/verifyToken" && answer.status == 200 && !is_read)
        {
            return;
        }
        // Other methods are described under the path's first operation, and what HEAD says has no body.
        let operations = self.document["paths"][&path].as_object().unwrap();
        let operation = operations.get(&method.to_lowercase()).unwrap_or_else(|| operations.values().next().unwrap());
        let described = &operation["responses"][answer.status.to_string()];
        assert!(!described.is_null(), "{method} {path} answers {}, which is not described", answer.status);
        let described = self.follow(described);
        for (name, header) in described["headers"].as_object().into_iter().flatten() {
            let header = self.follow(header);
            let is_there = answer.header(&name.to_lowercase()).is_some_and(|value| !value.is_empty());
            assert!(is_there || header["required"] != true, "{method} {path} {} {name}", answer.status);
        }
        let Some(content) = described["content"].as_object() else {
            assert!(answer.body.is_empty(), "{method} {path} {}", answer.status);
            return;
        };
        let content_type = answer.header("content-type").expect("a content type").to_owned();
        let content = content.get(&content_type).unwrap_or_else(|| panic!("{method} {path} answers {content_type}"));
        if !content_type.ends_with("json") || content_type.ends_with("ndjson") || method == "HEAD" {
            return;
        }
        let mut schema = content["schema"].clone();
        schema["components"] = self.document["components"].clone();
        let key = format!("{method} {path} {} {content_type}", answer.status);
        let validator =
            self.validators.entry(key.clone()).or_insert_with(|| jsonschema::validator_for(&schema).unwrap());
        validator.validate(&parse(answer)).unwrap_or_else(|error| panic!("{key}: {error}: {}", answer.text()));
    }
}

#[test]
fn every_answer_of_the_simple_contract_was_seen_as_described() {
    let server = TestServer::one_of_many(Limits::default());
    assert_eq!(server.ask("GET", "/openapi.json", &[], "").text(), TEXT, "what is served is what is kept");
    let document: Value = serde_json::from_str(TEXT).unwrap();
    let token = server.mint("x");
    let verify = verify_body(&token, KEY);
    let large = "x".repeat(200_000);
    let generate_example =
        document["paths"]["/generateToken"]["post"]["requestBody"]["content"]["application/json"]["example"]
            .to_string();
    let verify_example =
        document["components"]["requestBodies"]["Verify"]["content"]["application/json"]["example"].to_string();
    let example = server.ask("GET", "/verifyToken", &[JSON], &verify_example);
    assert_eq!(parse(&example)["Signature Verification"], true);

    let mut seen = BTreeSet::new();
    let mut note = |method: &str, path: &str, answer: &Answer| {
        check(method, path, answer);
        seen.insert((path.to_owned(), method.to_lowercase(), answer.status));
    };
    let mut ask = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        note(method, path, &server.ask(method, path, headers, body));
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
    let impatient = TestServer::with(Limits { body_timeout: Duration::from_millis(100), ..Limits::default() });
    for (method, path) in [("POST", "/generateToken"), ("GET", "/verifyToken"), ("POST", "/verifyToken")] {
        let mut wire = impatient.connect();
        let whole = request(method, path, &[JSON], "{}");
        wire.send(&whole[..whole.len() - 1]).unwrap();
        note(method, path, &wire.receive().unwrap());
    }
    server.clock.panic_next();
    note("POST", "/generateToken", &server.ask("POST", "/generateToken", &[JSON], &generate_example));

    server.reach.lose();
    server.clock.set_uptime(1_000_000);
    for (method, path) in [("POST", "/generateToken"), ("GET", "/verifyToken"), ("POST", "/verifyToken")] {
        note(method, path, &server.ask(method, path, &[JSON], "{}"));
    }

    // /verifyToken has nothing that could fail inside; a 405 is seen once for a path.
    for path in ["/generateToken", "/verifyToken", "/healthz", "/openapi.json"] {
        for (method, operation) in document["paths"][path].as_object().unwrap() {
            for status in operation["responses"].as_object().unwrap().keys() {
                let status: u16 = status.parse().unwrap();
                let seen = seen.iter().any(|(p, m, s)| p == path && *s == status && (m == method || status == 405));
                assert!(seen || (path == "/verifyToken" && status == 500), "{method} {path} {status} was never seen");
            }
        }
    }
}

#[test]
fn every_route_is_described() {
    let server = TestServer::start();
    let document: Value = serde_json::from_str(TEXT).unwrap();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "x").replace("{secret_id}", "y").replace("{algorithm}", "ES256");
        let mut described: Vec<String> =
            operations.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        if described.iter().any(|method| method == "GET") && path != "/verifyToken" {
            described.push("HEAD".to_owned());
        }
        described.sort();
        // What another method is told that there is, is what is described.
        let answer = server.ask("OPTIONS", &path, &[], "");
        let mut allowed: Vec<String> = answer.header("allow").expect(&path).split(", ").map(str::to_owned).collect();
        allowed.sort();
        assert_eq!((answer.status, allowed), (405, described), "{path}");
    }
}

#[test]
fn the_description_has_the_version_of_the_program() {
    let document: Value = serde_json::from_str(TEXT).unwrap();
    assert_eq!(document["info"]["version"], json!(env!("CARGO_PKG_VERSION")));
    assert_eq!(document["openapi"], "3.1.0");
}
