//! What the reader accepts, what it refuses and why.

use super::*;
use proptest::prelude::*;

fn members(input: &[u8]) -> Result<Vec<(String, String)>, JsonError> {
    let mut out = Vec::new();
    object(input, |name, value| {
        out.push((name.to_owned(), format!("{value:?}")));
        Ok::<_, JsonError>(())
    })?;
    Ok(out)
}

fn nested_objects(depth: usize) -> String {
    r#"{"a":"#.repeat(depth - 1) + "{}" + &"}".repeat(depth - 1)
}

fn nested_arrays(depth: usize) -> String {
    format!(r#"{{"a":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1))
}

#[test]
fn accepts_what_rfc_8259_allows() {
    for text in [
        "{}",
        " \t\r\n{ } \n",
        r#"{"a":-0,"b":0.5e-7,"c":12345678901234567890.10,"d":1E400}"#,
        r#"{"a":{"b":1,"b":2}}"#,
        r#"{"\u0000\"\\\/\b\f\n\r\t\ud83d\ude00":"😀"}"#,
        r#"{"":null,"x":[true,false,[],{}]}"#,
    ] {
        assert!(members(text.as_bytes()).is_ok(), "{text}");
    }
}

#[test]
fn refuses_what_parsers_disagree_on() {
    let lone = |at| JsonError::LoneSurrogate { at };
    let syntax = |at| JsonError::Syntax { at };
    for (text, expect) in [
        ("", syntax(0)),
        ("[]", JsonError::NotAnObject),
        ("1", JsonError::NotAnObject),
        ("\u{feff}{}", syntax(0)),
        ("{} x", JsonError::Trailing { at: 3 }),
        ("{}{}", JsonError::Trailing { at: 2 }),
        (r#"{"a":1,"a":1}"#, JsonError::DuplicateMember),
        (r#"{"a":1,"\u0061":1}"#, JsonError::DuplicateMember),
        (r#"{"a":1,}"#, syntax(7)),
        (r#"{a:1}"#, syntax(1)),
        (r#"{'a':1}"#, syntax(1)),
        (r#"{"a" 1}"#, syntax(5)),
        (r#"{"a":01}"#, syntax(7)),
        (r#"{"a":+1}"#, syntax(5)),
        (r#"{"a":1.}"#, syntax(7)),
        (r#"{"a":.5}"#, syntax(5)),
        (r#"{"a":1e}"#, syntax(7)),
        (r#"{"a":NaN}"#, syntax(5)),
        (r#"{"a":nul}"#, syntax(8)),
        (r#"{"a":"\x"}"#, syntax(6)),
        (r#"{"a":"\u12g4"}"#, syntax(10)),
        ("{\"a\":\"\n\"}", syntax(6)),
        ("{\"a\":\"\0\"}", syntax(6)),
        (r#"{"a":"\ud800"}"#, lone(6)),
        (r#"{"a":"\udc00"}"#, lone(6)),
        (r#"{"a":"\ud800\u0041"}"#, lone(6)),
        (r#"{"a":"\ud800\ud800"}"#, lone(6)),
        (r#"{"a":"x"#, syntax(7)),
        (r#"{"a":/* */1}"#, syntax(5)),
    ] {
        assert_eq!(members(text.as_bytes()), Err(expect), "{text}");
    }
    assert_eq!(members(b"{\"a\":\"\xff\"}"), Err(JsonError::NotUtf8 { at: 6 }));
    assert_eq!(members(b"{\"a\":\"\xed\xa0\x80\"}"), Err(JsonError::NotUtf8 { at: 6 }));
}

#[test]
fn nests_to_the_limit_and_no_further() {
    assert!(members(nested_objects(MAX_DEPTH).as_bytes()).is_ok());
    assert!(members(nested_arrays(MAX_DEPTH).as_bytes()).is_ok());
    assert_eq!(members(nested_objects(MAX_DEPTH + 1).as_bytes()), Err(JsonError::TooDeep));
    assert_eq!(members(nested_arrays(MAX_DEPTH + 1).as_bytes()), Err(JsonError::TooDeep));
    assert_eq!(members(nested_arrays(100_000).as_bytes()), Err(JsonError::TooDeep));
    let unclosed = format!(r#"{{"a":{}"#, "[".repeat(100_000));
    assert_eq!(members(unclosed.as_bytes()), Err(JsonError::TooDeep));
}

#[test]
fn a_repeated_name_is_found_among_many() {
    let mut text: String = (0..5000).map(|n| format!("\"{n}\":0,")).collect();
    text = format!("{{{text}\"x\":0}}");
    assert_eq!(members(text.as_bytes()).unwrap().len(), 5001);
    let text = text.replace("\"x\"", "\"4321\"");
    assert_eq!(members(text.as_bytes()), Err(JsonError::DuplicateMember));
}

#[test]
fn strings_are_written_in_the_shortest_form() {
    for (text, expect) in [
        ("a/é😀\u{7f}", "\"a/é😀\u{7f}\""),
        ("\"\\", r#""\"\\""#),
        ("\u{8}\t\n\u{c}\r", r#""\b\t\n\f\r""#),
        ("\0\u{b}\u{1f}", r#""\u0000\u000b\u001f""#),
    ] {
        let mut out = Vec::new();
        write_string(text, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }
}

#[test]
fn integers_are_written_in_full() {
    for number in [0, 1, 9, 10, 99, 100, 1_668_676_907, -1, -10, -123, i64::MAX, i64::MIN] {
        let mut out = Vec::new();
        write_integer(number, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
    }
}

proptest! {
    #[test]
    fn integers_are_written_as_the_standard_library_does(number: i64) {
        let mut out = Vec::new();
        write_integer(number, &mut out);
        prop_assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
    }

    #[test]
    fn agrees_with_serde_json(value in arbitrary_json()) {
        let text = format!("{{\"value\":{value}}}");
        prop_assert!(members(text.as_bytes()).is_ok());
    }

    #[test]
    fn never_panics_and_never_accepts_more_than_serde_json(text in r#"[\[\]{}",:\\u0-9a-f. -]{0,30}"#) {
        let text = format!("{{{text}}}");
        if members(text.as_bytes()).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn strings_round_trip(text: String) {
        let mut out = b"{\"t\":".to_vec();
        write_string(&text, &mut out);
        out.push(b'}');
        let mut back = None;
        object(&out, |_, value| {
            if let Value::String(value) = value { back = Some(value.decode().into_owned()); }
            Ok::<_, JsonError>(())
        }).unwrap();
        prop_assert_eq!(back, Some(text.clone()));

        let ascii: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let escaped = format!("{{\"t\":\"{ascii}\"}}");
        object(escaped.as_bytes(), |_, value| {
            assert!(matches!(value, Value::String(value) if value == *text.as_str()));
            Ok::<_, JsonError>(())
        }).unwrap();
    }
}

fn arbitrary_json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value as Tree;
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::from),
        any::<i64>().prop_map(Tree::from),
        any::<f64>().prop_map(Tree::from),
        any::<String>().prop_map(Tree::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::from),
            prop::collection::hash_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Tree::Object(map.into_iter().collect())),
        ]
    })
}
