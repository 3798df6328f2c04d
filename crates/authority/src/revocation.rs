//! What is revoked: tokens one by one, and everything that was issued to a client or about a subject up to a time.
//!
//! Tokens are held in memory by their id alone; who revoked them and why is in the store. Entries vanish by themselves
//! when the token has expired, or, where it does not expire, when the key that signed it is retired.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

use aws_lc_rs::digest::{SHA256, digest};

use crate::ports::UnixTime;
use crate::record::{Rule, Whose};
use crate::store::{RevocationId, RevokedToken};

impl RevocationId {
    /// What a token with this `jti` is known by. The ids that are made here are 32 hex digits and stand for themselves.
    #[must_use]
    pub fn of_token_id(token_id: &str) -> Self {
        let is_ours = token_id.len() == 32 && token_id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match Self::parse(token_id) {
            Some(id) if is_ours => id,
            _ => Self::digest("jti", token_id.as_bytes()),
        }
    }

    /// What a token without `jti` is known by: what was signed, because a signature can have several spellings.
    #[must_use]
    pub fn of_signed(token: &str) -> Self {
        Self::digest("signed", token.rsplit_once('.').map_or(token, |(signed, _)| signed).as_bytes())
    }

    /// A digest for this purpose.
    pub(crate) fn digest(purpose: &str, bytes: &[u8]) -> Self {
        let input = [purpose.as_bytes(), b":", bytes].concat();
        let mut id = [0; 16];
        id.iter_mut().zip(digest(&SHA256, &input).as_ref()).for_each(|(to, from)| *to = *from);
        Self(id)
    }
}

/// How long an entry stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// To the end of this hour since 1970.
    Hour(u32),
    /// Until the key of this number is retired.
    Key(u32),
}

/// The revoked tokens.
#[derive(Debug, Default)]
pub(crate) struct RevokedTokens(RwLock<Tokens>);

#[derive(Debug, Default)]
struct Tokens {
    until: HashMap<RevocationId, Until>,
    /// Names of keys by number.
    keys: Vec<String>,
}

impl RevokedTokens {
    pub(crate) fn contains(&self, id: RevocationId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).until.contains_key(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).until.len()
    }

    pub(crate) fn insert<'a>(&self, revoked: impl IntoIterator<Item = &'a RevokedToken>) {
        let mut tokens = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for token in revoked {
            let until = match (token.expires_at, &token.key_id) {
                (Some(at), _) => Until::Hour(hour(at)),
                (None, key_id) => Until::Key(tokens.number(key_id.as_deref().unwrap_or_default())),
            };
            match tokens.until.entry(token.id) {
                // What is kept longer wins, as in the store.
                std::collections::hash_map::Entry::Occupied(mut entry) => match (*entry.get(), until) {
                    (Until::Hour(former), Until::Hour(new)) if new > former => drop(entry.insert(until)),
                    (Until::Hour(_), Until::Key(_)) => drop(entry.insert(until)),
                    _ => {}
                },
                std::collections::hash_map::Entry::Vacant(entry) => drop(entry.insert(until)),
            }
        }
    }

    /// Forgets what has expired, and what was signed by keys that are retired.
    pub(crate) fn sweep(&self, now: UnixTime, retired_keys: &[String]) {
        let mut tokens = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let present = hour(now);
        let gone: Vec<bool> = tokens.keys.iter().map(|key| retired_keys.contains(key)).collect();
        tokens.until.retain(|_, until| match *until {
            Until::Hour(last) => last >= present,
            Until::Key(number) => !gone.get(number as usize).copied().unwrap_or(false),
        });
    }
}

impl Tokens {
    fn number(&mut self, key_id: &str) -> u32 {
        let known = self.keys.iter().position(|key| key == key_id);
        let number = known.unwrap_or_else(|| {
            self.keys.push(key_id.to_owned());
            self.keys.len() - 1
        });
        u32::try_from(number).unwrap_or(u32::MAX)
    }
}

fn hour(time: UnixTime) -> u32 {
    u32::try_from(time.0.div_euclid(3600).max(0)).unwrap_or(u32::MAX)
}

/// The rules. Shared by all states of a process, as the tokens are.
#[derive(Debug, Default)]
pub(crate) struct SharedRules(RwLock<Rules>);

/// The rules, and how they are found for a token.
#[derive(Debug, Default)]
struct Rules {
    by_id: BTreeMap<String, Rule>,
    /// Until when, and which: the last of them counts.
    of: HashMap<Whose, BTreeSet<(UnixTime, String)>>,
}

impl SharedRules {
    pub(crate) fn insert(&self, rule: Rule) {
        let mut rules = self.0.write().unwrap_or_else(PoisonError::into_inner);
        rules.of.entry(rule.whose.clone()).or_default().insert((rule.until, rule.id.clone()));
        rules.by_id.insert(rule.id.clone(), rule);
    }

    pub(crate) fn remove(&self, id: &str) {
        let mut rules = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(gone) = rules.by_id.remove(id) else { return };
        if let Some(others) = rules.of.get_mut(&gone.whose) {
            others.remove(&(gone.until, gone.id));
            if others.is_empty() {
                rules.of.remove(&gone.whose);
            }
        }
    }

    pub(crate) fn find(&self, id: &str) -> Option<Rule> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_id.get(id).cloned()
    }

    /// Those that are wanted, in the order of their ids: at most `limit` after `after`.
    pub(crate) fn after(&self, after: Option<&str>, limit: usize, wanted: impl Fn(&Rule) -> bool) -> Vec<Rule> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rules = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let next = rules.by_id.range::<str, _>((from, Bound::Unbounded)).map(|(_, rule)| rule);
        next.filter(|rule| wanted(rule)).take(limit).cloned().collect()
    }

    /// The rule that revokes a token of one of these, issued at `issued_at`, if any; and until when.
    pub(crate) fn covering(&self, whose: &[Whose], issued_at: UnixTime) -> Option<(UnixTime, String)> {
        let rules = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if rules.of.is_empty() {
            return None;
        }
        let latest = |whose: &Whose| rules.of.get(whose)?.last();
        whose.iter().filter_map(latest).find(|(until, _)| issued_at <= *until).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_id.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: u8, expires_at: Option<i64>, key_id: &str) -> RevokedToken {
        RevokedToken {
            id: RevocationId([id; 16]),
            expires_at: expires_at.map(UnixTime),
            key_id: Some(key_id.to_owned()),
            revoked_at: UnixTime(0),
            actor: String::new(),
            reason: String::new(),
        }
    }

    #[test]
    fn entries_vanish_with_their_token_or_its_key() {
        let tokens = RevokedTokens::default();
        tokens.insert(&[
            token(1, Some(7199), "a"),
            token(2, Some(7200), "a"),
            token(3, None, "a"),
            token(4, None, "b"),
        ]);
        let present = |tokens: &RevokedTokens| -> Vec<u8> {
            (1..=4).filter(|id| tokens.contains(RevocationId([*id; 16]))).collect()
        };
        assert_eq!(present(&tokens), [1, 2, 3, 4]);
        tokens.sweep(UnixTime(7199), &[]);
        assert_eq!(present(&tokens), [1, 2, 3, 4]);
        tokens.sweep(UnixTime(7200), &[]);
        assert_eq!(present(&tokens), [2, 3, 4]);
        tokens.sweep(UnixTime(7200), &["a".to_owned()]);
        assert_eq!(present(&tokens), [2, 4]);
    }

    #[test]
    fn what_is_kept_longer_wins() {
        let tokens = RevokedTokens::default();
        tokens.insert(&[
            token(1, Some(90_000), "a"),
            token(1, Some(10), "a"),
            token(2, None, "a"),
            token(2, Some(1), "a"),
        ]);
        tokens.sweep(UnixTime(80_000), &[]);
        assert_eq!(tokens.len(), 2);
    }

    #[test]
    fn the_latest_rule_counts_and_leaves_the_earlier_one_behind() {
        let rule = |id: &str, until: i64| Rule {
            id: id.to_owned(),
            whose: Whose::Subject("s".to_owned()),
            until: UnixTime(until),
            revoked_at: UnixTime(until),
            actor: String::new(),
            reason: String::new(),
        };
        let rules = SharedRules::default();
        rules.insert(rule("late", 20));
        rules.insert(rule("early", 10));
        let whose = [Whose::Subject("s".to_owned())];
        let covering = |at: i64| rules.covering(&whose, UnixTime(at)).map(|(_, id)| id);
        assert_eq!(covering(20), Some("late".to_owned()));
        assert_eq!(covering(21), None);
        assert_eq!(rules.covering(&[Whose::Client("s".to_owned())], UnixTime(1)), None);
        rules.remove("late");
        assert_eq!((covering(10), covering(11)), (Some("early".to_owned()), None));
        rules.remove("early");
        assert!(rules.len() == 0 && covering(1).is_none());
    }

    #[test]
    fn ids_of_ours_stand_for_themselves_and_others_are_digested() {
        let own = "f10fb5f47461de4dd8c76113cad7803b";
        assert_eq!(RevocationId::of_token_id(own).to_string(), own);
        assert_ne!(RevocationId::of_token_id(&own.to_uppercase()).to_string(), own);
        assert_ne!(RevocationId::of_token_id("1"), RevocationId::of_token_id("2"));
        assert_eq!(RevocationId::of_signed("a.b.c"), RevocationId::of_signed("a.b.d"));
        assert_ne!(RevocationId::of_signed("a.b.c"), RevocationId::of_token_id("a.b"));
    }
}
