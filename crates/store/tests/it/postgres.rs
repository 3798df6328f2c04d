//! The store on a real PostgreSQL server.

use jotd_pgserver::Server;
use jotd_store::conformance::CASES;
use jotd_store::{PostgresAddress, PostgresStore};

fn open(url: &str) -> PostgresStore {
    PostgresStore::open(&PostgresAddress::parse(url, None).unwrap()).unwrap()
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
