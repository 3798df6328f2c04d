//! Which server, by which way, and who is let in.

use std::time::{Duration, Instant};

use authority::error::StoreError;
use authority::store::Store as _;
use jotd_pgserver::{Proxy, Server, free_port};
use jotd_store::{PostgresAddress, PostgresStore};
use zeroize::Zeroizing;

use super::{Stranger, address, client, open, parts, until};
use crate::write;

/// The user with the password, host and port, and what comes after them.
fn pieces(url: &str) -> (&str, &str, &str) {
    let (credentials, rest) = url.strip_prefix("postgres://").unwrap().split_once('@').unwrap();
    let (place, rest) = rest.split_once('/').unwrap();
    (credentials, place, rest)
}

#[test]
fn of_several_hosts_the_first_that_can_be_reached_is_taken() {
    let server = Server::shared();
    let url = server.new_store();
    let (credentials, place, rest) = pieces(&url);
    let (silent, dead) = (Proxy::to(server.port()), free_port());
    silent.hold();
    let hosts = format!("127.0.0.1:{dead},127.0.0.1:{},{place}", silent.port());
    let url = format!("postgres://{credentials}@{hosts}/{rest}");
    let mut store = open(&url);
    write(&mut store, [client("a")]).unwrap();
    let url = format!("postgres://{credentials}@127.0.0.1:{dead},127.0.0.1:{}/{rest}&connect_timeout=1", silent.port());
    // Sooner than where nothing is said of it; another time where others have the processors meanwhile.
    until(|| {
        let start = Instant::now();
        let Err(StoreError::Unavailable(error)) = PostgresStore::open(&address(&url)) else { panic!("one is there") };
        let silent = format!("127.0.0.1:{}: no answer", silent.port());
        for part in [&format!("127.0.0.1:{dead}: "), "refused", &silent] {
            assert!(error.contains(part), "{error}");
        }
        start.elapsed() < Duration::from_secs(3)
    });
}

#[test]
fn a_server_that_may_only_be_read_is_passed_over() {
    let server = Server::start();
    let url = server.new_store();
    drop(open(&url));
    let _ = server.query("CREATE DATABASE standby; ALTER DATABASE standby SET default_transaction_read_only = on");
    let url = url.replace("/postgres?", "/standby?");
    let error = PostgresStore::open(&address(&url)).unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("does not allow writes")), "{error}");
}

#[test]
fn a_unix_socket_leads_to_the_same_store() {
    let server = Server::start();
    let url = server.new_store();
    let (credentials, place, rest) = pieces(&url);
    let folder = server.socket_folder().unwrap().to_str().unwrap().replace('/', "%2F");
    let by_socket = format!("postgres://{credentials}@{folder}:{}/{rest}", place.rsplit_once(':').unwrap().1);
    write(&mut open(&by_socket), [client("a")]).unwrap();
    assert_eq!(open(&url).load(&mut |_| ()).unwrap().0, 1);
}

#[test]
fn whoever_is_not_let_in_is_told_so() {
    let server = Server::start();
    let url = server.new_store();
    let (credentials, place, rest) = pieces(&url);
    let (user, password) = credentials.split_once(':').unwrap();
    let refused = |url: &str, beside: Option<&str>| {
        let address = PostgresAddress::parse(url, beside.map(|text| Zeroizing::new(text.to_owned()))).unwrap();
        match PostgresStore::open(&address) {
            Err(StoreError::Denied(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    let wrong = refused(&format!("postgres://{user}:guessed@{place}/{rest}"), None);
    assert!(wrong.contains("password authentication failed") && !wrong.contains("guessed"), "{wrong}");
    let wrong = refused(&format!("postgres://{user}@{place}/{rest}"), Some("guessed"));
    assert!(wrong.contains("password authentication failed") && !wrong.contains("guessed"), "{wrong}");
    let missing = refused(&url.replace("/postgres?", "/nowhere?"), None);
    assert!(missing.contains("\"nowhere\" does not exist"), "{missing}");
    let beside = Some(Zeroizing::new(password.to_owned()));
    let beside = PostgresAddress::parse(&format!("postgres://{user}@{place}/{rest}"), beside).unwrap();
    let mut store = PostgresStore::open(&beside).unwrap();
    write(&mut store, [client("a")]).unwrap();
    // Somebody who may not make schemas.
    let _ = server.query("CREATE ROLE guest LOGIN PASSWORD 'guest'");
    let other = server.new_store();
    let as_guest = |url: &str| url.replace(&format!("{credentials}@"), "guest:guest@");
    let denied = refused(&as_guest(&other), None);
    assert!(denied.contains("permission denied"), "{denied}");
    let denied = refused(&as_guest(&url), None);
    assert!(denied.contains("permission denied"), "{denied}");
    // But has one.
    let (_, schema) = parts(&other);
    let _ = server.query(&format!("CREATE SCHEMA {schema} AUTHORIZATION guest"));
    let mut guest = open(&as_guest(&other));
    write(&mut guest, [client("a")]).unwrap();
    // Who is let in no more while connected.
    let _ = server.query("ALTER ROLE guest NOLOGIN");
    Stranger::of(&url).run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guest'");
    until(|| {
        let error = write(&mut guest, [client("b")]);
        matches!(error, Err(StoreError::Unavailable(why)) if why.contains("not permitted to log in"))
    });
}
