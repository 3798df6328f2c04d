//! The store on a real PostgreSQL server.

mod frozen;
mod history;
mod moving;
mod opening;
mod order;
mod paging;
mod places;
mod sharing;
mod standbys;
mod takeover;
mod tls;
mod trouble;

use std::thread;
use std::time::{Duration, Instant};

use authority::store::{Kind, Put};
use jotd_pgserver::Server;
use jotd_store::conformance::CASES;
use jotd_store::{PostgresAddress, PostgresStore};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

fn open(url: &str) -> PostgresStore {
    PostgresStore::open(&address(url)).unwrap()
}

fn address(url: &str) -> PostgresAddress {
    PostgresAddress::parse(url, None).unwrap()
}

/// The URL without its parameters, and the name of the schema.
fn parts(url: &str) -> (&str, &str) {
    let (main, query) = url.split_once('?').unwrap();
    (main, query.rsplit_once("schema=").unwrap().1.split('&').next().unwrap())
}

fn client(id: &str) -> Put {
    crate::put(Kind::Client, id, "{}")
}

/// Waits for a condition.
fn until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "this does not happen");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A connection of a stranger, with the store's schema as its own.
struct Stranger {
    runtime: Runtime,
    client: Client,
}

impl Stranger {
    fn of(url: &str) -> Self {
        let (main, schema) = parts(url);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let config: Config = main.parse().unwrap();
        let (client, connection) = runtime.block_on(config.connect(NoTls)).unwrap();
        runtime.spawn(connection);
        let stranger = Self { runtime, client };
        stranger.run(&format!("SET search_path TO \"{schema}\""));
        stranger
    }

    /// The first column of each row.
    fn run(&self, sql: &str) -> Vec<String> {
        let messages = self.runtime.block_on(self.client.simple_query(sql)).unwrap();
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
            _ => None,
        });
        rows.collect()
    }
}

#[test]
fn postgres_does_what_any_store_must() {
    let server = Server::shared();
    for (name, case) in CASES {
        println!("{name}");
        let url = server.new_store();
        case(&mut || Box::new(open(&url)));
    }
}
