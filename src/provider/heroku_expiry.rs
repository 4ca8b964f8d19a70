//! When a token ends, where the provider tells it by a list of all the account's tokens alone: Heroku's authorizations.
//!
//! The list may hold other tokens in clear. Of each entry nothing but token and end is read, the tokens are wiped at once,
//! and what comes out is one date.

use jiff::Timestamp;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::provider::Answer;
use crate::provider::http::{Client, Request};

/// Entries asked for in one go: each is about a kilobyte, and no answer is read to more than 64.
const PAGE: usize = 40;

/// Pages that are looked through.
const PAGES: usize = 10;

/// What Heroku shows in place of a token's middle.
const HIDDEN: &str = "**********";

/// An entry, read no further than needed.
#[derive(Deserialize)]
struct Entry {
    access_token: Option<AccessToken>,
}

#[derive(Deserialize)]
struct AccessToken {
    token: Option<Zeroizing<String>>,
    /// Seconds from now; null when it does not end.
    expires_in: Option<i64>,
}

/// What a list says of one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    At(Timestamp),
    Never,
}

/// How well an entry fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// It is the token.
    Exact(Option<i64>),
    /// It is shown redacted, and what is shown fits.
    Redacted(Option<i64>),
}

/// Looks for `value` in the list that `request` asks for, page by page.
///
/// # Errors
/// Why the end is not known, in words for a line: the token is good all the same.
pub(crate) async fn look_up(client: &Client, mut request: Request, value: &str) -> Result<End, String> {
    let range = |range: String| ("range".to_string(), Zeroizing::new(range));
    request.headers.retain(|(name, _)| name != "range");
    request.headers.push(range(format!("id ..; max={PAGE}")));
    let mut found = Vec::new();
    for _ in 0..PAGES {
        let answer = client.send(&request).await.map_err(|fault| format!("no list: {fault}"))?;
        if !matches!(answer.status, 200 | 206) {
            let scope = if answer.status == 403 { ", which its scope must allow" } else { "" };
            return Err(format!("HTTP {} to the list{scope}", answer.status));
        }
        if answer.cut {
            return Err("the list is too long".into());
        }
        fits(&answer.body, value, &mut found)?;
        if let Some(Fit::Exact(seconds)) = found.iter().find(|fit| matches!(fit, Fit::Exact(_))) {
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
    Err("the list is too long".into())
}

/// Where the list goes on.
fn next(answer: &Answer) -> Option<String> {
    let (_, next) = answer.headers.iter().find(|(name, _)| name == "next-range").filter(|_| answer.status == 206)?;
    (next.len() < 200 && next.bytes().all(|b| (b' '..=b'~').contains(&b))).then(|| next.clone())
}

/// Adds what fits `value` in a page of the list.
fn fits(body: &str, value: &str, found: &mut Vec<Fit>) -> Result<(), String> {
    // The library's message may repeat a part of the list.
    let entries: Vec<Entry> = serde_json::from_str(body).map_err(|_| "the list cannot be read".to_string())?;
    for token in entries.into_iter().filter_map(|entry| entry.access_token) {
        let Some(shown) = &token.token else { continue };
        if **shown == value {
            found.push(Fit::Exact(token.expires_in));
        } else if let Some((start, stop)) = shown.split_once(HIDDEN)
            && !start.is_empty()
            && start.len() + stop.len() < value.len()
            && value.starts_with(start)
            && value.ends_with(stop)
        {
            found.push(Fit::Redacted(token.expires_in));
        }
    }
    Ok(())
}

/// The one entry that fits; several that say the same are as good.
fn one(found: &[Fit], answer: &Answer) -> Result<End, String> {
    match found {
        [] => Err("it is not in the list".into()),
        [Fit::Exact(seconds) | Fit::Redacted(seconds), rest @ ..] => {
            if rest.iter().all(|fit| *fit == found[0]) {
                end(*seconds, answer)
            } else {
                Err("several tokens of the list look like it".into())
            }
        }
    }
}

fn end(seconds: Option<i64>, answer: &Answer) -> Result<End, String> {
    // It was accepted a moment ago: an end that is not ahead is none.
    let Some(seconds) = seconds.filter(|seconds| *seconds > 0) else { return Ok(End::Never) };
    let now = answer.date().unwrap_or_else(Timestamp::now);
    let at = now.as_second().checked_add(seconds).and_then(|at| Timestamp::from_second(at).ok());
    at.map(End::At).ok_or_else(|| "its end is no date".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "HRKU-AA0123456789abcdefMadeUp";

    fn answer(status: u16, headers: &[(&str, &str)]) -> Answer {
        let headers = headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        Answer { host: "api.test".into(), status, headers, body: String::new(), cut: false }
    }

    fn looked(list: &str) -> Result<End, String> {
        let mut found = Vec::new();
        fits(list, TOKEN, &mut found)?;
        one(&found, &answer(200, &[("date", "Mon, 04 May 2026 08:00:00 GMT")]))
    }

    #[allow(clippy::unnecessary_wraps)] // it is compared with a result
    fn at(text: &str) -> Result<End, String> {
        Ok(End::At(text.parse().unwrap()))
    }

    #[test]
    fn the_token_is_found_whole_or_by_what_is_shown_of_it() {
        let other = r#"{"id":"1","access_token":{"token":"HRKU-AA-somebody-elses","expires_in":60}}"#;
        let list = |shown: &str, end: &str| {
            format!(
                r#"[{other},{{"access_token":{{"id":"2","token":"{shown}","expires_in":{end}}},"scope":["global"]}}]"#
            )
        };
        assert_eq!(looked(&list(TOKEN, "86400")), at("2026-05-05T08:00:00Z"));
        assert_eq!(looked(&list(TOKEN, "null")), Ok(End::Never));
        assert_eq!(looked(&list("HRKU-AA0**********MadeUp", "3600")), at("2026-05-04T09:00:00Z"));
        assert_eq!(looked(&list("HRKU-AA0**********", "3600")), at("2026-05-04T09:00:00Z"));
        // What is shown may not overlap: that would be a shorter token.
        for shown in ["HRKU-AA9**********MadeUp", "**********", &format!("{TOKEN}**********p")] {
            insta::assert_snapshot!("not_in_the_list", looked(&list(shown, "3600")).unwrap_err());
        }
    }

    #[test]
    fn two_that_look_like_it_say_nothing_unless_they_agree() {
        let entry = |end: &str| format!(r#"{{"access_token":{{"token":"HRKU-AA**********","expires_in":{end}}}}}"#);
        let both = |a: &str, b: &str| looked(&format!("[{},{}]", entry(a), entry(b)));
        for other in ["3600", "null"] {
            insta::assert_snapshot!("several_tokens_look_like_it", both("60", other).unwrap_err());
        }
        assert_eq!(both("null", "null"), Ok(End::Never));
    }

    #[test]
    fn what_is_no_list_is_said_without_its_text() {
        for body in ["", "{}", r#"{"access_token":{"token":"HRKU-leak"}}"#, r#"[{"access_token":"HRKU-leak"}]"#] {
            insta::assert_snapshot!("not_a_list", looked(body).unwrap_err());
        }
        insta::assert_snapshot!("not_in_the_list", looked(r#"[{"access_token":null},{}]"#).unwrap_err());
        let never = format!(r#"[{{"access_token":{{"token":"{TOKEN}","expires_in":9223372036854775807}}}}]"#);
        insta::assert_snapshot!("not_a_date", looked(&never).unwrap_err());
    }

    #[test]
    fn the_list_goes_on_where_heroku_says_and_nowhere_else() {
        let range = "]01234567-89ab-cdef-0123-456789abcdef..; max=40";
        assert_eq!(next(&answer(206, &[("next-range", range)])).as_deref(), Some(range));
        assert_eq!(next(&answer(200, &[("next-range", range)])), None);
        assert_eq!(next(&answer(206, &[("next-range", "a\nb")])), None);
        assert_eq!(next(&answer(206, &[])), None);
    }
}
