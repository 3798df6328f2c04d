//! Revocations at scale: what a check costs and what an entry takes up, over a thousand to ten million revoked tokens;
//! and on a store that holds as many, how long a start takes, how many more can be revoked in a second, how long a single
//! one takes, and what it costs that they expire.
//!
//! `revocation [IN_STORE]`: ten million where nothing is said.
//! `revocation --json`: the checks alone, as JSON.

mod filled;
mod index;
mod over_http;
mod store;

/// Where the store is made: on a disk, which the folder for temporary files may not be.
const FOLDER: &str = "target";

fn main() {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        // A start in a process of its own, so that its memory is its own.
        (Some("load"), Some(path)) => store::load(path.as_ref()),
        (Some("--json"), _) => println!("{}", index::as_json()),
        (count, _) => {
            let count = count.map_or(10_000_000, |text| text.parse().expect("a number"));
            index::measure();
            std::fs::create_dir_all(FOLDER).expect("a folder");
            let folder = tempfile::tempdir_in(FOLDER).expect("a folder");
            let path = folder.path().join("jotd.db");
            filled::fill(&path, count);
            store::start(&path);
            store::batches(&path);
            over_http::measure(&path);
            store::expiry(&path);
        }
    }
}
