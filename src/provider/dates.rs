//! The dates of an answer, in every form that providers write them.

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

/// The date at a JSON pointer or in `header:NAME`.
///
/// What providers write for "never" is no date: 0, -1, the first moments of a calendar, the last year of one.
pub(super) fn moment(field: &str, answer: &Answer, json: Option<&Value>, now: Timestamp) -> Option<Timestamp> {
    written(field, answer, json, now).filter(|at| !is_never(*at))
}

/// Before 2002 there was no token, and after 9000 there is none: `0001-01-01`, `1970-01-01`, `9999-12-31`, and where the
/// calendars of DOS, `PostgreSQL` and Apple begin.
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

/// Milliseconds and seconds since 1970, and seconds from now: by their size, for dates from 2001 on. A token that was
/// accepted has not ended in this second: 0 and less is "never".
fn number(n: i64, now: Timestamp) -> Option<Timestamp> {
    match n {
        ..=0 => None,
        100_000_000_000.. => Timestamp::from_millisecond(n).ok(),
        1_000_000_000.. => Timestamp::from_second(n).ok(),
        _ => Timestamp::from_second(now.as_second().checked_add(n)?).ok(),
    }
}

/// The end that a JSON web token says of itself (RFC 7519, `exp`).
pub(super) fn jwt_end(value: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let mut parts = value.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    let claims = Zeroizing::new(URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?);
    let exp = serde_json::from_slice::<Claims>(&claims).ok()?.exp;
    Timestamp::from_second(exp as i64).ok().filter(|end| !is_never(*end))
}

/// RFC 3339, or one of the forms that GitHub's expiry header has been seen in: `2026-12-04 02:33:02 UTC`,
/// `2023-04-26 23:23:18 +0200`, a day alone (which is taken to its end).
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
    fn dates_are_read_in_every_form_that_github_sends() {
        let at = |s: &str| date_of(s).map(|t| t.to_string());
        assert_eq!(at("2026-12-04 02:33:02 UTC").as_deref(), Some("2026-12-04T02:33:02Z"));
        assert_eq!(at("2023-04-26 23:23:18 +0200").as_deref(), Some("2023-04-26T21:23:18Z"));
        assert_eq!(at("2023-04-26 23:23:18 -0700").as_deref(), Some("2023-04-27T06:23:18Z"));
        assert_eq!(at("2026-12-04").as_deref(), Some("2026-12-05T00:00:00Z"));
        assert_eq!(at("2030-01-01T00:00:00Z").as_deref(), Some("2030-01-01T00:00:00Z"));
        assert_eq!(at("soon"), None);
    }

    #[test]
    fn what_providers_write_for_never_is_no_date() {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        let at = |json: &str| {
            let answer =
                Answer { host: String::new(), status: 200, headers: Vec::new(), body: String::new(), cut: false };
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
    fn a_json_web_token_says_its_own_end() {
        let token = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let end = |value: &str| jwt_end(value).map(|end| end.to_string());
        assert_eq!(end(&token(r#"{"exp":1893456000,"identityId":"x"}"#)).as_deref(), Some("2030-01-01T00:00:00Z"));
        assert_eq!(end(&token(r#"{"exp":1893456000.5}"#)).as_deref(), Some("2030-01-01T00:00:00Z"));
        for none in [r#"{"identityId":"x"}"#, r#"{"exp":null}"#, r#"{"exp":0}"#, r#"{"exp":1e300}"#, "[]", "no"] {
            assert_eq!(end(&token(none)), None, "{none}");
        }
        for none in ["", "a.b", "a.b.c", "a.b.c.d", "st.1.2.3"] {
            assert_eq!(end(none), None, "{none}");
        }
    }
}
