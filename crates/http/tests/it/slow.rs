//! Slow and silent clients, and a stop while requests are in flight. Waits are for a condition, never for a time.

use std::time::{Duration, Instant};

use jotd_http::Limits;
use jotd_wire::{Wire, request};

use crate::support::{JSON, TestServer, assert_refused, token_of};

/// Long enough for what a test sends in time, also where the machine is busy with something else.
const SHORT: Duration = Duration::from_secs(1);
/// For so long a server that stops waits for the next request of a connection.
const GRACE: Duration = Duration::from_millis(200);
const HALF_BODY: &str =
    "POST /generateToken HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{\"user_";
const OTHER_HALF: &str = "data\":\"x\"}";

/// A request whose body the server waits for: it has said so.
fn begin_request(server: &TestServer) -> Wire {
    let mut wire = server.connect();
    let (head, half) = HALF_BODY.split_once("\r\n\r\n").unwrap();
    wire.send(format!("{head}\r\nExpect: 100-continue\r\n\r\n")).unwrap();
    assert_eq!(wire.receive().unwrap().status, 100);
    wire.send(half).unwrap();
    wire
}

#[test]
fn silent_and_slow_heads_are_cut_off() {
    let server = TestServer::with(Limits { head_timeout: SHORT, ..Limits::default() });
    let silent = server.connect();
    let mut half = server.connect();
    half.send("POST /generateToken HTTP/1.1\r\nHost: x\r\nX-").unwrap();
    let mut later = server.connect();
    later.send(request("GET", "/healthz", &[], "")).unwrap();
    assert_eq!(later.receive().unwrap().status, 200);
    later.send("GET /healthz HTTP/1.1\r\n").unwrap();
    let mut dripping = server.connect();
    dripping.send("GET /healthz HTTP/1.1\r\nX: ").unwrap();
    for mut wire in [silent, half, later] {
        assert_eq!(wire.until_closed().unwrap(), b"");
    }
    // Sending a byte now and then buys no time: at some point a send fails, because the connection is closed.
    while dripping.send("y").is_ok() {
        std::thread::yield_now();
    }
    assert_eq!(server.ask("GET", "/healthz", &[], "").status, 200);
}

#[test]
fn slow_bodies_get_408() {
    let server = TestServer::with(Limits { body_timeout: SHORT, ..Limits::default() });
    let mut wire = server.connect();
    wire.send(HALF_BODY).unwrap();
    let answer = wire.receive().unwrap();
    assert_refused(&answer, 408, "Request body did not arrive in time");
    assert_eq!(answer.header("connection"), Some("close"));
    wire.finish_sending().unwrap();
    assert_eq!(wire.until_closed().unwrap(), b"");
    // What is refused without its body does not wait longer for it.
    let mut wire = server.connect();
    wire.send(HALF_BODY.replace("application/json", "text/plain")).unwrap();
    assert_refused(&wire.receive().unwrap(), 202, "Invalid content type");
}

#[test]
fn idle_connections_are_closed() {
    let server = TestServer::with(Limits { idle_timeout: SHORT, ..Limits::default() });
    let mut wire = server.connect();
    wire.send(request("GET", "/healthz", &[], "")).unwrap();
    assert_eq!(wire.receive().unwrap().status, 200);
    assert_eq!(wire.until_closed().unwrap(), b"");
}

#[test]
fn clients_that_do_not_read_are_cut_off() {
    let server = TestServer::with(Limits { write_timeout: SHORT, connections: 1, ..Limits::default() });
    let mut greedy = server.connect();
    // Asks for more than the sockets can hold, and reads nothing. Sending fails once the server has given up.
    let asks = request("GET", "/openapi.json", &[], "").repeat(200);
    while greedy.send(&asks).is_ok() {}
    // The only place is free again.
    assert_eq!(server.ask("GET", "/healthz", &[], "").status, 200);
}

#[test]
fn slow_clients_do_not_hold_up_others() {
    let server = TestServer::start();
    let mut slow: Vec<Wire> = (0..200).map(|_| server.connect()).collect();
    for wire in &mut slow {
        wire.send(HALF_BODY).unwrap();
    }
    for _ in 0..50 {
        token_of(&server.ask("POST", "/generateToken", &[JSON], r#"{"user_data":"x"}"#));
    }
    for wire in &mut slow {
        wire.send(OTHER_HALF).unwrap();
        token_of(&wire.receive().unwrap());
    }
}

#[test]
fn a_stop_lets_requests_in_flight_finish() {
    let mut server = TestServer::start();
    let mut in_flight = begin_request(&server);
    let silent = server.connect();
    let mut idle = server.connect();
    idle.send(request("GET", "/healthz", &[], "")).unwrap();
    assert_eq!(idle.receive().unwrap().status, 200);
    server.begin_stop();
    // Both are closed at once; that the listener is closed shows by refused connections.
    for mut wire in [silent, idle] {
        assert_eq!(wire.until_closed().unwrap(), b"");
    }
    while Wire::connect(server.address).is_ok() {
        std::thread::yield_now();
    }
    in_flight.send(OTHER_HALF).unwrap();
    let answer = in_flight.receive().unwrap();
    token_of(&answer);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(in_flight.until_closed().unwrap(), b"");
    drop(in_flight);
    assert_eq!(server.stopped(), 0);
}

#[test]
fn a_stop_answers_requests_that_are_on_their_way() {
    let mut server = TestServer::with(Limits { connections: 2, ..Limits::default() });
    // One connection that has been served, one that has sent half a head, and more than there are places for.
    let mut served = server.connect();
    served.send(request("GET", "/healthz", &[], "")).unwrap();
    assert_eq!(served.receive().unwrap().status, 200);
    let mut half = server.connect();
    half.send("GET /healthz HTTP/1.1\r\nHo").unwrap();
    let mut waiting: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for wire in &mut waiting {
        wire.send(request("GET", "/healthz", &[], "")).unwrap();
    }
    // Sent before the stop, whether or not the server has seen it.
    served.send(request("GET", "/healthz", &[], "")).unwrap();
    server.begin_stop();
    half.send("st: x\r\n\r\n").unwrap();
    for mut wire in waiting.into_iter().chain([served, half]) {
        let answer = wire.receive().unwrap();
        assert_eq!(answer.status, 200);
        // What was answered before the server knew says nothing, what comes after says that it closes.
        if answer.header("connection").is_some() {
            assert_eq!(answer.header("connection"), Some("close"));
        }
        assert_eq!(wire.until_closed().unwrap(), b"");
    }
    assert_eq!(server.stopped(), 0);
}

#[test]
fn a_stop_loses_nothing_under_load() {
    let mut server = TestServer::start();
    let (sender, receiver) = std::sync::mpsc::channel();
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let sender = sender.clone();
            let (mut last, mut wire) = (Instant::now(), server.connect());
            std::thread::spawn(move || {
                for count in 1.. {
                    let now = Instant::now();
                    let sent = wire.send(request("POST", "/generateToken", &[JSON], r#"{"user_data":"x"}"#));
                    let pause = std::mem::replace(&mut last, now).elapsed();
                    let answer = match sent.and_then(|()| wire.receive()) {
                        Ok(answer) => answer,
                        // The server was right to think that nothing more would come.
                        Err(_) if pause >= GRACE => return count,
                        Err(error) => panic!("{error} after {pause:?}"),
                    };
                    token_of(&answer);
                    if answer.header("connection").is_some() {
                        return count;
                    }
                    let _ = sender.send(());
                }
                0
            })
        })
        .collect();
    for _ in 0..500 {
        receiver.recv().unwrap();
    }
    server.begin_stop();
    // Every request that came in time was answered, the last one with the word that it is the last.
    for client in clients {
        assert!(client.join().unwrap() > 0);
    }
    assert_eq!(server.stopped(), 0);
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let server = TestServer::with(Limits { stop_timeout: SHORT, ..Limits::default() });
    let _in_flight = begin_request(&server);
    assert_eq!(server.stopped(), 1);
}

#[test]
fn many_small_requests_at_once_lose_no_timeout() {
    // More than a task may do before it has to let others: what it then asks for must still be heard. The limits are of
    // one length, so that the timer is not set anew by a shorter one.
    let second = Duration::from_secs(1);
    let server = TestServer::with(Limits { head_timeout: second, idle_timeout: second, ..Limits::default() });
    let counts = [100, 126, 127, 128, 129, 130, 200, 1000];
    let mut wires = counts.map(|count| {
        let mut wire = server.connect();
        wire.send(request("GET", "/healthz", &[], "").repeat(count)).unwrap();
        wire
    });
    for (wire, count) in wires.iter_mut().zip(counts) {
        for _ in 0..count {
            assert_eq!(wire.receive().unwrap().status, 200);
        }
        assert_eq!(wire.until_closed().unwrap(), b"", "{count}");
    }
    let mut server = TestServer::start();
    let mut wires: Vec<Wire> = (0..20).map(|_| server.connect()).collect();
    for wire in &mut wires {
        wire.send([request("GET", "/healthz", &[], "").repeat(200), b"GET / HT".to_vec()].concat()).unwrap();
        for _ in 0..200 {
            assert_eq!(wire.receive().unwrap().status, 200);
        }
        wire.send("TP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!(wire.receive().unwrap().status, 404);
    }
    server.begin_stop();
    for mut wire in wires {
        assert_eq!(wire.until_closed().unwrap(), b"");
    }
    assert_eq!(server.stopped(), 0);
}

#[test]
fn a_partial_head_behind_a_request_has_the_time_of_a_head() {
    let server = TestServer::with(Limits { head_timeout: SHORT, ..Limits::default() });
    let mut wire = server.connect();
    wire.send([request("GET", "/healthz", &[], ""), b"GET /he".to_vec()].concat()).unwrap();
    assert_eq!(wire.receive().unwrap().status, 200);
    assert_eq!(wire.until_closed().unwrap(), b"");
}
