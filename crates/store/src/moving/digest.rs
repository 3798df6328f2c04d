//! What a table holds, in a few bytes that do not depend on the order of its rows.

use std::hash::{DefaultHasher, Hasher as _};

use super::Value;
use super::tables::Table;

/// Of the rows that were added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) rows: u64,
    /// Sums of the rows' hashes, of two sorts.
    sums: [u64; 2],
}

impl Digest {
    pub(super) fn add(&mut self, table: &Table, row: &[Value]) {
        self.rows += 1;
        for (salt, sum) in (0_u8..).zip(&mut self.sums) {
            let mut hasher = DefaultHasher::new();
            hasher.write_u8(salt);
            for (column, value) in table.columns.iter().zip(row) {
                // Made anew where a store comes from a file.
                if !column.is_content() {
                    continue;
                }
                hasher.write_usize(value.as_ref().map_or(usize::MAX, Vec::len));
                hasher.write(value.as_deref().unwrap_or_default());
            }
            *sum = sum.wrapping_add(hasher.finish());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moving::tables::TABLES;

    fn digest(rows: &[[Option<&str>; 3]]) -> Digest {
        let mut digest = Digest::default();
        for row in rows {
            let row: Vec<Value> = row.iter().map(|value| value.map(|text| text.as_bytes().to_vec())).collect();
            digest.add(TABLES[0], &row);
        }
        digest
    }

    #[test]
    fn only_the_same_rows_have_the_same_digest_in_whatever_order() {
        let rows = [[Some("key"), Some("a"), Some("b")], [Some("key"), Some("c"), None]];
        let same = digest(&rows);
        assert_eq!(digest(&[rows[1], rows[0]]), same);
        for others in [
            &[][..],
            &[rows[0]],
            &[rows[0], rows[0]],
            &[rows[0], rows[1], rows[1]],
            &[rows[0], [Some("key"), Some("c"), Some("")]],
            &[rows[0], [Some("key"), None, Some("c")]],
            &[[Some("keya"), Some(""), Some("b")], rows[1]],
        ] {
            assert_ne!(digest(others), same, "{others:?}");
        }
    }
}
