//! A message on Slack: by a bot (`chat.postMessage`) or by an incoming webhook.
//!
//! Slack answers 200 to nearly everything; whether it took the message stands in the body.

mod blocks;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use blocks::{blocks, text};

use super::{DeliveryError, Message, span};
use crate::config::SlackSettings;
use crate::provider::base_url::base_url;
use crate::provider::http::{Client, Fault, Request};
use crate::provider::{Answer, Json};
use crate::report::{Kind, Row};
use crate::secret::{Secret, joined};
use crate::text::{foreign, plain};

/// The wait before the second try; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);

/// How long Slack may take over a message, inside the time for all tries: longer than a provider may over a question, for
/// what is not answered in time may be posted.
const PATIENCE: Duration = Duration::from_secs(30);

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

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Blocks,
    /// As plain and short text.
    Text,
}

/// How a request is authorized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Authorization {
    Bearer,
    /// By its address.
    None,
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
pub(crate) struct Slack<'a> {
    pub settings: &'a SlackSettings,
    pub client: &'a Client,
    pub secret: &'a Secret,
    /// Other values that are shown to nobody, whatever Slack says.
    pub also: &'a [Secret],
    /// For one request, at least.
    pub timeout: Duration,
}

impl Slack<'_> {
    /// Sends the message, and for `retry_for` sends it again where Slack does not take it. Gives where it went.
    ///
    /// # Errors
    /// What Slack says, and what to do about it, in a line; and whether it may be there anyway.
    pub(crate) async fn tell(&self, message: &Message, retry_for: Duration) -> Result<String, DeliveryError> {
        let until = Instant::now() + retry_for;
        let (mut pause, mut form, mut once) = (PAUSE, Form::Blocks, false);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let refusal = match self.send(message, form, self.timeout.max(PATIENCE.min(left))).await {
                Ok(sent) => return Ok(sent),
                Err(refusal) => refusal,
            };
            let wait = match refusal.again {
                Again::Soon => pause,
                Again::After(time) => time.max(pause),
                Again::Once if !once => pause,
                Again::Plain if form == Form::Blocks => Duration::ZERO,
                Again::No => return Err(DeliveryError::Unknown(refusal.why)),
                Again::Once | Again::Plain => return Err(refusal.why.into()),
            };
            if wait > until.saturating_duration_since(Instant::now()) {
                return Err(refusal.why.into());
            }
            pause = (pause * 2).min(Duration::from_secs(15));
            once |= refusal.again == Again::Once;
            if refusal.again == Again::Plain {
                form = Form::Text;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Where a bot posts. Without a channel nothing is sent.
    fn channel(&self) -> &str {
        self.settings.channel.as_deref().unwrap_or_default()
    }

    async fn send(&self, message: &Message, form: Form, limit: Duration) -> Result<String, Refusal> {
        let mut body = json!({ "text": text(message), "unfurl_links": false, "unfurl_media": false });
        if form == Form::Blocks {
            body["blocks"] = blocks(message);
        }
        if self.settings.webhook.is_some() {
            let address = webhook(self.secret).map_err(|why| refusal(Again::Once, why))?;
            let answer = self.ask(address, body, Authorization::None, limit).await?;
            return webhook_answer(&answer, &self.secrets()).map(|()| "sent by the webhook".into());
        }
        body["channel"] = json!(self.channel());
        let said = self.method("chat.postMessage", body, limit).await?;
        let channel = said["channel"].as_str().unwrap_or(self.channel());
        Ok(format!("sent to {}", foreign(channel, &self.secrets())))
    }

    /// Whom the bot token belongs to.
    ///
    /// # Errors
    /// What Slack says, and what to do about it, in a line.
    pub(crate) async fn who(&self) -> Result<String, String> {
        let said = self.method("auth.test", json!({}), self.timeout).await.map_err(|refusal| refusal.why)?;
        let at = |key: &str| foreign(said[key].as_str().unwrap_or("?"), &self.secrets());
        let mut who = format!("{} of {} ({})", at("user"), at("team"), at("url"));
        if let Some(seconds) = said["expires_in"].as_u64() {
            who += &format!(", whose token expires in {}", span(Duration::from_secs(seconds)));
        }
        Ok(who)
    }

    /// Calls a method of the Web API; what it says where it is well.
    async fn method(&self, name: &str, body: Value, limit: Duration) -> Result<Json, Refusal> {
        let address = format!("{}/{name}", self.settings.base_url.as_str().trim_end_matches('/'));
        let address = Url::parse(&address).expect("base_url is checked, and a method cannot spoil it");
        let answer = self.ask(address, body, Authorization::Bearer, limit).await?;
        method_answer(&answer, self.channel(), &self.secrets())
    }

    /// What is taken out of Slack's words. Of a webhook's address the host is no secret.
    fn secrets(&self) -> Vec<&str> {
        let own = self.secret.expose();
        let own = match self.settings.webhook {
            Some(_) => own.find("://").and_then(|at| Some(&own[at + 3 + own[at + 3..].find('/')?..])).unwrap_or(own),
            None => own,
        };
        self.also.iter().map(Secret::expose).chain([own]).collect()
    }

    async fn ask(
        &self,
        url: Url,
        body: Value,
        authorization: Authorization,
        limit: Duration,
    ) -> Result<Answer, Refusal> {
        let host = url.host_str().unwrap_or_default().to_string();
        let mut headers = vec![("content-type".into(), Zeroizing::new("application/json; charset=utf-8".into()))];
        if authorization == Authorization::Bearer {
            headers.push(("authorization".into(), joined(&["Bearer ", self.secret.expose()])));
        }
        let request = Request { post: true, url, headers, body: Some(Zeroizing::new(body.to_string())) };
        let answer = tokio::time::timeout(limit, self.client.send(&request)).await;
        let answer = answer.unwrap_or(Err(Fault::TimedOut));
        if let Ok(answer) = &answer
            && answer.truncated
            && !answer.header("content-type").is_some_and(|kind| kind.contains("text/html"))
        {
            return Err(refusal(
                Again::No,
                format!("no answer from {host}: the response is cut short, or larger than 64 KiB"),
            ));
        }
        answer.map_err(|fault| {
            let again = match fault {
                // What has no connection has posted nothing.
                Fault::Dns
                | Fault::Refused
                | Fault::Tls(_)
                | Fault::Proxy { .. }
                | Fault::NotSent(_)
                | Fault::Other(_) => Again::Soon,
                Fault::TimedOut | Fault::ConnectionLost => Again::No,
            };
            refusal(again, format!("no answer from {host}: {fault}"))
        })
    }
}

/// The webhook's address, which is the secret.
fn webhook(secret: &Secret) -> Result<Url, String> {
    // Why not is not said: it might repeat the address.
    base_url(secret.expose()).map_err(|_| "the webhook's value is not a complete https address; store it again".into())
}

/// Whether a webhook's address is alive. A message without content posts nothing.
pub(crate) async fn verify_webhook(client: &Client, name: &str, secret: &Secret, timeout: Duration) -> Row {
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
                row(Kind::Valid, "the webhook works".into())
            }
            (400 | 403 | 404, "invalid_token" | "no_service" | "no_team" | "no_active_hooks") => {
                row(Kind::Rejected, format!("Slack says {}: the webhook no longer exists", said_plainly(&answer)))
            }
            (404 | 410, "channel_not_found" | "channel_is_archived") => {
                row(Kind::Limited, format!("Slack says {}", said_plainly(&answer)))
            }
            (status, _) => row(Kind::Unreachable, format!("HTTP {status}, which a Slack webhook does not send")),
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

fn webhook_answer(answer: &Answer, secrets: &[&str]) -> Result<(), Refusal> {
    match (answer.status, said_plainly(answer)) {
        (200, "ok") => Ok(()),
        (429, _) => Err(too_many(answer)),
        (_, "") => Err(stranger(answer)),
        (_, code) => Err(meaning(code, None, "the webhook's channel", secrets)),
    }
}

fn method_answer(answer: &Answer, channel: &str, secrets: &[&str]) -> Result<Json, Refusal> {
    if answer.status == 429 {
        return Err(too_many(answer));
    }
    let Some(said) = answer.json() else { return Err(stranger(answer)) };
    match (said["ok"].as_bool(), said["error"].as_str()) {
        (Some(true), _) if answer.status == 200 => Ok(said),
        (Some(false), Some(code)) => Err(meaning(code, said["needed"].as_str(), channel, secrets)),
        _ => Err(stranger(answer)),
    }
}

fn too_many(answer: &Answer) -> Refusal {
    let seconds = answer.header("retry-after").and_then(|s| s.trim().parse().ok());
    match seconds {
        Some(s) => {
            refusal(Again::After(Duration::from_secs(s)), format!("rate limited by Slack; retry in {s} s (HTTP 429)"))
        }
        None => refusal(Again::Soon, "rate limited by Slack (HTTP 429)"),
    }
}

/// Somebody else answered, or Slack in a bad moment.
fn stranger(answer: &Answer) -> Refusal {
    let (host, status) = (&answer.host, answer.status);
    let why = match status {
        300..400 => format!("{host} answered HTTP {status}, a redirect, which raxx does not follow: is this Slack?"),
        500.. => format!("{host} answered HTTP {status}: is Slack down?"),
        _ => format!(
            "{host} answered HTTP {status}, which is not an answer from Slack: is there a captive portal or a proxy?"
        ),
    };
    refusal(Again::Soon, why)
}

/// What an error code of Slack's means, as a sentence that tells what to do.
fn meaning(code: &str, needed: Option<&str>, channel: &str, secrets: &[&str]) -> Refusal {
    let channel = plain(channel);
    let new_token = "copy the Bot User OAuth Token from the app's page (https://api.slack.com/apps), then type: raxx store SLACK_BOT_TOKEN";
    let (again, what) = match code {
        "invalid_auth" => (Again::Once, format!("the token is invalid, or not allowed from this address: {new_token}")),
        "not_authed" => (Again::Once, format!("the request had no token: {new_token}")),
        "account_inactive" => {
            (Again::Once, format!("the bot's user or its workspace was deleted: install the app again, {new_token}"))
        }
        "token_revoked" => (Again::Once, format!("the token is revoked: install the app again, {new_token}")),
        "token_expired" => (
            Again::Once,
            format!("the token has expired: turn off token rotation for this app (or renew the token), {new_token}"),
        ),
        "invalid_token" | "no_service" | "no_team" | "no_active_hooks" | "action_prohibited" => (
            Again::Once,
            "the webhook was removed or is forbidden: add a new one on the app's page and store it".into(),
        ),
        "missing_scope" | "not_allowed_token_type" => {
            let needed = foreign(needed.unwrap_or("chat:write"), secrets);
            (
                Again::Once,
                format!("the app lacks the scope {needed}: add it under OAuth & Permissions and install it again"),
            )
        }
        "channel_not_found" | "user_not_found" => (
            Again::Once,
            format!(
                "the bot cannot find {channel} (a D… id belongs to one bot and one person): set channel under \
                 [alert.slack] to a channel that it is in, or to your own member id (U…)"
            ),
        ),
        "not_in_channel" => (Again::Once, format!("the bot is not in {channel}: invite it there (/invite @its-name)")),
        "is_archived" | "channel_is_archived" => {
            (Again::Once, format!("{channel} is archived: set another channel under [alert.slack]"))
        }
        "msg_too_long" | "msg_blocks_too_long" | "invalid_blocks" | "invalid_blocks_format" | "invalid_payload" => {
            (Again::Plain, "it rejected the form of the message: please report this".into())
        }
        "no_text" => (Again::Plain, "the message had no text: please report this".into()),
        _ if code.starts_with("restricted_action") || code == "ekm_access_denied" => {
            (Again::Once, format!("the workspace's rules do not let the bot post to {channel}: ask its owner"))
        }
        "org_login_required" | "team_access_not_granted" | "access_denied" => {
            (Again::Once, "the workspace does not allow the app: ask its owner".into())
        }
        "rate_limited" | "ratelimited" | "message_limit_exceeded" => {
            (Again::Soon, "the bot sent too many messages; it can send again later".into())
        }
        // The message could have been posted anyway.
        "fatal_error" => (Again::No, "it failed halfway, and could have posted the message".into()),
        "internal_error" | "service_unavailable" | "request_timeout" | "team_added_to_org" | "rollup_error" => {
            (Again::Soon, "it has an internal error, which is probably temporary".into())
        }
        _ => (Again::Once, "see https://api.slack.com/methods/chat.postMessage#errors".into()),
    };
    refusal(again, format!("Slack says {}: {what}", foreign(code, secrets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, kind: &str, body: &str) -> Answer {
        let headers = vec![("content-type".into(), kind.into())];
        Answer { host: "slack.test".into(), status, headers, body: body.into(), truncated: false }
    }

    #[test]
    fn only_oks_own_word_is_a_success() {
        let json = |status, body| method_answer(&answer(status, "application/json", body), "C1", &[]).map(|_| ());
        assert_eq!(json(200, r#"{"ok":true}"#), Ok(()));
        for (status, body) in [(200, "{}"), (200, r#"{"ok":"true"}"#), (500, r#"{"ok":true}"#), (302, "")] {
            assert_eq!(json(status, body).unwrap_err().again, Again::Soon, "{status} {body}");
        }
        let page = method_answer(&answer(200, "text/html", r#"{"ok":true}"#), "C1", &[]).unwrap_err();
        assert_eq!(page.again, Again::Soon);

        let hook = |status, body| webhook_answer(&answer(status, "text/plain", body), &[]);
        assert_eq!(hook(200, "ok"), Ok(()));
        assert_eq!(hook(200, "<html>welcome</html>").unwrap_err().again, Again::Soon);
        assert_eq!(hook(400, "invalid_payload").unwrap_err().again, Again::Plain);
        for (status, code) in [(403, "action_prohibited"), (404, "no_service"), (410, "channel_is_archived")] {
            let refusal = hook(status, code).unwrap_err();
            assert_eq!(refusal.again, Again::Once);
            assert!(refusal.why.contains(code), "{}", refusal.why);
        }
        assert_eq!(hook(500, "rollup_error").unwrap_err().again, Again::Soon);
    }

    #[test]
    fn a_wait_is_slacks_to_say() {
        let mut limited = answer(429, "application/json", r#"{"ok":false,"error":"ratelimited"}"#);
        assert_eq!(method_answer(&limited, "C1", &[]).unwrap_err().again, Again::Soon);
        limited.headers.push(("retry-after".into(), "30".into()));
        let refusal = method_answer(&limited, "C1", &[]).unwrap_err();
        assert_eq!(refusal.again, Again::After(Duration::from_secs(30)));
        insta::assert_snapshot!("a_wait_that_slack_sets", refusal.why);
    }

    #[test]
    fn each_refusal_says_what_to_do_and_whether_to_try_again() {
        let mut said = String::new();
        let mut add = |what: &str, refusal: &Refusal, again: Again| {
            assert_eq!(refusal.again, again, "{what}");
            said += &format!("{what}\n=> {}\n\n", refusal.why);
        };
        let json = |status, body: &str| {
            method_answer(&answer(status, "application/json", body), "#ops", &["hunter2"]).unwrap_err()
        };
        let hook = |status, body| webhook_answer(&answer(status, "text/plain", body), &[]).unwrap_err();
        add("HTTP 200, no JSON", &json(200, "<html>"), Again::Soon);
        add("HTTP 200 {}", &json(200, "{}"), Again::Soon);
        add("HTTP 302", &json(302, ""), Again::Soon);
        add("HTTP 429", &json(429, ""), Again::Soon);
        add("HTTP 500", &json(500, ""), Again::Soon);
        add("webhook: HTTP 200 <html>", &hook(200, "<html>"), Again::Soon);
        add("webhook: HTTP 403 action_prohibited", &hook(403, "action_prohibited"), Again::Once);
        add("webhook: HTTP 404 no_service", &hook(404, "no_service"), Again::Once);
        add("webhook: HTTP 410 channel_is_archived", &hook(410, "channel_is_archived"), Again::Once);
        let needed = r#"{"ok":false,"error":"missing_scope","needed":"im:write hunter2"}"#;
        add("missing_scope, and the answer repeats the secret", &json(200, needed), Again::Once);
        for (code, again) in [
            ("invalid_auth", Again::Once),
            ("not_authed", Again::Once),
            ("account_inactive", Again::Once),
            ("token_revoked", Again::Once),
            ("token_expired", Again::Once),
            ("invalid_token", Again::Once),
            ("missing_scope", Again::Once),
            ("channel_not_found", Again::Once),
            ("not_in_channel", Again::Once),
            ("is_archived", Again::Once),
            ("msg_too_long", Again::Plain),
            ("no_text", Again::Plain),
            ("restricted_action", Again::Once),
            ("access_denied", Again::Once),
            ("ratelimited", Again::Soon),
            ("fatal_error", Again::No),
            ("internal_error", Again::Soon),
            ("a_code_of_next_year", Again::Once),
        ] {
            let refusal = json(200, &format!(r#"{{"ok":false,"error":"{code}"}}"#));
            assert!(refusal.why.contains(code), "{}", refusal.why);
            add(code, &refusal, again);
        }
        assert!(!said.contains("hunter2"), "{said}");
        insta::assert_snapshot!("refusals", said);
    }
}
