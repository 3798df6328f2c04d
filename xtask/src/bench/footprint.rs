//! What the server takes when nothing happens: its memory, the time to its first answer, the size of the binary.

use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::figures::median;
use super::jotd::Home;

/// Starts of each kind.
const STARTS: usize = 10;
/// How long the server is left alone before its memory is read.
const REST: Duration = Duration::from_millis(500);

/// Medians over ten starts.
pub(crate) struct Footprint {
    /// From the start of the program to the first answer, in an empty data directory, in seconds.
    pub(crate) first_start: f64,
    /// The same where the data is there already.
    pub(crate) start: f64,
    /// Resident memory after that, in bytes.
    pub(crate) idle: f64,
    /// The binary's size, in bytes.
    pub(crate) binary: f64,
}

/// Measures the binary on whatever cores there are, as it is started by people.
pub(crate) fn measure(binary: &Path) -> io::Result<Footprint> {
    let (mut first_starts, mut starts, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let home = Home::empty(binary)?;
        for times in [&mut first_starts, &mut starts] {
            let (mut running, address) = home.start(&[], &[])?;
            times.push(running.until_it_answers(address, "/healthz")?.as_secs_f64());
            sleep(REST);
            idle.push(running.resident_bytes()? as f64);
            running.stop()?;
        }
    }
    let median = |values| median(values).unwrap_or(f64::NAN);
    Ok(Footprint {
        first_start: median(first_starts),
        start: median(starts),
        idle: median(idle),
        binary: std::fs::metadata(binary)?.len() as f64,
    })
}
