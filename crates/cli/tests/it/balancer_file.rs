//! `deploy/haproxy.cfg` in a real HAProxy, before nodes that lose connections on purpose: what is sent to another node,
//! what is not, and what does not get through.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use jotd_pgserver::free_port;
use jotd_wire::Answer;

use crate::process::JSON;

/// Three nodes that are always ready. The first request after [`Self::lose_the_next`] is heard by one of them, which
/// then closes the connection without an answer.
struct Nodes {
    addresses: Vec<SocketAddr>,
    heard: Receiver<String>,
    loss: Sender<()>,
}

struct Balancer {
    child: Child,
    address: SocketAddr,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Balancer {
    fn before(nodes: &[SocketAddr]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/haproxy.cfg");
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(file).env("JOTD_BALANCER_LISTEN", address.to_string());
        command.envs((1..).map(|number| format!("JOTD_NODE_{number}")).zip(nodes.iter().map(ToString::to_string)));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut balancer = Self { child: child.expect("HAProxy is not there: `apt-get install haproxy`"), address };
        while TcpStream::connect(address).is_err() {
            assert!(balancer.child.try_wait().unwrap().is_none(), "HAProxy does not take the file");
            thread::yield_now();
        }
        balancer
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        jotd_wire::ask(self.address, method, path, headers, body).unwrap()
    }
}

/// Reads one request; `None` when the connection ends before it.
fn request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let begin = head.len();
        stream.read_line(&mut head).ok().filter(|bytes| *bytes > 0)?;
        let line = head[begin..].trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            let mut body = vec![0; length];
            stream.read_exact(&mut body).ok()?;
            write!(head, "{}", String::from_utf8(body).unwrap()).unwrap();
            return Some(head);
        }
    }
}

impl Nodes {
    fn start() -> Self {
        let (teller, heard) = channel();
        let mut addresses = Vec::new();
        let (loss, lose) = channel();
        let lose = Arc::new(Mutex::new(lose));
        for _ in 0..3 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            addresses.push(listener.local_addr().unwrap());
            let (teller, lose) = (teller.clone(), Arc::clone(&lose));
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let (teller, lose) = (teller.clone(), Arc::clone(&lose));
                    thread::spawn(move || {
                        let mut stream = BufReader::new(stream);
                        while let Some(request) = request(&mut stream) {
                            if !request.starts_with("GET /readyz ") {
                                let _ = teller.send(request);
                                if lose.lock().unwrap().try_recv().is_ok() {
                                    return;
                                }
                            }
                            let _ = stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
                        }
                    });
                }
            });
        }
        Self { addresses, heard, loss }
    }

    fn lose_the_next(&self) {
        self.loss.send(()).unwrap();
    }

    /// What has been heard since the last time.
    fn heard(&self) -> Vec<String> {
        self.heard.try_iter().collect()
    }
}

#[test]
fn only_what_may_be_done_twice_is_sent_again() {
    let nodes = Nodes::start();
    let balancer = Balancer::before(&nodes.addresses);
    let basic = ("Authorization", "Basic Y2xpZW50OnNlY3JldA==");
    let bearer = ("Authorization", "Bearer x");
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    for (method, path, headers, body, is_repeated) in [
        ("POST", "/generateToken", &[JSON][..], "{\"user_data\":\"x\"}", true),
        ("GET", "/verifyToken", &[JSON], "{\"Token\":\"x\"}", true),
        ("GET", "/.well-known/jwks.json", &[], "", true),
        ("GET", "/v1/clients", &[bearer], "", true),
        ("POST", "/oauth2/introspect", &[basic, form], "token=x", true),
        ("POST", "/oauth2/revoke", &[bearer, form], "token=x", true),
        ("POST", "/oauth2/token", &[basic, form], "grant_type=client_credentials", true),
        // An assertion is believed once, and whether it is one stands in the body.
        ("POST", "/oauth2/token", &[form], "grant_type=client_credentials&client_assertion=x", false),
        ("POST", "/v1/revocations", &[bearer, JSON], "{}", false),
        // A repeat has no secret in its answer.
        ("POST", "/v1/clients", &[bearer, JSON, ("Idempotency-Key", "x")], "{}", false),
        ("PATCH", "/v1/clients/x", &[bearer, JSON], "{}", false),
        ("DELETE", "/v1/clients/x", &[bearer], "", false),
        ("POST", "/generateToken/", &[JSON], "{}", false),
    ] {
        nodes.lose_the_next();
        let answer = balancer.ask(method, path, headers, body);
        let heard = nodes.heard();
        let expect = if is_repeated { (200, 2) } else { (502, 1) };
        assert_eq!((answer.status, heard.len()), expect, "{method} {path}");
        assert!(heard.iter().all(|heard| heard.ends_with(&format!("\r\n\r\n{body}"))), "{heard:?}");
        if !is_repeated {
            // In the words of OAuth, of /v1 and of the simple contract.
            let error: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!((&error["error"], &error["status"]), (&"temporarily_unavailable".into(), &502.into()));
            assert_eq!(error["code"], "no_answer");
            assert!(error["description"].is_string());
        }
    }
}

#[test]
fn metrics_stay_inside_and_nodes_learn_who_asks() {
    let nodes = Nodes::start();
    let balancer = Balancer::before(&nodes.addresses);
    assert_eq!(balancer.ask("GET", "/metrics", &[], "").status, 404);
    assert_eq!(balancer.ask("GET", "/readyz", &[], "").status, 200);
    assert_eq!(nodes.heard(), <[String; 0]>::default(), "both are answered by the balancer itself");
    assert_eq!(balancer.ask("GET", "/healthz", &[("X-Forwarded-For", "203.0.113.7")], "").status, 200);
    let [request] = &nodes.heard()[..] else { panic!("one request") };
    let named: Vec<_> = request
        .lines()
        .filter_map(|line| line.to_ascii_lowercase().strip_prefix("x-forwarded-for: ").map(str::to_owned))
        .collect();
    assert_eq!(named.last().map(String::as_str), Some("127.0.0.1"), "jotd takes the last one: {request}");
}

#[test]
fn without_a_node_the_balancer_says_so() {
    // Nobody listens there.
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let balancer = Balancer::before(&[address; 3]);
    while balancer.ask("GET", "/readyz", &[], "").status != 503 {
        thread::yield_now();
    }
    let answer = balancer.ask("POST", "/oauth2/token", &[], "");
    assert_eq!(
        (answer.status, answer.header("retry-after"), answer.header("cache-control")),
        (503, Some("1"), Some("no-store"))
    );
    let error: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&error["error"], &error["code"]), (&"temporarily_unavailable".into(), &"no_node".into()));
}
