//! Minting the simple contract's tokens. Their bytes are fixed:
//!
//! ```text
//! {"typ":"JWT","alg":"HS512"}
//! {"iat":1668676907,"jti":"f10f…803b","payload":{"data":"this is test","date":"2022-11-17"}}
//! ```

use std::cell::Cell;

use jose::Signer;
use jose::json::write_string;
use time::OffsetDateTime;

use crate::error::{MintError, SimpleKeyError};
use crate::ports::UnixTime;
use crate::signing_key::SimpleKey;
use crate::token_id::TokenId;

/// Mints tokens under one signing key.
#[derive(Debug)]
pub struct SimpleMinter {
    signer: Signer,
}

impl SimpleMinter {
    /// A minter for `key`.
    ///
    /// # Errors
    /// [`SimpleKeyError`] when the key cannot serve HS512.
    pub fn new(key: &SimpleKey) -> Result<Self, SimpleKeyError> {
        let signer = Signer::new(key.signing_key()?, Some("JWT")).map_err(|_| SimpleKeyError::Unusable)?;
        Ok(Self { signer })
    }

    /// Appends a token that holds `data`, issued at `now` under `id`, to `out`. `payload.date` is the day of the same
    /// instant as `iat`, UTC.
    ///
    /// # Errors
    /// [`MintError::Sign`] when the token would be too long to be verified; `out` is then unchanged.
    pub fn mint_into(&self, data: &str, now: UnixTime, id: TokenId, out: &mut Vec<u8>) -> Result<(), MintError> {
        let mut claims = Vec::with_capacity(data.len() + 128);
        write_claims(data, now, id, &mut claims);
        Ok(self.signer.sign_into(&claims, out)?)
    }
}

fn write_claims(data: &str, now: UnixTime, id: TokenId, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"iat\":");
    jose::json::write_integer(now.0, out);
    out.extend_from_slice(b",\"jti\":\"");
    out.extend_from_slice(&id.to_hex());
    out.extend_from_slice(b"\",\"payload\":{\"data\":");
    write_string(data, out);
    out.extend_from_slice(b",\"date\":\"");
    out.extend_from_slice(&date(now));
    out.extend_from_slice(b"\"}}");
}

thread_local! {
    /// A day since 1970, and its date.
    static TODAY: Cell<Option<(i64, [u8; 10])>> = const { Cell::new(None) };
}

/// The day of an instant, `YYYY-MM-DD` in UTC, worked out once a day in each thread.
fn date(now: UnixTime) -> [u8; 10] {
    let number = now.0.div_euclid(86_400);
    if let Some((_, date)) = TODAY.get().filter(|(day, _)| *day == number) {
        return date;
    }
    let day = OffsetDateTime::from_unix_timestamp(now.0).unwrap_or(OffsetDateTime::UNIX_EPOCH).date();
    let text = format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day());
    let date = text.into_bytes().try_into().unwrap_or(*b"1970-01-01");
    TODAY.set(Some((number, date)));
    date
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::RandomnessError;
    use crate::ports::Randomness;
    use proptest::prelude::*;

    /// Random bytes that are not: each is the one given.
    struct Fixed([u8; 16]);

    impl Randomness for Fixed {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomnessError> {
            bytes.copy_from_slice(&self.0);
            Ok(())
        }
    }

    fn claims_at(now: i64, data: &str) -> String {
        let id = TokenId::random(&Fixed(*b"\xf1\x0f\xb5\xf4\x74\x61\xde\x4d\xd8\xc7\x61\x13\xca\xd7\x80\x3b")).unwrap();
        let mut out = Vec::new();
        write_claims(data, UnixTime(now), id, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn claims_are_byte_for_byte_the_published_ones() {
        assert_eq!(
            claims_at(1_668_676_907, "this is test"),
            r#"{"iat":1668676907,"jti":"f10fb5f47461de4dd8c76113cad7803b","payload":{"data":"this is test","date":"2022-11-17"}}"#
        );
    }

    #[test]
    fn the_date_is_the_day_of_iat_in_utc() {
        for (now, date) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (86_400, "1970-01-02"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_709_164_799, "2024-02-28"),
            (1_709_164_800, "2024-02-29"),
            (1_709_251_200, "2024-03-01"),
            (1_735_689_599, "2024-12-31"),
            (1_735_689_600, "2025-01-01"),
            (4_107_542_399, "2100-02-28"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert!(claims_at(now, "").ends_with(&format!("\"date\":\"{date}\"}}}}")), "{now}");
        }
    }

    proptest! {
        #[test]
        fn the_date_agrees_with_an_independent_calendar(now in 0_i64..253_402_300_799) {
            let claims = claims_at(now, "");
            let date = claims.split("\"date\":\"").nth(1).unwrap().trim_end_matches("\"}}");
            let mut parts = date.split('-').map(|part| part.parse::<i64>().unwrap());
            let (year, month, day) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            prop_assert_eq!(days_before(year, month) + day - 1, now.div_euclid(86_400));
        }

        #[test]
        fn any_text_comes_back(data: String) {
            let claims: serde_json::Value = serde_json::from_str(&claims_at(1, &data)).unwrap();
            prop_assert_eq!(claims["payload"]["data"].as_str(), Some(&*data));
        }
    }

    /// Days from 1970-01-01 to the first of the month, counted one year and one month at a time.
    fn days_before(year: i64, month: i64) -> i64 {
        let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let years: i64 = (1970..year).map(|year| 365 + i64::from(leap(year))).sum();
        let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        years + lengths[..month as usize - 1].iter().sum::<i64>()
    }
}
