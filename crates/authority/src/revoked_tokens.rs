//! The revoked tokens in memory: their ids and how long each entry stays, in at most 32 bytes an entry and one probe a
//! check, however many there are.
//!
//! A table of open addresses (linear probing) of any length, in shards: it grows by a fifth, so that little of it is
//! empty, and a shard at a time, so that nobody waits long. An entry's expiry stands beside its id and not in how it is
//! found: whoever asks need not know it. Entries vanish by themselves when the token has expired, or, where it does not
//! expire, when the key that signed it is retired.

use std::sync::{PoisonError, RwLock};

use crate::ports::UnixTime;
use crate::store::{RevocationId, RevokedToken};

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

    pub(crate) fn insert(&self, token: &RevokedToken) {
        let until = match (token.expires_at, &token.key_id) {
            (Some(at), _) => hour(at),
            (None, key_id) => KEY | self.number(key_id.as_deref().unwrap_or_default()),
        };
        let id = u128::from_be_bytes(token.id.0);
        let hash = mixed(id);
        if let Some(shard) = self.shards.get(shard_of(hash)) {
            shard.write().unwrap_or_else(PoisonError::into_inner).insert(id, hash, until);
        }
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

    fn insert(&mut self, id: u128, hash: u64, until: u32) {
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
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn token(id: u128, expires_at: Option<i64>, key_id: &str) -> RevokedToken {
        RevokedToken {
            id: RevocationId(id.to_be_bytes()),
            expires_at: expires_at.map(UnixTime),
            key_id: Some(key_id.to_owned()),
            revoked_at: UnixTime(0),
            actor: String::new(),
            reason: String::new(),
        }
    }

    fn holds(tokens: &RevokedTokens, id: u128) -> bool {
        tokens.contains(RevocationId(id.to_be_bytes()))
    }

    fn of(all: &[RevokedToken]) -> RevokedTokens {
        let tokens = RevokedTokens::default();
        all.iter().for_each(|token| tokens.insert(token));
        tokens
    }

    #[test]
    fn entries_vanish_with_their_token_or_its_key() {
        let tokens =
            of(&[token(0, Some(7199), "a"), token(2, Some(7200), "a"), token(3, None, "a"), token(4, None, "b")]);
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
            tokens.insert(&token(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835), Some(1), "a"));
            if number > 100_000 && number % 1000 == 0 {
                assert!(tokens.size() <= 32 * tokens.len(), "{} bytes for {}", tokens.size(), tokens.len());
            }
        }
        tokens.sweep(UnixTime(3600), &[]);
        assert_eq!(tokens.len(), 0);
        assert!(tokens.size() < 256 * 256);
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
                        tokens.insert(&token(id, hour.map(|hour| hour * 3600), if key { "a" } else { "b" }));
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
}
