//! The expiry of a Heroku token, which only the list of the account's authorizations contains.
//!
//! The list can contain other tokens in plain text. Only the token and the expiry of each entry are read, the tokens are wiped
//! at once, and the result is one date.

use jiff::Timestamp;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::provider::Answer;
use crate::provider::http::{Client, Request};

/// Entries per request: each is about a kilobyte, and at most 64 KiB of an answer are read.
const PAGE: usize = 40;

/// The most pages that are read.
const PAGES: usize = 10;

/// What Heroku shows in place of a token's middle.
const HIDDEN: &str = "**********";

/// An entry, with only the fields that are needed.
#[derive(Deserialize)]
struct Entry {
    access_token: Option<AccessToken>,
}

#[derive(Deserialize)]
struct AccessToken {
    token: Option<Zeroizing<String>>,
    /// Seconds from now; null if the token does not expire.
    expires_in: Option<i64>,
}

/// The expiry of a token, according to the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    At(Timestamp),
    Never,
}

/// How an entry matches the token, with its `expires_in`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    /// The entry has the same token.
    Exact(Option<i64>),
    /// The entry's token is redacted, and the visible part is the same.
    Redacted(Option<i64>),
}

/// Looks for `value` in the list that `request` returns, page by page.
///
/// # Errors
/// Why the expiry is unknown, for one line of the report. The token works anyway.
pub(crate) async fn look_up(client: &Client, mut request: Request, value: &str) -> Result<Expiry, String> {
    let range = |range: String| ("range".to_string(), Zeroizing::new(range));
    request.headers.retain(|(name, _)| name != "range");
    request.headers.push(range(format!("id ..; max={PAGE}")));
    let mut found = Vec::new();
    for _ in 0..PAGES {
        let answer =
            client.send(&request).await.map_err(|fault| format!("could not read the list of tokens: {fault}"))?;
        if !matches!(answer.status, 200 | 206) {
            let scope = if answer.status == 403 { ", which the token's scope must allow" } else { "" };
            return Err(format!("HTTP {} from the list of tokens{scope}", answer.status));
        }
        if answer.truncated {
            return Err("the list of tokens is too long".into());
        }
        matches_in(&answer.body, value, &mut found)?;
        if let Some(Match::Exact(seconds)) = found.iter().find(|m| matches!(m, Match::Exact(_))) {
            return end(*seconds, &answer);
        }
        match next(&answer) {
            Some(next) => {
                request.headers.pop();
                request.headers.push(range(next));
            }
            None => return one(&found, &answer),
        }
    }
    Err("the list of tokens is too long".into())
}

/// Returns the range of the next page.
fn next(answer: &Answer) -> Option<String> {
    let (_, next) = answer.headers.iter().find(|(name, _)| name == "next-range").filter(|_| answer.status == 206)?;
    (next.len() < 200 && next.bytes().all(|b| (b' '..=b'~').contains(&b))).then(|| next.clone())
}

/// Adds the entries of a page that match `value`.
fn matches_in(body: &str, value: &str, found: &mut Vec<Match>) -> Result<(), String> {
    // The library's message can repeat a part of the list.
    let entries: Vec<Entry> =
        serde_json::from_str(body).map_err(|_| "the list of tokens is not in the expected format".to_string())?;
    for token in entries.into_iter().filter_map(|entry| entry.access_token) {
        let Some(shown) = &token.token else { continue };
        if **shown == value {
            found.push(Match::Exact(token.expires_in));
        } else if let Some((start, stop)) = shown.split_once(HIDDEN)
            && !start.is_empty()
            && start.len() + stop.len() < value.len()
            && value.starts_with(start)
            && value.ends_with(stop)
        {
            found.push(Match::Redacted(token.expires_in));
        }
    }
    Ok(())
}

/// Returns the expiry of the entries found, if all of them agree.
fn one(found: &[Match], answer: &Answer) -> Result<Expiry, String> {
    match found {
        [] => Err("the token is not in the list".into()),
        [Match::Exact(seconds) | Match::Redacted(seconds), rest @ ..] => {
            if rest.iter().all(|m| *m == found[0]) {
                end(*seconds, answer)
            } else {
                Err("several tokens in the list look like this one".into())
            }
        }
    }
}

fn end(seconds: Option<i64>, answer: &Answer) -> Result<Expiry, String> {
    // The provider has just accepted the token: an expiry in the past means that it does not expire.
    let Some(seconds) = seconds.filter(|seconds| *seconds > 0) else { return Ok(Expiry::Never) };
    let now = answer.date().unwrap_or_else(Timestamp::now);
    let at = now.as_second().checked_add(seconds).and_then(|at| Timestamp::from_second(at).ok());
    at.map(Expiry::At).ok_or_else(|| "its expiry is not a date".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "HRKU-AA0123456789abcdefMadeUp";

    fn answer(status: u16, headers: &[(&str, &str)]) -> Answer {
        let headers = headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        Answer { host: "api.test".into(), status, headers, body: String::new(), truncated: false }
    }

    fn found_in(list: &str) -> Result<Expiry, String> {
        let mut found = Vec::new();
        matches_in(list, TOKEN, &mut found)?;
        one(&found, &answer(200, &[("date", "Mon, 04 May 2026 08:00:00 GMT")]))
    }

    #[allow(clippy::unnecessary_wraps)] // it is compared with a `Result`
    fn at(text: &str) -> Result<Expiry, String> {
        Ok(Expiry::At(text.parse().unwrap()))
    }

    #[test]
    fn a_token_is_found_whole_or_redacted() {
        let other = r#"{"id":"1","access_token":{"token":"HRKU-AA-another-token","expires_in":60}}"#;
        let list = |shown: &str, end: &str| {
            format!(
                r#"[{other},{{"access_token":{{"id":"2","token":"{shown}","expires_in":{end}}},"scope":["global"]}}]"#
            )
        };
        assert_eq!(found_in(&list(TOKEN, "86400")), at("2026-05-05T08:00:00Z"));
        assert_eq!(found_in(&list(TOKEN, "null")), Ok(Expiry::Never));
        assert_eq!(found_in(&list("HRKU-AA0**********MadeUp", "3600")), at("2026-05-04T09:00:00Z"));
        assert_eq!(found_in(&list("HRKU-AA0**********", "3600")), at("2026-05-04T09:00:00Z"));
        // The visible parts must not overlap: they would belong to a shorter token.
        for shown in ["HRKU-AA9**********MadeUp", "**********", &format!("{TOKEN}**********p")] {
            insta::assert_snapshot!("not_in_the_list", found_in(&list(shown, "3600")).unwrap_err());
        }
    }

    #[test]
    fn two_redacted_matches_count_only_if_they_agree() {
        let entry = |end: &str| format!(r#"{{"access_token":{{"token":"HRKU-AA**********","expires_in":{end}}}}}"#);
        let both = |a: &str, b: &str| found_in(&format!("[{},{}]", entry(a), entry(b)));
        for other in ["3600", "null"] {
            insta::assert_snapshot!("several_tokens_match", both("60", other).unwrap_err());
        }
        assert_eq!(both("null", "null"), Ok(Expiry::Never));
    }

    #[test]
    fn an_unexpected_body_is_not_repeated() {
        for body in ["", "{}", r#"{"access_token":{"token":"HRKU-leak"}}"#, r#"[{"access_token":"HRKU-leak"}]"#] {
            insta::assert_snapshot!("not_a_list", found_in(body).unwrap_err());
        }
        insta::assert_snapshot!("not_in_the_list", found_in(r#"[{"access_token":null},{}]"#).unwrap_err());
        let never = format!(r#"[{{"access_token":{{"token":"{TOKEN}","expires_in":9223372036854775807}}}}]"#);
        insta::assert_snapshot!("not_a_date", found_in(&never).unwrap_err());
    }

    #[test]
    fn the_next_page_comes_from_a_valid_next_range() {
        let range = "]01234567-89ab-cdef-0123-456789abcdef..; max=40";
        assert_eq!(next(&answer(206, &[("next-range", range)])).as_deref(), Some(range));
        assert_eq!(next(&answer(200, &[("next-range", range)])), None);
        assert_eq!(next(&answer(206, &[("next-range", "a\nb")])), None);
        assert_eq!(next(&answer(206, &[])), None);
    }
}
