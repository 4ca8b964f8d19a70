//! A message on Slack: by a bot (`chat.postMessage`) or by an incoming webhook.
//!
//! Slack answers 200 to nearly everything; whether it took the message stands in the body.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::{Event, Message, Notice, moment};
use crate::address::base_url;
use crate::config::SlackSettings;
use crate::http::{Client, Fault, Request};
use crate::provider::Answer;
use crate::report::{Kind, Row, clean, plain};
use crate::secret::Secret;

/// Slack takes 50 blocks of 3,000 characters, but refused messages of some 13,200 (slackapi/bolt-js#2509).
const MESSAGE: usize = 11_000;
const SECTION: usize = 2_900;
const HEADER: usize = 150;

/// The text that stands for the blocks where they cannot be shown; Slack recommends no more than 4,000.
const TEXT: usize = 3_000;

/// Up to so many paragraphs a message is told in full; more are a list with a line each.
const IN_FULL: usize = 10;

/// The wait before the second try; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);

/// What becomes of a try that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// It may pass: as often as there is time.
    Soon,
    /// Slack says when.
    After(Duration),
    /// It is about the token or the channel. It is asked once more: Slack too has bad seconds.
    Once,
    /// As plain and short text.
    Plain,
    /// It may have been posted: not twice in one run.
    No,
}

#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    why: String,
    again: Again,
}

fn refusal(again: Again, why: impl Into<String>) -> Refusal {
    Refusal { why: why.into(), again }
}

/// Slack, and what to speak to it with.
pub struct Slack<'a> {
    pub settings: &'a SlackSettings,
    pub client: &'a Client,
    pub secret: &'a Secret,
    /// For one request.
    pub timeout: Duration,
}

impl Slack<'_> {
    /// Sends the message, and for `retry_for` sends it again where Slack does not take it. Gives where it went.
    ///
    /// # Errors
    /// What Slack says, and what to do about it, in a line.
    pub async fn tell(&self, message: &Message, retry_for: Duration) -> Result<String, String> {
        let until = Instant::now() + retry_for;
        let (mut pause, mut plainly, mut once) = (PAUSE, false, false);
        loop {
            let refusal = match self.send(message, plainly).await {
                Ok(sent) => return Ok(sent),
                Err(refusal) => refusal,
            };
            let wait = match refusal.again {
                Again::Soon => pause,
                Again::After(time) => time.max(pause),
                Again::Once if !once => pause,
                Again::Plain if !plainly => Duration::ZERO,
                Again::Once | Again::Plain | Again::No => return Err(refusal.why),
            };
            if wait > until.saturating_duration_since(Instant::now()) {
                return Err(refusal.why);
            }
            pause = (pause * 2).min(Duration::from_secs(15));
            once |= refusal.again == Again::Once;
            plainly |= refusal.again == Again::Plain;
            tokio::time::sleep(wait).await;
        }
    }

    async fn send(&self, message: &Message, plainly: bool) -> Result<String, Refusal> {
        let mut body = json!({ "text": text(message), "unfurl_links": false, "unfurl_media": false });
        if !plainly {
            body["blocks"] = blocks(message);
        }
        if self.settings.webhook.is_some() {
            let answer = self.ask(webhook(self.secret).map_err(|why| refusal(Again::Once, why))?, body, false).await?;
            return webhook_answer(&answer).map(|()| "sent by the webhook".into());
        }
        body["channel"] = json!(self.settings.channel);
        let said = self.method("chat.postMessage", body).await?;
        Ok(format!("sent to {}", plain(said["channel"].as_str().unwrap_or(&self.settings.channel))))
    }

    /// Whom the bot token belongs to.
    ///
    /// # Errors
    /// What Slack says, and what to do about it, in a line.
    pub async fn who(&self) -> Result<String, String> {
        let said = self.method("auth.test", json!({})).await.map_err(|refusal| refusal.why)?;
        let at = |key: &str| plain(said[key].as_str().unwrap_or("?"));
        let mut who = format!("{} of {} ({})", at("user"), at("team"), at("url"));
        if let Some(seconds) = said["expires_in"].as_u64() {
            who += &format!(", whose token expires in {} min", seconds / 60);
        }
        Ok(who)
    }

    /// Calls a method of the Web API; what it says where it is well.
    async fn method(&self, name: &str, body: Value) -> Result<Value, Refusal> {
        let address = format!("{}/{name}", self.settings.base_url.as_str().trim_end_matches('/'));
        let address = Url::parse(&address).expect("base_url is checked, and a method cannot spoil it");
        let answer = self.ask(address, body, true).await?;
        method_answer(&answer, &self.settings.channel)
    }

    async fn ask(&self, url: Url, body: Value, bearer: bool) -> Result<Answer, Refusal> {
        let host = url.host_str().unwrap_or_default().to_string();
        let mut headers = vec![("content-type".into(), Zeroizing::new("application/json; charset=utf-8".into()))];
        if bearer {
            headers.push(("authorization".into(), Zeroizing::new(format!("Bearer {}", self.secret.expose()))));
        }
        let request = Request { post: true, url, headers, body: Some(Zeroizing::new(body.to_string())) };
        let answer = tokio::time::timeout(self.timeout, self.client.send(&request)).await;
        let answer = answer.unwrap_or(Err(Fault::TimedOut));
        answer.map_err(|fault| refusal(Again::Soon, format!("no answer from {host}: {fault}")))
    }
}

/// The webhook's address, which is the secret.
fn webhook(secret: &Secret) -> Result<Url, String> {
    // Why not is not said: it might repeat the address.
    base_url(secret.expose()).map_err(|_| "the webhook's value is no https address: store it again, whole".into())
}

/// Whether a webhook's address is alive. A message without content posts nothing.
pub async fn prove_webhook(client: &Client, name: &str, secret: &Secret, timeout: Duration) -> Row {
    let row = |kind, words: String| Row::new(name, "slack", kind, words);
    let url = match webhook(secret) {
        Ok(url) => url,
        Err(why) => return row(Kind::Malformed, why),
    };
    let host = url.host_str().unwrap_or_default().to_string();
    let request = Request { post: true, url, headers: Vec::new(), body: Some(Zeroizing::new("{}".into())) };
    let answer = tokio::time::timeout(timeout, client.send(&request)).await.unwrap_or(Err(Fault::TimedOut));
    let mut row = match answer {
        Err(fault) => row(Kind::Unreachable, format!("no response (network/Slack down?): {host}: {fault}")),
        Ok(answer) => match (answer.status, said_plainly(&answer)) {
            (400, "invalid_payload" | "no_text" | "missing_text_or_fallback_or_attachments") => {
                row(Kind::Valid, "the webhook is alive".into())
            }
            (400 | 403 | 404, "invalid_token" | "no_service" | "no_team" | "no_active_hooks") => {
                row(Kind::Rejected, format!("Slack says {}: the webhook is dead", said_plainly(&answer)))
            }
            (404 | 410, "channel_not_found" | "channel_is_archived") => {
                row(Kind::Limited, format!("Slack says {}", said_plainly(&answer)))
            }
            (status, _) => row(Kind::Unreachable, format!("HTTP {status}, which is no answer of a Slack webhook")),
        },
    };
    row.redacted = Some("(redacted)".into());
    row
}

/// The word that a webhook answers with; empty for anything else.
fn said_plainly(answer: &Answer) -> &str {
    let word = answer.body.trim();
    let is_word = word.len() <= 80 && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if is_word { word } else { "" }
}

fn webhook_answer(answer: &Answer) -> Result<(), Refusal> {
    match (answer.status, said_plainly(answer)) {
        (200, "ok") => Ok(()),
        (429, _) => Err(too_many(answer)),
        (_, "") => Err(stranger(answer)),
        (_, code) => Err(meaning(code, None, "the webhook's channel")),
    }
}

fn method_answer(answer: &Answer, channel: &str) -> Result<Value, Refusal> {
    if answer.status == 429 {
        return Err(too_many(answer));
    }
    let Some(said) = answer.json() else { return Err(stranger(answer)) };
    match (said["ok"].as_bool(), said["error"].as_str()) {
        (Some(true), _) if answer.status == 200 => Ok(said),
        (Some(false), Some(code)) => Err(meaning(code, said["needed"].as_str(), channel)),
        _ => Err(stranger(answer)),
    }
}

fn too_many(answer: &Answer) -> Refusal {
    let seconds = answer.header("retry-after").and_then(|s| s.trim().parse().ok());
    match seconds {
        Some(s) => {
            refusal(Again::After(Duration::from_secs(s)), format!("Slack wants no message for {s} s (HTTP 429)"))
        }
        None => refusal(Again::Soon, "Slack gets too many messages (HTTP 429)"),
    }
}

/// Somebody else answered, or Slack in a bad moment.
fn stranger(answer: &Answer) -> Refusal {
    let (host, status) = (&answer.host, answer.status);
    let why = match status {
        300..400 => format!("{host} answered HTTP {status}, a redirect, which is not followed: is this Slack?"),
        500.. => format!("{host} answered HTTP {status}: Slack is down?"),
        _ => format!("{host} answered HTTP {status}, which is no answer of Slack's: a captive portal or a proxy?"),
    };
    refusal(Again::Soon, why)
}

/// What an error code of Slack's means, as a sentence that tells what to do.
fn meaning(code: &str, needed: Option<&str>, channel: &str) -> Refusal {
    let channel = plain(channel);
    let new_token = "copy the Bot User OAuth Token from the app's page (https://api.slack.com/apps), then type: raxx store SLACK_BOT_TOKEN";
    let (again, what) = match code {
        "invalid_auth" => {
            (Again::Once, format!("it does not know the token (or does not let this address use it): {new_token}"))
        }
        "not_authed" => (Again::Once, format!("it saw no token: {new_token}")),
        "account_inactive" => {
            (Again::Once, format!("the bot's user or its workspace is gone: install the app again, {new_token}"))
        }
        "token_revoked" => (Again::Once, format!("the token is revoked: install the app again, {new_token}")),
        "token_expired" => (
            Again::Once,
            format!("the token is expired: switch token rotation off for this app (or renew the token), {new_token}"),
        ),
        "invalid_token" | "no_service" | "no_team" | "no_active_hooks" | "action_prohibited" => {
            (Again::Once, "the webhook is dead or forbidden: add a new one on the app's page and store it".into())
        }
        "missing_scope" | "not_allowed_token_type" => {
            let needed = plain(needed.unwrap_or("chat:write"));
            (
                Again::Once,
                format!("the app lacks the scope {needed}: add it under OAuth & Permissions and install it again"),
            )
        }
        "channel_not_found" | "user_not_found" => (
            Again::Once,
            format!(
                "{channel} is not there for this bot (a D… id belongs to one bot and one person): set channel under \
                 [alert.slack] to a channel that it is in, or to your own member id (U…)"
            ),
        ),
        "not_in_channel" => (Again::Once, format!("the bot is not in {channel}: invite it there (/invite @its-name)")),
        "is_archived" | "channel_is_archived" => {
            (Again::Once, format!("{channel} is archived: set another channel under [alert.slack]"))
        }
        "msg_too_long" | "msg_blocks_too_long" | "invalid_blocks" | "invalid_blocks_format" | "invalid_payload" => {
            (Again::Plain, "it does not take the message in this form: please report that".into())
        }
        "no_text" => (Again::Plain, "it saw no text in the message: please report that".into()),
        _ if code.starts_with("restricted_action") || code == "ekm_access_denied" => {
            (Again::Once, format!("the workspace's rules do not let the bot post to {channel}: ask its owner"))
        }
        "org_login_required" | "team_access_not_granted" | "access_denied" => {
            (Again::Once, "the workspace does not let the app in: ask its owner".into())
        }
        "rate_limited" | "ratelimited" | "message_limit_exceeded" => {
            (Again::Soon, "the bot posts too much; it may again in a while".into())
        }
        // The message may be there all the same.
        "fatal_error" => (Again::No, "it failed in the middle, and may have posted the message".into()),
        "internal_error" | "service_unavailable" | "request_timeout" | "team_added_to_org" | "rollup_error" => {
            (Again::Soon, "it has a fault of its own; it may be over in a while".into())
        }
        _ => (Again::Once, "see https://api.slack.com/methods/chat.postMessage#errors".into()),
    };
    refusal(again, format!("Slack says {}: {what}", plain(code)))
}

/// Slack reads `<…>` as links and mentions and `&` as the beginning of an entity; nothing else needs escaping. What does
/// not fit is cut, and never inside an entity.
fn escaped(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    for c in clean(text).chars() {
        let piece = match c {
            '&' => "&amp;".to_string(),
            '<' => "&lt;".to_string(),
            '>' => "&gt;".to_string(),
            c => c.to_string(),
        };
        length += piece.chars().count();
        if length >= most {
            return out + "…";
        }
        out += &piece;
    }
    out
}

/// A link, where it is one: anything else would be a way to write mentions.
fn link(address: &str, label: &str) -> Option<String> {
    let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
    let url = escaped(&url.as_str().replace('|', "%7C"), 500);
    (!url.ends_with('…')).then(|| format!("<{url}|{label}>"))
}

/// What stands for the blocks in a notification, and in their place where Slack refuses them.
fn text(message: &Message) -> String {
    let mut out = escaped(&format!("raxx on {}: {}", message.host, message.summary()), 300);
    let together = groups(message);
    for (i, group) in together.iter().enumerate() {
        let line = format!("\n{}", line(message, group));
        if out.chars().count() + line.chars().count() > TEXT {
            let left: usize = together[i..].iter().map(Vec::len).sum();
            return out + &format!("\n… and {left} more: raxx check");
        }
        out += &line;
    }
    out
}

/// Those that say the same are one paragraph, in the order of the first of them.
fn groups(message: &Message) -> Vec<Vec<&Notice>> {
    let mut places = HashMap::new();
    let mut groups: Vec<Vec<&Notice>> = Vec::new();
    for notice in &message.notices {
        let says = (notice.event, message.said(notice), message.lasted(notice), notice.repeated);
        let place = *places.entry((says, &notice.rotate_via, &notice.hint)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(notice),
            None => groups.push(vec![notice]),
        }
    }
    groups
}

fn mark(notice: &Notice) -> &'static str {
    match notice.event {
        Event::Failing => "🔴",
        Event::Warning => "🟡",
        Event::Recovered => "🟢",
    }
}

/// The names of a group, as many as fit.
fn names(group: &[&Notice], most: usize) -> String {
    let mut out = String::new();
    for (i, notice) in group.iter().enumerate() {
        let name = format!("{}*{}*", if i == 0 { "" } else { ", " }, escaped(&notice.name, 120));
        if i > 0 && out.chars().count() + name.chars().count() > most {
            return out + &format!(" and {} more", group.len() - i);
        }
        out += &name;
    }
    out
}

/// `A, B — said`, or `A works again, …`.
fn said(message: &Message, group: &[&Notice], most: usize) -> String {
    let between = if group[0].event == Event::Recovered { " " } else { " — " };
    let mut said = message.said(group[0]);
    if group.len() > 1 && group[0].event == Event::Recovered {
        said = said.replacen("works again, was", "work again, were", 1).replacen("works again", "work again", 1);
    }
    format!("{between}{}", escaped(&said, most))
}

/// A group in a line.
fn line(message: &Message, group: &[&Notice]) -> String {
    let first = group[0];
    let mut out = format!("{} {}{}", mark(first), names(group, 600), said(message, group, 160));
    if let (Event::Failing, Some(lasted)) = (first.event, message.lasted(first)) {
        out += &format!(" · for {lasted}");
    }
    if let Some(page) = &first.rotate_via {
        out += &format!(" · {}", escaped(page, 120));
    }
    out
}

/// A group in full.
fn paragraph(message: &Message, group: &[&Notice]) -> String {
    let first = group[0];
    let mut out = format!("{} {}{}", mark(first), names(group, 800), said(message, group, 500));
    if first.event == Event::Failing {
        let still = if first.repeated { "still failing" } else { "failing" };
        out += &format!("\n{still} since {}", moment(first.since));
        if let Some(lasted) = message.lasted(first) {
            out += &format!(" ({lasted})");
        }
    }
    if let Some(page) = &first.rotate_via {
        let shown = link(page, "the rotation page").unwrap_or_else(|| escaped(page, 300));
        out += &format!("\nrotate via: {shown}");
        if let Some(make) = first.manage_url.as_deref().and_then(|url| link(url, "make a new one")) {
            out += &format!(" · {make}");
        }
    }
    if let Some(hint) = &first.hint {
        out += &format!("\n{}", escaped(hint, 300));
    }
    out
}

/// The message as blocks: a header, sections, and where it comes from.
fn blocks(message: &Message) -> Value {
    let groups = groups(message);
    let full: Vec<String> = groups.iter().map(|group| paragraph(message, group)).collect();
    let in_full = groups.len() <= IN_FULL && full.iter().map(|p| p.chars().count() + 2).sum::<usize>() <= MESSAGE / 2;
    let (pieces, gap) = match in_full {
        true => (full, "\n\n"),
        false => (groups.iter().map(|group| line(message, group)).collect(), "\n"),
    };
    let mut sections = vec![String::new()];
    let mut length = 0;
    for (i, piece) in pieces.iter().enumerate() {
        let size = piece.chars().count() + gap.len();
        length += size;
        if length > MESSAGE {
            let left: usize = groups[i..].iter().map(|group| group.len()).sum();
            sections.push(format!("… and {left} more. All of them: `raxx check`"));
            break;
        }
        match sections.last_mut() {
            Some(last) if last.is_empty() => last.push_str(piece),
            Some(last) if last.chars().count() + size <= SECTION => *last += &format!("{gap}{piece}"),
            _ => sections.push(piece.clone()),
        }
    }
    let header: String = format!("raxx: {}", message.summary()).chars().take(HEADER).collect();
    let mut blocks =
        vec![json!({ "type": "header", "text": { "type": "plain_text", "text": header, "emoji": false } })];
    // Slack makes no links and no mentions of its own out of `verbatim` text.
    let markdown = |text: String| json!({ "type": "mrkdwn", "text": text, "verbatim": true });
    let told = sections.into_iter().filter(|text| !text.is_empty());
    blocks.extend(told.map(|text| json!({ "type": "section", "text": markdown(text) })));
    let from = format!("on {} · checked {}", escaped(&message.host, 200), moment(message.at));
    blocks.push(json!({ "type": "context", "elements": [markdown(from)] }));
    json!(blocks)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn notice(name: &str, words: &str) -> Notice {
        Notice {
            name: name.into(),
            provider: "heroku".into(),
            event: Event::Failing,
            kind: Kind::Rejected,
            words: words.into(),
            lately: None,
            hint: None,
            since: "2026-05-04T05:00:00Z".parse().unwrap(),
            repeated: false,
            rotate_via: Some("docs/ops/runbooks/rotation/heroku-platform-token.md".into()),
            manage_url: Some("https://dashboard.heroku.com/account/applications".into()),
        }
    }

    fn message(notices: Vec<Notice>) -> Message {
        let at: Timestamp = "2026-05-04T08:00:00Z".parse().unwrap();
        Message { host: "laptop".into(), at, test: false, notices }
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
        let mut again = notice("GITHUB_API_SECRETS_TOKEN", "");
        again.event = Event::Recovered;
        again.rotate_via = None;
        let message = message(vec![notice("HEROKU_API_KEY", "HTTP 401 (invalid or revoked)"), again]);
        let said = texts(&blocks(&message));
        assert_eq!(said[0], "raxx: 1 credential fails, 1 works again");
        assert_eq!(
            said[1],
            "🔴 *HEROKU_API_KEY* — HTTP 401 (invalid or revoked)\nfailing since 2026-05-04 05:00 UTC (3 h)\n\
             rotate via: docs/ops/runbooks/rotation/heroku-platform-token.md · \
             <https://dashboard.heroku.com/account/applications|make a new one>\n\n\
             🟢 *GITHUB_API_SECRETS_TOKEN* works again, was failing for 3 h"
        );
        assert_eq!(said[2], "on laptop · checked 2026-05-04 08:00 UTC");
        assert!(text(&message).starts_with("raxx on laptop: 1 credential fails, 1 works again\n🔴 *HEROKU_API_KEY*"));
    }

    #[test]
    fn what_a_provider_says_is_never_a_mention_or_a_link() {
        let mut hostile = notice("A", "<!channel> & <https://evil.test|your bank>\n<@U123>\u{202e}");
        hostile.rotate_via = Some("https://a.test/?x=1&y=<!here>|b>".into());
        hostile.hint = Some("<!everyone>".into());
        hostile.manage_url = Some("javascript:alert(1)".into());
        let mut message = message(vec![hostile]);
        message.host = "<!here>".into();
        let said = texts(&blocks(&message)).join("\n") + &text(&message);
        let linked = "<https://a.test/?x=1&amp;y=%3C!here%3E%7Cb%3E|the rotation page>";
        assert!(said.contains(linked), "{said}");
        assert!(said.contains("&lt;!channel&gt; &amp; &lt;https://evil.test|your bank&gt; &lt;@U123&gt;"), "{said}");
        assert!(!said.replace(linked, "").contains('<'), "{said}");
        assert!(!said.contains('\u{202e}'));
    }

    #[test]
    fn fifty_that_fail_alike_are_a_paragraph_and_fifty_that_do_not_are_a_list() {
        let alike = message((0..50).map(|i| notice(&format!("TOKEN_NUMBER_{i:02}"), "no response")).collect());
        let said = texts(&blocks(&alike));
        assert_inside_limits(&blocks(&alike), &text(&alike));
        assert_eq!(said.len(), 3);
        assert_eq!(said[0], "raxx: 50 credentials fail");
        assert!(
            said[1].contains("*TOKEN_NUMBER_00*, *TOKEN_NUMBER_01*") && said[1].matches('\n').count() == 2,
            "{}",
            said[1]
        );
        assert!(said[1].contains("more — no response"), "{}", said[1]);

        let differ =
            message((0..50).map(|i| notice(&format!("TOKEN_NUMBER_{i:02}"), &format!("HTTP 4{i:02}"))).collect());
        let said = texts(&blocks(&differ));
        assert_inside_limits(&blocks(&differ), &text(&differ));
        let all = said.join("\n");
        for i in 0..50 {
            assert!(all.contains(&format!("🔴 *TOKEN_NUMBER_{i:02}* — HTTP 4{i:02} · for 3 h")), "{i}: {all}");
        }
        assert_eq!(all.matches("🔴").count(), 50);
    }

    #[test]
    fn no_message_is_too_long_for_slack() {
        for (count, size) in [(1, 20_000), (9, 2_000), (50, 500), (500, 100), (3_000, 20)] {
            let big = |i: usize| {
                let mut big = notice(&format!("N{i}{}", "N".repeat(size)), &format!("{i}{}", "&<>é🔴".repeat(size)));
                big.hint = Some("<".repeat(size));
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

    fn answer(status: u16, kind: &str, body: &str) -> Answer {
        let headers = vec![("content-type".into(), kind.into())];
        Answer { host: "slack.test".into(), status, headers, body: body.into() }
    }

    #[test]
    fn only_oks_own_word_is_a_success() {
        let json = |status, body| method_answer(&answer(status, "application/json", body), "C1").map(|_| ());
        assert_eq!(json(200, r#"{"ok":true}"#), Ok(()));
        for (status, body) in [(200, "{}"), (200, r#"{"ok":"true"}"#), (500, r#"{"ok":true}"#), (302, "")] {
            assert_eq!(json(status, body).unwrap_err().again, Again::Soon, "{status} {body}");
        }
        let page = method_answer(&answer(200, "text/html", r#"{"ok":true}"#), "C1").unwrap_err();
        assert!(page.why.contains("captive portal"), "{}", page.why);

        let hook = |status, body| webhook_answer(&answer(status, "text/plain", body));
        assert_eq!(hook(200, "ok"), Ok(()));
        assert_eq!(hook(200, "<html>welcome</html>").unwrap_err().again, Again::Soon);
        assert_eq!(hook(400, "invalid_payload").unwrap_err().again, Again::Plain);
        for (status, code) in [(403, "action_prohibited"), (404, "no_service"), (410, "channel_is_archived")] {
            let refusal = hook(status, code).unwrap_err();
            assert_eq!(refusal.again, Again::Once);
            assert!(refusal.why.starts_with(&format!("Slack says {code}: ")), "{}", refusal.why);
        }
        assert_eq!(hook(500, "rollup_error").unwrap_err().again, Again::Soon);
    }

    #[test]
    fn a_wait_is_slacks_to_say() {
        let mut limited = answer(429, "application/json", r#"{"ok":false,"error":"ratelimited"}"#);
        assert_eq!(method_answer(&limited, "C1").unwrap_err().again, Again::Soon);
        limited.headers.push(("retry-after".into(), "30".into()));
        let refusal = method_answer(&limited, "C1").unwrap_err();
        assert_eq!(refusal.again, Again::After(Duration::from_secs(30)));
        assert_eq!(refusal.why, "Slack wants no message for 30 s (HTTP 429)");
    }
}
