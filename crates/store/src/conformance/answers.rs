//! Client assertions and idempotent answers.

use authority::ports::UnixTime;
use authority::store::{Answer, Expected, RevocationId, Store, Sweep};

use super::{Open, refused, whole_log};

fn remember(store: &mut dyn Store, id: u8, expires_at: i64) -> bool {
    let mut new = None;
    let done = store.transact(&mut |transaction| {
        new = Some(transaction.remember_assertion(RevocationId([id; 16]), UnixTime(expires_at))?);
        Ok(())
    });
    done.unwrap();
    new.unwrap()
}

fn find(store: &mut dyn Store, key: &str, now: i64) -> Option<Answer> {
    let mut found = None;
    let done = store.transact(&mut |transaction| {
        found = transaction.find_answer(key, UnixTime(now))?;
        Ok(())
    });
    done.unwrap();
    found
}

fn sweep(store: &mut dyn Store, expired_at: i64) {
    store.sweep(&Sweep { expired_at: UnixTime(expired_at), ..Sweep::default() }).unwrap();
}

pub(super) fn assertion_is_remembered_once(open: Open<'_>) {
    let (mut store, mut other) = (open(), open());
    assert!(remember(&mut *store, 1, 100));
    assert!(!remember(&mut *store, 1, 100));
    assert!(!remember(&mut *other, 1, 200));
    assert!(remember(&mut *other, 2, 200));
    assert!(!remember(&mut *store, 2, 200));
    assert!(!remember(&mut *open(), 2, 200));
    sweep(&mut *store, 99);
    assert!(!remember(&mut *other, 1, 100));
    sweep(&mut *store, 100);
    assert!(remember(&mut *other, 1, 300));
    assert!(!remember(&mut *store, 2, 200));
    assert_eq!(whole_log(&mut *store), [], "they are not logged");
}

pub(super) fn answer_is_kept_until_it_expires(open: Open<'_>) {
    let (mut store, mut other) = (open(), open());
    let answer = |created: &str, expires_at| Answer {
        key: "caller\0key".to_owned(),
        request: "digest".to_owned(),
        created: created.to_owned(),
        expires_at: UnixTime(expires_at),
    };
    let (first, second) = (answer("first", 100), answer("second", 200));
    let failed = store.transact(&mut |transaction| {
        transaction.remember_answer(&first)?;
        assert_eq!(transaction.find_answer(&first.key, UnixTime(0))?, Some(first.clone()));
        Err(refused())
    });
    assert_eq!(failed, Err(refused()));
    assert_eq!(find(&mut *other, &first.key, 0), None);
    store.transact(&mut |transaction| transaction.remember_answer(&first)).unwrap();
    assert_eq!(find(&mut *other, &first.key, 99), Some(first.clone()));
    assert_eq!(find(&mut *other, "caller", 99), None);
    assert_eq!(find(&mut *other, &first.key, 100), None);
    other.transact(&mut |transaction| transaction.remember_answer(&second)).unwrap();
    assert_eq!(find(&mut *store, &first.key, 100), Some(second.clone()));
    sweep(&mut *store, 199);
    assert_eq!(find(&mut *store, &first.key, 0), Some(second));
    sweep(&mut *store, 200);
    assert_eq!(find(&mut *store, &first.key, 0), None);
    assert_eq!(whole_log(&mut *store), [], "they are not logged");
}

pub(super) fn what_is_expected_is_found_the_same(open: Open<'_>) {
    let (mut store, mut other) = (open(), open());
    let answer = |key: &str, created: &str| Answer {
        key: key.to_owned(),
        request: "digest".to_owned(),
        created: created.to_owned(),
        expires_at: UnixTime(100),
    };
    assert!(remember(&mut *other, 1, 100));
    other.transact(&mut |transaction| transaction.remember_answer(&answer("there", "before"))).unwrap();
    let ids = [1, 2, 3].map(|id| RevocationId([id; 16]));
    let mut expected: Vec<_> = ids.map(Expected::Assertion).to_vec();
    expected.extend(["there", "new", "never"].map(|key| Expected::Answer(key.to_owned())));
    let done = store.transact(&mut |transaction| {
        transaction.expect(&expected)?;
        let mut remembered = Vec::new();
        // Twice in one transaction, and one that nobody has told of.
        for id in [ids[0], ids[1], ids[1], RevocationId([4; 16]), RevocationId([4; 16])] {
            remembered.push(transaction.remember_assertion(id, UnixTime(100))?);
        }
        assert_eq!(remembered, [false, true, false, true, false]);
        assert_eq!(transaction.find_answer("there", UnixTime(0))?, Some(answer("there", "before")));
        assert_eq!(transaction.find_answer("there", UnixTime(100))?, None);
        assert_eq!(transaction.find_answer("new", UnixTime(0))?, None);
        transaction.remember_answer(&answer("new", "now"))?;
        // Even where what was written so far has gone to the store already.
        transaction.changes_after(authority::store::Position(0))?;
        transaction.expect(&expected)?;
        assert_eq!(transaction.find_answer("new", UnixTime(0))?, Some(answer("new", "now")));
        assert_eq!(transaction.find_answer("never", UnixTime(0))?, None);
        assert!(!transaction.remember_assertion(ids[1], UnixTime(100))?);
        Ok(())
    });
    done.unwrap();
    assert_eq!([1, 2, 4, 3].map(|id| remember(&mut *other, id, 100)), [false, false, false, true]);
    assert_eq!(find(&mut *other, "new", 0), Some(answer("new", "now")));
}
