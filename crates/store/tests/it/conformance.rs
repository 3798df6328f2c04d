//! The suite that any store must pass, on SQLite.

use jotd_store::SqliteStore;
use jotd_store::conformance::CASES;

#[test]
fn sqlite_does_what_any_store_must() {
    for (name, case) in CASES {
        println!("{name}");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jotd.db");
        case(&mut || Box::new(SqliteStore::open(&path).unwrap()));
    }
}
