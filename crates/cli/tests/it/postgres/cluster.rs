//! Three nodes over one store, with one master key, and the commands on that store.

use std::fs;
use std::net::SocketAddr;

use jotd_pgserver::{Proxy, Server};
use serde_json::Value;
use tempfile::TempDir;

use super::node::Node;
use super::until;
use crate::administration::{ISSUED, text};
use crate::process::{new_home, run};

pub(super) const NODES: usize = 3;

/// Published, for tests alone.
pub(super) const MASTER_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

pub(super) struct Cluster {
    pub(super) nodes: Vec<Node>,
    /// The store, without a proxy.
    pub(super) store: String,
    /// Where commands run, and where the master key is.
    pub(super) home: TempDir,
}

impl Cluster {
    /// Nodes that are not running yet, on a store that nobody has used.
    pub(super) fn new(server: &Server, settings: &[&str]) -> Self {
        let home = new_home();
        fs::write(home.path().join("master.key"), MASTER_KEY).unwrap();
        let mut cluster = Self { nodes: Vec::new(), store: server.new_store(), home };
        for _ in 0..NODES {
            let node = cluster.node(server, settings);
            cluster.nodes.push(node);
        }
        cluster
    }

    /// One more node, which is not among them. The store may be on another server by now.
    pub(super) fn node(&self, server: &Server, settings: &[&str]) -> Node {
        let proxy = Proxy::to(server.port());
        // A server elsewhere is reached directly; who cuts nodes off has one here.
        let store = self.store_at(&format!("127.0.0.1:{}", proxy.port())).unwrap_or_else(|| self.store.clone());
        Node::new(proxy, &[&ISSUED, settings].concat(), self.variables(&store))
    }

    /// One more node, which goes to the first of these servers that it can.
    pub(super) fn node_of(&self, servers: [&Server; 2], settings: &[&str]) -> Node {
        let [first, second] = servers.map(Server::port);
        let store = self.store_at(&format!("127.0.0.1:{first},127.0.0.1:{second}")).unwrap();
        Node::new(Proxy::to(first), &[&ISSUED, settings].concat(), self.variables(&store))
    }

    /// The store's URL with other places, unless it is elsewhere.
    fn store_at(&self, places: &str) -> Option<String> {
        let (user, rest) = self.store.split_once("@127.0.0.1:")?;
        Some(format!("{user}@{places}/{}", rest.split_once('/')?.1))
    }

    /// All nodes, started at the same time and ready.
    pub(super) fn start(server: &Server, settings: &[&str]) -> Self {
        let mut cluster = Self::new(server, settings);
        cluster.start_all();
        cluster
    }

    pub(super) fn start_all(&mut self) {
        std::thread::scope(|scope| {
            for node in &mut self.nodes {
                scope.spawn(|| node.start());
            }
        });
        self.until_ready();
    }

    pub(super) fn until_ready(&self) {
        self.nodes.iter().for_each(Node::until_ready);
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Node::address).collect()
    }

    fn variables(&self, store: &str) -> Vec<(String, String)> {
        let key = self.home.path().join("master.key").to_str().unwrap().to_owned();
        vec![("JOTD_STORE".to_owned(), store.to_owned()), ("JOTD_MASTER_KEY_FILE".to_owned(), key)]
    }

    /// Runs a command on the store that must succeed, and answers what it prints.
    #[track_caller]
    pub(super) fn command(&self, arguments: &[&str]) -> String {
        let variables = self.variables(&self.store);
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let output = run(self.home.path(), arguments, &variables);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, where it prints JSON.
    #[track_caller]
    pub(super) fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        self.command(arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Who may do everything.
    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.command(&["token", "--scope", "jotd:*", "--ttl", "1h"]).trim())
    }

    /// A client that every node knows: what it sends to say who it is.
    pub(super) fn client(&self) -> String {
        let added = self.lines(&[
            "clients",
            "add",
            "caller",
            "--id",
            "caller",
            "--audience",
            "api",
            "--scope",
            "read jotd:introspect jotd:revoke",
            "--ttl",
            "1h",
        ]);
        let client = format!("client_id=caller&client_secret={}", text(&added[0]["secret"]));
        let body = format!("{client}&grant_type=client_credentials");
        for node in &self.nodes {
            until("it knows the client", || {
                let answer = jotd_wire::ask(node.address(), "POST", "/oauth2/token", &[super::caller::FORM], &body);
                answer.unwrap().status == 200
            });
        }
        client
    }
}
