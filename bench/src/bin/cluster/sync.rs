//! What the disk takes: every durable revocation waits for it once, whoever makes it durable.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::time::{Duration, Instant};

use crate::table::Times;

/// Enough for a median; what else the disk has to do changes it from second to second, so it is measured often.
const TIMES: usize = 40;

/// Writes a page and has it synced, over and over, where PostgreSQL has its files: how long half of them take at most.
pub(crate) fn measure() -> Duration {
    let mut file = tempfile::tempfile().expect("a file");
    // As PostgreSQL's log, the file is as long as it gets before it is measured.
    file.write_all(&vec![7; 8192 * TIMES]).expect("written");
    file.sync_all().expect("synced");
    file.rewind().expect("rewound");
    Times::new((0..TIMES).map(|_| sync(&mut file)).collect()).at(50)
}

fn sync(file: &mut File) -> Duration {
    let started = Instant::now();
    file.write_all(&[8; 8192]).expect("written");
    file.sync_data().expect("synced");
    started.elapsed()
}
