//! One node after the other is restarted behind the load balancer that `compose.cluster.yaml` has, with its
//! configuration and under load: no request is lost.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use jotd_pgserver::{Server, free_port};
use serde_json::json;
use yaml_rust2::YamlLoader;

use super::caller::{Caller, FORM, Heard, json};
use super::cluster::{Cluster, NODES};
use super::load::random;
use super::{Ending, alone, until};
use crate::administration::text;
use crate::process::JSON;

const CALLERS: usize = 6;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// HAProxy, until this is dropped.
struct Balancer {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Balancer {
    fn before(nodes: &[SocketAddr]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new("haproxy");
        command.arg("-f").arg(root().join("deploy/haproxy.cfg")).arg("-db");
        command.env("JOTD_BALANCER_LISTEN", address.to_string());
        for (number, node) in nodes.iter().enumerate() {
            command.env(format!("JOTD_NODE_{}", number + 1), node.to_string());
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, kept) = (BufReader::new(child.stdout.take().unwrap()).lines(), Arc::clone(&log));
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line)));
        let balancer = Self { child, address, log };
        let mut caller = Caller::to(address);
        until("the balancer has a node", || {
            caller.ask("GET", "/readyz", &[], "").answer().is_some_and(|answer| answer.status == 200)
        });
        balancer
    }

    /// How often the balancer has found that a node is up, or down.
    fn found(&self, node: usize, state: &str) -> usize {
        self.findings(node, state).len()
    }

    /// What it has said of that, with the reason.
    fn findings(&self, node: usize, state: &str) -> Vec<String> {
        let text = format!("Server nodes/node-{} is {state}", node + 1);
        self.log.lock().unwrap().iter().filter(|line| line.contains(&text)).cloned().collect()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What nodes are told in `compose.cluster.yaml` about stopping.
fn drain_time() -> String {
    let text = fs::read_to_string(root().join("compose.cluster.yaml")).unwrap();
    let compose = &YamlLoader::load_from_str(&text).unwrap()[0];
    compose["services"]["jotd-1"]["environment"]["JOTD_DRAIN_TIME"].as_str().unwrap().to_owned()
}

/// One request of any kind; what is wrong with the answer, if anything.
fn ask(caller: &mut Caller, client: &str, bearer: &str, token: &mut String, number: u64) -> Result<(), String> {
    let basic = [FORM];
    let admin = [JSON, ("Authorization", bearer)];
    let (kind, path, headers, body, expected) = match number % 5 {
        0 => ("POST", "/oauth2/token", &basic[..], format!("{client}&grant_type=client_credentials"), 200),
        1 => ("POST", "/generateToken", &admin[..1], r#"{"user_data":"x"}"#.to_owned(), 200),
        2 => ("POST", "/oauth2/introspect", &basic[..], format!("{client}&token={token}"), 200),
        3 => ("POST", "/oauth2/revoke", &basic[..], format!("{client}&token={token}"), 200),
        _ => {
            let id = format!("c{number:016x}");
            ("POST", "/v1/clients", &admin[..], json!({ "id": id, "name": "x", "audiences": ["api"] }).to_string(), 201)
        }
    };
    match caller.ask(kind, path, headers, &body) {
        Heard::Answer(answer) if answer.status == expected => {
            if path == "/oauth2/token" {
                *token = text(&json(&answer)["access_token"]).to_owned();
            }
            Ok(())
        }
        other => Err(format!("{path}: {other:?}")),
    }
}

#[test]
fn no_request_is_lost_while_one_node_after_the_other_is_restarted() {
    let _alone = alone();
    let mut cluster =
        Cluster::start(Server::shared(), &["--drain-time", &drain_time(), "--trusted-proxy", "127.0.0.1"]);
    let (client, bearer) = (cluster.client(), cluster.bearer());
    let balancer = Balancer::before(&cluster.addresses());
    (0..NODES).for_each(|node| until("it is up", || balancer.found(node, "UP") + 1 > balancer.found(node, "DOWN")));
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let _ending = Ending(&stop);
        for number in 0..CALLERS {
            let (client, bearer, balancer) = (&client, &bearer, &balancer);
            let (stop, done, failures) = (&stop, &done, &failures);
            scope.spawn(move || {
                let mut seed = 0x5eed_0200 + number as u64;
                let mut caller = Caller::to(balancer.address);
                let mut token = "none".to_owned();
                while !stop.load(Ordering::SeqCst) {
                    let choice = random(&mut seed);
                    // Half of the callers keep their connection, the others make a new one each time.
                    if number % 2 == 0 {
                        caller = Caller::to(balancer.address);
                    }
                    match ask(&mut caller, client, bearer, &mut token, choice) {
                        Ok(()) => drop(done.fetch_add(1, Ordering::SeqCst)),
                        Err(failure) => failures.lock().unwrap().push(failure),
                    }
                    sleep(Duration::from_millis(8));
                }
            });
        }
        for number in 0..NODES {
            let (up, down) = (balancer.found(number, "UP"), balancer.found(number, "DOWN"));
            let log = cluster.nodes[number].stop();
            assert!(log.last().unwrap().contains("stopped"), "{log:#?}");
            until("the balancer has said so", || balancer.found(number, "DOWN") > down);
            let found = balancer.findings(number, "DOWN").swap_remove(down);
            assert!(found.contains("code: 503"), "the balancer knew before it was gone: {found}");
            cluster.nodes[number].start();
            until("it is up again", || balancer.found(number, "UP") > up);
        }
        sleep(Duration::from_millis(500));
    });
    let failures = failures.into_inner().unwrap();
    println!("{} requests answered, {} failed", done.load(Ordering::SeqCst), failures.len());
    assert!(failures.is_empty(), "{} of {:?}: {failures:#?}", failures.len(), done);
    assert!(done.load(Ordering::SeqCst) > 1000);
}
