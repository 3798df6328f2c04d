//! PostgreSQL is away: nodes go on with what they know for as long as they are told to, take no changes, and say so; and
//! they come back by themselves.

use std::thread::sleep;
use std::time::{Duration, Instant};

use jotd_pgserver::{Server, Shutdown};
use jotd_wire::Answer;
use serde_json::json;

use super::caller::{Caller, FORM, json};
use super::cluster::Cluster;
use super::node::Node;
use super::{alone, until};
use crate::administration::text;
use crate::process::JSON;

/// The second is far away from how long is looked at what nodes do before it.
const LIMITS: [&str; 4] = ["--fresh-within", "3s", "--refuse-after", "15s"];
const GOES_ON: Duration = Duration::from_secs(5);
/// What is refused without PostgreSQL is refused sooner than this.
pub(super) const AT_ONCE: Duration = Duration::from_secs(1);

pub(super) fn mint(node: &Node, client: &str) -> Answer {
    let body = format!("{client}&grant_type=client_credentials");
    Caller::to(node.address()).ask("POST", "/oauth2/token", &[FORM], &body).answer().unwrap()
}

pub(super) fn introspect(node: &Node, client: &str, token: &str) -> Answer {
    let body = format!("{client}&token={token}");
    Caller::to(node.address()).ask("POST", "/oauth2/introspect", &[FORM], &body).answer().unwrap()
}

pub(super) fn revoke(node: &Node, client: &str, token: &str) -> Answer {
    let body = format!("{client}&token={token}");
    Caller::to(node.address()).ask("POST", "/oauth2/revoke", &[FORM], &body).answer().unwrap()
}

/// Fails unless it says that it cannot now, and when to come again.
#[track_caller]
pub(super) fn is_refused(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some_and(|after| after.parse::<u64>().is_ok()), "{answer:?}");
}

#[test]
fn without_postgresql_nodes_go_on_for_a_while_take_no_changes_and_come_back() {
    let _alone = alone();
    let mut server = Server::start();
    let cluster = Cluster::start(&server, &LIMITS);
    let (client, bearer) = (cluster.client(), cluster.bearer());
    let (kept, revoked) = (mint(&cluster.nodes[0], &client), mint(&cluster.nodes[1], &client));
    let [kept, revoked] = [kept, revoked].map(|minted| text(&json(&minted)["access_token"]).to_owned());
    assert_eq!(revoke(&cluster.nodes[2], &client, &revoked).status, 200);
    let knows = |node: &Node| json(&introspect(node, &client, &revoked))["active"] == false;
    until("all have heard of it", || cluster.nodes.iter().all(knows));

    server.stop(Shutdown::Fast);
    let stopped = Instant::now();
    let state = |node: &Node| node.ready().map(|answer| (answer.status, json(&answer)["status"].clone())).unwrap();
    for node in &cluster.nodes {
        // Another time where others have the processors meanwhile.
        until("it refuses at once", || {
            let asked = Instant::now();
            is_refused(&revoke(node, &client, &kept));
            let headers = [JSON, ("Authorization", bearer.as_str())];
            let new = json!({ "name": "new", "audiences": ["api"] }).to_string();
            is_refused(&Caller::to(node.address()).ask("POST", "/v1/clients", &headers, &new).answer().unwrap());
            asked.elapsed() < AT_ONCE
        });
    }
    // Until it is too old, what they know is good.
    let mut served = 0;
    while stopped.elapsed() < GOES_ON {
        for node in &cluster.nodes {
            let minted = mint(node, &client);
            assert_eq!(minted.status, 200, "{}", minted.text());
            let minted = text(&json(&minted)["access_token"]).to_owned();
            for (token, is_active) in [(&minted, true), (&kept, true), (&revoked, false)] {
                assert_eq!(json(&introspect(node, &client, token))["active"], is_active);
            }
            assert_eq!(node.serving().ask("GET", "/.well-known/jwks.json", &[], "").status, 200);
            assert_eq!(node.serving().ask("POST", "/generateToken", &[JSON], r#"{"user_data":"x"}"#).status, 200);
            served += 1;
        }
        sleep(Duration::from_millis(20));
    }
    assert!(served > 3, "{served}");
    for node in &cluster.nodes {
        assert_eq!(state(node), (200, json!("stale")));
    }
    for node in &cluster.nodes {
        until("it is not ready", || state(node) == (503, json!("unready")));
        is_refused(&mint(node, &client));
        is_refused(&introspect(node, &client, &kept));
        is_refused(&node.serving().ask("POST", "/generateToken", &[JSON], r#"{"user_data":"x"}"#));
        let refused = node.serving().ask("GET", "/v1/keys", &[("Authorization", bearer.as_str())], "");
        is_refused(&refused);
        assert_eq!(json(&refused)["code"], "stale", "{}", refused.text());
        is_refused(&node.serving().ask("GET", "/.well-known/jwks.json", &[], ""));
        assert_eq!(node.serving().ask("GET", "/healthz", &[], "").status, 200, "it is alive");
    }

    server.start_again();
    cluster.until_ready();
    for node in &cluster.nodes {
        assert_eq!(state(node), (200, json!("ready")));
        assert_eq!(json(&introspect(node, &client, &kept))["active"], true, "what was refused was not done");
        assert_eq!(json(&introspect(node, &client, &revoked))["active"], false);
        let minted = mint(node, &client);
        // The connection for changes may come back a moment later than the one that changes are seen by.
        until("it takes changes", || revoke(node, &client, text(&json(&minted)["access_token"])).status == 200);
    }
}
