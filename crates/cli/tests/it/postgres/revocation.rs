//! A revocation that one node acknowledges is in force on all of them, at once by the measure of people, and stays so.

use std::sync::Mutex;
use std::thread::sleep;
use std::time::Duration;

use jotd_pgserver::Server;

use super::alone;
use super::cluster::{Cluster, NODES};
use super::load::Load;
use crate::history::{Bound, Verdict};

const REVOCATIONS: usize = 1000;
/// Callers that revoke and measure, and those that make load beside them, for each node.
const MEASURING: usize = 2;
const LOADING: usize = 1;

/// Within this, 99 of 100 revocations are in force everywhere.
const PROMISED: Duration = Duration::from_millis(100);
/// No node may accept a token later than this while it is connected.
const BOUND: Bound = Bound(Duration::from_secs(2));

/// Revokes a token on one node, and asks all of them until none accepts it: how long that took.
fn measure(load: &Load, callers: &mut [super::caller::Caller], token: usize) -> Duration {
    let by = token % NODES;
    let acknowledged = load.revoke(&mut callers[by], by, token).expect("nothing is wrong");
    let mut waiting: Vec<usize> = (0..NODES).collect();
    while !waiting.is_empty() {
        let sent: Vec<_> = waiting.iter().map(|&node| load.begin_verify(&mut callers[node], token)).collect();
        let mut left = Vec::new();
        for (node, sent) in waiting.into_iter().zip(sent) {
            match load.verified(&mut callers[node], node, token, sent) {
                Some(Verdict::Inactive) => {}
                Some(Verdict::Active) => left.push(node),
                other => panic!("node {node}: {other:?}"),
            }
        }
        waiting = left;
        // Whoever asks without a pause takes the time of those that are to answer.
        sleep(Duration::from_millis(u64::from(!waiting.is_empty())));
    }
    load.now() - acknowledged
}

#[test]
fn a_revocation_is_in_force_on_all_nodes_within_100_ms_and_stays_so() {
    let _alone = alone();
    let cluster = Cluster::start(Server::shared(), &[]);
    let load = Load::new(&cluster);
    for token in 0..REVOCATIONS {
        let node = token % NODES;
        assert_eq!(load.mint(&mut load.caller(node), node), Some(token));
    }
    let times = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let _ending = load.ending();
        for number in 0..LOADING * NODES {
            let load = &load;
            scope.spawn(move || load.work(number % NODES, 0x9e37_79b9 + number as u64, Duration::from_millis(8)));
        }
        let measuring = (0..MEASURING).map(|first| {
            let (load, times) = (&load, &times);
            scope.spawn(move || {
                let mut callers: Vec<_> = (0..NODES).map(|node| load.caller(node)).collect();
                for token in (first..REVOCATIONS).step_by(MEASURING) {
                    let time = measure(load, &mut callers, token);
                    times.lock().unwrap().push(time);
                }
            })
        });
        let measuring: Vec<_> = measuring.collect();
        measuring.into_iter().for_each(|thread| thread.join().unwrap());
    });
    load.verify_all(load.revoked());
    load.history().must_hold(BOUND);

    let mut times = times.into_inner().unwrap();
    times.sort_unstable();
    let (typical, late, last) = (times[times.len() / 2], times[times.len() * 99 / 100], times[times.len() - 1]);
    println!("in force everywhere: p50 {typical:?}, p99 {late:?}, max {last:?} of {}", times.len());
    println!("{}", load.history().summary());
    assert!(times.len() == REVOCATIONS && late <= PROMISED, "p99 {late:?}");
}
