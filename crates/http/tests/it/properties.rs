//! Any text, minted and verified over HTTP, comes back unchanged; dates and ids are what they should be.

use std::cell::RefCell;
use std::collections::HashSet;

use jotd_wire::{Wire, request};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{JSON, KEY, TestServer, parse, token_of, verify_request};

fn round_trip(wire: &mut Wire, text: &str) -> String {
    let body = serde_json::json!({ "user_data": text }).to_string();
    wire.send(request("POST", "/generateToken", &[JSON], body)).unwrap();
    let token = token_of(&wire.receive().unwrap());
    wire.send(verify_request(&token, KEY)).unwrap();
    let answer = parse(&wire.receive().unwrap());
    assert_eq!(answer["Signature Verification"], true);
    assert_eq!(answer["Claims"]["payload"]["data"], text);
    answer["Claims"].to_string()
}

#[test]
fn any_text_comes_back_unchanged() {
    let server = TestServer::start();
    let mut wire = server.connect();
    for text in
        ["", "\0", "\"", "\\", "\u{7f}", "\u{2028}\u{2029}", "\u{ffff}\u{10ffff}", "e\u{301}", "\u{202e}", "\r\n\t"]
    {
        round_trip(&mut wire, text);
    }
    let every_class: String = ('\0'..=char::MAX).step_by(97).collect();
    assert!(every_class.len() < 60_000);
    round_trip(&mut wire, &every_class);
    round_trip(&mut wire, &"\u{1}".repeat(10_900));
    round_trip(&mut wire, &"\"\\".repeat(16_000));

    let strategy = prop_oneof![
        any::<String>(),
        prop::collection::vec(prop_oneof![Just('"'), Just('\\'), Just('\0'), any::<char>()], 0..300)
            .prop_map(String::from_iter),
        "\\PC{0,2000}",
    ];
    let wire = RefCell::new(wire);
    TestRunner::new(Config::with_cases(400))
        .run(&strategy, |text| {
            round_trip(&mut wire.borrow_mut(), &text);
            Ok(())
        })
        .unwrap();
}

#[test]
fn only_what_must_be_is_escaped() {
    let server = TestServer::start();
    for (sent, shown) in [
        (r#""\u0041\/\u00e9\ud83d\ude00""#, r#""A/é😀""#),
        (r#""\u000a\u0008\u001F\u007f""#, "\"\\n\\b\\u001f\u{7f}\""),
        (r#""\"\\""#, r#""\"\\""#),
    ] {
        let answer = server.ask("POST", "/generateToken", &[JSON], format!("{{\"user_data\": {sent}}}"));
        let shown_back = server.verify(&token_of(&answer), KEY).text();
        assert!(shown_back.contains(&format!("\"data\":{shown},\"date\"")), "{shown_back}");
    }
}

#[test]
fn the_date_is_the_day_of_iat_across_midnight_and_leap_days() {
    let server = TestServer::start();
    let mut wire = server.connect();
    for (now, date) in [
        (1_709_164_799, "2024-02-28"),
        (1_709_164_800, "2024-02-29"),
        (1_709_251_199, "2024-02-29"),
        (1_709_251_200, "2024-03-01"),
        (1_735_689_599, "2024-12-31"),
        (1_735_689_600, "2025-01-01"),
    ] {
        server.clock.set(now);
        let claims = round_trip(&mut wire, "x");
        assert!(claims.starts_with(&format!("{{\"iat\":{now},")), "{claims}");
        assert!(claims.ends_with(&format!("\"date\":\"{date}\"}}}}")), "{claims}");
    }
}

#[test]
fn every_token_has_an_id_of_its_own() {
    let server = TestServer::start();
    let mut wire = server.connect();
    let ids: HashSet<_> = (0..500).map(|_| round_trip(&mut wire, "same")).collect();
    assert_eq!(ids.len(), 500);
}
