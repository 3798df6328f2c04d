//! SIGTERM and SIGINT: nothing in flight is lost, and the exit code is 0.

use jotd_wire::Wire;
use rustix::process::Signal;

use crate::process::{Serving, new_home};

const HEAD: &str = "POST /generateToken HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 17\r\nExpect: 100-continue\r\n\r\n";

/// A request whose body the server waits for: it has said so.
fn begin_request(server: &Serving) -> Wire {
    let mut wire = Wire::connect(server.address()).unwrap();
    wire.send(HEAD).unwrap();
    assert_eq!(wire.receive().unwrap().status, 100);
    wire
}

#[test]
fn requests_in_flight_finish() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = new_home();
        let mut server = Serving::start(home.path(), &[], &[]);
        let mut wire = begin_request(&server);
        wire.send("{\"user_").unwrap();
        server.signal(signal);
        server.wait_for("stopping");
        while Wire::connect(server.address()).is_ok() {
            std::thread::yield_now();
        }
        wire.send("data\":\"x\"}").unwrap();
        assert_eq!(wire.receive().unwrap().status, 200);
        drop(wire);
        let (status, log) = server.ended();
        assert!(status.success());
        assert!(log.last().unwrap().contains("stopped"), "{log:#?}");
    }
}

#[test]
fn there_is_a_limit_and_a_second_signal_ends_the_wait() {
    let home = new_home();
    let mut wires = Vec::new();
    for (timeout, signals, expect) in [("100ms", 1, "were cut"), ("1h", 2, "told twice")] {
        let mut server = Serving::start(home.path(), &["--stop-timeout", timeout], &[]);
        wires.push(begin_request(&server));
        server.signal(Signal::TERM);
        server.wait_for("stopping");
        if signals == 2 {
            server.signal(Signal::TERM);
        }
        let (status, log) = server.ended();
        assert!(status.success());
        assert!(log.last().unwrap().contains(expect), "{log:#?}");
    }
}

#[test]
fn a_server_that_drains_still_serves_and_says_that_it_will_be_gone() {
    let home = new_home();
    let mut server = Serving::start(home.path(), &["--drain-time", "1h"], &[]);
    let ready = |server: &Serving| jotd_wire::ask(server.address(), "GET", "/readyz", &[], "").unwrap();
    assert_eq!(ready(&server).status, 200);
    let mut kept = Wire::connect(server.address()).unwrap();
    let mint = || {
        jotd_wire::request("POST", "/generateToken", &[("Content-Type", "application/json")], "{\"user_data\":\"x\"}")
    };
    kept.send(mint()).unwrap();
    assert_eq!(kept.receive().unwrap().header("connection"), None);
    server.signal(Signal::TERM);
    server.wait_for("stopping");
    // The flag is set right after that.
    while ready(&server).status == 200 {
        std::thread::yield_now();
    }
    assert!(ready(&server).text().contains("\"name\":\"stay\",\"ok\":false"), "{}", ready(&server).text());
    // A connection from before gets its answer, and a new one, too; each is the last.
    for wire in [kept, Wire::connect(server.address()).unwrap()] {
        let mut wire = wire;
        wire.send(mint()).unwrap();
        let answer = wire.receive().unwrap();
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        assert!(wire.send(mint()).is_err() || wire.receive().is_err());
    }
    server.signal(Signal::TERM);
    let (status, log) = server.ended();
    assert!(status.success() && log.last().unwrap().contains("told twice"), "{log:#?}");

    let server = Serving::start(home.path(), &["--drain-time", "50ms"], &[]);
    server.signal(Signal::TERM);
    let (status, log) = server.ended();
    assert!(status.success() && log.last().unwrap().contains("\"stopped\""), "{log:#?}");
}
