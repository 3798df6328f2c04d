//! Records and transactions.

use authority::error::StoreError;
use authority::ports::UnixTime;
use authority::store::{Kind, Position, Put, RevocationId, Stored};

use super::{Open, State, draft, follow, load, put, record, refused, token, whole_log, write};

pub(super) fn new_store_is_empty(open: Open<'_>) {
    let mut store = open();
    assert_eq!(load(&mut *store), (Position(0), State::new()));
    assert_eq!(store.changes_after(Position(0)), Ok(vec![]));
    assert_eq!(store.log(None, 10), Ok(vec![]));
    assert_eq!(store.find_token(RevocationId([0; 16])), Ok(None));
    assert_eq!(store.tokens(None, 10), Ok(vec![]));
    assert_eq!(store.transact(&mut |_| Ok(())), Ok(()));
    assert_eq!(load(&mut *open()), (Position(0), State::new()));
}

pub(super) fn put_replaced_removed(open: Open<'_>) {
    let mut store = open();
    let mut expect = |write_this: Put, left: &[(Kind, &str, &str)]| {
        let position = write(&mut *store, write_this);
        let left =
            left.iter().map(|&(kind, id, body)| ((kind.name(), id.to_owned()), Stored::Record(record(kind, id, body))));
        let expected = (position, left.collect::<State>());
        assert_eq!(load(&mut *store), expected);
        assert_eq!(load(&mut *open()), expected);
    };
    expect(put(Kind::Key, "a", "1"), &[(Kind::Key, "a", "1")]);
    expect(put(Kind::Client, "b", "2"), &[(Kind::Key, "a", "1"), (Kind::Client, "b", "2")]);
    expect(put(Kind::Key, "a", "3"), &[(Kind::Key, "a", "3"), (Kind::Client, "b", "2")]);
    expect(Put::Remove(Kind::Key, "a".to_owned()), &[(Kind::Client, "b", "2")]);
    expect(Put::Remove(Kind::Key, "a".to_owned()), &[(Kind::Client, "b", "2")]);
    expect(put(Kind::Key, "a", "4"), &[(Kind::Key, "a", "4"), (Kind::Client, "b", "2")]);
}

pub(super) fn same_id_under_two_kinds(open: Open<'_>) {
    let mut store = open();
    let kinds = [Kind::Setting, Kind::Key, Kind::Slot, Kind::Client, Kind::Rule];
    for kind in kinds {
        write(&mut *store, put(kind, "x", kind.name()));
    }
    for (index, kind) in kinds.into_iter().enumerate() {
        let (_, state) = load(&mut *store);
        assert_eq!(state.len(), kinds.len() - index);
        assert_eq!(state[&(kind.name(), "x".to_owned())], Stored::Record(record(kind, "x", kind.name())));
        write(&mut *store, Put::Remove(kind, "x".to_owned()));
    }
    assert_eq!(load(&mut *store).1, State::new());
}

pub(super) fn any_text_comes_back(open: Open<'_>) {
    let mut store = open();
    let long = "ü".repeat(50_000);
    let texts =
        ["", " ", "'", "\"", "a\0b", "\0", "a\0c", "'); DROP TABLE records; --", "%_?1:a@b$c", "ﷺ𝕏\u{fdd0}\u{10ffff}"];
    for text in texts.into_iter().chain([&*long]) {
        let mut revoked = token(1, Some(1), Some(text));
        (revoked.actor, revoked.reason) = (text.to_owned(), text.to_owned());
        let mut drafts = [draft(put(Kind::Client, text, text)), draft(Put::Token(revoked.clone()))];
        drafts[0].detail = text.to_owned();
        store
            .transact(&mut |transaction| {
                drafts.iter().try_for_each(|draft| transaction.write(UnixTime(1), text, draft).map(drop))
            })
            .unwrap();
        let mut fresh = open();
        let change = &fresh.log(None, 2).unwrap()[1];
        assert_eq!((&*change.actor, &*change.id, &*change.detail), (text, text, text));
        let changed = fresh.changes_after(Position(change.position.0 - 1)).unwrap();
        assert_eq!(changed[0].stored, Some(Stored::Record(record(Kind::Client, text, text))));
        let (_, state) = load(&mut *fresh);
        assert_eq!(state[&("client", text.to_owned())], Stored::Record(record(Kind::Client, text, text)));
    }
    assert_eq!(load(&mut *store).1.len(), texts.len() + 2);
    assert_eq!(store.find_token(RevocationId([1; 16])).unwrap().unwrap().actor, "");
}

pub(super) fn record_is_never_a_token(open: Open<'_>) {
    let mut store = open();
    let id = RevocationId([1; 16]).to_string();
    write(&mut *store, Put::Token(token(1, Some(1), None)));
    for refuse in [put(Kind::Token, &id, "{}"), Put::Remove(Kind::Token, id.clone())] {
        let refuse = draft(refuse);
        let written = store.transact(&mut |transaction| transaction.write(UnixTime(1), "", &refuse).map(drop));
        assert!(matches!(written, Err(StoreError::Unavailable(_))), "{written:?}");
    }
    assert_eq!(whole_log(&mut *store).len(), 1);
    assert!(store.find_token(RevocationId([1; 16])).unwrap().is_some());
}

pub(super) fn transaction_sees_what_it_wrote(open: Open<'_>) {
    let mut store = open();
    let first = write(&mut *store, put(Kind::Client, "a", "1"));
    let (again, other) = (draft(put(Kind::Client, "a", "2")), draft(put(Kind::Client, "b", "3")));
    let work = store.transact(&mut |transaction| {
        assert_eq!(transaction.changes_after(first), Ok(vec![]));
        let second = transaction.write(UnixTime(1), "", &again)?;
        let third = transaction.write(UnixTime(1), "", &other)?;
        assert!(first < second && second < third);
        let changes = transaction.changes_after(first)?;
        let seen = changes.iter().map(|changed| (changed.change.position, changed.stored.clone()));
        let [a, b] = [record(Kind::Client, "a", "2"), record(Kind::Client, "b", "3")].map(Stored::Record);
        assert_eq!(seen.collect::<Vec<_>>(), [(second, Some(a)), (third, Some(b))]);
        assert_eq!(transaction.changes_after(third), Ok(vec![]));
        Ok(())
    });
    assert_eq!(work, Ok(()));
}

pub(super) fn nothing_is_written_when_work_fails(open: Open<'_>) {
    let mut store = open();
    let position = write(&mut *store, put(Kind::Client, "a", "1"));
    let before = load(&mut *store);
    let drafts = [put(Kind::Client, "a", "2"), put(Kind::Client, "b", "2"), Put::Token(token(1, None, Some("k")))];
    let failed = store.transact(&mut |transaction| {
        for put in &drafts {
            transaction.write(UnixTime(500), "", &draft(put.clone()))?;
        }
        assert!(transaction.remember_assertion(RevocationId([9; 16]), UnixTime(1000))?);
        Err(refused())
    });
    assert_eq!(failed, Err(refused()));
    for store in [&mut store, &mut open()] {
        assert_eq!(load(&mut **store), before);
        assert_eq!(store.changes_after(position), Ok(vec![]));
        assert_eq!(store.tokens(None, 10), Ok(vec![]));
        assert_eq!(whole_log(&mut **store).len(), 1);
    }
    // It can be used again, and the assertion was not remembered either.
    let next = store.transact(&mut |transaction| {
        assert!(transaction.remember_assertion(RevocationId([9; 16]), UnixTime(1000))?);
        Ok(())
    });
    assert_eq!(next, Ok(()));
    assert!(write(&mut *store, put(Kind::Client, "a", "3")) > position);
}

pub(super) fn loading_equals_applying_changes(open: Open<'_>) {
    let mut store = open();
    let (mut reader, mut slow) = (open(), open());
    let (mut state, mut position) = (State::new(), Position(0));
    let kinds = [Kind::Setting, Kind::Key, Kind::Slot, Kind::Client, Kind::Rule];
    for step in 0..60_u8 {
        let (kind, id) = (kinds[usize::from(step) % 5], format!("{}", step % 7));
        match step % 4 {
            0 => write(&mut *store, Put::Token(token(step % 3, Some(i64::from(step)), None))),
            1 => write(&mut *store, Put::Remove(kind, id)),
            _ => write(&mut *store, put(kind, &id, &format!("{step}"))),
        };
        position = follow(&mut *reader, position, &mut state);
        assert_eq!((position, state.clone()), load(&mut *store));
    }
    // As it does for one who comes late, and for one who applies everything a second time.
    let mut late = State::new();
    assert_eq!(follow(&mut *slow, Position(0), &mut late), position);
    assert_eq!(late, state);
    follow(&mut *slow, Position(0), &mut late);
    assert_eq!(late, state);
}

pub(super) fn changes_come_with_what_is_stored_now(open: Open<'_>) {
    let mut store = open();
    let first = write(&mut *store, put(Kind::Client, "a", "1"));
    write(&mut *store, put(Kind::Client, "b", "2"));
    write(&mut *store, Put::Token(token(7, Some(50), Some("k"))));
    write(&mut *store, put(Kind::Client, "a", "3"));
    write(&mut *store, Put::Remove(Kind::Client, "b".to_owned()));
    let a = Some(Stored::Record(record(Kind::Client, "a", "3")));
    let revoked = Some(Stored::Token(token(7, Some(50), Some("k"))));
    let stored = |after, store: &mut dyn authority::store::Store| {
        let changes = store.changes_after(after).unwrap();
        changes.into_iter().map(|changed| changed.stored).collect::<Vec<_>>()
    };
    let all = [a.clone(), None, revoked, a, None];
    assert_eq!(stored(Position(0), &mut *store), all);
    assert_eq!(stored(first, &mut *store), all[1..]);
    assert_eq!(stored(Position(0), &mut *open()), all);
    let change = store.changes_after(Position(0)).unwrap().swap_remove(2).change;
    assert_eq!((change.kind, change.id), (Kind::Token, "07".repeat(16)));
    assert_eq!((&*change.actor, &*change.action, &*change.detail), ("tester", "test.done", "{}"));
}
