//! The words of a verdict: what a rule says, filled with what the provider said, and the dates that turn a PASS into a FAIL.

use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use super::dates::{day, jwt_end, moment};
use super::{Answer, Finding, JWT, Provider};
use crate::report::{Kind, Verdict};
use crate::text::foreign;

/// GitHub has been seen to send the present moment instead of the expiry of some tokens
/// (google/go-github#3708): a date this near to the answer's own says nothing.
const SAME_MOMENT: i64 = 60;

/// What was sent, and to which probes before.
pub(crate) struct Sent<'a> {
    pub value: &'a str,
    /// What else was sent that must not be shown.
    pub also: Vec<&'a str>,
    pub account_id: Option<&'a str>,
    pub asked: &'a [Option<String>],
    /// What the answer before this one would mean alone.
    pub before: Option<Kind>,
}

impl Sent<'_> {
    /// A provider's text for a line of the report, without what was sent.
    fn shown(&self, text: &str) -> String {
        let secrets: Vec<&str> = self.also.iter().copied().chain([self.value]).collect();
        foreign(text, &secrets)
    }
}

/// An answer, for the words that it fills.
pub(super) struct Said<'a> {
    pub(super) provider: &'a Provider,
    pub(super) answer: &'a Answer,
    pub(super) json: Option<&'a Value>,
    pub(super) sent: &'a Sent<'a>,
}

impl Said<'_> {
    /// The words of a PASS, its expiry, and the FAIL that its dates may turn it into.
    pub(super) fn accepted(&self, words: String) -> Finding {
        let told = self.answer.date();
        let now = told.unwrap_or_else(Timestamp::now);
        let date = |field: &Option<String>| match field.as_deref()? {
            // What the value says of itself is no word of the provider: its past does not make a FAIL.
            JWT => jwt_end(self.sent.value).filter(|end| *end > now),
            field => moment(field, self.answer, self.json, now),
        };
        if let Some(from) = date(&self.provider.not_before).filter(|from| *from > now) {
            let mut finding = Finding::new(Kind::Limited, format!("not valid before {}", day(from)));
            finding.verdict.hint =
                Some("the token is good from that day on: wait, or use the one before it until then".into());
            return finding;
        }
        let expires = date(&self.provider.expires).filter(|e| (e.as_second() - now.as_second()).abs() >= SAME_MOMENT);
        // By a clock that may be wrong no token is called expired.
        let expires = expires.filter(|e| told.is_some() || *e > now);
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
        Finding { verdict, told_at: told, owner, back_off: false }
    }

    /// Fills `{status}`, `{host}`, `{label}`, `{location}` (its host), `{firewall}` (Cloudflare's `error code: 1010`),
    /// `{header:NAME}` and `{/json/pointer}`.
    pub(super) fn fill(&self, text: &str) -> String {
        let Said { provider, answer, json, sent } = self;
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
                    sent.shown(url.ok().as_ref().and_then(Url::host_str).unwrap_or("an address that is none"))
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

/// What an answer means that no rule is for.
pub(super) fn unexpected(provider: &Provider, answer: &Answer, json: Option<&Value>) -> Finding {
    if matches!(answer.status, 401 | 403) && says_json(answer, json) && !came_through_a_proxy(answer) {
        let words = format!("HTTP {} from {}, which does not say why: probably expired", answer.status, provider.label);
        return Finding::new(Kind::Refused, words);
    }
    let what = match (answer.body.trim().is_empty(), json.is_some()) {
        _ if answer.cut && answer.is_json() => "a response that is larger than 64 KiB",
        (true, _) => "an empty body",
        (_, true) => "an answer that it does not usually give",
        (_, false) => "a body that is not its JSON",
    };
    Finding::new(Kind::Unreachable, format!("HTTP {} with {what} from {}", answer.status, answer.host))
}

/// Whether it is of the content type of an API: JSON, or nothing that is called JSON.
fn says_json(answer: &Answer, json: Option<&Value>) -> bool {
    json.is_some_and(|json| json.is_object() || json.is_array() || json.is_string())
        || (answer.body.trim().is_empty() && answer.is_json())
}

/// Whether a header names a proxy, a gateway or a filter on the way. Networks that providers put their own API behind are none.
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
    let strange = |(name, value): &(String, String)| {
        let value = value.to_ascii_lowercase();
        match name.to_ascii_lowercase().as_str() {
            "via" => value.split(',').any(|hop| !EDGES.iter().any(|edge| hop.contains(edge))),
            "server" | "proxy-agent" => SERVERS.iter().any(|proxy| value.contains(proxy)),
            // A gateway that wants a login of its own.
            "www-authenticate" => {
                ["negotiate", "ntlm", "kerberos", "cloudflare-access"].iter().any(|scheme| value.starts_with(scheme))
            }
            name => PROXIES.iter().any(|proxy| name.starts_with(proxy)),
        }
    };
    answer.headers.iter().any(strange)
}
