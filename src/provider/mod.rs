//! Providers: one read-only request each, and the rules that turn the answer into a verdict. They are data, not code: the
//! built-in ones are in `providers.toml`, a user's are `[provider.NAME]` tables of the same form.
//!
//! [`Catalog::classify`] is a pure function of the answer.

pub(crate) mod base_url;
mod catalog;
mod classify;
mod dates;
pub(crate) mod heroku_expiry;
pub(crate) mod http;
mod rule;
mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde_json::Value;
use url::Url;
use zeroize::Zeroize as _;

pub(crate) use catalog::Catalog;
pub(crate) use classify::Sent;
use rule::Rule;
pub(crate) use table::ProviderTable;

use crate::report::{Kind, Verdict};

/// The value of `expires` for a provider whose tokens are JSON web tokens, which contain their expiry.
const JWT: &str = "jwt";

/// A provider's response.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The host that the request went to.
    pub host: String,
    pub status: u16,
    /// Names are in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Whether a part of the body was not read.
    pub truncated: bool,
}

/// Wipes the answer: a login's answer is a secret, and any answer can repeat one.
impl Drop for Answer {
    fn drop(&mut self) {
        self.headers.iter_mut().for_each(|(_, value)| value.zeroize());
        self.body.zeroize();
    }
}

/// An answer's JSON, wiped when it is dropped.
#[derive(Debug)]
pub(crate) struct Json(Value);

impl std::ops::Deref for Json {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl Drop for Json {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(values) => values.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Answer {
    /// Returns the value of a header. The case of its name does not matter.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Whether the content type is JSON.
    pub(crate) fn is_json(&self) -> bool {
        let kind = self.header("content-type").and_then(|kind| kind.split(';').next());
        kind.map(|kind| kind.trim().to_ascii_lowercase())
            .is_some_and(|kind| kind == "application/json" || kind.ends_with("+json"))
    }

    /// Returns the body as JSON if the content type is JSON and the body is complete. A captive portal's page never counts.
    pub(crate) fn json(&self) -> Option<Json> {
        let whole = self.is_json() && !self.truncated;
        whole.then(|| serde_json::from_str(&self.body).ok().map(Json)).flatten()
    }

    /// Returns the provider's time: a laptop's clock can be wrong by days.
    pub(crate) fn date(&self) -> Option<Timestamp> {
        self.header("date").and_then(|d| rfc2822::DateTimeParser::new().parse_timestamp(d).ok())
    }
}

/// A request to a provider, without the secret.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// The probe's name; `None` for the provider's own path.
    pub probe: Option<String>,
    pub post: bool,
    pub url: Url,
    pub auth: Auth,
    pub headers: BTreeMap<String, String>,
}

/// How the secret is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Auth {
    /// In this header, after this prefix.
    Header { name: String, prefix: String },
    /// Not in a header (a login sends it in the body).
    None,
}

/// What to do after an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Done(Finding),
    /// The answer is inconclusive: ask the probe of this name. Use this finding if the probe is inconclusive too.
    Then(String, Finding),
    /// The probe is inconclusive too: use the finding of the answer before it.
    KeepPrevious,
}

/// The verdict from an answer, and the other facts in the answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    pub verdict: Verdict,
    /// The provider's time of the answer, from which its dates are counted.
    pub answered_at: Option<Timestamp>,
    /// The account that the credential belongs to, if the provider says so.
    pub owner: Option<String>,
    /// The provider rejects everything for a while, and each further request extends that.
    pub back_off: bool,
}

impl Finding {
    pub(crate) fn new(kind: Kind, words: impl Into<String>) -> Finding {
        Finding::from(Verdict::new(kind, words))
    }
}

impl From<Verdict> for Finding {
    fn from(verdict: Verdict) -> Finding {
        Finding { verdict, answered_at: None, owner: None, back_off: false }
    }
}

/// A provider whose table has been checked.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    pub label: String,
    pub manage_url: Option<String>,
    /// How to revoke an old token, in words that follow a colon.
    pub revoke: Option<String>,
    base: String,
    path: String,
    auth: Auth,
    headers: BTreeMap<String, String>,
    identity: Option<String>,
    owner: Option<String>,
    expires: Option<String>,
    /// The path of the list of the account's tokens and their expiry dates.
    expiry_list: Option<String>,
    /// Whether raxx is allowed to read that list.
    list_expiry: bool,
    not_before: Option<String>,
    /// How long to wait before checking again when the provider rejects a value that recently passed.
    pub doubt: Option<Duration>,
    probes: Vec<Probe>,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Probe {
    name: String,
    path: String,
    post: bool,
    auth: Option<Auth>,
    headers: BTreeMap<String, String>,
    token: Option<String>,
    without: Option<String>,
}

impl Provider {
    /// Returns the host that requests go to.
    pub(crate) fn host(&self) -> String {
        Url::parse(&self.base).ok().and_then(|u| u.host_str().map(String::from)).unwrap_or_default()
    }

    /// Returns the address that requests go to.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Returns the same provider at another address.
    pub(crate) fn at(&self, base: &Url) -> Provider {
        Provider { base: base.as_str().trim_end_matches('/').into(), ..self.clone() }
    }

    /// Returns the first request for a value; `token` tells whether the value starts with a prefix.
    ///
    /// # Errors
    /// The setting that is needed before the value can be checked.
    pub(crate) fn first(&self, account_id: Option<&str>, token: &dyn Fn(&str) -> bool) -> Result<Ask, String> {
        let own = self.probes.iter().find(|p| p.token.as_deref().is_some_and(token));
        let unset = || "set account_id on its [[credential]] to have it checked".to_string();
        match own {
            None => Ok(self.ask(None, &filled(&self.path, account_id).ok_or_else(unset)?)),
            Some(probe) => {
                self.probe(&probe.name, account_id).ok_or_else(|| probe.without.clone().unwrap_or_else(unset))
            }
        }
    }

    /// Returns the request of this probe, or `None` if it needs an account id that is not configured.
    pub(crate) fn probe(&self, name: &str, account_id: Option<&str>) -> Option<Ask> {
        let probe = self.probes.iter().find(|p| p.name == name)?;
        Some(self.ask(Some(probe), &filled(&probe.path, account_id)?))
    }

    /// Returns the request for the list of the account's tokens, if the configuration allows it. It is for providers whose
    /// answer does not contain the expiry.
    pub(crate) fn expiry_list(&self) -> Option<Ask> {
        let path = self.expiry_list.as_ref().filter(|_| self.list_expiry)?;
        Some(self.ask(None, path))
    }

    fn ask(&self, probe: Option<&Probe>, path: &str) -> Ask {
        let mut headers = self.headers.clone();
        headers.extend(probe.into_iter().flat_map(|p| p.headers.clone()));
        let url = Url::parse(&format!("{}{path}", self.base))
            .expect("base_url is checked, and a path cannot make it invalid");
        Ask {
            probe: probe.map(|p| p.name.clone()),
            post: probe.is_some_and(|p| p.post),
            url,
            auth: probe.and_then(|p| p.auth.clone()).unwrap_or_else(|| self.auth.clone()),
            headers,
        }
    }
}

/// Returns the path with the account id filled in, or `None` if it needs one that is not configured.
fn filled(path: &str, account_id: Option<&str>) -> Option<String> {
    match account_id {
        Some(id) => Some(path.replace("{account_id}", id)),
        None => (!path.contains("{account_id}")).then(|| path.to_string()),
    }
}

#[cfg(test)]
mod tests;
