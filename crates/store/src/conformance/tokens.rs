//! Revoked tokens.

use authority::ports::UnixTime;
use authority::store::{Position, Put, RevocationId, RevokedToken, Stored, Sweep};

use super::{Open, load, token, write};

pub(super) fn revoked_twice(open: Open<'_>) {
    let mut store = open();
    let first = |expires_at, key: Option<&str>| RevokedToken {
        revoked_at: UnixTime(1),
        actor: "first".to_owned(),
        reason: "theft".to_owned(),
        ..token(0, expires_at, key)
    };
    // The expiry and the key of either, and what is kept.
    for (id, (before, after, kept)) in [
        ((Some(50), None), (Some(60), None), (Some(60), None)),
        ((Some(60), None), (Some(50), None), (Some(60), None)),
        ((Some(50), Some("k")), (Some(50), None), (Some(50), Some("k"))),
        ((Some(50), None), (Some(50), Some("k")), (Some(50), Some("k"))),
        ((Some(50), None), (None, Some("k")), (None, Some("k"))),
        ((Some(50), Some("j")), (None, Some("k")), (None, Some("k"))),
        ((None, Some("k")), (Some(50), None), (None, Some("k"))),
        ((None, Some("k")), (Some(50), Some("j")), (None, Some("k"))),
        ((None, Some("k")), (None, Some("k")), (None, Some("k"))),
    ]
    .into_iter()
    .enumerate()
    {
        let id = RevocationId([u8::try_from(id).unwrap(); 16]);
        let before = RevokedToken { id, ..first(before.0, before.1) };
        let after = RevokedToken { id, ..token(0, after.0, after.1) };
        let kept = RevokedToken { id, ..first(kept.0, kept.1) };
        let position = write(&mut *store, Put::Token(before.clone()));
        assert_eq!(store.find_token(id), Ok(Some(before)));
        write(&mut *store, Put::Token(after));
        assert_eq!(store.find_token(id), Ok(Some(kept.clone())), "{id}");
        let changes = store.changes_after(Position(position.0 - 1)).unwrap();
        assert!(
            changes.len() == 2 && changes.iter().all(|changed| changed.stored == Some(Stored::Token(kept.clone())))
        );
    }
}

pub(super) fn found_and_paged(open: Open<'_>) {
    let mut store = open();
    let mut tokens: Vec<_> =
        [9, 3, 255, 0, 128, 127].into_iter().map(|id| token(id, Some(i64::from(id)), None)).collect();
    for token in &tokens {
        write(&mut *store, Put::Token(token.clone()));
    }
    tokens.sort_by_key(|token| token.id);
    assert_eq!(store.tokens(None, 100), Ok(tokens.clone()));
    assert_eq!(store.tokens(None, 0), Ok(vec![]));
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = store.tokens(after, 4).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        paged.extend(page);
    }
    assert_eq!(paged, tokens);
    assert_eq!(store.tokens(Some(RevocationId([4; 16])), 1).unwrap()[0].id, RevocationId([9; 16]));
    let ids = [127, 1, 3, 255].map(|id| RevocationId([id; 16]));
    let mut found = store.find_tokens(&ids).unwrap();
    found.sort_by_key(|token| token.id);
    let expected: Vec<_> = tokens.iter().filter(|token| ids.contains(&token.id)).cloned().collect();
    assert_eq!((found, expected.len()), (expected, 3));
    assert_eq!(store.find_tokens(&[]), Ok(vec![]));
    for token in tokens {
        assert_eq!(store.find_token(token.id), Ok(Some(token)));
    }
    assert_eq!(store.find_token(RevocationId([1; 16])), Ok(None));
}

pub(super) fn swept(open: Open<'_>) {
    let (mut store, mut other) = (open(), open());
    for token in [
        token(1, Some(3599), None),
        token(2, Some(7199), Some("old")),
        token(3, Some(7200), Some("old")),
        token(4, None, Some("old")),
        token(5, None, Some("older")),
        token(6, None, Some("new")),
        token(7, Some(i64::MAX), None),
    ] {
        write(&mut *store, Put::Token(token));
    }
    let (newest, _) = load(&mut *other);
    for (expired_at, retired_keys, left) in [
        (3599, &[][..], &[1, 2, 3, 4, 5, 6, 7][..]),
        (3600, &[], &[2, 3, 4, 5, 6, 7]),
        (7199, &[], &[2, 3, 4, 5, 6, 7]),
        (7200, &["unknown"], &[3, 4, 5, 6, 7]),
        (10_799, &["old", "older"], &[3, 6, 7]),
        (10_800, &["old"], &[6, 7]),
        (1_000_000, &["old", "'new'"], &[6, 7]),
        (0, &["new"], &[7]),
    ] {
        let retired_keys = retired_keys.iter().map(|&key| key.to_owned()).collect();
        let sweep = Sweep { expired_at: UnixTime(expired_at), retired_keys, log_before: UnixTime(0) };
        store.sweep(&sweep).unwrap();
        for store in [&mut store, &mut other] {
            let ids: Vec<_> = store.tokens(None, 100).unwrap().iter().map(|token| token.id.0[0]).collect();
            assert_eq!(ids, left, "{sweep:?}");
            assert_eq!(load(&mut **store).0, newest, "sweeping is no change");
        }
    }
    let gone = other.changes_after(Position(newest.0 - 2)).unwrap();
    assert_eq!(gone.iter().map(|changed| changed.stored.is_some()).collect::<Vec<_>>(), [false, true]);
}
