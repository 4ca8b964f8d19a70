//! Classification of answers that the tables under tests/answers/ do not cover.

use super::*;
use crate::provider::base_url::base_url;
use crate::report::distance;

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut all: Vec<(String, String)> = headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    if !headers.iter().any(|(n, _)| *n == "content-type") {
        all.push(("content-type".into(), "application/json".into()));
    }
    if !headers.iter().any(|(n, _)| *n == "date") {
        all.push(("date".into(), "Mon, 04 May 2026 08:00:00 GMT".into()));
    }
    Answer { host: "api.test".into(), status, headers: all, body: body.into(), truncated: false }
}

fn classified(id: &str, answer: Answer) -> Finding {
    let catalog = Catalog::built_in(&base_url("https://vault.test").unwrap());
    let asked = [Some("apps".into())];
    let sent = Sent { value: "ghp_made-up", also: Vec::new(), account_id: None, asked: &asked, previous: None };
    match catalog.classify(catalog.get(id).unwrap(), &answer, &sent) {
        Step::Done(finding) => finding,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_expiry_is_compared_with_the_providers_clock() {
    let user = r#"{"login":"octo-op"}"#;
    let with = |expiry| answer(200, &[("github-authentication-token-expiration", expiry)], user);
    let good = classified("github", with("2026-06-14 08:00:00 UTC"));
    assert_eq!((good.verdict.kind, good.verdict.words.as_str()), (Kind::Valid, "octo-op"));
    assert_eq!(
        good.answered_at.zip(good.verdict.expires).map(|(now, end)| distance(now, end)).as_deref(),
        Some("in 41 days")
    );
    let now = classified("github", with("2026-05-04 08:00:30 UTC"));
    assert_eq!((now.verdict.kind, now.verdict.words.as_str(), now.verdict.expires), (Kind::Valid, "octo-op", None));
}

#[test]
fn a_status_alone_never_rejects() {
    for id in ["cloudflare", "heroku", "github", "infisical"] {
        for status in [400, 401, 403, 404] {
            for body in ["", "{}", "null", "[]", "<html>", "nonsense"] {
                let kind = classified(id, answer(status, &[], body)).verdict.kind;
                assert!(!matches!(kind, Kind::Rejected | Kind::Valid), "{id} {status} {body}: {kind:?}");
            }
        }
    }
}

#[test]
fn json_with_another_content_type_is_not_trusted() {
    let portal = answer(200, &[("content-type", "text/plain")], r#"{"login":"octo-op"}"#);
    assert_eq!(classified("github", portal).verdict.kind, Kind::Unreachable);
}

#[test]
fn control_characters_are_removed_from_a_providers_words() {
    let body = "{\"message\":\"no\\u001b[31m SAML \\u202e\"}";
    let words = classified("github", answer(403, &[], body)).verdict.words;
    assert_eq!(words, "HTTP 403: no[31m SAML");
}
