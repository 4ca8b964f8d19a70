//! `[provider.NAME]` tables as written in a file, and the providers made from them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr as _;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::rule::Rule;
use super::{Auth, JWT, Probe, Provider};
use crate::provider::base_url::base_url;

/// The longest `doubt`: a new terminal waits for it.
const LONGEST_DOUBT: Duration = Duration::from_secs(10);

/// A mistake in a provider table.
#[derive(Debug)]
pub(crate) struct Mistake {
    pub at: Option<Range<usize>>,
    pub message: String,
}

fn mistake(at: Option<Range<usize>>, message: impl Into<String>) -> Mistake {
    Mistake { at, message: message.into() }
}

/// `[provider.NAME]` as written in a file. An omitted key keeps the built-in value.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderTable {
    label: Option<String>,
    base_url: Option<Spanned<String>>,
    manage_url: Option<String>,
    path: Option<Spanned<String>>,
    auth: Option<AuthForm>,
    headers: Option<BTreeMap<String, String>>,
    identity: Option<String>,
    owner: Option<String>,
    revoke: Option<String>,
    expires: Option<String>,
    expiry_list: Option<Spanned<String>>,
    list_expiry: Option<Spanned<bool>>,
    not_before: Option<String>,
    doubt: Option<Spanned<String>>,
    #[serde(default, rename = "probe")]
    probes: Vec<ProbeTable>,
    #[serde(default, rename = "rule")]
    rules: Vec<Spanned<Rule>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProbeTable {
    name: String,
    path: Spanned<String>,
    #[serde(default)]
    method: Method,
    auth: Option<AuthForm>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A value that starts with this is checked with this probe first.
    token: Option<String>,
    /// The words if the path's `{account_id}` is not configured.
    without: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum Method {
    #[default]
    #[serde(rename = "GET")]
    Get,
    #[serde(rename = "POST")]
    Post,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "auth must be \"bearer\", \"none\" or { header = \"…\", prefix = \"…\" }")]
enum AuthForm {
    Word(AuthWord),
    Header(HeaderForm),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AuthWord {
    Bearer,
    None,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderForm {
    header: String,
    #[serde(default)]
    prefix: String,
}

impl AuthForm {
    fn auth(&self) -> Auth {
        match self {
            AuthForm::Word(AuthWord::Bearer) => Auth::Header { name: "authorization".into(), prefix: "Bearer ".into() },
            AuthForm::Word(AuthWord::None) => Auth::None,
            AuthForm::Header(h) => Auth::Header { name: h.header.to_ascii_lowercase(), prefix: h.prefix.clone() },
        }
    }
}

impl Provider {
    pub(super) fn from_table(id: &str, table: &ProviderTable) -> Result<Provider, Mistake> {
        let missing = |key: &str| mistake(None, format!("needs {key}, because no built-in provider has this name"));
        let provider = Provider {
            label: id.into(),
            manage_url: None,
            revoke: None,
            base: table.base_url.as_ref().ok_or_else(|| missing("base_url"))?.get_ref().clone(),
            path: table.path.as_ref().ok_or_else(|| missing("path"))?.get_ref().clone(),
            auth: AuthForm::Word(AuthWord::Bearer).auth(),
            headers: BTreeMap::new(),
            identity: None,
            owner: None,
            expires: None,
            expiry_list: None,
            list_expiry: false,
            not_before: None,
            doubt: None,
            probes: Vec::new(),
            rules: Vec::new(),
        };
        if table.rules.is_empty() {
            return Err(missing("[[rule]]s"));
        }
        provider.with(table)
    }

    pub(super) fn with(mut self, table: &ProviderTable) -> Result<Provider, Mistake> {
        if let Some(url) = &table.base_url {
            let base = base_url(url.get_ref()).map_err(|why| mistake(Some(url.span()), why))?;
            self.base = base.as_str().trim_end_matches('/').into();
        }
        let path_checked = |path: &Spanned<String>| {
            if path.get_ref().starts_with('/') {
                Ok(path.get_ref().clone())
            } else {
                Err(mistake(Some(path.span()), "path must start with /"))
            }
        };
        if let Some(path) = &table.path {
            self.path = path_checked(path)?;
        }
        if !table.probes.is_empty() {
            self.probes.clear();
            for probe in &table.probes {
                self.probes.push(Probe {
                    name: probe.name.clone(),
                    path: path_checked(&probe.path)?,
                    post: probe.method == Method::Post,
                    auth: probe.auth.as_ref().map(AuthForm::auth),
                    headers: probe.headers.clone(),
                    token: probe.token.clone(),
                    without: probe.without.clone(),
                });
            }
        }
        if !table.rules.is_empty() {
            for rule in &table.rules {
                rule.get_ref().check(&self.probes).map_err(|why| mistake(Some(rule.span()), why))?;
            }
            self.rules = table.rules.iter().map(|r| r.get_ref().clone()).collect();
        }
        if let Some(headers) = &table.headers {
            self.headers = headers.clone();
        }
        let auths = table.auth.iter().map(AuthForm::auth).chain(self.probes.iter().filter_map(|p| p.auth.clone()));
        let auth_names = auths.filter_map(|a| match a {
            Auth::Header { name, .. } => Some(name),
            Auth::None => None,
        });
        let names = self.headers.keys().chain(self.probes.iter().flat_map(|p| p.headers.keys())).cloned();
        if auth_names.chain(names).any(|name| !can_be_set(&name)) {
            return Err(mistake(None, "names a header that cannot be set: check auth and headers"));
        }
        if let Some(path) = &table.expiry_list {
            self.expiry_list = Some(path_checked(path)?);
        }
        if let Some(wanted) = &table.list_expiry {
            if *wanted.get_ref() && self.expiry_list.is_none() {
                let why = "list_expiry = true needs expiry_list, which this provider does not have";
                return Err(mistake(Some(wanted.span()), why));
            }
            self.list_expiry = *wanted.get_ref();
        }
        if let Some(doubt) = &table.doubt {
            let wait =
                jiff::SignedDuration::from_str(doubt.get_ref()).ok().and_then(|wait| Duration::try_from(wait).ok());
            let wait = wait.filter(|wait| *wait <= LONGEST_DOUBT);
            let why = "doubt must be a duration like \"2s\", at most \"10s\"";
            self.doubt = Some(wait.ok_or_else(|| mistake(Some(doubt.span()), why))?);
        }
        let expires = table.expires.as_ref().filter(|field| *field != JWT);
        let fields =
            [("identity", table.identity.as_ref()), ("expires", expires), ("not_before", table.not_before.as_ref())];
        for (key, field) in fields {
            if field.is_some_and(|field| !field.starts_with('/') && !field.starts_with("header:")) {
                return Err(mistake(None, format!("{key} must be a JSON pointer (/…) or header:NAME")));
            }
        }
        let values = self.headers.iter().chain(self.probes.iter().flat_map(|p| &p.headers));
        if let Some(AuthForm::Header(form)) = &table.auth
            && form.prefix.chars().any(char::is_control)
        {
            return Err(mistake(None, "auth.prefix contains a control character"));
        }
        if values.into_iter().any(|(_, value)| value.chars().any(char::is_control)) {
            return Err(mistake(None, "a value under headers contains a control character"));
        }
        self.auth = table.auth.as_ref().map_or(self.auth, AuthForm::auth);
        self.label = table.label.clone().unwrap_or(self.label);
        self.manage_url = table.manage_url.clone().or(self.manage_url);
        self.identity = table.identity.clone().or(self.identity);
        self.owner = table.owner.clone().or(self.owner);
        self.revoke = table.revoke.clone().or(self.revoke);
        self.expires = table.expires.clone().or(self.expires);
        self.not_before = table.not_before.clone().or(self.not_before);
        Ok(self)
    }
}

/// Whether a header of this name can be set: the connection's own headers cannot.
fn can_be_set(name: &str) -> bool {
    let reserved = ["content-length", "transfer-encoding", "host", "connection", "expect", "upgrade", "te", "trailer"];
    !name.is_empty()
        && !reserved.contains(&name.to_ascii_lowercase().as_str())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
