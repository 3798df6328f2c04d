//! Several nodes over one PostgreSQL: how soon a revocation holds everywhere, how many a second there can be, how long a
//! start takes, and how soon all is well after an outage. A node is all of one but its HTTP: an authority over a store
//! with connections and threads of its own. They share a process, and the server is one of this program's, as durable as
//! PostgreSQL is by default.
//!
//! `cluster PART`: one of them. Prints tables, each as a line of JSON.

mod cost;
mod mutations;
mod node;
mod propagation;
mod recovery;
mod start;
mod sync;
mod table;

use jotd_pgserver::Server;

fn main() {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("propagation"), None) => propagation::measure(&Server::start()),
        (Some("mutations"), None) => mutations::measure(&Server::start()),
        (Some("start"), None) => start::measure(&Server::start()),
        // A start in a process of its own, so that its memory is its own.
        (Some("load"), Some(url)) => start::load(&url),
        (Some("recovery"), None) => recovery::measure(Server::start()),
        _ => {
            eprintln!("usage: cluster propagation|mutations|start|recovery");
            std::process::exit(2);
        }
    }
}
