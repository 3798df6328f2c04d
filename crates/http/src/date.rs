//! The `Date` of answers (RFC 9110 section 6.6.1), written once a second in each thread. Nothing depends on it.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

struct Cached {
    text: String,
    until: Option<Instant>,
}

thread_local! {
    static CACHED: RefCell<Cached> = const { RefCell::new(Cached { text: String::new(), until: None }) };
}

/// Appends the present date to `output`.
pub(crate) fn write(output: &mut Vec<u8>) {
    CACHED.with_borrow_mut(|cached| {
        let now = Instant::now();
        if cached.until.is_none_or(|until| now >= until) {
            // There is no way to write an earlier one, and a clock that is so wrong is not believed anyway.
            let time = SystemTime::now().max(UNIX_EPOCH);
            let fraction = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
            cached.text = httpdate::fmt_http_date(time);
            cached.until = Some(now + Duration::from_nanos(1_000_000_000 - u64::from(fraction)));
        }
        output.extend_from_slice(cached.text.as_bytes());
    });
}
