//! Taking in very many revoked tokens at a time, as a start does: sorted by shard, so that the memory at hand is a few
//! megabytes and one shard, and not the whole table for each of them.

use std::hint::black_box;
use std::sync::PoisonError;

use super::{Entry, FULLEST, RevokedTokens, SHARDS, SMALLEST, shard_of};
use crate::store::{RevocationId, Until};

/// So many of a shard are gathered before they are put in.
const GATHERED: usize = 512;

/// Room is made for so many at most, before any of them has come.
const MOST_ANNOUNCED: u64 = 100_000_000;

/// Those that are on their way in. They are in force when it is dropped.
pub(crate) struct Loading<'t> {
    tokens: &'t RevokedTokens,
    gathered: Vec<Vec<Entry>>,
}

impl<'t> Loading<'t> {
    pub(crate) fn new(tokens: &'t RevokedTokens) -> Self {
        Self { tokens, gathered: vec![Vec::new(); SHARDS] }
    }

    /// Makes room for so many in all, at once instead of little by little.
    pub(crate) fn make_room(&self, count: u64) {
        // No more than fit into memory, whatever is announced; and a little more than the mean, as few shards are exact.
        let each = usize::try_from(count.min(MOST_ANNOUNCED)).unwrap_or(0) / SHARDS;
        let length = each * 100 / FULLEST * 103 / 100;
        for shard in &self.tokens.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            if each > SMALLEST && length > shard.slots() {
                shard.rebuild(length, |_| true);
            }
        }
    }

    pub(crate) fn insert(&mut self, id: RevocationId, until: Until<'_>) {
        let entry = self.tokens.entry(id, until);
        let index = shard_of(entry.hash);
        let Some(gathered) = self.gathered.get_mut(index) else { return };
        gathered.push(entry);
        if gathered.len() >= GATHERED {
            put_in(self.tokens, index, gathered);
        }
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        for (index, gathered) in self.gathered.iter_mut().enumerate() {
            put_in(self.tokens, index, gathered);
        }
    }
}

fn put_in(tokens: &RevokedTokens, index: usize, gathered: &mut Vec<Entry>) {
    if let Some(shard) = tokens.shards.get(index) {
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        // Memory that is asked for together is waited for together, and each of them finds its place at hand.
        black_box(gathered.iter().fold(0, |all, entry| all ^ shard.look_at(entry.hash)));
        gathered.drain(..).for_each(|entry| shard.insert(entry));
    }
}
