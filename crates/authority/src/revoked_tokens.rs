//! The revoked tokens in memory: their ids and how long each entry stays, in at most 32 bytes an entry and one probe a
//! check, however many there are.
//!
//! A table of open addresses (linear probing) of any length, in shards: it grows by a fifth, so that little of it is
//! empty, and a shard at a time, so that nobody waits long. An entry's expiry stands beside its id and not in how it is
//! found: whoever asks need not know it. Entries vanish by themselves when the token has expired, or, where it does not
//! expire, when the key that signed it is retired.

mod loading;

use std::sync::{PoisonError, RwLock};

use crate::ports::UnixTime;
use crate::store::{RevocationId, Until};

pub(crate) use loading::Loading;

/// A power of two: so many parts have locks of their own.
const SHARDS: usize = 256;

/// The smallest shard that is not empty.
const SMALLEST: usize = 16;

/// No more than so many of a hundred slots are taken.
const FULLEST: usize = 80;

/// Set in what stays until a key is retired, beside the key's number; else it stays to the end of that hour since 1970.
const KEY: u32 = 1 << 31;

/// The tag of a slot that is empty.
const EMPTY: u8 = 0;

/// So many tags are looked at together. The first of them stand once more behind the last, so that none has to be
/// looked at around the end.
const TOGETHER: usize = 16;

/// The revoked tokens. Shared by all states of a process: a revocation is in force for readers of older copies too.
#[derive(Debug)]
pub(crate) struct RevokedTokens {
    shards: Box<[RwLock<Shard>]>,
    /// Names of keys by number.
    keys: RwLock<Vec<String>>,
}

impl Default for RevokedTokens {
    fn default() -> Self {
        let shards = std::iter::repeat_with(RwLock::default).take(SHARDS).collect();
        Self { shards, keys: RwLock::default() }
    }
}

/// A revoked token, as it stands in the table.
#[derive(Debug, Clone, Copy)]
struct Entry {
    id: u128,
    hash: u64,
    until: u32,
}

/// A part of them, by their hash.
#[derive(Debug, Default)]
struct Shard {
    /// A byte of each slot's hash: what is not there is mostly told from these alone, of which many lie side by side.
    tags: Vec<u8>,
    ids: Vec<u128>,
    until: Vec<u32>,
    count: usize,
}

impl RevokedTokens {
    pub(crate) fn contains(&self, id: RevocationId) -> bool {
        let id = u128::from_be_bytes(id.0);
        let hash = mixed(id);
        let Some(shard) = self.shards.get(shard_of(hash)) else { return false };
        shard.read().unwrap_or_else(PoisonError::into_inner).find(id, hash).is_ok()
    }

    pub(crate) fn len(&self) -> usize {
        let count = |shard: &RwLock<Shard>| shard.read().unwrap_or_else(PoisonError::into_inner).count;
        self.shards.iter().map(count).sum()
    }

    /// What the entries take up, in bytes.
    pub(crate) fn size(&self) -> usize {
        let size = |shard: &RwLock<Shard>| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            let slots = shard.tags.capacity()
                + shard.ids.capacity() * size_of::<u128>()
                + shard.until.capacity() * size_of::<u32>();
            slots + size_of::<Shard>()
        };
        self.shards.iter().map(size).sum()
    }

    pub(crate) fn insert(&self, id: RevocationId, until: Until<'_>) {
        let entry = self.entry(id, until);
        if let Some(shard) = self.shards.get(shard_of(entry.hash)) {
            shard.write().unwrap_or_else(PoisonError::into_inner).insert(entry);
        }
    }

    fn entry(&self, id: RevocationId, until: Until<'_>) -> Entry {
        let until = match until {
            Until::Expiry(at) => hour(at),
            Until::KeyRetired(key_id) => KEY | self.number(key_id.unwrap_or_default()),
        };
        let id = u128::from_be_bytes(id.0);
        Entry { id, hash: mixed(id), until }
    }

    fn number(&self, key_id: &str) -> u32 {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let known = keys.iter().position(|key| key == key_id);
        let number = known.unwrap_or_else(|| {
            keys.push(key_id.to_owned());
            keys.len() - 1
        });
        u32::try_from(number).unwrap_or(u32::MAX) & !KEY
    }

    /// Forgets what has expired, and what was signed by keys that are retired.
    pub(crate) fn sweep(&self, now: UnixTime, retired_keys: &[String]) {
        let present = hour(now);
        let gone: Vec<bool> = {
            let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
            keys.iter().map(|key| retired_keys.contains(key)).collect()
        };
        let stays = |until: u32| match until & KEY {
            0 => until >= present,
            _ => !gone.get((until & !KEY) as usize).copied().unwrap_or(false),
        };
        for shard in &self.shards {
            shard.write().unwrap_or_else(PoisonError::into_inner).retain(stays);
        }
    }
}

impl Shard {
    fn slots(&self) -> usize {
        self.ids.len()
    }

    /// The slot that has the id, or else the one where it belongs; `None` where there is none at all.
    fn find(&self, id: u128, hash: u64) -> Result<usize, Option<usize>> {
        let slots = self.slots();
        let wanted = u128::from_le_bytes([tag_of(hash); TOGETHER]);
        let mut start = place_of(hash, slots);
        // There is always an empty slot.
        for _ in 0..=slots / TOGETHER + 1 {
            let Some(tags) = self.tags.get(start..).and_then(<[u8]>::first_chunk::<TOGETHER>) else { break };
            let tags = u128::from_le_bytes(*tags);
            let first_empty = first_byte(zero_bytes(tags));
            let mut same = zero_bytes(tags ^ wanted);
            while same != 0 && first_byte(same) < first_empty {
                let place = (start + first_byte(same)) % slots;
                if self.ids.get(place) == Some(&id) {
                    return Ok(place);
                }
                same &= same - 1;
            }
            if first_empty < TOGETHER {
                return Err(Some((start + first_empty) % slots));
            }
            start = (start + TOGETHER) % slots;
        }
        Err(None)
    }

    /// Reads what is at the place where something belongs, which makes nothing of it but has it at hand.
    fn look_at(&self, hash: u64) -> u32 {
        let place = place_of(hash, self.slots());
        let (tag, id, until) = (self.tags.get(place), self.ids.get(place), self.until.get(place));
        tag.map_or(0, |tag| u32::from(*tag)) ^ id.map_or(0, |id| *id as u32) ^ until.copied().unwrap_or(0)
    }

    fn insert(&mut self, Entry { id, hash, until }: Entry) {
        if (self.count + 1) * 100 > self.slots() * FULLEST {
            let length = (self.slots() + self.slots() / 5).max(SMALLEST);
            self.rebuild(length, |_| true);
        }
        match self.find(id, hash) {
            Ok(place) => {
                if let Some(former) = self.until.get_mut(place) {
                    *former = longer(*former, until);
                }
            }
            Err(Some(place)) => self.put(place, id, hash, until),
            Err(None) => {}
        }
    }

    fn put(&mut self, place: usize, id: u128, hash: u64, until: u32) {
        let (tag, again) = (tag_of(hash), self.slots() + place);
        let slot = (self.tags.get_mut(place), self.ids.get_mut(place), self.until.get_mut(place));
        if let (Some(own_tag), Some(own_id), Some(own_until)) = slot {
            (*own_tag, *own_id, *own_until) = (tag, id, until);
            self.count += 1;
        }
        if place < TOGETHER
            && let Some(copy) = self.tags.get_mut(again)
        {
            *copy = tag;
        }
    }

    /// Keeps what `stays`; where nothing goes, nothing is moved.
    fn retain(&mut self, stays: impl Fn(u32) -> bool) {
        let staying = self.entries().filter(|(_, until)| stays(*until)).count();
        if staying < self.count {
            let length = if staying == 0 { 0 } else { ((staying * 100 / FULLEST + 1) * 9 / 8).max(SMALLEST) };
            self.rebuild(length, stays);
        }
    }

    fn entries(&self) -> impl Iterator<Item = (u128, u32)> {
        let slots = self.tags.iter().zip(&self.ids).zip(&self.until);
        slots.filter(|((tag, _), _)| **tag != EMPTY).map(|((_, id), until)| (*id, *until))
    }

    /// A table of this length, with the entries that stay.
    fn rebuild(&mut self, length: usize, stays: impl Fn(u32) -> bool) {
        let tags = if length == 0 { Vec::new() } else { vec![EMPTY; length + TOGETHER] };
        let mut next = Self { tags, ids: vec![0; length], until: vec![0; length], count: 0 };
        for (id, until) in self.entries().filter(|(_, until)| stays(*until)) {
            let hash = mixed(id);
            if let Err(Some(place)) = next.find(id, hash) {
                next.put(place, id, hash, until);
            }
        }
        *self = next;
    }
}

/// Of two entries for one token, what keeps it longer, as in the store.
fn longer(one: u32, other: u32) -> u32 {
    match (one & KEY, other & KEY) {
        (0, 0) => one.max(other),
        (0, _) => other,
        _ => one,
    }
}

fn hour(time: UnixTime) -> u32 {
    u32::try_from(time.0.div_euclid(3600).max(0)).unwrap_or(!KEY).min(!KEY)
}

/// Most ids are random; those that are not are spread like them (the finalizer of SplitMix64).
fn mixed(id: u128) -> u64 {
    let folded = (id >> 64) as u64 ^ (id as u64).rotate_left(32);
    let folded = (folded ^ folded >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let folded = (folded ^ folded >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    folded ^ folded >> 31
}

fn shard_of(hash: u64) -> usize {
    hash as usize % SHARDS
}

/// The highest bit of each byte that is zero. Bytes above the first one may be marked by mistake.
fn zero_bytes(bytes: u128) -> u128 {
    const LOW: u128 = u128::from_le_bytes([0x01; TOGETHER]);
    const HIGH: u128 = u128::from_le_bytes([0x80; TOGETHER]);
    bytes.wrapping_sub(LOW) & !bytes & HIGH
}

/// The place of the first byte that is marked; behind the last where none is.
fn first_byte(marks: u128) -> usize {
    marks.trailing_zeros() as usize / 8
}

/// Other bits than those that choose the shard and the place.
fn tag_of(hash: u64) -> u8 {
    ((hash >> 8) as u8).max(1)
}

/// A place in a table of any length: the upper part of the product (D. Lemire, "Fast random integer generation in an
/// interval").
fn place_of(hash: u64, length: usize) -> usize {
    ((u128::from(hash) * length as u128) >> 64) as usize
}

#[cfg(test)]
#[path = "revoked_tokens_tests.rs"]
mod tests;
