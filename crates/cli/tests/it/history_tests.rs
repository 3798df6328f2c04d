//! The checker accepts what a sound authority may do, and rejects a history for each rule.

use std::time::Duration;

use crate::history::{
    ACKNOWLEDGED, AT_ONCE, Bound, EVERYWHERE, Event, History, NEVER_AGAIN, Outcome, Pause, UNPROVOKED, Verdict, What,
};

const MINTED: What = What::Mint { expires: at(10_000) };
const ACTIVE: What = What::Verify(Verdict::Active);
const INACTIVE: What = What::Verify(Verdict::Inactive);
const REFUSED: What = What::Verify(Verdict::Refused(503));
const REVOKED: What = What::Revoke(Outcome::Acknowledged);
const UNKNOWN: What = What::Revoke(Outcome::Unknown);
const NOT_REVOKED: What = What::Revoke(Outcome::Refused(503));

const fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Sent, answered, node, what: all about one token, with 100 ms as the bound.
type Row = (u64, u64, usize, What);

fn broken(rows: &[Row], pauses: &[(usize, u64, u64)]) -> Vec<&'static str> {
    let event = |row: &Row| Event { sent: at(row.0), answered: at(row.1), node: row.2, token: 7, what: row.3 };
    let pause = |&(node, from, to): &(usize, u64, u64)| Pause { node, from: at(from), to: at(to) };
    let mut events: Vec<Event> = rows.iter().map(event).collect();
    let pauses: Vec<Pause> = pauses.iter().map(pause).collect();
    // Another token, with which all is well, does not matter, nor does the order in which events were noted.
    events.push(Event { token: 8, ..events[0] });
    let rules =
        |history: History| history.violations(Bound(at(100))).iter().map(|found| found.rule).collect::<Vec<_>>();
    let forwards = rules(History { events: events.clone(), pauses: pauses.clone() });
    events.reverse();
    assert_eq!(forwards, rules(History { events, pauses }));
    forwards
}

#[test]
fn what_a_sound_authority_may_do_is_accepted() {
    let histories: [(&str, &[Row]); 9] = [
        ("nothing but minting", &[(0, 1, 0, MINTED)]),
        ("verified everywhere", &[(0, 1, 0, MINTED), (1, 2, 0, ACTIVE), (1, 2, 1, ACTIVE)]),
        ("expired", &[(0, 1, 0, MINTED), (9_999, 10_001, 0, INACTIVE)]),
        ("still under way within the bound", &[(0, 1, 0, MINTED), (10, 20, 0, REVOKED), (120, 900, 1, ACTIVE)]),
        ("in force before it is acknowledged", &[(0, 1, 0, MINTED), (15, 16, 0, INACTIVE), (10, 20, 0, REVOKED)]),
        ("refused after the bound", &[(0, 1, 0, MINTED), (10, 20, 0, REVOKED), (500, 501, 1, REFUSED)]),
        (
            "unknown and carried out",
            &[(0, 1, 0, MINTED), (10, 20, 0, UNKNOWN), (50, 51, 0, INACTIVE), (50, 51, 1, ACTIVE)],
        ),
        ("unknown and not carried out", &[(0, 1, 0, MINTED), (10, 20, 0, UNKNOWN), (5000, 5001, 0, ACTIVE)]),
        ("crossing on the way", &[(0, 1, 0, MINTED), (10, 20, 0, REVOKED), (12, 14, 0, INACTIVE), (13, 18, 0, ACTIVE)]),
    ];
    for (name, rows) in histories {
        assert_eq!(broken(rows, &[]), [""; 0], "{name}");
    }
}

#[test]
fn what_breaks_a_rule_is_rejected() {
    let histories: [(&str, &[Row], &[&str]); 9] = [
        (
            "accepted after the bound",
            &[(0, 1, 0, MINTED), (10, 20, 0, REVOKED), (121, 122, 1, ACTIVE)],
            &[ACKNOWLEDGED],
        ),
        ("accepted by the node that acknowledged it", &[(10, 20, 0, REVOKED), (21, 22, 0, ACTIVE)], &[AT_ONCE]),
        (
            "acknowledged twice: the first counts",
            &[(10, 20, 0, REVOKED), (100, 110, 1, REVOKED), (150, 151, 2, ACTIVE)],
            &[ACKNOWLEDGED],
        ),
        (
            "forgotten by the same node",
            &[(0, 1, 0, MINTED), (10, 20, 0, REVOKED), (21, 22, 1, INACTIVE), (23, 24, 1, ACTIVE)],
            &[NEVER_AGAIN],
        ),
        ("forgotten although unknown", &[(1, 2, 0, UNKNOWN), (3, 4, 0, INACTIVE), (5, 6, 0, ACTIVE)], &[NEVER_AGAIN]),
        ("not accepted, and nobody asked for it", &[(0, 1, 0, MINTED), (5, 6, 1, INACTIVE)], &[UNPROVOKED]),
        (
            "not accepted before anybody asked for it",
            &[(0, 1, 0, MINTED), (5, 6, 1, INACTIVE), (7, 8, 1, REVOKED)],
            &[UNPROVOKED],
        ),
        (
            "unknown: here so, there otherwise",
            &[(0, 1, 0, MINTED), (1, 2, 0, UNKNOWN), (3, 4, 0, INACTIVE), (105, 106, 1, ACTIVE)],
            &[EVERYWHERE],
        ),
        (
            "refused: here so, there otherwise",
            &[(0, 1, 0, MINTED), (1, 2, 0, NOT_REVOKED), (3, 4, 2, INACTIVE), (105, 106, 1, ACTIVE)],
            &[EVERYWHERE],
        ),
    ];
    for (name, rows, rules) in histories {
        assert_eq!(broken(rows, &[]), rules, "{name}");
    }
}

#[test]
fn what_is_asked_of_a_stopped_node_is_looked_at_when_it_goes_on() {
    let rows = [(0, 1, 0, MINTED), (110, 120, 0, REVOKED), (150, 3001, 1, ACTIVE)];
    assert_eq!(broken(&rows, &[]), [""; 0]);
    assert_eq!(broken(&rows, &[(0, 100, 3000)]), [""; 0], "another node");
    assert_eq!(broken(&rows, &[(1, 160, 3000)]), [""; 0], "it may have looked before");
    assert_eq!(broken(&rows, &[(1, 100, 3000)]), [ACKNOWLEDGED]);
    let rows = [(0, 1, 0, MINTED), (110, 120, 0, REVOKED), (150, 3001, 1, REFUSED), (3002, 3003, 1, INACTIVE)];
    assert_eq!(broken(&rows, &[(1, 100, 3000)]), [""; 0]);
}

#[test]
fn a_violation_is_shown_with_its_events() {
    let event = |sent, what| Event { sent: at(sent), answered: at(sent + 1), node: 1, token: 3, what };
    let events = vec![event(0, MINTED), event(5, INACTIVE)];
    let history = History { events: events.clone(), pauses: Vec::new() };
    let found = history.violations(Bound(at(100)));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].events, events);
    let shown = found[0].to_string();
    assert!(shown.contains(UNPROVOKED) && shown.contains("token 3") && shown.contains("Inactive"), "{shown}");
    assert_eq!(
        history.summary(),
        "2 events: 1 minted, 0 active, 1 inactive, 0 refused, 0 unanswered, 0 revocations acknowledged, 0 not"
    );
}
