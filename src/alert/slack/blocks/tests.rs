use jiff::Timestamp;

use super::*;
use crate::report::{Kind, Verdict};

fn alert(name: &str, words: &str) -> Alert {
    Alert {
        name: name.into(),
        provider: "heroku".into(),
        event: Event::Failing,
        verdict: Verdict::new(Kind::Rejected, words),
        lately: None,
        next: None,
        since: "2026-05-04T05:00:00Z".parse().unwrap(),
        no_answer_from: None,
        repeated: false,
        rotate_via: Some("docs/ops/runbooks/rotation/heroku-platform-token.md".into()),
        manage_url: Some("https://dashboard.heroku.com/account/applications".into()),
    }
}

fn message(alerts: Vec<Alert>) -> Message {
    let at: Timestamp = "2026-05-04T08:00:00Z".parse().unwrap();
    Message { host: "laptop".into(), at, test: false, alerts }
}

fn texts(blocks: &Value) -> Vec<String> {
    let of = |b: &Value| b["text"]["text"].as_str().or(b["elements"][0]["text"].as_str()).unwrap().to_string();
    blocks.as_array().unwrap().iter().map(of).collect()
}

/// What Slack would refuse.
fn assert_inside_limits(blocks: &Value, text: &str) {
    let all = blocks.as_array().unwrap();
    assert!(all.len() <= 50, "{} blocks", all.len());
    for block in all {
        match block["type"].as_str().unwrap() {
            "header" => assert!((1..=150).contains(&block["text"]["text"].as_str().unwrap().chars().count())),
            "section" => assert!((1..=3000).contains(&block["text"]["text"].as_str().unwrap().chars().count())),
            "context" => assert_eq!(block["elements"].as_array().unwrap().len(), 1),
            other => panic!("{other}"),
        }
    }
    assert!(blocks.to_string().chars().count() < 13_200, "{}", blocks.to_string().chars().count());
    assert!(text.chars().count() <= 4_000);
}

#[test]
fn a_message_says_which_why_since_when_what_to_do_and_where() {
    let mut again = alert("GITHUB_API_SECRETS_TOKEN", "");
    again.event = Event::Recovered;
    again.rotate_via = None;
    let message = message(vec![alert("HEROKU_API_KEY", "HTTP 401 (invalid or revoked)"), again]);
    let said = texts(&blocks(&message));
    assert_eq!(said.len(), 3);
    insta::assert_snapshot!("a_message", said.join("\n---\n"));
    insta::assert_snapshot!("a_message_without_blocks", text(&message));
}

#[test]
fn what_a_provider_says_is_never_a_mention_or_a_link() {
    let mut hostile = alert("A", "<!channel> & <https://evil.test|your bank>\n<@U123>\u{202e}");
    hostile.rotate_via = Some("https://a.test/?x=1&y=<!here>|b>".into());
    hostile.verdict.hint = Some("<!everyone>".into());
    hostile.manage_url = Some("javascript:alert(1)".into());
    let mut message = message(vec![hostile]);
    message.host = "<!here>".into();
    let said = texts(&blocks(&message)).join("\n") + &text(&message);
    assert!(said.contains("&lt;!channel&gt; &amp; &lt;https://evil.test|your bank&gt; &lt;@U123&gt;"), "{said}");
    let linked = "<https://a.test/?x=1&amp;y=%3C!here%3E%7Cb%3E|";
    assert!(said.contains(linked), "{said}");
    assert!(!said.replace(linked, "").contains('<'), "{said}");
    assert!(!said.contains('\u{202e}'));
}

#[test]
fn fifty_that_fail_alike_are_a_paragraph_and_fifty_that_do_not_are_a_list() {
    let alike = message((0..50).map(|i| alert(&format!("TOKEN_NUMBER_{i:02}"), "no response")).collect());
    let said = texts(&blocks(&alike));
    assert_inside_limits(&blocks(&alike), &text(&alike));
    assert_eq!(said.len(), 3);
    assert!(said[0].contains("50"), "{}", said[0]);
    assert!(
        said[1].contains("*TOKEN_NUMBER_00*, *TOKEN_NUMBER_01*") && said[1].matches('\n').count() == 2,
        "{}",
        said[1]
    );
    assert_eq!(said[1].matches("no response").count(), 1, "{}", said[1]);
    insta::assert_snapshot!("fifty_that_fail_alike", said.join("\n---\n"));

    let differ = message((0..50).map(|i| alert(&format!("TOKEN_NUMBER_{i:02}"), &format!("HTTP 4{i:02}"))).collect());
    let said = texts(&blocks(&differ));
    assert_inside_limits(&blocks(&differ), &text(&differ));
    let all = said.join("\n");
    for i in 0..50 {
        assert!(all.contains(&format!("🔴 *TOKEN_NUMBER_{i:02}* — HTTP 4{i:02}")), "{i}: {all}");
    }
    insta::assert_snapshot!("fifty_that_fail_differently", said.join("\n---\n"));
    assert_eq!(all.matches("🔴").count(), 50);
}

#[test]
fn no_message_is_too_long_for_slack() {
    for (count, size) in [(1, 20_000), (9, 2_000), (50, 500), (500, 100), (3_000, 20)] {
        let big = |i: usize| {
            let mut big = alert(&format!("N{i}{}", "N".repeat(size)), &format!("{i}{}", "&<>é🔴".repeat(size)));
            big.verdict.hint = Some("<".repeat(size));
            big.rotate_via = Some(format!("https://a.test/{i}/{}", "&".repeat(size)));
            big.manage_url = big.rotate_via.clone();
            big.lately = Some(">".repeat(size));
            big
        };
        let message = message((0..count).map(big).collect());
        assert_inside_limits(&blocks(&message), &text(&message));
        let all = texts(&blocks(&message)).join("") + &text(&message);
        let loose = |at: usize| !["&amp;", "&lt;", "&gt;"].iter().any(|e| all[at..].starts_with(e));
        assert!(all.match_indices('&').all(|(at, _)| !loose(at)), "an entity is cut");
        assert!(count < 500 || all.contains(" more"), "{count} of {size}");
    }
}
