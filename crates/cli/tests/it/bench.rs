//! `jotd bench` against the real server, and against servers that misbehave in one way each.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::process::{Serving, default_key_file, fails, jotd, new_home, run};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A server on a free port. `answer` is called with each request's number and head, and says whether the connection
/// goes on.
fn stub(answer: impl Fn(usize, &str, &mut TcpStream) -> bool + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (answer, number) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (answer, number) = (Arc::clone(&answer), Arc::clone(&number));
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                while let Some(head) = request(&mut stream) {
                    if !answer(number.fetch_add(1, Ordering::SeqCst), &head, stream.get_mut()) {
                        break;
                    }
                }
            });
        }
    });
    address
}

/// The head of the next request, whose body is read too; `None` when there is none.
fn request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok()).unwrap_or(0);
    stream.read_exact(&mut vec![0; length]).ok()?;
    Some(head)
}

fn bench(home: &Path, address: SocketAddr, arguments: &[&str]) -> Output {
    let url = format!("http://{address}");
    run(home, &[&["bench", url.as_str(), "--warmup", "0s"], arguments].concat(), &[])
}

/// The report of a run in which at least one request succeeded.
#[track_caller]
fn report(address: SocketAddr, arguments: &[&str]) -> Value {
    let output = bench(new_home().path(), address, arguments);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stderr, b"", "no progress where nobody is looking");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

#[test]
fn a_closed_loop_counts_what_it_did() {
    let home = new_home();
    let server = Serving::start(home.path(), &[], &[]);
    let report = report(server.address(), &["--duration", "500ms", "--connections", "5", "--threads", "2"]);
    assert!(count(&report["requests"]) > 0);
    assert_eq!(report["requests"], report["succeeded"]);
    assert_eq!(report["failed"], 0);
    assert_eq!(report["errors"], serde_json::json!({}));
    assert_eq!((&report["connections"], &report["threads"]), (&5.into(), &2.into()));
    assert_eq!(report["connections_opened"], 5, "each was kept");
    assert_eq!((&report["seconds"], &report["interrupted"]), (&0.5.into(), &false.into()));
    assert_eq!(report["latency"]["corrected"], false);
    let latency =
        |name: &str| count(&report["latency"].as_object().unwrap()[&format!("{}_ns", name.replace('.', "_"))]);
    let names = ["min", "p50", "p90", "p99", "p99.9", "p99.99", "max"];
    assert!(names.map(latency).is_sorted() && latency("min") > 0, "{report}");
    // The server has seen all of them, and those that began the run.
    let metrics = server.ask("GET", "/metrics", &[], "").text();
    let minted = metrics.lines().find_map(|line| line.strip_prefix("jotd_tokens_minted_total{kind=\"simple\"} "));
    assert!(minted.unwrap().parse::<u64>().unwrap() >= count(&report["succeeded"]), "{metrics}");
}

#[test]
fn every_route_is_answered() {
    let home = new_home();
    let server = Serving::start(home.path(), &[], &[]);
    let client = ["clients", "add", "x", "--id", "a.b", "--audience", "https://api.example", "--scope", "read"];
    let client: Value = serde_json::from_slice(&run(home.path(), &client, &[]).stdout).unwrap();
    fs::write(home.path().join("secret"), format!("{}\n", client["secret"].as_str().unwrap())).unwrap();
    let key = default_key_file(home.path()).display().to_string();
    let as_client = ["--client", "a.b", "--client-secret-file", "secret"];
    for (route, more) in [
        ("generateToken", &["--data-size", "1000"][..]),
        ("verifyToken", &[]),
        ("verifyToken", &["--signing-key-file", &key]),
        ("token", &as_client),
        ("token", &[&as_client[..], &["--scope", "read", "--resource", "https://api.example"]].concat()),
        ("introspect", &as_client),
        ("jwks", &[]),
        ("healthz", &[]),
    ] {
        let arguments = ["--route", route, "--rate", "100", "--duration", "50ms", "--connections", "2"];
        let output = bench(home.path(), server.address(), &[&arguments, more].concat());
        assert!(output.status.success(), "{route} {more:?}: {output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["requests"], &report["failed"]), (&5.into(), &0.into()), "{route} {report}");
    }
}

#[test]
fn what_a_route_needs_is_checked_first() {
    let home = new_home();
    let server = Serving::start(home.path(), &[], &[]);
    fs::write(home.path().join("secret"), "not-the-secret").unwrap();
    let url = format!("http://{}", server.address());
    let call = ["bench", &url, "--route", "introspect", "--client", "x", "--client-secret-file"];
    let line = fails(home.path(), &[&call[..], &["secret"]].concat(), &[]);
    assert!(line.contains("status 401, invalid_client") && !line.contains("not-the-secret"), "{line}");
    let line = fails(home.path(), &[&call[..], &["missing"]].concat(), &[]);
    assert!(line.contains("missing"), "{line}");
    let without = run(home.path(), &["bench", &url, "--route", "token"], &[]);
    assert_eq!(without.status.code(), Some(2));
    assert!(String::from_utf8(without.stderr).unwrap().contains("--client-secret-file"));
}

#[test]
fn a_rate_is_a_schedule() {
    let address = stub(|_, _, stream| stream.write_all(OK.as_bytes()).is_ok());
    let url = format!("http://{address}");
    for (warmup, arguments, expect) in [
        ("0s", &["--rate", "200", "--duration", "1s"][..], 200),
        ("0s", &["--rate", "3", "--duration", "1s", "--threads", "2"], 3),
        ("200ms", &["--rate", "2000", "--duration", "500ms", "--threads", "3"], 1000),
        ("0s", &["--rate", "10", "--duration", "500ms", "--connections", "1"], 5),
    ] {
        let output = run(new_home().path(), &[&["bench", &url, "--warmup", warmup], arguments].concat(), &[]);
        assert!(output.status.success(), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(count(&report["requests"]), expect, "{arguments:?}: {report}");
        assert_eq!(report["failed"], 0);
        assert_eq!(report["latency"]["corrected"], true);
        assert_eq!(report["rate"]["asked"].to_string(), arguments[1]);
        assert!(report["rate"]["reached"].as_f64().unwrap() > 0.0);
    }
}

/// A server that stalls once for half a second, for everybody, at its 20th request.
fn stalling() -> SocketAddr {
    let gate = Mutex::new(());
    stub(move |number, _, stream| {
        let _guard = gate.lock().unwrap();
        if number == 20 {
            std::thread::sleep(Duration::from_millis(500));
        }
        stream.write_all(OK.as_bytes()).is_ok()
    })
}

#[test]
fn a_stall_counts_for_all_requests_that_were_due() {
    const STALLED: u64 = 100_000_000;
    let arguments = ["--connections", "4", "--duration", "1s"];
    let open = report(stalling(), &[&arguments[..], &["--rate", "1000"]].concat());
    assert_eq!(open["requests"], 1000);
    assert_eq!(open["failed"], 0, "{open}");
    assert!(count(&open["latency"]["p90_ns"]) > STALLED, "{open}");
    // The same stall in a closed loop holds four requests up, and the other hundreds do not show it.
    let closed = report(stalling(), &arguments);
    assert!(count(&closed["latency"]["p50_ns"]) < STALLED, "{closed}");
    assert!(count(&closed["latency"]["max_ns"]) > STALLED, "{closed}");
}

#[test]
fn answers_that_are_none_are_told_by_kind() {
    let head = |head: &str| format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n");
    for (name, answer, expect) in [
        ("status", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned(), "status_503"),
        ("redirection", "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_owned(), "status_302"),
        ("nothing", String::new(), "closed"),
        ("half a head", "HTTP/1.1 200 OK\r\nContent-".to_owned(), "closed"),
        ("half a body", head("Content-Length: 10") + "half", "closed"),
        ("half a chunk", head("Transfer-Encoding: chunked") + "5\r\nab", "closed"),
        ("garbage", "SSH-2.0-OpenSSH_9.9\r\n".to_owned(), "malformed_answer"),
        ("two lengths", head("Content-Length: 1\r\nContent-Length: 2") + "ab", "malformed_answer"),
        ("signed length", head("Content-Length: +2") + "ab", "malformed_answer"),
        ("huge length", head("Content-Length: 99999999999"), "malformed_answer"),
        ("length that overflows", head("Content-Length: 99999999999999999999999"), "malformed_answer"),
        (
            "length and chunks",
            head("Content-Length: 5\r\nTransfer-Encoding: chunked") + "0\r\n\r\n",
            "malformed_answer",
        ),
        ("unknown coding", head("Transfer-Encoding: gzip, chunked") + "0\r\n\r\n", "malformed_answer"),
        ("chunk size", head("Transfer-Encoding: chunked") + "x\r\n", "malformed_answer"),
        ("chunk size that overflows", head("Transfer-Encoding: chunked") + "fffffffffffffffff\r\n", "malformed_answer"),
        ("huge chunk", head("Transfer-Encoding: chunked") + "fffffffffff\r\n", "malformed_answer"),
        ("chunk end", head("Transfer-Encoding: chunked") + "2\r\nabcd0\r\n\r\n", "malformed_answer"),
        ("more than one answer", OK.repeat(2), "malformed_answer"),
        ("long head", head(&format!("X: {}", "x".repeat(20_000))), "malformed_answer"),
        ("many headers", head(&"X: y\r\n".repeat(100)), "malformed_answer"),
        ("another protocol", "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(), "malformed_answer"),
    ] {
        let stays = expect.starts_with("status");
        let address = stub(move |_, _, stream| stream.write_all(answer.as_bytes()).is_ok() && stays);
        let output = bench(new_home().path(), address, &["--rate", "100", "--duration", "30ms", "--connections", "2"]);
        assert_eq!(output.status.code(), Some(1), "{name}: nothing succeeded, {output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["errors"], serde_json::json!({ expect: 3 }), "{name}: {report}");
        assert_eq!((&report["requests"], &report["succeeded"], &report["failed"]), (&3.into(), &0.into(), &3.into()));
        assert_eq!(report["latency"]["p50_ns"], Value::Null, "{name}");
    }
}

#[test]
fn every_way_to_end_an_answer_is_understood() {
    for (name, answer, stays) in [
        ("length", OK, true),
        ("twice the same length", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\nx", true),
        ("no content", "HTTP/1.1 204 No Content\r\n\r\n", true),
        (
            "chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n",
            true,
        ),
        (
            "interim answers",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            true,
        ),
        ("connection: close", "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok", false),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
        ("the end of the connection", "HTTP/1.1 200 OK\r\n\r\nok", false),
        ("closed without a word", OK, false),
    ] {
        let address = stub(move |_, _, stream| {
            // The end comes with the answer: whoever is asked again before it is heard of has not been asked.
            #[cfg(target_os = "linux")]
            rustix::net::sockopt::set_tcp_cork(&*stream, !stays).unwrap();
            let is_sent = stream.write_all(answer.as_bytes()).is_ok();
            is_sent && (stays || stream.shutdown(Shutdown::Write).is_err())
        });
        let report = report(address, &["--rate", "20", "--duration", "200ms", "--connections", "1"]);
        assert_eq!((&report["requests"], &report["failed"]), (&4.into(), &0.into()), "{name}: {report}");
        assert_eq!(report["connections_opened"], if stays { 1 } else { 4 }, "{name}: {report}");
    }
}

#[test]
fn answers_in_small_pieces_are_put_together() {
    let body = "x".repeat(5000);
    let address = stub(move |_, _, stream| {
        stream.set_nodelay(true).unwrap();
        let answer =
            format!("HTTP/1.1 200 OK\r\nX: {body}\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n{body}\r\n0\r\n\r\n");
        answer.as_bytes().chunks(997).all(|piece| stream.write_all(piece).is_ok())
    });
    let report = report(address, &["--duration", "1s", "--connections", "2"]);
    assert_eq!(report["failed"], 0, "{report}");
}

#[test]
fn a_server_that_hangs_times_out() {
    for sent in ["", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"] {
        let address = stub(move |_, _, stream| {
            let _ = stream.write_all(sent.as_bytes());
            // Until the client gives up.
            stream.read(&mut [0]).is_ok_and(|read| read > 0)
        });
        let output = bench(
            new_home().path(),
            address,
            &["--rate", "100", "--duration", "30ms", "--timeout", "150ms", "--connections", "3"],
        );
        assert_eq!(output.status.code(), Some(1));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["requests"], &report["succeeded"]), (&3.into(), &0.into()));
        assert!(count(&report["errors"]["timeout"]) > 0, "{report}");
    }
}

#[test]
fn requests_that_never_got_their_turn_are_counted() {
    let address = stub(|_, _, stream| stream.read(&mut [0]).is_ok_and(|read| read > 0));
    let arguments = ["--rate", "100", "--duration", "500ms", "--timeout", "200ms", "--connections", "1"];
    let output = bench(new_home().path(), address, &arguments);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["requests"], 50);
    let (timeout, unfinished) = (count(&report["errors"]["timeout"]), count(&report["errors"]["unfinished"]));
    assert!(timeout >= 1 && timeout + unfinished == 50, "{report}");
    assert!(report["rate"]["reached"].as_f64().unwrap() < 50.0, "{report}");
}

#[test]
fn a_server_that_goes_away_is_refused_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        drop(listener.accept().unwrap());
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        for _ in 0..3 {
            request(&mut stream).unwrap();
            stream.get_mut().write_all(OK.as_bytes()).unwrap();
        }
    });
    let report = report(address, &["--duration", "1s", "--connections", "1"]);
    assert_eq!(report["succeeded"], 3);
    assert!(count(&report["errors"]["connect_refused"]) > 0, "{report}");
    assert!(count(&report["failed"]) <= 130, "it waits a little after each: {report}");
}

#[test]
fn nobody_there_is_said_at_once() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let line = fails(new_home().path(), &["bench", &format!("http://{free}")], &[]);
    assert!(line.contains(&free.to_string()) && line.contains("refused"), "{line}");
}

#[test]
fn addresses_and_numbers_that_make_no_sense_are_usage_errors() {
    let home = new_home();
    for (arguments, expect) in [
        (&["https://127.0.0.1:8000"][..], "only http://"),
        (&["127.0.0.1:8000"], "http://HOST:PORT"),
        (&["http://x:y@127.0.0.1"], "only a host"),
        (&["--duration", "0s"], "more than nothing"),
        (&["--duration", "2days"], "1day at most"),
        (&["--connections", "0"], "0 is not in"),
        (&["--connections", "60001"], "60001 is not in"),
        (&["--rate", "0"], "0 is not in"),
        (&["--timeout", "0"], "more than nothing"),
        (&["--route", "v1"], "invalid value 'v1'"),
    ] {
        let output = run(home.path(), &[&["bench"], arguments].concat(), &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(expect), "{arguments:?}: {error}");
    }
}

#[test]
fn more_connections_than_file_descriptors_are_refused() {
    let home = new_home();
    let bench = format!("ulimit -n 100; exec '{}' bench --connections 99", env!("CARGO_BIN_EXE_jotd"));
    let output = Command::new("sh").args(["-c", &bench]).env("HOME", home.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("99 connections") && error.contains("ulimit -n"), "{error}");
}

#[test]
fn a_path_goes_before_that_of_the_route() {
    let (sender, heads) = channel();
    let address = stub(move |_, head, stream| {
        let _ = sender.send(head.to_owned());
        stream.write_all(OK.as_bytes()).is_ok()
    });
    let url = format!("http://{address}/base/");
    let call = ["bench", &url, "--route", "healthz", "--rate", "10", "--duration", "100ms", "--warmup", "0"];
    assert!(run(new_home().path(), &call, &[]).status.success());
    assert_eq!(heads.recv().unwrap(), format!("GET /base/healthz HTTP/1.1\r\nHost: {address}\r\n\r\n"));
}

#[test]
fn an_interruption_ends_it_with_a_report() {
    for rate in [&[][..], &["--rate", "1000"], &["--rate", "1"]] {
        let (sender, requests) = channel();
        let address = stub(move |number, _, stream| {
            let _ = sender.send(number);
            stream.write_all(OK.as_bytes()).is_ok()
        });
        let url = format!("http://{address}");
        let mut command = jotd(new_home().path());
        command.current_dir("/").args(["bench", &url, "--duration", "1h", "--warmup", "0", "--connections", "1"]);
        let child = command.args(rate).stdout(Stdio::piped()).spawn().unwrap();
        // The second request is sent when the first was answered.
        assert_eq!((requests.recv().unwrap(), requests.recv().unwrap()), (0, 1));
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["interrupted"], true);
        assert!(report["seconds"].as_f64().unwrap() < 3000.0 && count(&report["succeeded"]) > 0, "{report}");
    }
}

#[test]
fn members_of_the_report_keep_their_names() {
    fn names(value: &Value, path: &str, out: &mut String) {
        match value {
            Value::Object(members) if !members.is_empty() => {
                members.iter().for_each(|(name, value)| names(value, &format!("{path}.{name}"), out));
            }
            _ => out.push_str(&format!("{path}\n")),
        }
    }
    let address = stub(|number, _, stream| {
        let status = if number % 2 == 0 { "200 OK" } else { "503 Service Unavailable" };
        stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).is_ok()
    });
    let mut found = String::new();
    names(&report(address, &["--rate", "100", "--duration", "100ms"]), "", &mut found);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/bench-members.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(&golden).unwrap_or_default());
    let operations =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md")).unwrap();
    for name in found.lines().filter_map(|path| path.rsplit('.').next()).filter(|name| *name != "status_503") {
        assert!(operations.contains(&format!("`{name}`")), "{name} is not described");
    }
}

#[test]
fn the_text_says_what_its_latencies_are() {
    let address = stub(|number, _, stream| {
        let answer = if number == 0 { "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n" } else { OK };
        stream.write_all(answer.as_bytes()).is_ok()
    });
    let arguments = ["--format", "text", "--duration", "1s", "--connections", "1"];
    let output = bench(new_home().path(), address, &arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    for expect in [
        &format!("POST http://{address}/generateToken\n1 connection, 1 thread, 1 s\n"),
        " 1 failed\n",
        "latency as service time",
        "  p99.99 ",
        "failed\n  status 503       1\n",
    ] {
        assert!(text.contains(expect), "{expect:?}: {text}");
    }
    assert_eq!(output.stderr, b"");
    let output = bench(new_home().path(), address, &[&arguments[..], &["--rate", "5"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    for expect in ["from when each request was due", "5/s asked", "requests     5, 0 failed"] {
        assert!(text.contains(expect), "{expect:?}: {text}");
    }
}
