//! What several nodes answered, as one history, and whether it could have come from a sound authority.
//!
//! Nothing but arithmetic on times of one clock. A request was looked at some time between its sending and its answer,
//! and not while its node was stopped; what it could have seen follows from that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// A time since the history began.
pub(crate) type Time = Duration;

/// What was asked of a node about one token, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// It was minted, and is not accepted any more from this time on by itself.
    Mint {
        expires: Time,
    },
    Verify(Verdict),
    Revoke(Outcome),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Active,
    Inactive,
    /// The node would not say, with this status.
    Refused(u16),
    NoAnswer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Acknowledged,
    /// With this status. It may have been carried out all the same, when the node did not hear of it.
    Refused(u16),
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) sent: Time,
    /// When the answer was there; the end of the history where there was none.
    pub(crate) answered: Time,
    pub(crate) node: usize,
    pub(crate) token: usize,
    pub(crate) what: What,
}

/// A node was stopped, and surely did nothing from one time to the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pause {
    pub(crate) node: usize,
    pub(crate) from: Time,
    pub(crate) to: Time,
}

/// All that was heard.
#[derive(Debug, Default, Clone)]
pub(crate) struct History {
    pub(crate) events: Vec<Event>,
    pub(crate) pauses: Vec<Pause>,
}

/// What no sound authority would have answered, with the events that show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) events: Vec<Event>,
}

pub(crate) const ACKNOWLEDGED: &str = "a revocation that was acknowledged is in force everywhere after the bound";
pub(crate) const AT_ONCE: &str = "a revocation is in force at once on the node that acknowledges it";
pub(crate) const NEVER_AGAIN: &str = "what a node does not accept any more, it never accepts again";
pub(crate) const UNPROVOKED: &str = "what nobody has tried to revoke is accepted until it expires";
pub(crate) const EVERYWHERE: &str = "what one node does not accept any more, none accepts after the bound";

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, but:", self.rule)?;
        for Event { sent, answered, node, token, what } in &self.events {
            writeln!(f, "  {sent:>12.6?} to {answered:>12.6?}  node {node}  token {token}  {what:?}")?;
        }
        Ok(())
    }
}

/// How long a node may go on from what it knew.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound(pub(crate) Duration);

impl History {
    /// The rules that are broken, at most one case of each for each token.
    pub(crate) fn violations(&self, bound: Bound) -> Vec<Violation> {
        let mut tokens: BTreeMap<usize, Vec<&Event>> = BTreeMap::new();
        for event in &self.events {
            tokens.entry(event.token).or_default().push(event);
        }
        tokens.values().flat_map(|events| self.violations_of(events, bound)).collect()
    }

    /// The earliest moment at which the node can have looked.
    fn looked(&self, event: &Event) -> Time {
        let is_within = |pause: &&Pause| pause.node == event.node && (pause.from..=pause.to).contains(&event.sent);
        self.pauses.iter().filter(is_within).map(|pause| pause.to).max().unwrap_or(event.sent)
    }

    /// The rules on one token.
    fn violations_of<'e>(&self, events: &[&'e Event], bound: Bound) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut violates =
            |rule, events: [&Event; 2]| found.push(Violation { rule, events: events.map(|e| *e).to_vec() });
        let all = |wanted: fn(What) -> bool| events.iter().copied().filter(move |event| wanted(event.what));
        let active = || all(|what| what == What::Verify(Verdict::Active));
        let inactive = || all(|what| what == What::Verify(Verdict::Inactive));
        let attempts = || all(|what| matches!(what, What::Revoke(_)));
        let acknowledged = || all(|what| what == What::Revoke(Outcome::Acknowledged));
        let mint = all(|what| matches!(what, What::Mint { .. })).next();

        let last_active = active().max_by_key(|event| self.looked(event));
        if let (Some(first), Some(last)) = (acknowledged().min_by_key(|event| event.answered), last_active)
            && self.looked(last) > first.answered + bound.0
        {
            violates(ACKNOWLEDGED, [first, last]);
        }

        let nodes: BTreeSet<usize> = events.iter().map(|event| event.node).collect();
        let last_active_on = |node| active().filter(|event| event.node == node).max_by_key(|event| self.looked(event));
        let is_forgotten = |first: &Event, last: &Event| self.looked(last) > first.answered;
        let pairs = |first: &dyn Fn(usize) -> Option<&'e Event>| {
            let pairs = nodes.iter().filter_map(|node| Some([first(*node)?, last_active_on(*node)?]));
            pairs.filter(|[first, last]| is_forgotten(first, last)).collect::<Vec<_>>()
        };
        let acknowledged_by =
            |node| acknowledged().filter(|event| event.node == node).min_by_key(|event| event.answered);
        let inactive_on = |node| inactive().filter(|event| event.node == node).min_by_key(|event| event.answered);
        for (rule, pairs) in [(AT_ONCE, pairs(&acknowledged_by)), (NEVER_AGAIN, pairs(&inactive_on))] {
            pairs.first().into_iter().for_each(|pair| violates(rule, *pair));
        }

        let first_inactive = inactive().min_by_key(|event| event.answered);
        if let (Some(first), Some(last)) = (first_inactive, last_active)
            && self.looked(last) > first.answered + bound.0
        {
            violates(EVERYWHERE, [first, last]);
        }

        let expires = mint.and_then(|mint| if let What::Mint { expires } = mint.what { Some(expires) } else { None });
        if let (Some(mint), Some(expires), Some(first)) = (mint, expires, first_inactive)
            && first.answered < expires
            && attempts().all(|attempt| attempt.sent > first.answered)
        {
            violates(UNPROVOKED, [mint, first]);
        }
        found
    }

    /// Fails with what was violated.
    #[track_caller]
    pub(crate) fn must_hold(&self, bound: Bound) {
        let violations = self.violations(bound);
        let shown: String = violations.iter().take(10).map(ToString::to_string).collect();
        assert!(violations.is_empty(), "{} violations of {} events:\n{shown}", violations.len(), self.events.len());
    }

    /// What happened, in one line.
    pub(crate) fn summary(&self) -> String {
        let count = |wanted: fn(&What) -> bool| self.events.iter().filter(|event| wanted(&event.what)).count();
        format!(
            "{} events: {} minted, {} active, {} inactive, {} refused, {} unanswered, {} revocations acknowledged, {} not",
            self.events.len(),
            count(|what| matches!(what, What::Mint { .. })),
            count(|what| *what == What::Verify(Verdict::Active)),
            count(|what| *what == What::Verify(Verdict::Inactive)),
            count(|what| matches!(what, What::Verify(Verdict::Refused(_)))),
            count(|what| *what == What::Verify(Verdict::NoAnswer)),
            count(|what| *what == What::Revoke(Outcome::Acknowledged)),
            count(|what| matches!(what, What::Revoke(Outcome::Refused(_) | Outcome::Unknown))),
        )
    }
}
