//! The table against a map that does the same.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn token(id: u128, expires_at: Option<i64>, key_id: &str) -> (RevocationId, Until<'_>) {
    let until = expires_at.map_or(Until::KeyRetired(Some(key_id)), |at| Until::Expiry(UnixTime(at)));
    (RevocationId(id.to_be_bytes()), until)
}

fn holds(tokens: &RevokedTokens, id: u128) -> bool {
    tokens.contains(RevocationId(id.to_be_bytes()))
}

fn of(all: &[(RevocationId, Until<'_>)]) -> RevokedTokens {
    let tokens = RevokedTokens::default();
    all.iter().for_each(|(id, until)| tokens.insert(*id, *until));
    tokens
}

#[test]
fn entries_vanish_with_their_token_or_its_key() {
    let tokens = of(&[token(0, Some(7199), "a"), token(2, Some(7200), "a"), token(3, None, "a"), token(4, None, "b")]);
    let present = |tokens: &RevokedTokens| -> Vec<u128> { (0..=4).filter(|id| holds(tokens, *id)).collect() };
    assert_eq!(present(&tokens), [0, 2, 3, 4]);
    tokens.sweep(UnixTime(7199), &[]);
    assert_eq!(present(&tokens), [0, 2, 3, 4]);
    tokens.sweep(UnixTime(7200), &[]);
    assert_eq!(present(&tokens), [2, 3, 4]);
    tokens.sweep(UnixTime(7200), &["a".to_owned()]);
    assert_eq!(present(&tokens), [2, 4]);
    assert_eq!(tokens.len(), 2);
}

#[test]
fn what_is_kept_longer_wins() {
    let tokens =
        of(&[token(1, Some(90_000), "a"), token(1, Some(10), "a"), token(2, None, "a"), token(2, Some(1), "a")]);
    tokens.sweep(UnixTime(80_000), &[]);
    assert_eq!(tokens.len(), 2);
}

#[test]
fn an_entry_takes_at_most_32_bytes() {
    let tokens = RevokedTokens::default();
    for number in 0..200_000_u128 {
        let (id, until) = token(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835), Some(1), "a");
        tokens.insert(id, until);
        if number > 100_000 && number % 1000 == 0 {
            assert!(tokens.size() <= 32 * tokens.len(), "{} bytes for {}", tokens.size(), tokens.len());
        }
    }
    tokens.sweep(UnixTime(3600), &[]);
    assert_eq!(tokens.len(), 0);
    assert!(tokens.size() < 256 * 256);
}

#[test]
fn what_is_loaded_is_there_whatever_was_there_before() {
    let tokens = of(&[token(7, Some(90_000), "a"), token(200_001, None, "a")]);
    let mut loading = Loading::new(&tokens);
    loading.make_room(200_000);
    for number in 0..200_000 {
        let (id, until) = token(number, Some(3600), "a");
        loading.insert(id, until);
    }
    drop(loading);
    assert_eq!(tokens.len(), 200_001);
    assert!(tokens.size() <= 32 * tokens.len());
    assert!((0..200_002).all(|id| holds(&tokens, id) == (id != 200_000)));
    tokens.sweep(UnixTime(80_000), &[]);
    assert!(tokens.len() == 2 && holds(&tokens, 7) && holds(&tokens, 200_001));
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u128, Option<i64>, bool),
    Sweep(i64, bool),
}

proptest! {
    #[test]
    fn it_does_what_a_map_does(steps in proptest::collection::vec(prop_oneof![
        9 => (0_u128..300, proptest::option::of(0_i64..40), any::<bool>())
            .prop_map(|(id, hour, key)| Step::Insert(id, hour, key)),
        1 => (0_i64..40, any::<bool>()).prop_map(|(hour, key)| Step::Sweep(hour, key)),
    ], 0..400)) {
        let tokens = RevokedTokens::default();
        let mut model: HashMap<u128, (Option<i64>, bool)> = HashMap::new();
        for step in steps {
            match step {
                Step::Insert(id, hour, key) => {
                    let (own, until) = token(id, hour.map(|hour| hour * 3600), if key { "a" } else { "b" });
                    // Both ways in are the same.
                    if id % 2 == 0 { tokens.insert(own, until) } else { Loading::new(&tokens).insert(own, until) }
                    let entry = model.entry(id).or_insert((hour, key));
                    *entry = match (*entry, hour) {
                        ((Some(former), _), Some(hour)) => (Some(former.max(hour)), key),
                        ((Some(_), _), None) => (None, key),
                        (former, _) => former,
                    };
                }
                Step::Sweep(hour, key) => {
                    let retired = if key { vec!["a".to_owned()] } else { vec![] };
                    tokens.sweep(UnixTime(hour * 3600), &retired);
                    model.retain(|_, (until, of_a)| match until {
                        Some(until) => *until >= hour,
                        None => !(key && *of_a),
                    });
                }
            }
            prop_assert_eq!(tokens.len(), model.len());
        }
        for id in 0..300 {
            prop_assert_eq!(holds(&tokens, id), model.contains_key(&id), "{}", id);
        }
    }
}
