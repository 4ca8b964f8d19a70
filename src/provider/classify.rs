//! The words of a verdict: a rule's template filled from the answer, and the dates that turn a PASS into a FAIL.

use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use super::dates::{day, jwt_expiry, moment};
use super::{Answer, Finding, JWT, Provider};
use crate::report::{Kind, Verdict};
use crate::text::foreign;

/// For some tokens GitHub sends the current time instead of the expiry (google/go-github#3708): a date this close to the
/// answer's own date, in seconds, is ignored.
const SAME_MOMENT: i64 = 60;

/// What was sent, and to which probes.
pub(crate) struct Sent<'a> {
    pub value: &'a str,
    /// Other secrets that were sent and must not be shown.
    pub also: Vec<&'a str>,
    pub account_id: Option<&'a str>,
    pub asked: &'a [Option<String>],
    /// The kind of the previous answer's finding.
    pub previous: Option<Kind>,
}

impl Sent<'_> {
    /// Returns a provider's text for a line of the report, without the secrets that were sent.
    fn shown(&self, text: &str) -> String {
        let secrets: Vec<&str> = self.also.iter().copied().chain([self.value]).collect();
        foreign(text, &secrets)
    }
}

/// The answer that a rule's templates are filled from.
pub(super) struct Template<'a> {
    pub(super) provider: &'a Provider,
    pub(super) answer: &'a Answer,
    pub(super) json: Option<&'a Value>,
    pub(super) sent: &'a Sent<'a>,
}

impl Template<'_> {
    /// Returns the finding for an accepted value: a PASS with its expiry, or a FAIL if the answer's dates say so.
    pub(super) fn accepted(&self, words: String) -> Finding {
        let server_time = self.answer.date();
        let now = server_time.unwrap_or_else(Timestamp::now);
        let date = |field: &Option<String>| match field.as_deref()? {
            // A date inside the value does not come from the provider: if it has passed, that is not a FAIL.
            JWT => jwt_expiry(self.sent.value).filter(|expiry| *expiry > now),
            field => moment(field, self.answer, self.json, now),
        };
        if let Some(from) = date(&self.provider.not_before).filter(|from| *from > now) {
            let mut finding = Finding::new(Kind::Limited, format!("not valid before {}", day(from)));
            finding.verdict.hint =
                Some("the token works from that time on: wait, or use the previous token until then".into());
            return finding;
        }
        let expires = date(&self.provider.expires).filter(|e| (e.as_second() - now.as_second()).abs() >= SAME_MOMENT);
        // This machine's clock can be wrong: it alone never makes a token expired.
        let expires = expires.filter(|e| server_time.is_some() || *e > now);
        if let Some(past) = expires.filter(|e| *e < now) {
            let mut finding = Finding::new(Kind::Rejected, format!("expired on {}", day(past)));
            finding.verdict.expires = Some(past);
            return finding;
        }
        let text_at = |at: &Option<String>| match self.json?.pointer(at.as_deref()?)? {
            Value::String(text) => Some(self.sent.shown(text)),
            Value::Number(number) => Some(self.sent.shown(&number.to_string())),
            _ => None,
        };
        let who = text_at(&self.provider.identity);
        let owner = text_at(&self.provider.owner);
        let verdict = Verdict { expires, ..Verdict::new(Kind::Valid, who.unwrap_or(words)) };
        Finding { verdict, answered_at: server_time, owner, back_off: false }
    }

    /// Fills `{status}`, `{host}`, `{label}`, `{location}` (its host), `{firewall}` (Cloudflare's `error code: 1010`),
    /// `{header:NAME}` and `{/json/pointer}`.
    pub(super) fn fill(&self, text: &str) -> String {
        let Template { provider, answer, json, sent } = self;
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((slot, after)) = after.split_once('}') else { break };
            out += before;
            rest = after;
            out += &match slot {
                "status" => answer.status.to_string(),
                "host" => answer.host.clone(),
                "label" => provider.label.clone(),
                "location" => {
                    let location = answer.header("location").unwrap_or("nowhere");
                    let url = Url::parse(&format!("https://{}", answer.host)).and_then(|base| base.join(location));
                    sent.shown(url.ok().as_ref().and_then(Url::host_str).unwrap_or("an invalid address"))
                }
                "firewall" => {
                    let at = answer.body.find("error code: 10").unwrap_or(0);
                    let code: String = answer.body[at..].chars().take("error code: 1010".len()).collect();
                    sent.shown(&code)
                }
                slot if slot.starts_with('/') => match json.and_then(|json| json.pointer(slot)) {
                    Some(Value::String(text)) => sent.shown(text),
                    Some(value) => sent.shown(&value.to_string()),
                    None => "?".into(),
                },
                slot => match slot.strip_prefix("header:") {
                    Some(name) => sent.shown(answer.header(name).unwrap_or("?")),
                    None => format!("{{{slot}}}"),
                },
            };
        }
        out + rest
    }
}

/// Returns the finding for an answer that no rule matches.
pub(super) fn unexpected(provider: &Provider, answer: &Answer, json: Option<&Value>) -> Finding {
    if matches!(answer.status, 401 | 403) && is_api_json(answer, json) && !came_through_a_proxy(answer) {
        let words = format!("HTTP {} from {}, which does not say why: probably expired", answer.status, provider.label);
        return Finding::new(Kind::Refused, words);
    }
    let what = match (answer.body.trim().is_empty(), json.is_some()) {
        _ if answer.truncated && answer.is_json() => "a response larger than 64 KiB",
        (true, _) => "an empty body",
        (_, true) => "an unexpected response",
        (_, false) => "a body that is not JSON",
    };
    Finding::new(Kind::Unreachable, format!("HTTP {} with {what} from {}", answer.status, answer.host))
}

/// Whether the answer looks like an API's: a JSON body, or an empty one with the content type of JSON.
fn is_api_json(answer: &Answer, json: Option<&Value>) -> bool {
    json.is_some_and(|json| json.is_object() || json.is_array() || json.is_string())
        || (answer.body.trim().is_empty() && answer.is_json())
}

/// Whether a header names a proxy, a gateway or a filter. The networks that providers themselves use do not count.
fn came_through_a_proxy(answer: &Answer) -> bool {
    const EDGES: [&str; 9] = [
        "varnish",
        "fastly",
        "cloudfront",
        "google",
        "vegur",
        "spaces-router",
        "heroku-router",
        "akamai",
        "cloudflare",
    ];
    const PROXIES: [&str; 16] = [
        "proxy-",
        "x-proxy",
        "x-squid",
        "x-bluecoat",
        "x-zscaler",
        "x-netskope",
        "x-forcepoint",
        "x-websense",
        "x-iboss",
        "x-sophos",
        "x-fortigate",
        "x-fortinet",
        "x-mcafee",
        "x-webmarshal",
        "x-barracuda",
        "cf-access-",
    ];
    const SERVERS: [&str; 14] = [
        "squid",
        "proxy",
        "zscaler",
        "bluecoat",
        "netskope",
        "forcepoint",
        "websense",
        "iboss",
        "sophos",
        "fortigate",
        "mcafee",
        "barracuda",
        "checkpoint",
        "mitm",
    ];
    let is_foreign = |(name, value): &(String, String)| {
        let value = value.to_ascii_lowercase();
        match name.to_ascii_lowercase().as_str() {
            "via" => value.split(',').any(|hop| !EDGES.iter().any(|edge| hop.contains(edge))),
            "server" | "proxy-agent" => SERVERS.iter().any(|proxy| value.contains(proxy)),
            // A gateway that requires its own login.
            "www-authenticate" => {
                ["negotiate", "ntlm", "kerberos", "cloudflare-access"].iter().any(|scheme| value.starts_with(scheme))
            }
            name => PROXIES.iter().any(|proxy| name.starts_with(proxy)),
        }
    };
    answer.headers.iter().any(is_foreign)
}
