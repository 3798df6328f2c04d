//! What revoked tokens are known by, and the rules that revoke everything that was issued to a client or about a subject
//! up to a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use aws_lc_rs::digest::{SHA256, digest};

use crate::ports::UnixTime;
use crate::record::{Rule, Whose};
use crate::store::RevocationId;

impl RevocationId {
    /// What a token with this `jti` is known by. The ids that are made here are 32 hex digits and stand for themselves.
    #[must_use]
    pub fn of_token_id(token_id: &str) -> Self {
        match Self::parse(token_id) {
            // Ours are in lower case, and another spelling is another id.
            Some(id) if !token_id.bytes().any(|byte| byte.is_ascii_uppercase()) => id,
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

/// The rules. Shared by all states of a process, as the tokens are.
#[derive(Debug, Default)]
pub(crate) struct SharedRules {
    rules: RwLock<Rules>,
    /// Whether there are any: mostly there are none, and then nobody takes the lock. Written under it.
    any: AtomicBool,
}

/// The rules, and how they are found for a token.
#[derive(Debug, Default)]
struct Rules {
    by_id: BTreeMap<String, Rule>,
    /// Until when, and which: the last of them counts.
    of: HashMap<Whose, BTreeSet<(UnixTime, String)>>,
}

impl SharedRules {
    pub(crate) fn insert(&self, rule: Rule) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        self.any.store(true, Ordering::SeqCst);
        rules.of.entry(rule.whose.clone()).or_default().insert((rule.until, rule.id.clone()));
        let former = rules.by_id.insert(rule.id.clone(), rule.clone()).filter(|former| former.until != rule.until);
        // It may have been extended.
        if let (Some(former), Some(of)) = (former, rules.of.get_mut(&rule.whose)) {
            of.remove(&(former.until, former.id));
        }
    }

    pub(crate) fn remove(&self, id: &str) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let Some(gone) = rules.by_id.remove(id) else { return };
        if let Some(others) = rules.of.get_mut(&gone.whose) {
            others.remove(&(gone.until, gone.id));
            if others.is_empty() {
                rules.of.remove(&gone.whose);
            }
        }
        self.any.store(!rules.of.is_empty(), Ordering::SeqCst);
    }

    pub(crate) fn find(&self, id: &str) -> Option<Rule> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).by_id.get(id).cloned()
    }

    /// Those that are wanted, in the order of their ids: at most `limit` after `after`.
    pub(crate) fn after(&self, after: Option<&str>, limit: usize, wanted: impl Fn(&Rule) -> bool) -> Vec<Rule> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let next = rules.by_id.range::<str, _>((from, Bound::Unbounded)).map(|(_, rule)| rule);
        next.filter(|rule| wanted(rule)).take(limit).cloned().collect()
    }

    /// The rule that revokes a token about this subject or of this client, issued at `issued_at`, if any; and until when.
    pub(crate) fn covering(&self, subject: &str, client: &str, issued_at: UnixTime) -> Option<(UnixTime, String)> {
        if !self.any.load(Ordering::SeqCst) {
            return None;
        }
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let whose = [Whose::Subject(subject.to_owned()), Whose::Client(client.to_owned())];
        let latest = |whose: &Whose| rules.of.get(whose)?.last();
        whose.iter().filter_map(latest).find(|(until, _)| issued_at <= *until).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).by_id.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let covering = |at: i64| rules.covering("s", "c", UnixTime(at)).map(|(_, id)| id);
        assert_eq!(covering(20), Some("late".to_owned()));
        assert_eq!(covering(21), None);
        assert_eq!(rules.covering("c", "s", UnixTime(1)), None, "a subject is not a client of the same name");
        rules.remove("late");
        assert_eq!((covering(10), covering(11)), (Some("early".to_owned()), None));
        rules.insert(rule("early", 15));
        assert_eq!((covering(15), covering(16)), (Some("early".to_owned()), None));
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
