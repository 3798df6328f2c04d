//! Nodes begin together, with the same keys or not at all.

use std::fs;

use jotd_pgserver::Server;
use serde_json::{Value, json};

use super::caller::{Caller, FORM, json};
use super::cluster::{Cluster, MASTER_KEY};
use super::{alone, until};
use crate::administration::text;
use crate::process::{JSON, fails};

/// Published, for tests alone.
const SIGNING_KEY: &str = "a signing key for tests, which is of no use anywhere else, 64 bytes or more";

#[test]
fn nodes_that_start_together_on_an_empty_store_have_the_same_keys() {
    let _alone = alone();
    let cluster = Cluster::start(Server::shared(), &[]);
    let client = cluster.client();
    let sets: Vec<Value> =
        cluster.nodes.iter().map(|node| json(&node.serving().ask("GET", "/.well-known/jwks.json", &[], ""))).collect();
    assert_eq!(sets[0]["keys"].as_array().unwrap().len(), 1);
    assert!(sets.iter().all(|set| *set == sets[0]), "{sets:#?}");
    let mut first = cluster.lines(&["audit", "--limit", "1000"]);
    first.retain(|change| change["action"] == "key.activated");
    let mut algorithms: Vec<_> = first.iter().map(|change| text(&change["detail"]["algorithm"])).collect();
    algorithms.sort_unstable();
    assert_eq!(algorithms, ["ES256", "HS512"], "one key of each, by one of them");

    // Each accepts what the others have minted: access tokens, and those of the simple contract.
    let minted: Vec<String> = cluster
        .nodes
        .iter()
        .flat_map(|node| {
            let body = format!("{client}&grant_type=client_credentials");
            let answer = node.serving().ask("POST", "/oauth2/token", &[FORM], body);
            [text(&json(&answer)["access_token"]).to_owned(), node.serving().mint("x")]
        })
        .collect();
    for node in &cluster.nodes {
        for token in &minted {
            let answer = node.serving().ask("POST", "/oauth2/introspect", &[FORM], format!("{client}&token={token}"));
            assert_eq!(json(&answer)["active"], true, "{}", answer.text());
        }
    }
    // A token of the simple contract that is revoked on one is revoked on all.
    let simple = &minted[1];
    let answer = cluster.nodes[1].serving().ask("POST", "/oauth2/revoke", &[FORM], format!("{client}&token={simple}"));
    assert_eq!(answer.status, 200);
    for node in &cluster.nodes {
        until("it is revoked", || {
            let answer = node.serving().ask("POST", "/oauth2/introspect", &[FORM], format!("{client}&token={simple}"));
            json(&answer)["active"] == false
        });
    }
}

#[test]
fn a_node_with_another_key_does_not_start() {
    let _alone = alone();
    let server = Server::shared();
    let mut cluster = Cluster::new(server, &[]);
    let key = cluster.home.path().join("signing.key");
    fs::write(&key, SIGNING_KEY).unwrap();
    cluster.nodes = vec![cluster.node(server, &["--signing-key-file", key.to_str().unwrap()])];
    cluster.start_all();
    // The same key, or none: that of the store.
    for settings in [&["--signing-key-file", key.to_str().unwrap()][..], &[]] {
        let mut same = cluster.node(server, settings);
        same.start();
        let token = same.serving().mint("x");
        assert!(cluster.nodes[0].serving().holds(&token, SIGNING_KEY));
        same.stop();
    }

    let home = cluster.home.path();
    fs::write(home.join("other.key"), SIGNING_KEY.replace("tests", "tasks")).unwrap();
    fs::write(home.join("other-master.key"), MASTER_KEY.replace("00", "ff")).unwrap();
    let variables = [("JOTD_STORE", cluster.store.as_str())];
    let password = cluster.store.split_once('@').unwrap().0.rsplit(':').next().unwrap();
    for (master, more, complaint) in [
        ("master.key", &["--signing-key-file", "other.key"][..], "key that was given is another"),
        ("other-master.key", &[], "master key"),
    ] {
        let arguments = [&["serve", "--listen", "127.0.0.1:0", "--master-key-file", master], more].concat();
        let error = fails(home, &arguments, &variables);
        assert!(error.contains(complaint), "{error}");
        assert!(!error.contains(password), "{error}");
    }
    assert_eq!(cluster.nodes[0].ready().unwrap().status, 200);
}

#[test]
fn a_command_makes_no_store_by_a_mistake_in_the_url() {
    let _alone = alone();
    let server = Server::shared();
    let cluster = Cluster::start(server, &[]);
    let (base, schema) = cluster.store.split_once("schema=").unwrap();
    let wrong = format!("{base}schema=jodt_{schema}");
    for arguments in [&["revoke", "--subject", "42"][..], &["clients", "list"], &["token", "--scope", "jotd:*"]] {
        let error = fails(cluster.home.path(), arguments, &[("JOTD_STORE", &wrong)]);
        assert!(error.contains("there is no store there"), "{error}");
    }
    let made = server.query(&format!("SELECT count(*) FROM pg_namespace WHERE nspname = 'jodt_{schema}'"));
    assert_eq!(made.trim(), "0");
}

/// A client that was just made on one node, and its token, which another node may not have heard of yet.
#[test]
fn what_was_just_made_on_one_node_can_be_revoked_on_another() {
    let _alone = alone();
    let server = Server::start();
    let cluster = Cluster::start(&server, &[]);
    let (client, bearer) = (cluster.client(), cluster.bearer());
    let headers = [JSON, ("Authorization", bearer.as_str())];
    let mut callers: Vec<_> = cluster.nodes.iter().map(|node| Caller::to(node.address())).collect();
    let make = |callers: &mut [Caller], number: usize| {
        let body = json!({ "id": format!("new{number}"), "name": "new", "audiences": ["api"] }).to_string();
        let made = json(&callers[number % 2].ask("POST", "/v1/clients", &headers, &body).answer().unwrap());
        let own = format!("client_id=new{number}&client_secret={}", text(&made["secret"]));
        let body = format!("{own}&grant_type=client_credentials");
        let minted = callers[number % 2].ask("POST", "/oauth2/token", &[FORM], &body).answer().unwrap();
        text(&json(&minted)["access_token"]).to_owned()
    };
    let is_active = |caller: &mut Caller, token: &str| {
        let body = format!("{client}&token={token}");
        json(&caller.ask("POST", "/oauth2/introspect", &[FORM], &body).answer().unwrap())["active"] == true
    };
    for number in 0..100 {
        let token = make(&mut callers, number);
        let body = format!("{client}&token={token}");
        let revoked = callers[2].ask("POST", "/oauth2/revoke", &[FORM], &body).answer().unwrap();
        assert_eq!(revoked.status, 200, "{}", revoked.text());
        until("it is revoked", || !is_active(&mut callers[number % 2], &token));
    }
    // One that is cut off cannot know, and does not say that it is done.
    cluster.nodes[2].proxy.hold();
    let token = make(&mut callers, 100);
    let body = format!("{client}&token={token}");
    let revoked = callers[2].ask("POST", "/oauth2/revoke", &[FORM], &body).answer().unwrap();
    assert_eq!(revoked.status, 503, "{}", revoked.text());
    assert!(is_active(&mut callers[0], &token));
    cluster.nodes[2].proxy.pass();
    until("it is ready", || {
        let revoked = callers[2].ask("POST", "/oauth2/revoke", &[FORM], &body).answer();
        revoked.is_some_and(|answer| answer.status == 200)
    });
    until("it is revoked", || !is_active(&mut callers[0], &token));
}

#[test]
fn nodes_take_up_the_next_master_key_from_beside_the_present_one() {
    let _alone = alone();
    let cluster = Cluster::start(Server::shared(), &[]);
    let (client, bearer) = (cluster.client(), cluster.bearer());
    let key = cluster.home.path().join("master.key");
    let next = cluster.home.path().join("master.key.next");
    fs::write(&next, MASTER_KEY.replace("00", "ff")).unwrap();
    let rotated = cluster.lines(&["master-key", "rotate", "--to", next.to_str().unwrap()]);
    assert!(rotated[0]["master_key_id"].is_string(), "{rotated:?}");
    let headers = [JSON, ("Authorization", bearer.as_str())];
    for (number, node) in cluster.nodes.iter().enumerate() {
        let body = json!({ "id": format!("new{number}"), "name": "new", "audiences": ["api"] }).to_string();
        until("it takes changes", || node.serving().ask("POST", "/v1/clients", &headers, &body).status != 503);
        let body = format!("{client}&grant_type=client_credentials");
        assert_eq!(node.serving().ask("POST", "/oauth2/token", &[FORM], body).status, 200);
        assert_eq!(json(&node.ready().unwrap())["status"], "ready");
    }
    // With the former alone nobody can go on.
    let variables = [("JOTD_STORE", cluster.store.as_str())];
    fs::write(cluster.home.path().join("former.key"), MASTER_KEY).unwrap();
    let arguments = ["clients", "list", "--master-key-file", "former.key"];
    assert!(fails(cluster.home.path(), &arguments, &variables).contains("master key"));
    fs::rename(&next, &key).unwrap();
    let listed = cluster.lines(&["clients", "list"]);
    assert_eq!(listed.iter().filter(|client| text(&client["id"]).starts_with("new")).count(), 3);
}
