//! Many changes at once.

use authority::store::{Position, Store as _, Stored};
use jotd_pgserver::Server;

use super::{Stranger, client, open};
use crate::write;

/// More than come with two statements.
const CHANGES: usize = 12_000;

#[test]
fn many_changes_come_page_by_page_each_in_its_own_time() {
    let url = Server::shared().new_store();
    let (mut writer, mut store) = (open(&url), open(&url));
    for first in (0..CHANGES).step_by(1000) {
        write(&mut writer, (first..first + 1000).map(|number| client(&format!("{number:06}")))).unwrap();
    }
    // From now on reading all of it takes longer than one step may: what was prepared is planned anew, by the names.
    let stranger = Stranger::of(&url);
    stranger.run(
        "CREATE FUNCTION slowly(body bytea) RETURNS bytea VOLATILE LANGUAGE plpgsql AS \
         'BEGIN PERFORM pg_sleep(0.05); RETURN body; END'; \
         ALTER TABLE records RENAME TO kept; \
         CREATE VIEW records AS SELECT kind, id, \
         CASE WHEN encode(id, 'escape') LIKE '%00' THEN slowly(body) ELSE body END AS body FROM kept",
    );
    let see = |changes: &[authority::store::Changed], after: usize| {
        for (number, changed) in (after..).zip(changes) {
            assert_eq!(changed.change.position, Position(number as u64 + 1));
            assert!(matches!(&changed.stored, Some(Stored::Record(record)) if record.id == changed.change.id));
        }
        assert_eq!(changes.len(), CHANGES - after);
    };
    see(&store.changes_after(Position(0)).unwrap(), 0);
    assert!(store.changes_after(Position(CHANGES as u64)).unwrap().is_empty());
    // With the right to write, too.
    let mut found = Vec::new();
    let mut follow = |transaction: &mut dyn authority::store::Transaction| {
        found = transaction.changes_after(Position(5_000))?;
        Ok(())
    };
    writer.transact(&mut follow).unwrap();
    see(&found, 5_000);
    // Where all of it ended is known: another history is noticed there, and where it began.
    stranger.run(&format!("UPDATE changes SET mark = mark + 1 WHERE position = {CHANGES}"));
    assert!(store.changes_after(Position(CHANGES as u64)).is_err(), "another change is the newest");
    stranger.run(&format!("UPDATE changes SET mark = mark - 1 WHERE position = {CHANGES}"));
    assert!(store.changes_after(Position(CHANGES as u64)).is_ok());
}
