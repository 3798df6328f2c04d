//! The proxy does what it is told, to real connections.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use jotd_pgserver::Proxy;

/// Long enough to see that nothing comes.
const A_WHILE: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(60);

/// Says everything back; answers its port.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    port
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn says_back(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
    hears(stream, text);
}

fn hears(stream: &mut TcpStream, text: &str) {
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard, text.as_bytes());
}

#[test]
fn what_passes_arrives_and_ends() {
    let proxy = Proxy::to(echo());
    let mut stream = connect(&proxy);
    says_back(&mut stream, "first");
    let much = "x".repeat(3_000_000);
    let mut writes = stream.try_clone().unwrap();
    let copy = much.clone();
    let writing = std::thread::spawn(move || writes.write_all(copy.as_bytes()).unwrap());
    hears(&mut stream, &much);
    writing.join().unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn what_is_held_arrives_when_it_may_pass() {
    let proxy = Proxy::to(echo());
    let mut old = connect(&proxy);
    says_back(&mut old, "before");
    proxy.hold();
    let mut new = connect(&proxy);
    for stream in [&mut old, &mut new] {
        stream.write_all(b"held").unwrap();
        stream.set_read_timeout(Some(A_WHILE)).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    proxy.pass();
    hears(&mut old, "held");
    hears(&mut new, "held");
}

#[test]
fn what_is_delayed_arrives_later_and_at_once_again() {
    let proxy = Proxy::to(echo());
    let mut stream = connect(&proxy);
    proxy.delay(A_WHILE);
    let started = Instant::now();
    says_back(&mut stream, "slowly");
    assert!(started.elapsed() >= 2 * A_WHILE, "there and back");
    proxy.pass();
    says_back(&mut stream, "at once");
}

#[test]
fn what_is_cut_is_reset_also_while_held() {
    let proxy = Proxy::to(echo());
    for held in [false, true] {
        proxy.pass();
        let mut stream = connect(&proxy);
        says_back(&mut stream, "before");
        if held {
            proxy.hold();
            stream.write_all(b"lost").unwrap();
        }
        proxy.cut();
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset, "held: {held}");
    }
    proxy.pass();
    says_back(&mut connect(&proxy), "a new one");
}

#[test]
fn when_new_ones_are_refused_the_old_go_on() {
    let proxy = Proxy::to(echo());
    let mut old = connect(&proxy);
    says_back(&mut old, "before");
    proxy.refuse();
    let mut new = connect(&proxy);
    assert!(!matches!(new.read(&mut [0]), Ok(1)));
    says_back(&mut old, "still");
    proxy.pass();
    says_back(&mut connect(&proxy), "again");
}
