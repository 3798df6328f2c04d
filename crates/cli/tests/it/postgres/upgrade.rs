//! A rolling upgrade as the nodes that are not upgraded yet see it: a newer program has changed the schema under them.

use jotd_pgserver::Server;
use serde_json::json;

use super::caller::{FORM, json};
use super::cluster::Cluster;
use super::{alone, until};
use crate::administration::text;
use crate::process::{JSON, fails};

#[test]
fn nodes_go_on_over_what_a_newer_program_has_added_and_not_over_what_it_has_changed() {
    let _alone = alone();
    let server = Server::shared();
    let mut cluster = Cluster::start(server, &["--fresh-within", "1s", "--refuse-after", "2s"]);
    let (client, bearer) = (cluster.client(), cluster.bearer());
    let headers = [JSON, ("Authorization", bearer.as_str())];
    let schema = cluster.store.split("schema=").nth(1).unwrap().to_owned();
    let mint = |node: &super::node::Node| {
        let body = format!("{client}&grant_type=client_credentials");
        node.serving().ask("POST", "/oauth2/token", &[FORM], body)
    };
    let change = |node: &super::node::Node, id: &str| {
        let body = json!({ "id": id, "name": id, "audiences": ["api"] }).to_string();
        node.serving().ask("POST", "/v1/clients", &headers, body)
    };

    // What the next version may do: a column, a table, and records of a kind that nobody here has heard of.
    drop(server.query(&format!(
        "BEGIN; SET search_path TO \"{schema}\";
         ALTER TABLE records ADD COLUMN region text; CREATE TABLE regions (id text PRIMARY KEY);
         UPDATE head SET version = version + 1;
         INSERT INTO records (kind, id, body, region) VALUES ('region', 'eu', '{{}}', 'eu');
         INSERT INTO changes (position, at, actor, action, kind, id, detail, mark, revoked_tokens)
             SELECT position + 1, at, 'next', 'region.created', 'region', 'eu', '{{}}', 7, revoked_tokens
             FROM changes ORDER BY position DESC LIMIT 1;
         COMMIT"
    )));
    for (number, node) in cluster.nodes.iter().enumerate() {
        assert_eq!(change(node, &format!("during-{number}")).status, 201);
        assert_eq!(mint(node).status, 200);
    }
    // A node of this version that starts only now.
    cluster.nodes[0].stop();
    cluster.nodes[0].start();
    cluster.until_ready();
    for node in &cluster.nodes {
        until("it knows all three, their ids and their names", || {
            let listed = node.serving().ask("GET", "/v1/clients", &[("Authorization", &bearer)], "");
            listed.text().matches("during-").count() == 6
        });
        let token = text(&json(&mint(node))["access_token"]).to_owned();
        let revoked = node.serving().ask("POST", "/oauth2/revoke", &[FORM], format!("{client}&token={token}"));
        assert_eq!(revoked.status, 200);
    }

    // What it may do only when all nodes are of the next version.
    drop(server.query(&format!("UPDATE \"{schema}\".head SET oldest = version")));
    for node in &cluster.nodes {
        let refused = change(node, "after");
        assert!(refused.status == 503, "{}", refused.text());
        until("it answers nothing by what it knows", || mint(node).status == 503);
        assert_eq!(node.ready().unwrap().status, 503);
    }
    let log = cluster.nodes[0].stop();
    assert!(log.iter().any(|line| line.contains("written by a newer version")), "{log:#?}");
    let variables = [("JOTD_STORE", cluster.store.as_str())];
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--master-key-file", "master.key"];
    let error = fails(cluster.home.path(), &arguments, &variables);
    assert!(error.contains("written by a newer version"), "{error}");
}
