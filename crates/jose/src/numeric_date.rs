//! NumericDate (RFC 7519 section 2): seconds since 1970-01-01T00:00:00Z, leap seconds not counted, with or without a
//! fraction.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// The nanoseconds of a second.
const SECOND: u32 = 1_000_000_000;

/// An instant, to the nanosecond. What no clock will ever show is held at the ends of the range, which compare as they
/// should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumericDate {
    /// The second that has begun.
    seconds: i64,
    /// What has passed of it, below a billion.
    nanos: u32,
}

impl NumericDate {
    /// The instant so many seconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }

    /// Reads a JSON number that is an integer or has a fraction. An exponent is refused: nobody writes a time like this
    /// who means well. Digits beyond nanoseconds are dropped.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // What nearly every token has: an integer that fits.
        if let Some(seconds) = short_integer(text) {
            return Some(Self::from_seconds(seconds));
        }
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let decimal = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !decimal(whole) || !decimal(fraction) || (whole.len() > 1 && whole.starts_with('0')) {
            return None;
        }
        let whole =
            whole.bytes().fold(0_i64, |sum, digit| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
        let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
        let nanos = digits.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
        Some(match (negative, nanos) {
            (false, nanos) => Self { seconds: whole, nanos },
            (true, 0) => Self { seconds: -whole, nanos: 0 },
            (true, nanos) => Self { seconds: (-whole).saturating_sub(1), nanos: SECOND - nanos },
        })
    }

    /// The whole seconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// How much later this is than `earlier`; nothing when it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        if self <= earlier {
            return Duration::ZERO;
        }
        let (borrow, nanos) = match self.nanos.checked_sub(earlier.nanos) {
            Some(nanos) => (0, nanos),
            None => (1, self.nanos + SECOND - earlier.nanos),
        };
        Duration::new(self.seconds.abs_diff(earlier.seconds) - borrow, nanos)
    }
}

impl Add<Duration> for NumericDate {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = self.nanos + duration.subsec_nanos();
        let carry = u64::from(nanos >= SECOND);
        let nanos = if nanos >= SECOND { nanos - SECOND } else { nanos };
        match self.seconds.checked_add_unsigned(duration.as_secs()).and_then(|sum| sum.checked_add_unsigned(carry)) {
            Some(seconds) => Self { seconds, nanos },
            None => Self { seconds: i64::MAX, nanos: SECOND - 1 },
        }
    }
}

impl Sub<Duration> for NumericDate {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        let (borrow, nanos) = match self.nanos.checked_sub(duration.subsec_nanos()) {
            Some(nanos) => (0, nanos),
            None => (1, self.nanos + SECOND - duration.subsec_nanos()),
        };
        match self.seconds.checked_sub_unsigned(duration.as_secs()).and_then(|rest| rest.checked_sub_unsigned(borrow)) {
            Some(seconds) => Self { seconds, nanos },
            None => Self { seconds: i64::MIN, nanos: 0 },
        }
    }
}

impl fmt::Display for NumericDate {
    /// As RFC 3339 has it, in UTC, where the year has four digits; else as a number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FIRST_OF_YEAR_0: i64 = -62_167_219_200;
        const FIRST_OF_YEAR_10000: i64 = 253_402_300_800;
        if !(FIRST_OF_YEAR_0..FIRST_OF_YEAR_10000).contains(&self.seconds) {
            return write!(f, "{}", self.seconds);
        }
        let (year, month, day) = civil(self.seconds.div_euclid(86_400));
        let second = self.seconds.rem_euclid(86_400);
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
    }
}

/// Up to eighteen digits, the first of them not zero.
fn short_integer(text: &str) -> Option<i64> {
    if text.len() > 18 || text.is_empty() || text.starts_with('0') {
        return None;
    }
    text.bytes().try_fold(0_i64, |sum, byte| {
        let digit = byte.wrapping_sub(b'0');
        // Eighteen digits fit, so nothing wraps.
        (digit < 10).then(|| sum.wrapping_mul(10).wrapping_add(i64::from(digit)))
    })
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Years begin in March here, so that the leap day is the last of its year; an era has 400 of them.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year, if month < 10 { month + 3 } else { month - 9 });
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_fractions_and_nothing_else() {
        let exact = |seconds, nanos| Some(NumericDate { seconds, nanos });
        for (text, expect) in [
            ("0", exact(0, 0)),
            ("-0", exact(0, 0)),
            ("1668676907", exact(1_668_676_907, 0)),
            ("1668676907.5", exact(1_668_676_907, 500_000_000)),
            ("1.0000000019", exact(1, 1)),
            ("-1.5", exact(-2, 500_000_000)),
            ("-0.000000001", exact(-1, 999_999_999)),
            ("99999999999999999999", exact(i64::MAX, 0)),
            ("-99999999999999999999.5", exact(i64::MIN, 500_000_000)),
            ("1e9", None),
            ("1E9", None),
            ("1.5e3", None),
            ("", None),
            ("1.", None),
            (".5", None),
            ("007", None),
            ("-", None),
            ("+1", None),
            ("NaN", None),
        ] {
            assert_eq!(NumericDate::parse(text), expect, "{text}");
        }
    }

    #[test]
    fn arithmetic_holds_at_the_ends() {
        let (first, last) = (NumericDate::from_seconds(i64::MIN), NumericDate::from_seconds(i64::MAX));
        assert!(last + Duration::MAX > last && last + Duration::from_secs(1) > last);
        assert_eq!(first - Duration::MAX, first);
        assert_eq!(last.since(first), Duration::from_secs(u64::MAX));
        assert_eq!(first.since(last), Duration::ZERO);
        let half = Duration::from_millis(500);
        let quarters = NumericDate::from_seconds(1) + half + half + half;
        assert_eq!(quarters, NumericDate { seconds: 2, nanos: 500_000_000 });
        assert_eq!(quarters - half - half - half, NumericDate::from_seconds(1));
        assert_eq!(NumericDate::from_seconds(3).since(quarters), half);
        assert_eq!((NumericDate::from_seconds(1) + half).since(NumericDate::from_seconds(1)), half);
    }

    #[test]
    fn shown_as_rfc_3339() {
        for (seconds, expect) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (-62_167_219_200, "0000-01-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "253402300800"),
        ] {
            assert_eq!(NumericDate::from_seconds(seconds).to_string(), expect);
        }
    }
}
