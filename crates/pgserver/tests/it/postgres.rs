//! Servers start, come back with what they held, and are gone with whoever started them.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use jotd_pgserver::{Server, Shutdown};

const PATIENCE: Duration = Duration::from_secs(60);

fn until(holds: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "never");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_server_comes_back_with_what_it_held_however_it_was_stopped() {
    let mut server = Server::start_with(&[("cluster_name", "as it's set")]);
    let (url, port) = (server.url(), server.port());
    assert_eq!(server.query("SHOW cluster_name"), "as it's set");
    assert_eq!(server.query("SELECT reset_val FROM pg_settings WHERE name = 'max_connections'"), "300");
    assert_eq!(server.query("SHOW server_encoding; SHOW lc_collate"), "UTF8\nC");
    assert_eq!(server.query("CREATE TABLE held (how text)"), "");
    for how in [Shutdown::Smart, Shutdown::Fast, Shutdown::Immediate] {
        assert_eq!(server.query(&format!("INSERT INTO held VALUES ('{how:?}')")), "");
        let pid = server.pid();
        server.stop(how);
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
        server.start_again();
        assert_ne!(server.pid(), pid);
    }
    assert_eq!((server.url(), server.port()), (url, port));
    assert_eq!(server.query("SELECT how FROM held"), "Smart\nFast\nImmediate");
    let folder = server.socket_folder().unwrap().to_owned();
    assert!(server.data_folder().unwrap().join("pg_hba.conf").exists());
    drop(server);
    assert!(!folder.exists());
}

#[test]
fn new_stores_are_new() {
    let server = Server::shared();
    let (first, second) = (server.new_store(), server.new_store());
    assert_ne!(first, second);
    assert!(first.starts_with(&server.url()) && first.contains("schema=test_"));
    assert!(std::ptr::eq(server, Server::shared()));
    assert_eq!(server.query("SELECT 1"), "1");
}

/// What the test below runs as a process of its own, and kills.
#[test]
fn started_by_a_process_that_is_killed() {
    if std::env::var_os("JOTD_PGSERVER_KILLED").is_none() {
        return;
    }
    let server = Server::start();
    println!("\nstarted {} {}", server.pid(), server.socket_folder().unwrap().display());
    sleep(PATIENCE);
}

#[test]
fn a_server_ends_with_the_process_that_started_it() {
    let mut killed = Command::new(std::env::current_exe().unwrap());
    killed.args(["--exact", "postgres::started_by_a_process_that_is_killed", "--nocapture"]);
    killed.env("JOTD_PGSERVER_KILLED", "1").stdout(Stdio::piped());
    let mut killed = killed.spawn().unwrap();
    let lines = BufReader::new(killed.stdout.take().unwrap()).lines();
    let started = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("started ").map(str::to_owned));
    let started = started.unwrap();
    let (pid, folder) = started.split_once(' ').unwrap();
    let command_line = format!("/proc/{pid}/cmdline");
    assert!(std::fs::read_to_string(&command_line).unwrap().contains("postgres"));
    killed.kill().unwrap();
    killed.wait().unwrap();
    until(|| !Path::new(folder).exists());
    // Where nobody waits for orphans, what is left of it has no command line.
    until(|| std::fs::read_to_string(&command_line).unwrap_or_default().is_empty());
}
