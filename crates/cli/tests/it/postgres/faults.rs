//! Everything that can die does, and the network does its worst: what was acknowledged is in force everywhere in time,
//! and is still there when all is well again.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use jotd_pgserver::{Server, Shutdown};

use super::cluster::{Cluster, NODES};
use super::load::{Load, random};
use super::{alone, seed, until};
use crate::administration::text;
use crate::history::{Bound, Event, Outcome, Verdict, What};

/// A node that does not see the store refuses soon.
const REFUSE_SOON: [&str; 4] = ["--fresh-within", "1s", "--refuse-after", "2s"];
const REFUSE_AFTER: Duration = Duration::from_secs(2);
/// No later than this may a node go on from what it knew: not by a moment.
const BOUND: Bound = Bound(REFUSE_AFTER);

const WORKERS: usize = 2 * NODES;
const PAUSE: Duration = Duration::from_millis(10);
const CHAOS: Duration = Duration::from_secs(25);

/// Lets `disturb` have its way with a cluster under load, and then judges what was heard.
fn judged(server: &mut Server, seed: u64, disturb: impl FnOnce(&mut Cluster, &mut Server, &Load)) -> (Cluster, Load) {
    let mut cluster = Cluster::start(server, &REFUSE_SOON);
    let load = Load::new(&cluster);
    std::thread::scope(|scope| {
        let _ending = load.ending();
        for worker in 0..WORKERS {
            let load = &load;
            scope.spawn(move || load.work(worker % NODES, seed + worker as u64, PAUSE));
        }
        disturb(&mut cluster, server, &load);
        cluster.until_ready();
        // They go on, and some of it is in all that follows.
        sleep(Duration::from_millis(500));
    });
    nothing_is_lost(&cluster, &load);
    println!("{}", load.history().summary());
    let history = load.history();
    let odd = history.events.iter().find(|event| match event.what {
        What::Verify(Verdict::Refused(status)) | What::Revoke(Outcome::Refused(status)) => status != 503,
        _ => false,
    });
    assert!(odd.is_none(), "refused otherwise than by saying to come again: {odd:?}");
    history.must_hold(BOUND);
    (cluster, load)
}

/// All nodes and the store know what was acknowledged.
fn nothing_is_lost(cluster: &Cluster, load: &Load) {
    let revoked = load.revoked();
    load.verify_all(revoked.iter().copied());
    let history = load.history();
    let after = &history.events[history.events.len() - NODES * revoked.len()..];
    let accepted = after.iter().find(|event| event.what == What::Verify(Verdict::Active));
    assert!(accepted.is_none(), "revoked, and accepted when all was well again: {accepted:?}");

    let stored = cluster.lines(&["clients", "list"]);
    let stored: BTreeSet<_> = stored.iter().map(|client| text(&client["id"])).collect();
    let lost: Vec<_> = load.clients().into_iter().filter(|id| !stored.contains(id.as_str())).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let bearer = cluster.bearer();
    for node in &cluster.nodes {
        let mut caller = super::caller::Caller::to(node.address());
        for id in load.clients().iter().rev().take(20) {
            let path = format!("/v1/clients/{id}");
            let answer = caller.ask("GET", &path, &[("Authorization", &bearer)], "").answer().unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    let log = cluster.lines(&["audit", "--limit", "1000000"]);
    let positions: Vec<_> = log.iter().rev().map(|change| change["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (1..=positions.len() as u64).collect::<Vec<_>>(), "no position was lost or given twice");
    let ids: Vec<_> = log.iter().filter(|change| change["action"] == "token.revoked").collect();
    let distinct: BTreeSet<_> = revoked.iter().collect();
    assert!(ids.len() >= distinct.len(), "{} of {} revocations are in the log", ids.len(), distinct.len());
    assert!(revoked.len() > 50 && load.clients().len() > 10, "{} {}", revoked.len(), load.clients().len());
}

#[test]
fn nothing_is_lost_and_nothing_revoked_accepted_while_nodes_and_postgresql_die() {
    let _alone = alone();
    let mut server = Server::start();
    let mut seed = seed(0x5eed_0001);
    judged(&mut server, seed, |cluster, server, _| {
        let end = Instant::now() + CHAOS;
        for turn in 0.. {
            if Instant::now() > end {
                break;
            }
            let moment = |seed: &mut u64, most: u64| sleep(Duration::from_millis(random(seed) % most));
            let node = usize::try_from(random(&mut seed)).unwrap() % NODES;
            match turn % 6 {
                0 | 3 => {
                    cluster.nodes[node].kill();
                    moment(&mut seed, 500);
                    cluster.nodes[node].start();
                }
                1 => {
                    server.stop(Shutdown::Immediate);
                    moment(&mut seed, 1000);
                    server.start_again();
                }
                2 => {
                    server.stop(Shutdown::Fast);
                    moment(&mut seed, 1000);
                    server.start_again();
                }
                4 => {
                    cluster.nodes[node].stop();
                    cluster.nodes[node].start();
                }
                _ => drop(server.query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
                )),
            }
            moment(&mut seed, 800);
        }
    });
}

#[test]
fn a_node_that_is_cut_off_refuses_in_time_and_comes_back_by_itself() {
    let _alone = alone();
    let mut server = Server::start();
    let seed = seed(0x5eed_0002);
    let refuses = |load: &Load, node: usize| {
        let mut caller = load.caller(node);
        load.verify(&mut caller, node, 0) == Some(Verdict::Refused(503))
    };
    judged(&mut server, seed, |cluster, _, load| {
        until("there is a token", || load.token_count() > 0);
        for (number, node) in cluster.nodes.iter().enumerate() {
            node.proxy.delay(Duration::from_millis(150));
            sleep(Duration::from_secs(1));
            node.proxy.pass();
            sleep(Duration::from_millis(300));
            node.proxy.cut();
            sleep(Duration::from_millis(500));

            node.proxy.hold();
            until("it refuses", || refuses(load, number));
            sleep(Duration::from_millis(500));
            node.proxy.pass();
            node.until_ready();

            node.proxy.refuse();
            node.proxy.cut();
            until("it refuses", || refuses(load, number));
            node.proxy.pass();
            node.until_ready();
        }
    });
}

#[test]
fn a_node_that_was_stopped_for_long_answers_nothing_by_what_it_knew() {
    let _alone = alone();
    let mut server = Server::start();
    let seed = seed(0x5eed_0003);
    let mut answered = 0;
    let (_, load) = judged(&mut server, seed, |cluster, _, load| {
        for (number, node) in cluster.nodes.iter().enumerate() {
            until("there are tokens", || load.token_count() > 100);
            let before = load.now();
            node.pause();
            let from = load.now();
            // Others go on as soon as nobody waits for a transaction of the one that is stopped.
            let is_late = |load: &Load| load.now() > from + 2 * REFUSE_AFTER;
            let since = |load: &Load| {
                let history = load.history();
                let revoked = history
                    .events
                    .iter()
                    .filter(|event| event.sent > from && event.what == What::Revoke(Outcome::Acknowledged));
                revoked.map(|event| event.token).collect::<Vec<_>>()
            };
            until("others have revoked", || is_late(load) && since(load).len() > 20);
            let asked: Vec<_> = since(load)
                .into_iter()
                .map(|token| {
                    let mut caller = load.caller(number);
                    let sent = load.begin_verify(&mut caller, token);
                    (caller, token, sent)
                })
                .collect();
            let to = load.now();
            node.resume();
            for (mut caller, token, sent) in asked {
                let verdict = load.verified(&mut caller, number, token, sent);
                let is_right = matches!(verdict, Some(Verdict::Inactive | Verdict::Refused(503)));
                assert!(is_right, "revoked while node {number} was stopped, asked before it went on: {verdict:?}");
                answered += 1;
            }
            load.note_pause(number, from, to);
            node.until_ready();
            let gone = load.now() - before;
            println!("node {number} was stopped for {:?}, and ready again after {gone:?}", to - from);
        }
    });
    // Whatever was asked while a node was stopped, was answered by what the store held when it went on.
    let mut strict = load.history();
    let pauses = strict.pauses.clone();
    let in_pause = |event: &Event| {
        pauses.iter().any(|pause| pause.node == event.node && (pause.from..=pause.to).contains(&event.sent))
    };
    strict.events.retain(|event| !matches!(event.what, What::Verify(_)) || in_pause(event));
    strict.must_hold(Bound(Duration::ZERO));
    assert!(answered > 50, "{answered}");
}
