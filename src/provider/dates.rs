//! The dates in an answer, in every format that providers use.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::Answer;

pub(super) fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Returns the date at a JSON pointer or in `header:NAME`, or `None` if it means "never": 0, -1, the first moment of a
/// calendar, or its last year.
pub(super) fn moment(field: &str, answer: &Answer, json: Option<&Value>, now: Timestamp) -> Option<Timestamp> {
    written(field, answer, json, now).filter(|at| !is_never(*at))
}

/// Whether the date is before 2002 or after 9000, which means "never": `0001-01-01`, `1970-01-01`, `9999-12-31`, and the epochs of
/// DOS, `PostgreSQL` and Apple.
fn is_never(at: Timestamp) -> bool {
    const YEAR_2002: i64 = 1_009_843_200;
    const YEAR_9000: i64 = 221_845_392_000;
    !(YEAR_2002..YEAR_9000).contains(&at.as_second())
}

fn written(field: &str, answer: &Answer, json: Option<&Value>, now: Timestamp) -> Option<Timestamp> {
    if let Some(name) = field.strip_prefix("header:") {
        return date_of(answer.header(name)?);
    }
    match json?.pointer(field)? {
        Value::String(text) => text.trim().parse().map_or_else(|_| date_of(text), |n| number(n, now)),
        Value::Number(n) => number(n.as_i64().or_else(|| n.as_f64().map(|n| n as i64))?, now),
        _ => None,
    }
}

/// Reads milliseconds since 1970, seconds since 1970, or seconds from now, told apart by their size for dates from 2001 on.
/// The provider has just accepted the token, so 0 or less means "never".
fn number(n: i64, now: Timestamp) -> Option<Timestamp> {
    match n {
        ..=0 => None,
        100_000_000_000.. => Timestamp::from_millisecond(n).ok(),
        1_000_000_000.. => Timestamp::from_second(n).ok(),
        _ => Timestamp::from_second(now.as_second().checked_add(n)?).ok(),
    }
}

/// Returns the expiry that a JSON web token contains (RFC 7519, `exp`).
pub(super) fn jwt_expiry(value: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let mut parts = value.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    let claims = Zeroizing::new(URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?);
    let exp = serde_json::from_slice::<Claims>(&claims).ok()?.exp;
    Timestamp::from_second(exp as i64).ok().filter(|at| !is_never(*at))
}

/// Reads RFC 3339 or a format of GitHub's expiry header: `2026-12-04 02:33:02 UTC`, `2023-04-26 23:23:18 +0200`, or a date
/// without a time, which lasts to the end of that day.
fn date_of(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    let offset = text.strip_suffix("UTC").map_or_else(|| text.to_string(), |t| format!("{t}+0000"));
    if let Ok(at) = Timestamp::strptime("%Y-%m-%d %H:%M:%S %z", &offset) {
        return Some(at);
    }
    let day: jiff::civil::Date = text.parse().ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(day.tomorrow().ok()?.at(0, 0, 0, 0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_date_format_of_github_is_read() {
        let at = |s: &str| date_of(s).map(|t| t.to_string());
        assert_eq!(at("2026-12-04 02:33:02 UTC").as_deref(), Some("2026-12-04T02:33:02Z"));
        assert_eq!(at("2023-04-26 23:23:18 +0200").as_deref(), Some("2023-04-26T21:23:18Z"));
        assert_eq!(at("2023-04-26 23:23:18 -0700").as_deref(), Some("2023-04-27T06:23:18Z"));
        assert_eq!(at("2026-12-04").as_deref(), Some("2026-12-05T00:00:00Z"));
        assert_eq!(at("2030-01-01T00:00:00Z").as_deref(), Some("2030-01-01T00:00:00Z"));
        assert_eq!(at("soon"), None);
    }

    #[test]
    fn dates_that_mean_never_are_ignored() {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        let at = |json: &str| {
            let answer =
                Answer { host: String::new(), status: 200, headers: Vec::new(), body: String::new(), truncated: false };
            let json: Value = serde_json::from_str(&format!("{{\"end\":{json}}}")).unwrap();
            moment("/end", &answer, Some(&json), now).map(|at| at.to_string())
        };
        for never in [
            "null",
            "\"\"",
            "\"never\"",
            "0",
            "-1",
            "0.0",
            "\"0\"",
            "\"-1\"",
            "-62135596800",
            "-62135596800000",
            "253402214400",
            "253402300799",
            "253402300799000",
            "253402300799999",
            "9223372036854775807",
            "\"0001-01-01\"",
            "\"0001-01-01T00:00:00Z\"",
            "\"0001-01-01T00:00:00\"",
            "\"0001-01-01T00:00:00+00:00\"",
            "\"1601-01-01T00:00:00Z\"",
            "\"1970-01-01T00:00:00Z\"",
            "\"1970-01-01T00:00:00.000Z\"",
            "\"1970-01-01\"",
            "\"1970-01-01 00:00:00 UTC\"",
            "\"1980-01-01\"",
            "\"2000-01-01T00:00:00Z\"",
            "\"2001-01-01T00:00:00Z\"",
            "\"9999-12-31\"",
            "\"9999-12-31T23:59:59Z\"",
            "\"9999-12-31T23:59:59.9999999Z\"",
            "\"9999-01-01T00:00:00Z\"",
        ] {
            assert_eq!(at(never), None, "{never}");
        }
        assert_eq!(at("\"2002-01-01T00:00:00Z\"").as_deref(), Some("2002-01-01T00:00:00Z"));
        assert_eq!(at("1577836800").as_deref(), Some("2020-01-01T00:00:00Z"));
        assert_eq!(at("1577836800000").as_deref(), Some("2020-01-01T00:00:00Z"));
        assert_eq!(at("\"1893456000\"").as_deref(), Some("2030-01-01T00:00:00Z"));
        assert_eq!(at("3600").as_deref(), Some("2026-11-25T13:00:00Z"));
    }

    #[test]
    fn the_expiry_of_a_json_web_token_is_read() {
        let token = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let expiry = |value: &str| jwt_expiry(value).map(|at| at.to_string());
        assert_eq!(expiry(&token(r#"{"exp":1893456000,"identityId":"x"}"#)).as_deref(), Some("2030-01-01T00:00:00Z"));
        assert_eq!(expiry(&token(r#"{"exp":1893456000.5}"#)).as_deref(), Some("2030-01-01T00:00:00Z"));
        for none in [r#"{"identityId":"x"}"#, r#"{"exp":null}"#, r#"{"exp":0}"#, r#"{"exp":1e300}"#, "[]", "no"] {
            assert_eq!(expiry(&token(none)), None, "{none}");
        }
        for none in ["", "a.b", "a.b.c", "a.b.c.d", "st.1.2.3"] {
            assert_eq!(expiry(none), None, "{none}");
        }
    }
}
