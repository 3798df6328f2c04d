//! Programs of two versions on one store. The second version is in these tests alone.

use authority::UnixTime;
use authority::error::StoreError;
use authority::store::{Draft, Kind, Position, Put, Record, Store as _};
use jotd_pgserver::Server;

use super::{MIGRATIONS, Migration};
use crate::{PostgresAddress, PostgresStore};

const FIRST: Migration = MIGRATIONS[0];

/// With which programs of the first version can go on.
const ADDITIVE: &[Migration] = &[
    FIRST,
    Migration {
        statements: "ALTER TABLE changes ADD COLUMN origin text NOT NULL DEFAULT 'unknown';
            ALTER TABLE head ADD COLUMN novelty bigint; CREATE TABLE novelties (id bigint PRIMARY KEY)",
        oldest: 1,
    },
];

/// With which they cannot, in the sense of what is stored.
const BREAKING: &[Migration] =
    &[FIRST, Migration { statements: "ALTER TABLE records ADD COLUMN sealed_by text", oldest: 2 }];

/// With which they cannot even read.
const RENAMING: &[Migration] =
    &[FIRST, Migration { statements: "ALTER TABLE changes RENAME COLUMN detail TO details", oldest: 2 }];

/// That fails in the middle.
const FAILING: &[Migration] =
    &[FIRST, Migration { statements: "CREATE TABLE half (id bigint); SELECT 1 / 0", oldest: 2 }];

fn address() -> PostgresAddress {
    PostgresAddress::parse(&Server::shared().new_store(), None).unwrap()
}

fn write(store: &mut PostgresStore, id: &str) -> Result<Position, StoreError> {
    let record = Record { kind: Kind::Client, id: id.to_owned(), body: "{}".to_owned() };
    let draft = Draft { action: "test.done", detail: "{}".to_owned(), put: Put::Record(record) };
    let mut position = Position(0);
    store.transact(&mut |transaction| {
        position = transaction.write(UnixTime(1), "tester", &draft)?;
        Ok(())
    })?;
    Ok(position)
}

#[test]
fn programs_of_the_version_before_go_on_where_that_can_be() {
    let address = address();
    let mut old = PostgresStore::open_with(&address, &ADDITIVE[..1]).unwrap();
    assert_eq!(write(&mut old, "1"), Ok(Position(1)));
    let mut new = PostgresStore::open_with(&address, ADDITIVE).unwrap();
    assert_eq!(write(&mut new, "2"), Ok(Position(2)));
    assert_eq!(write(&mut old, "3"), Ok(Position(3)));
    for store in [&mut old, &mut new, &mut PostgresStore::open_with(&address, &ADDITIVE[..1]).unwrap()] {
        let changes = store.changes_after(Position(0)).unwrap();
        assert_eq!(changes.iter().map(|changed| &*changed.change.id).collect::<Vec<_>>(), ["1", "2", "3"]);
        assert!(changes.iter().all(|changed| changed.stored.is_some()));
        assert_eq!(store.load(&mut |_| ()), Ok(Position(3)));
    }
}

#[test]
fn programs_of_the_version_before_are_refused_where_they_must_not_go_on() {
    for migrations in [BREAKING, RENAMING] {
        let address = address();
        let mut old = PostgresStore::open_with(&address, &migrations[..1]).unwrap();
        assert_eq!(write(&mut old, "1"), Ok(Position(1)));
        // The statements of this program may not fit any more, but the store is brought to the version.
        drop(PostgresStore::open_with(&address, migrations));
        let newer = StoreError::Newer { found: 2, known: 1 };
        assert_eq!(old.changes_after(Position(1)), Err(newer.clone()));
        assert_eq!(write(&mut old, "2"), Err(newer.clone()));
        assert_eq!(old.tend(&mut |_| Ok(())), Err(newer.clone()));
        assert_eq!(old.load(&mut |_| ()), Err(newer.clone()));
        assert_eq!(PostgresStore::open_with(&address, &migrations[..1]).unwrap_err(), newer);
    }
}

#[test]
fn a_migration_that_fails_leaves_what_was_there() {
    let address = address();
    let mut old = PostgresStore::open_with(&address, &FAILING[..1]).unwrap();
    for _ in 0..2 {
        let error = PostgresStore::open_with(&address, FAILING).unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("division by zero")), "{error}");
    }
    assert_eq!(write(&mut old, "1"), Ok(Position(1)));
    let fixed: &[Migration] = ADDITIVE;
    assert_eq!(write(&mut PostgresStore::open_with(&address, fixed).unwrap(), "2"), Ok(Position(2)));
}
