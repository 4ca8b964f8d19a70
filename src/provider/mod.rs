//! A provider: one read-only request, and the rules that turn its answer into a verdict. Data, not code: the built-in
//! ones are `providers.toml`, a user's are `[provider.NAME]` tables of the same form.
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

/// `expires` of a provider whose values are JSON web tokens: they hold their own end.
const JWT: &str = "jwt";

/// What came back from a provider.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The host that was asked.
    pub host: String,
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Whether there was more of the body than was read.
    pub cut: bool,
}

/// A login's answer is a secret, and any answer may repeat one.
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
    /// The value of a header; its name in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Whether it says that it is JSON.
    pub(crate) fn is_json(&self) -> bool {
        let kind = self.header("content-type").and_then(|kind| kind.split(';').next());
        kind.map(|kind| kind.trim().to_ascii_lowercase())
            .is_some_and(|kind| kind == "application/json" || kind.ends_with("+json"))
    }

    /// The body as JSON, where the answer says that it is JSON: a portal's page is not believed, and neither is a part.
    pub(crate) fn json(&self) -> Option<Json> {
        let whole = self.is_json() && !self.cut;
        whole.then(|| serde_json::from_str(&self.body).ok().map(Json)).flatten()
    }

    /// The time at the provider: a laptop's clock may be wrong by days.
    pub(crate) fn date(&self) -> Option<Timestamp> {
        self.header("date").and_then(|d| rfc2822::DateTimeParser::new().parse_timestamp(d).ok())
    }
}

/// What to ask: everything but the secret.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// The probe's name; none for the provider's own path.
    pub probe: Option<String>,
    pub post: bool,
    pub url: Url,
    pub auth: Auth,
    pub headers: BTreeMap<String, String>,
}

/// How the secret is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Auth {
    /// In this header, behind this prefix.
    Header { name: String, prefix: String },
    /// Not by a header (a log-in sends it in the body).
    None,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Done(Finding),
    /// This answer decides nothing: ask the probe of this name. What it would mean alone, where that one does not either.
    Then(String, Finding),
    /// Nor does this one: what the answer before it meant stands.
    Before,
}

/// The verdict that an answer gives, and what else the answer tells.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    pub verdict: Verdict,
    /// The time at the provider when it said so: its dates are counted from there.
    pub told_at: Option<Timestamp>,
    /// Whom the credential belongs to, where the provider says it.
    pub owner: Option<String>,
    /// The provider accepts nothing for a while: asking again makes it longer.
    pub back_off: bool,
}

impl Finding {
    pub(crate) fn new(kind: Kind, words: impl Into<String>) -> Finding {
        Finding::from(Verdict::new(kind, words))
    }
}

impl From<Verdict> for Finding {
    fn from(verdict: Verdict) -> Finding {
        Finding { verdict, told_at: None, owner: None, back_off: false }
    }
}

/// A provider, ready to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    pub label: String,
    pub manage_url: Option<String>,
    /// How an old token is revoked, in a sentence.
    pub revoke: Option<String>,
    base: String,
    path: String,
    auth: Auth,
    headers: BTreeMap<String, String>,
    identity: Option<String>,
    owner: Option<String>,
    expires: Option<String>,
    /// Where all of the account's tokens are listed, with their ends.
    expiry_list: Option<String>,
    /// Whether that list may be asked for.
    list_expiry: bool,
    not_before: Option<String>,
    /// After how long a rejection of a value that passed lately is asked about once more before it is believed.
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
    /// The host that is asked, for the words of a failure.
    pub(crate) fn host(&self) -> String {
        Url::parse(&self.base).ok().and_then(|u| u.host_str().map(String::from)).unwrap_or_default()
    }

    /// The address that is asked.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The same provider at another address.
    pub(crate) fn at(&self, base: &Url) -> Provider {
        Provider { base: base.as_str().trim_end_matches('/').into(), ..self.clone() }
    }

    /// What to ask first for a value that begins as `token` says.
    ///
    /// # Errors
    /// What is to be configured before it can be asked.
    pub(crate) fn first(&self, account_id: Option<&str>, token: &dyn Fn(&str) -> bool) -> Result<Ask, String> {
        let own = self.probes.iter().find(|p| p.token.as_deref().is_some_and(token));
        let unset = || "set account_id on its [[credential]]: then it can be checked".to_string();
        match own {
            None => Ok(self.ask(None, &filled(&self.path, account_id).ok_or_else(unset)?)),
            Some(probe) => {
                self.probe(&probe.name, account_id).ok_or_else(|| probe.without.clone().unwrap_or_else(unset))
            }
        }
    }

    /// The probe of this name; none when it needs an account id that is not configured.
    pub(crate) fn probe(&self, name: &str, account_id: Option<&str>) -> Option<Ask> {
        let probe = self.probes.iter().find(|p| p.name == name)?;
        Some(self.ask(Some(probe), &filled(&probe.path, account_id)?))
    }

    /// The list of all tokens of the account, where it is to be looked into: the provider does not say the end of the one
    /// that asks.
    pub(crate) fn expiry_list(&self) -> Option<Ask> {
        let path = self.expiry_list.as_ref().filter(|_| self.list_expiry)?;
        Some(self.ask(None, path))
    }

    fn ask(&self, probe: Option<&Probe>, path: &str) -> Ask {
        let mut headers = self.headers.clone();
        headers.extend(probe.into_iter().flat_map(|p| p.headers.clone()));
        let url = Url::parse(&format!("{}{path}", self.base)).expect("base_url is checked, and a path cannot spoil it");
        Ask {
            probe: probe.map(|p| p.name.clone()),
            post: probe.is_some_and(|p| p.post),
            url,
            auth: probe.and_then(|p| p.auth.clone()).unwrap_or_else(|| self.auth.clone()),
            headers,
        }
    }
}

/// The path with its account id; none when it needs one that is not configured.
fn filled(path: &str, account_id: Option<&str>) -> Option<String> {
    match account_id {
        Some(id) => Some(path.replace("{account_id}", id)),
        None => (!path.contains("{account_id}")).then(|| path.to_string()),
    }
}

#[cfg(test)]
mod tests;
