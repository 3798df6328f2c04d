//! More than the server can carry, and more connections than do anything. Costs are compared in processor time of the
//! server, so that it does not matter what else the machine does.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use jotd_wire::{Wire, ask, request};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::Value;

use crate::process::{JSON, Serving, default_key_file, jotd, new_home, run};

const CONNECTIONS: u64 = 3000;

/// What a server is started with, so that a new key soon signs.
const SOON: [&str; 6] = ["--workers", "1", "--jwks-max-age", "1s", "--clock-leeway", "1s"];

/// A client of a running server whose tokens are signed with an RSA key of 4096 bits, which takes milliseconds; its secret is in a file.
fn costly_client(home: &Path) {
    assert!(run(home, &["keys", "new", "--alg", "RS512", "--bits", "4096"], &[]).status.success());
    let arguments = ["clients", "add", "costly", "--id", "costly", "--alg", "RS512", "--audience", "api"];
    // The key signs when every cache knows it.
    let until = Instant::now() + Duration::from_secs(30);
    let added = loop {
        let added = run(home, &arguments, &[]);
        if added.status.success() || Instant::now() > until {
            break added;
        }
    };
    assert!(added.status.success(), "{added:?}");
    let added: Value = serde_json::from_slice(&added.stdout).unwrap();
    fs::write(home.join("secret"), added["secret"].as_str().unwrap()).unwrap();
}

/// Load by the load generator, from another process.
fn load(home: &Path, address: SocketAddr, connections: u64, duration: &str) -> Child {
    let (url, connections) = (format!("http://{address}"), connections.to_string());
    let arguments = ["bench", &url, "--route", "token", "--client", "costly", "--client-secret-file", "secret"];
    let more = ["--connections", &connections, "--duration", duration, "--warmup", "0s", "--format", "json"];
    jotd(home).args(arguments).args(more).stdout(Stdio::piped()).spawn().unwrap()
}

fn report(load: Child) -> Value {
    let output = load.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Asks a server for as much as it can do, and then for far more. Answers what was heard at first, and what each refusal
/// took, as a part of what the work takes.
fn overload(home: &Path, server: &Serving, admin: SocketAddr) -> (Value, f64) {
    let address = server.address();
    let done = |report: &Value| report["succeeded"].as_u64().unwrap() as f64;
    let before = server.processor_time();
    let best = report(load(home, address, 4, "2s"));
    let cost = (server.processor_time() - before) / done(&best);

    let (before, memory) = (server.processor_time(), server.memory());
    let overload = load(home, address, CONNECTIONS, "5s");
    let until = Instant::now() + Duration::from_secs(4);
    let mut healthy = 0;
    while Instant::now() < until {
        // Operators are answered, and who asks for something cheap is, too.
        assert_eq!(ask(admin, "GET", "/healthz", &[], "").unwrap().status, 200);
        assert_eq!(ask(address, "POST", "/generateToken", &[JSON], r#"{"user_data":"x"}"#).unwrap().status, 200);
        healthy += 1;
        // What this takes of the server's time is not the work that is counted.
        std::thread::sleep(Duration::from_millis(50));
    }
    let overload = report(overload);
    let beside = server.processor_time() - before - done(&overload) * cost;
    assert!(healthy > 3, "{healthy}");
    // Who is refused is kept from coming again at once.
    let refused = overload["errors"]["status_503"].as_u64().unwrap();
    assert!((1..3 * CONNECTIONS).contains(&refused), "{overload}");
    let others = overload["errors"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|kind| !["status_503", "unfinished"].contains(&kind.as_str()));
    assert_eq!(others.count(), 0, "{overload}");
    let grown = server.memory().saturating_sub(memory);
    assert!(grown < CONNECTIONS * 24, "{grown} KiB for {CONNECTIONS} connections with a request each");
    let part = beside / refused as f64 / cost;
    println!("{} done for {cost} s each, {refused} refused for {part} of that", done(&overload));
    (best, part)
}

#[test]
fn under_overload_the_work_goes_on_and_the_rest_is_told_to_come_again() {
    let home = new_home();
    raise_descriptors();
    let mut server = Serving::start(home.path(), &[&SOON[..], &["--admin-listen", "127.0.0.1:0"]].concat(), &[]);
    let (address, admin) = (server.address(), server.next_address());
    costly_client(home.path());
    // There is time for the work. What it takes is not always the same where others use the processors, too.
    let mut parts = Vec::new();
    let best = loop {
        let (best, part) = overload(home.path(), &server, admin);
        parts.push(part);
        if part < 0.1 {
            break best;
        }
        assert!(parts.len() < 3, "a refusal takes too much of what the work takes: {parts:?}");
    };

    // What was waiting is done within a second: whoever comes then is served at once.
    std::thread::sleep(Duration::from_secs(1));
    let after = report(load(home.path(), address, 4, "1s"));
    assert_eq!(after["failed"], 0, "{after}");
    let typical = |report: &Value| report["latency"]["p50_ns"].as_u64().unwrap();
    assert!(typical(&after) < 10 * typical(&best), "{after} after {best}");
}

#[test]
fn a_refusal_under_overload_says_when_to_come_again() {
    let home = new_home();
    raise_descriptors();
    let server = Serving::start(home.path(), &SOON, &[]);
    costly_client(home.path());
    let secret = fs::read_to_string(home.path().join("secret")).unwrap();
    let form = format!("grant_type=client_credentials&client_id=costly&client_secret={secret}");
    let asked = request("POST", "/oauth2/token", &[("Content-Type", "application/x-www-form-urlencoded")], form);
    let mut wires: Vec<_> = (0..CONNECTIONS).map(|_| Wire::connect(server.address()).unwrap()).collect();
    for wire in &mut wires {
        wire.send(&asked).unwrap();
    }
    let answers: Vec<_> = wires.iter_mut().map(|wire| wire.receive().unwrap()).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert!(!refused.is_empty() && refused.len() < answers.len(), "{} of {}", refused.len(), answers.len());
    for answer in refused {
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["error"], "temporarily_unavailable");
    }
}

#[test]
fn nobody_works_for_clients_that_have_left() {
    let home = new_home();
    let server = Serving::start(home.path(), &SOON, &[]);
    costly_client(home.path());
    let secret = fs::read_to_string(home.path().join("secret")).unwrap();
    let form = format!("grant_type=client_credentials&client_id=costly&client_secret={secret}");
    let asked = request("POST", "/oauth2/token", &[("Content-Type", "application/x-www-form-urlencoded")], &form);
    let ask_once = || {
        let mut wire = Wire::connect(server.address()).unwrap();
        wire.send(&asked).unwrap();
        wire
    };
    let minted = || {
        let text = server.ask("GET", "/metrics", &[], "").text();
        let line = text.lines().find(|line| line.starts_with("jotd_tokens_minted_total{kind=\"access_token\"}"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    // What it costs is known from the first few.
    for _ in 0..20 {
        assert_eq!(ask_once().receive().unwrap().status, 200);
    }
    // Where others have the processors meanwhile, much of it may be done before the clients leave; but not each time.
    let least = (0..5).map(|_| {
        let before = minted();
        // As many as may wait for a turn, all at once, and gone.
        let mut wires: Vec<_> = (0..100).map(|_| Wire::connect(server.address()).unwrap()).collect();
        for wire in &mut wires {
            wire.send(&asked).unwrap();
        }
        drop(wires);
        while ask_once().receive().unwrap().status != 200 {}
        minted() - before
    });
    let least = least.min().unwrap();
    assert!(least < 70, "{least} of 100");
}

#[test]
fn ten_thousand_idle_and_slow_connections_cost_little_and_slow_nobody_down() {
    raise_descriptors();
    let room = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let connections = room.saturating_sub(200).min(10_000);
    assert!(connections > 500, "no room for connections");
    let home = new_home();
    let server = Serving::start(home.path(), &["--workers", "1", "--max-connections", "20000"], &[]);
    let half_body =
        "POST /generateToken HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{";
    let token = server.mint("x");
    let before = server.memory();
    let mut wires = Vec::new();
    for number in 0..connections {
        let mut wire = Wire::connect(server.address()).unwrap();
        match number % 4 {
            // Has said nothing.
            0 => {}
            // Was served, and may ask again.
            1 => {
                wire.send(request("POST", "/generateToken", &[JSON], r#"{"user_data":"x"}"#)).unwrap();
                assert_eq!(wire.receive().unwrap().status, 200);
            }
            2 => wire.send("GET /healthz HTTP/1.1\r\nHost: x\r\nX-").unwrap(),
            _ => wire.send(half_body).unwrap(),
        }
        wires.push(wire);
    }
    // All of it has been read when this is answered.
    let key = fs::read_to_string(default_key_file(home.path())).unwrap();
    for _ in 0..200 {
        assert!(server.holds(&token, key.trim()));
    }
    let each = (server.memory() - before) as f64 / connections as f64;
    assert!(each < 12.0, "{each} KiB a connection");
}
