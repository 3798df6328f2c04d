//! What clients can make the server hold.

use jotd_wire::Wire;

use crate::process::{Serving, new_home};

#[test]
fn a_body_in_many_pieces_costs_no_more_than_its_bytes() {
    let home = new_home();
    let server = Serving::start(home.path(), &["--body-timeout", "10m"], &[]);
    // 60,000 chunks of one byte on each of 40 connections. If each chunk were kept in the buffer that it came in, they
    // would take more than a hundred megabytes.
    let head = "POST /generateToken HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut wires: Vec<_> = (0..40).map(|_| Wire::connect(server.address()).unwrap()).collect();
    for wire in &mut wires {
        wire.send(head).unwrap();
    }
    for _ in 0..60 {
        for wire in &mut wires {
            wire.send("1\r\n \r\n".repeat(1000)).unwrap();
        }
    }
    for wire in &mut wires {
        wire.send("11\r\n{\"user_data\":\"x\"}\r\n0\r\n\r\n").unwrap();
        assert_eq!(wire.receive().unwrap().status, 200);
    }
    let peak = server.peak_memory();
    assert!(peak < 48, "{peak} MiB");
}
