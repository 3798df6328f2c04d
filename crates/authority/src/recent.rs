//! What was revoked last, in case the store loses it: a server that takes over may lack the newest commits of the one
//! before. Whoever knows what they revoked writes it again.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use serde_json::json;

use crate::error::StoreError;
use crate::order::{Desk, Order};
use crate::record::{Recorded as _, Rule};
use crate::store::{Put, RevokedToken, Store};

/// So many of each sort are remembered: more than a standby that follows is usually behind.
const REMEMBERED: usize = 10_000;

/// So many tokens are looked for, and written, at a time.
const TOGETHER: usize = 500;

/// A revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Revoked {
    Token(RevokedToken),
    Rule(Rule),
}

/// The newest ones.
#[derive(Default)]
pub(crate) struct Recent {
    /// Oldest first.
    tokens: VecDeque<RevokedToken>,
    /// By their ids, each as it was noted last, and when that was among the others.
    rules: HashMap<String, (u64, Rule)>,
    /// Their ids, oldest first.
    ages: BTreeMap<u64, String>,
    noted: u64,
}

impl Recent {
    pub(crate) fn note_token(&mut self, token: RevokedToken) {
        if self.tokens.len() >= REMEMBERED {
            self.tokens.pop_front();
        }
        self.tokens.push_back(token);
    }

    /// A rule may come again, extended.
    pub(crate) fn note_rule(&mut self, rule: Rule) {
        self.forget_rule(&rule.id);
        self.noted += 1;
        self.ages.insert(self.noted, rule.id.clone());
        self.rules.insert(rule.id.clone(), (self.noted, rule));
        if self.rules.len() > REMEMBERED
            && let Some((_, oldest)) = self.ages.pop_first()
        {
            self.rules.remove(&oldest);
        }
    }

    /// The rule revokes nothing any more.
    pub(crate) fn forget_rule(&mut self, id: &str) {
        if let Some((age, _)) = self.rules.remove(id) {
            self.ages.remove(&age);
        }
    }

    /// Those that are perhaps not stored any more, when these rules are. What revokes nothing any more need not be: it was
    /// removed when its time came.
    pub(crate) fn perhaps_lost<'r>(
        &self,
        stored: impl Iterator<Item = &'r Rule>,
        is_expired: impl Fn(&RevokedToken) -> bool,
        is_spent: impl Fn(&Rule) -> bool,
    ) -> Lost {
        let tokens = self.tokens.iter().filter(|token| !is_expired(token)).cloned().collect();
        let rules = self.rules.values().map(|(_, rule)| rule).filter(|rule| !is_spent(rule));
        let mut rules: HashMap<_, _> = rules.map(|rule| (rule.id.as_str(), rule)).collect();
        for rule in stored {
            if rules.get(rule.id.as_str()).is_some_and(|known| known.until <= rule.until) {
                rules.remove(rule.id.as_str());
            }
        }
        Lost { rules: rules.into_values().cloned().collect(), tokens }
    }
}

/// What the store has lost, or of tokens what may be in it or not.
#[derive(Default)]
pub(crate) struct Lost {
    rules: Vec<Rule>,
    tokens: Vec<RevokedToken>,
}

impl Lost {
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.tokens.is_empty()
    }

    /// Takes some of it that is not stored, for the store to have it again.
    pub(crate) fn take(&mut self, store: &mut dyn Store) -> Result<Vec<Revoked>, StoreError> {
        let from = self.tokens.len().saturating_sub(TOGETHER);
        let ids: Vec<_> = self.tokens.iter().skip(from).map(|token| token.id).collect();
        let stored: HashSet<_> = store.find_tokens(&ids)?.into_iter().map(|token| token.id).collect();
        let tokens = self.tokens.drain(from..).filter(|token| !stored.contains(&token.id)).map(Revoked::Token);
        let rules = self.rules.drain(self.rules.len().saturating_sub(TOGETHER)..).map(Revoked::Rule);
        Ok(tokens.chain(rules).collect())
    }

    /// The store has this rule: another node has written it.
    pub(crate) fn found(&mut self, rule: &Rule) {
        self.rules.retain(|lost| lost.id != rule.id || lost.until > rule.until);
    }

    /// It could not be written.
    pub(crate) fn put_back(&mut self, some: Vec<Revoked>) {
        for revoked in some {
            match revoked {
                Revoked::Token(token) => self.tokens.push(token),
                Revoked::Rule(rule) => self.rules.push(rule),
            }
        }
    }
}

/// The order to write it again, as it was.
pub(crate) struct Restore(pub(crate) Vec<Revoked>);

impl Order for Restore {
    fn decide(&mut self, desk: &mut Desk<'_>) -> Result<bool, StoreError> {
        for revoked in &self.0 {
            let (put, revoked_at, actor) = match revoked {
                Revoked::Token(token) => (Put::Token(token.clone()), token.revoked_at, &token.actor),
                Revoked::Rule(rule) => {
                    // Another node may know that it goes further.
                    let known = desk.state.find_rule(&rule.id).filter(|known| known.until > rule.until);
                    (known.unwrap_or_else(|| rule.clone()).to_put(), rule.revoked_at, &rule.actor)
                }
            };
            desk.draft("revocation.restored", put, &json!({ "revoked_at": revoked_at, "by": actor }));
        }
        Ok(true)
    }

    fn refuse(&mut self, error: StoreError) {
        tracing::error!(code = error.code(), %error, "revocations that the store has lost cannot be written again");
    }

    fn done(self: Box<Self>, _: Result<(), StoreError>) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::UnixTime;
    use crate::record::Whose;

    fn rule(id: &str, until: i64) -> Rule {
        let (until, revoked_at) = (UnixTime(until), UnixTime(1));
        Rule {
            id: id.to_owned(),
            whose: Whose::Client(id.to_owned()),
            until,
            revoked_at,
            actor: String::new(),
            reason: String::new(),
        }
    }

    #[test]
    fn a_rule_is_lost_where_it_is_not_stored_as_it_was_last() {
        let mut recent = Recent::default();
        for (id, until) in [("same", 5), ("gone", 5), ("extended", 5), ("extended", 9), ("longer", 5)] {
            recent.note_rule(rule(id, until));
        }
        let stored = [("same", 5), ("extended", 5), ("longer", 7), ("older", 1)].map(|(id, until)| rule(id, until));
        let mut lost = recent.perhaps_lost(stored.iter(), |_| false, |_| false).rules;
        lost.sort_by(|one, other| one.id.cmp(&other.id));
        assert_eq!(lost, [rule("extended", 9), rule("gone", 5)]);
    }

    #[test]
    fn a_rule_that_revokes_nothing_any_more_is_not_lost() {
        let mut recent = Recent::default();
        for (id, until) in [("expired", 5), ("spent", 5), ("expired", 9), ("gone", 10)] {
            recent.note_rule(rule(id, until));
        }
        recent.forget_rule("expired");
        let is_spent = |rule: &Rule| rule.until < UnixTime(10);
        assert_eq!(recent.perhaps_lost([].into_iter(), |_| false, is_spent).rules, [rule("gone", 10)]);
    }

    #[test]
    fn the_newest_are_remembered() {
        let mut recent = Recent::default();
        for id in 0..=REMEMBERED as i64 {
            recent.note_rule(rule(&id.to_string(), id));
        }
        assert_eq!((recent.rules.len(), recent.ages.len()), (REMEMBERED, REMEMBERED));
        assert!(!recent.rules.contains_key("0") && recent.rules.contains_key("1"));
    }
}
