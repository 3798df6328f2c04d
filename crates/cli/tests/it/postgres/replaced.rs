//! A standby has taken over, and the server that it has replaced does not know and goes on answering.

use std::thread::sleep;
use std::time::{Duration, Instant};

use jotd_pgserver::{Server, Shutdown};
use serde_json::json;

use super::away::{AT_ONCE, introspect, is_refused, mint, revoke};
use super::caller::{Caller, json};
use super::cluster::Cluster;
use super::node::Node;
use super::{alone, until};
use crate::administration::text;
use crate::process::JSON;

const LIMITS: [&str; 4] = ["--fresh-within", "1s", "--refuse-after", "8s"];
const REFUSE_AFTER: Duration = Duration::from_secs(8);

#[test]
fn nodes_that_only_see_a_replaced_server_do_not_answer_by_what_it_says() {
    let _alone = alone();
    let mut old = Server::start();
    let new = old.standby();
    let mut cluster = Cluster::start(&old, &LIMITS);
    let client = cluster.client();
    let tokens = [0, 1].map(|node| text(&json(&mint(&cluster.nodes[node], &client))["access_token"]).to_owned());
    for node in &cluster.nodes {
        assert_eq!(json(&introspect(node, &client, &tokens[0]))["active"], true);
        assert_eq!(node.ready().unwrap().status, 200);
    }

    let mut both = cluster.node_of([&old, &new], &LIMITS);
    both.start();
    both.until_ready();
    new.promote();
    let mut beyond = cluster.node(&new, &LIMITS);
    beyond.start();
    beyond.until_ready();
    assert_eq!(revoke(&beyond, &client, &tokens[0]).status, 200);
    let revoked = Instant::now();
    assert_eq!(json(&introspect(&beyond, &client, &tokens[0]))["active"], false);

    let mut refusing = [false; 3];
    while refusing.contains(&false) {
        for (node, refusing) in cluster.nodes.iter().zip(&mut refusing) {
            let asked = Instant::now();
            let answer = introspect(node, &client, &tokens[0]);
            *refusing = answer.status == 503;
            assert!(*refusing || asked < revoked + REFUSE_AFTER, "{:?} after: {}", revoked.elapsed(), answer.text());
        }
        sleep(Duration::from_millis(50));
    }
    // It is not out of reach at all.
    assert_eq!(old.query("SELECT pg_is_in_recovery()"), "f");
    for node in &cluster.nodes {
        is_refused(&mint(node, &client));
        let asked = Instant::now();
        is_refused(&revoke(node, &client, &tokens[1]));
        assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
        let ready = node.ready().unwrap();
        assert_eq!((ready.status, &json(&ready)["status"]), (503, &json!("unready")));
    }
    // Neither does one that comes to it now.
    let node = &mut cluster.nodes[0];
    let logged = node.stop().join("\n");
    assert!(logged.contains("the server does not finish commits"), "{logged}");
    node.start();
    is_refused(&introspect(node, &client, &tokens[0]));
    assert_eq!(node.ready().unwrap().status, 503);

    // One that may go elsewhere has done so, though nobody has stopped the old one.
    until("it has gone over", || introspect(&both, &client, &tokens[1]).status == 200);
    assert_eq!(json(&introspect(&both, &client, &tokens[0]))["active"], false);
    until("it takes changes", || mint(&both, &client).status == 200 && both.ready().unwrap().status == 200);

    // The one that it was replaced by has the rest.
    assert_eq!(json(&introspect(&beyond, &client, &tokens[1]))["active"], true);
    until("it takes changes", || revoke(&beyond, &client, &tokens[1]).status == 200);
}

#[test]
fn what_was_revoked_is_revoked_again_where_the_server_that_takes_over_has_not_got_it() {
    let _alone = alone();
    let mut old = Server::start();
    let mut cluster = Cluster::start(&old, &LIMITS);
    let (client, bearer) = (cluster.client(), cluster.bearer());
    let added = cluster.lines(&["clients", "add", "other", "--id", "other", "--audience", "api", "--ttl", "1h"]);
    let other = format!("client_id=other&client_secret={}", text(&added[0]["secret"]));
    let minted = |node: &Node, client: &str| text(&json(&mint(node, client))["access_token"]).to_owned();
    let [revoked, kept] = [0, 1].map(|node| minted(&cluster.nodes[node], &client));
    let by_rule = minted(&cluster.nodes[2], &other);
    cluster.nodes.iter_mut().for_each(|node| drop(node.stop()));
    // What is revoked from here on is not in the copy.
    old.stop(Shutdown::Fast);
    let new = old.taken_over();
    old.start_again();
    let mut knows = cluster.node_of([&old, &new], &LIMITS);
    knows.start();
    knows.until_ready();
    assert_eq!(revoke(&knows, &client, &revoked).status, 200);
    let headers = [JSON, ("Authorization", bearer.as_str())];
    let rule = json!({ "client_id": "other", "reason": "stolen" }).to_string();
    let answer = Caller::to(knows.address()).ask("POST", "/v1/revocations", &headers, &rule).answer().unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());

    old.stop(Shutdown::Immediate);
    let mut fresh = cluster.node(&new, &LIMITS);
    fresh.start();
    fresh.until_ready();
    let active = |node: &Node, token: &str| json(&introspect(node, &client, token))["active"] == true;
    until("it knows all of it", || !active(&fresh, &revoked) && !active(&fresh, &by_rule));
    assert!(active(&fresh, &kept) && active(&knows, &kept));
    assert!(!active(&knows, &revoked) && !active(&knows, &by_rule));
    let logged = knows.stop().join("\n");
    assert!(logged.contains("revocations that the store had lost were written to it again"), "{logged}");
    let headers = [("Authorization", bearer.as_str())];
    let log = json(&fresh.serving().ask("GET", "/v1/audit?limit=20", &headers, ""));
    let restored = log["items"].as_array().unwrap().iter().filter(|entry| entry["action"] == "revocation.restored");
    assert_eq!(restored.count(), 2, "{log}");
}
