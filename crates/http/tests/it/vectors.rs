//! The published tokens and their key, over real HTTP.

use serde_json::Value;

use crate::support::{TestServer, verify_request};

fn vectors() -> (String, Vec<(String, String)>) {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/simple.json")).unwrap();
    let tokens = vectors["tokens"].as_array().unwrap().iter();
    let tokens = tokens.map(|row| (row["token"].as_str().unwrap().to_owned(), row["claims"].to_string()));
    (vectors["signing_key"].as_str().unwrap().to_owned(), tokens.collect())
}

#[test]
fn published_tokens_verify_and_show_their_claims_byte_for_byte() {
    let server = TestServer::start();
    let (key, tokens) = vectors();
    assert_eq!(tokens.len(), 4);
    for (token, claims) in tokens {
        let answer = server.verify(&token, &key);
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.text(),
            format!(
                "{{\"Header\": {{\"typ\":\"JWT\",\"alg\":\"HS512\"}}, \"Claims\": {claims}, \"Signature Verification\": true}}"
            )
        );
    }
}

#[test]
fn no_character_of_a_published_token_can_be_changed() {
    let server = TestServer::start();
    let (key, tokens) = vectors();
    let mut wire = server.connect();
    for (token, _) in tokens {
        for position in 0..token.len() {
            for replacement in ["A", "B", "_", "=", "."] {
                let mut changed = token.clone();
                changed.replace_range(position..=position, replacement);
                if changed == token {
                    continue;
                }
                wire.send(verify_request(&changed, &key)).unwrap();
                let answer = wire.receive().unwrap();
                assert!(matches!(answer.status, 200 | 400), "{}", answer.status);
                assert!(!answer.text().contains("\"Signature Verification\": true"), "{changed}");
            }
        }
    }
}

#[test]
fn no_character_of_the_key_can_be_changed() {
    let server = TestServer::start();
    let (key, tokens) = vectors();
    let mut wire = server.connect();
    for position in 0..key.len() {
        let mut changed = key.clone();
        changed.replace_range(position..=position, if &key[position..=position] == "0" { "1" } else { "0" });
        wire.send(verify_request(&tokens[0].0, &changed)).unwrap();
        assert!(wire.receive().unwrap().text().ends_with("\"Signature Verification\": false}"));
    }
}
