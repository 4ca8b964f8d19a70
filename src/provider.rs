//! A provider: one read-only request, and the rules that turn its answer into a verdict. Data, not code: the built-in
//! ones are `providers.toml`, a user's are `[provider.NAME]` tables of the same form.
//!
//! [`Catalogue::classify`] is a pure function of the answer.

use std::collections::BTreeMap;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;
use url::Url;
use zeroize::Zeroizing;

use crate::address::base_url;
use crate::report::{Kind, plain};

const CATALOGUE: &str = include_str!("providers.toml");

/// GitHub has been seen to send the present moment instead of the expiry of some tokens
/// (google/go-github#3708): a date this near to the answer's own says nothing.
const SAME_MOMENT: i64 = 60;

/// `expires` of a provider whose values are JSON web tokens: they hold their own end.
const JWT: &str = "jwt";

/// What came back from a provider.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The host that was asked.
    pub host: String,
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// The value of a header; its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The body as JSON, where the answer says that it is JSON: a portal's page is not believed.
    pub fn json(&self) -> Option<Value> {
        let kind = self.header("content-type")?.split(';').next()?.trim().to_ascii_lowercase();
        let is_json = kind == "application/json" || kind.ends_with("+json");
        is_json.then(|| serde_json::from_str(&self.body).ok()).flatten()
    }

    /// The time at the provider: a laptop's clock may be wrong by days.
    pub fn date(&self) -> Option<Timestamp> {
        self.header("date").and_then(|d| rfc2822::DateTimeParser::new().parse_timestamp(d).ok())
    }
}

/// What to ask: everything but the secret.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The probe's name; none for the provider's own path.
    pub probe: Option<String>,
    pub post: bool,
    pub url: Url,
    pub auth: Auth,
    pub headers: BTreeMap<String, String>,
}

/// How the secret is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// In this header, behind this prefix.
    Header { name: String, prefix: String },
    /// Not by a header (a log-in sends it in the body).
    None,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Done(Finding),
    /// This answer decides nothing: ask the probe of this name. What it would mean alone, where that one does not either.
    Then(String, Finding),
    /// Nor does this one: what the answer before it meant stands.
    Before,
}

/// A verdict's kind and words.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub kind: Kind,
    pub words: String,
    pub hint: Option<String>,
    pub expires: Option<Timestamp>,
    /// The time at the provider when it said so: its dates are counted from there.
    pub told_at: Option<Timestamp>,
    /// Whom the credential belongs to, where the provider says it.
    pub owner: Option<String>,
    /// The provider takes nothing for a while: asking again makes it longer.
    pub rests: bool,
}

impl Finding {
    pub fn new(kind: Kind, words: impl Into<String>) -> Finding {
        Finding { kind, words: words.into(), hint: None, expires: None, told_at: None, owner: None, rests: false }
    }
}

/// A mistake in a provider table.
#[derive(Debug)]
pub struct Mistake {
    pub at: Option<Range<usize>>,
    pub message: String,
}

fn mistake(at: Option<Range<usize>>, message: impl Into<String>) -> Mistake {
    Mistake { at, message: message.into() }
}

/// `[provider.NAME]` as it stands in a file. What is left out keeps the built-in value.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderTable {
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
    /// Values that begin so are asked here first.
    token: Option<String>,
    /// What is said when the path's `{account_id}` is not configured.
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

/// One rule: all conditions that it names must hold.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    status: Option<Statuses>,
    /// JSON pointer → what must be there.
    #[serde(default)]
    json: BTreeMap<String, Want>,
    #[serde(default)]
    header: BTreeMap<String, Want>,
    /// The body contains this.
    body: Option<String>,
    /// The value begins with this.
    token: Option<String>,
    /// It is the answer of the probe of this name.
    probe: Option<String>,
    /// The answer is not JSON.
    #[serde(default)]
    not_json: bool,
    kind: Kind,
    words: Option<String>,
    hint: Option<String>,
    /// A new terminal does not ask again for some minutes.
    #[serde(default)]
    rests: bool,
    /// Ask this probe; `kind` and `words` stand when it cannot be asked or was asked already.
    then: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "status must be a number, \"4xx\" or a list of them")]
enum Statuses {
    One(Status),
    Many(Vec<Status>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Status {
    Code(u16),
    Class(String),
}

impl Statuses {
    fn has(&self, status: u16) -> bool {
        let one = |s: &Status| match s {
            Status::Code(code) => *code == status,
            Status::Class(class) => class.strip_suffix("xx").and_then(|c| c.parse().ok()) == Some(status / 100),
        };
        match self {
            Statuses::One(s) => one(s),
            Statuses::Many(list) => list.iter().any(one),
        }
    }

    fn all(&self) -> &[Status] {
        match self {
            Statuses::One(s) => std::slice::from_ref(s),
            Statuses::Many(list) => list,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "a condition is a value, { contains = \"…\" }, { present = true }, { list = true } or { object = true }"
)]
enum Want {
    Is(Scalar),
    Like(Like),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Bool(bool),
    Int(i64),
    Text(String),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Like {
    Contains(String),
    /// There, and not null.
    Present(bool),
    List(bool),
    Object(bool),
}

impl Want {
    fn holds(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Want::Is(Scalar::Bool(b)), Some(Value::Bool(v))) => b == v,
            (Want::Is(Scalar::Int(i)), Some(Value::Number(n))) => n.as_i64() == Some(*i),
            (Want::Is(Scalar::Text(t)), Some(Value::String(s))) => t == s,
            (Want::Like(Like::Contains(part)), Some(Value::String(s))) => s.contains(part.as_str()),
            (Want::Like(Like::Present(wanted)), v) => v.is_some_and(|v| !v.is_null()) == *wanted,
            (Want::Like(Like::List(wanted)), v) => v.is_some_and(Value::is_array) == *wanted,
            (Want::Like(Like::Object(wanted)), v) => v.is_some_and(Value::is_object) == *wanted,
            _ => false,
        }
    }
}

impl Want {
    /// Whether it asks for something to be there.
    fn is_positive(&self) -> bool {
        !matches!(self, Want::Like(Like::Present(false) | Like::List(false) | Like::Object(false)))
    }
}

impl Rule {
    fn holds(&self, answer: &Answer, json: Option<&Value>, sent: &Sent<'_>) -> bool {
        let header = |(name, want): (&String, &Want)| {
            // Header values have no case that means anything in `contains`: text/HTML is text/html.
            let value = answer.header(name);
            match want {
                Want::Like(Like::Contains(part)) => {
                    value.is_some_and(|v| v.to_ascii_lowercase().contains(&part.to_ascii_lowercase()))
                }
                want => want.holds(value.map(|v| Value::String(v.into())).as_ref()),
            }
        };
        self.status.as_ref().is_none_or(|s| s.has(answer.status))
            && (self.json.is_empty()
                || json.is_some_and(|json| self.json.iter().all(|(at, want)| want.holds(json.pointer(at)))))
            && self.header.iter().all(header)
            && self.body.as_ref().is_none_or(|part| answer.body.contains(part.as_str()))
            && self.token.as_ref().is_none_or(|prefix| sent.value.starts_with(prefix.as_str()))
            && self.probe.as_ref().is_none_or(|name| sent.asked.last().is_some_and(|p| p.as_ref() == Some(name)))
            && !(self.not_json && json.is_some())
    }

    fn check(&self, probes: &[Probe]) -> Result<(), String> {
        for class in self.status.iter().flat_map(Statuses::all) {
            if let Status::Class(text) = class
                && !matches!(text.as_str(), "1xx" | "2xx" | "3xx" | "4xx" | "5xx")
            {
                return Err(format!("status \"{text}\": write a number or one of \"2xx\", \"3xx\", \"4xx\", \"5xx\""));
            }
        }
        if let Some(pointer) = self.json.keys().find(|p| !p.is_empty() && !p.starts_with('/')) {
            return Err(format!("json \"{pointer}\" is no JSON pointer: it begins with /"));
        }
        if self.body.as_ref().is_some_and(String::is_empty) {
            return Err("body = \"\" holds for every answer: leave it out".into());
        }
        let own_words = self.body.is_some() || self.json.values().any(Want::is_positive);
        if self.kind == Kind::Rejected && !own_words {
            return Err("kind \"rejected\" needs the provider's own words: add a json or body condition".into());
        }
        if self.kind == Kind::Valid && self.status.is_none() && !own_words {
            return Err("kind \"valid\" needs a condition: a status, json or body".into());
        }
        if self.status.as_ref().is_some_and(|s| s.all().is_empty()) {
            return Err("status = [] holds for no answer: leave it out, or name one".into());
        }
        if let Some(name) = self.probe.as_ref().filter(|name| !probes.iter().any(|p| p.name == **name)) {
            return Err(format!("probe = \"{name}\": there is no such probe"));
        }
        if matches!(self.kind, Kind::Missing | Kind::Locked | Kind::NotConfigured) {
            return Err("kind must be valid, rejected, malformed, limited, unreachable or blocked".into());
        }
        match &self.then {
            Some(name) if !probes.iter().any(|p| p.name == *name) => {
                Err(format!("then = \"{name}\": there is no such probe"))
            }
            _ => Ok(()),
        }
    }
}

/// A provider, ready to be asked.
#[derive(Debug, Clone)]
pub struct Provider {
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
    fn from_table(id: &str, table: &ProviderTable) -> Result<Provider, Mistake> {
        let missing = |key: &str| mistake(None, format!("needs {key}: there is no built-in provider of this name"));
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
            probes: Vec::new(),
            rules: Vec::new(),
        };
        if table.rules.is_empty() {
            return Err(missing("[[rule]]s"));
        }
        provider.with(table)
    }

    fn with(mut self, table: &ProviderTable) -> Result<Provider, Mistake> {
        if let Some(url) = &table.base_url {
            let base = base_url(url.get_ref()).map_err(|why| mistake(Some(url.span()), why))?;
            self.base = base.as_str().trim_end_matches('/').into();
        }
        let path_checked = |path: &Spanned<String>| match path.get_ref().starts_with('/') {
            true => Ok(path.get_ref().clone()),
            false => Err(mistake(Some(path.span()), format!("path \"{}\" must begin with /", path.get_ref()))),
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
        if let Some(bad) = auth_names.chain(names).find(|n| !is_header_name(n)) {
            return Err(mistake(None, format!("\"{bad}\" is no name for a header that can be set")));
        }
        if let Some(path) = &table.expiry_list {
            self.expiry_list = Some(path_checked(path)?);
        }
        if let Some(wanted) = &table.list_expiry {
            if *wanted.get_ref() && self.expiry_list.is_none() {
                let why = "list_expiry = true: this provider has no expiry_list to look into";
                return Err(mistake(Some(wanted.span()), why));
            }
            self.list_expiry = *wanted.get_ref();
        }
        let expires = table.expires.as_ref().filter(|field| *field != JWT);
        let fields = [table.identity.as_ref(), expires, table.not_before.as_ref()].into_iter().flatten();
        if let Some(bad) = fields.into_iter().find(|f: &&String| !f.starts_with('/') && !f.starts_with("header:")) {
            return Err(mistake(None, format!("\"{bad}\" is neither a JSON pointer (/…) nor header:NAME")));
        }
        let values = self.headers.iter().chain(self.probes.iter().flat_map(|p| &p.headers));
        if let Some(AuthForm::Header(form)) = &table.auth
            && form.prefix.chars().any(char::is_control)
        {
            return Err(mistake(None, "auth.prefix has a control character in it"));
        }
        if let Some((name, _)) = values.into_iter().find(|(_, v)| v.chars().any(char::is_control)) {
            return Err(mistake(None, format!("the header {name} has a control character in it")));
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

    /// The host that is asked, for the words of a failure.
    pub fn host(&self) -> String {
        Url::parse(&self.base).ok().and_then(|u| u.host_str().map(String::from)).unwrap_or_default()
    }

    /// The same provider at another address.
    pub fn at(&self, base: &Url) -> Provider {
        Provider { base: base.as_str().trim_end_matches('/').into(), ..self.clone() }
    }

    /// What to ask first for a value that begins as `token` says.
    ///
    /// # Errors
    /// What is to be configured before it can be asked.
    pub fn first(&self, account_id: Option<&str>, token: &dyn Fn(&str) -> bool) -> Result<Ask, String> {
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
    pub fn probe(&self, name: &str, account_id: Option<&str>) -> Option<Ask> {
        let probe = self.probes.iter().find(|p| p.name == name)?;
        Some(self.ask(Some(probe), &filled(&probe.path, account_id)?))
    }

    /// The list of all tokens of the account, where it is to be looked into: the provider does not say the end of the one
    /// that asks.
    pub fn expiry_list(&self) -> Option<Ask> {
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

/// A header's name, and none that the connection itself lives on.
fn is_header_name(name: &str) -> bool {
    let own = ["content-length", "transfer-encoding", "host", "connection", "expect", "upgrade", "te", "trailer"];
    !name.is_empty()
        && !own.contains(&name.to_ascii_lowercase().as_str())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// The date at a JSON pointer or in `header:NAME`.
fn moment(field: &str, answer: &Answer, json: Option<&Value>, now: Timestamp) -> Option<Timestamp> {
    if let Some(name) = field.strip_prefix("header:") {
        return date_of(answer.header(name)?);
    }
    match json?.pointer(field)? {
        Value::String(text) => date_of(text),
        Value::Number(n) => {
            let n = n.as_i64()?;
            // Milliseconds and seconds since 1970, and seconds from now: by their size, for dates from 2001 on.
            match n {
                100_000_000_000.. => Timestamp::from_millisecond(n).ok(),
                1_000_000_000.. => Timestamp::from_second(n).ok(),
                _ => Timestamp::from_second(now.as_second().checked_add(n)?).ok(),
            }
        }
        _ => None,
    }
}

/// The end that a JSON web token says of itself (RFC 7519, `exp`).
fn jwt_end(value: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let mut parts = value.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    let claims = Zeroizing::new(URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?);
    let exp = serde_json::from_slice::<Claims>(&claims).ok()?.exp;
    Timestamp::from_second(exp as i64).ok().filter(|end| *end > Timestamp::UNIX_EPOCH)
}

/// RFC 3339, or one of the forms that GitHub's expiry header has been seen in: `2026-12-04 02:33:02 UTC`,
/// `2023-04-26 23:23:18 +0200`, a day alone (which is taken to its end).
fn date_of(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    let offset = text.strip_suffix("UTC").map_or_else(|| text.to_string(), |t| format!("{t}+0000"));
    if let Ok(at) = Timestamp::strptime("%Y-%m-%d %H:%M:%S %z", &offset) {
        return Some(at);
    }
    let day: jiff::civil::Date = text.parse().ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(day.tomorrow().ok()?.at(0, 0, 0, 0)).ok()
}

/// All providers, and the rules that hold for each of them.
#[derive(Debug, Clone)]
pub struct Catalogue {
    providers: BTreeMap<String, Provider>,
    front: Vec<Rule>,
    rest: Vec<Rule>,
}

impl Catalogue {
    /// `src/providers.toml`, with this vault's address.
    pub fn built_in(vault: &Url) -> Catalogue {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Form {
            front: Vec<Rule>,
            rest: Vec<Rule>,
            provider: BTreeMap<String, ProviderTable>,
        }
        let form: Form = toml::from_str(CATALOGUE).expect("the built-in catalogue is tested");
        let ready = |(id, table): (String, ProviderTable)| {
            let provider = Provider::from_table(&id, &table).expect("the built-in catalogue is tested");
            (id, provider)
        };
        let mut providers: BTreeMap<String, Provider> = form.provider.into_iter().map(ready).collect();
        if let Some(infisical) = providers.get_mut("infisical") {
            *infisical = infisical.at(vault);
        }
        Catalogue { providers, front: form.front, rest: form.rest }
    }

    /// Has a built-in provider asked at another address.
    pub fn move_to(&mut self, id: &str, base: &Url) {
        if let Some(provider) = self.providers.get_mut(id) {
            *provider = provider.at(base);
        }
    }

    /// Puts a user's table over the built-in one, or adds it.
    ///
    /// # Errors
    /// What makes no sense in it, and where.
    pub fn merge(&mut self, id: &str, table: &ProviderTable) -> Result<(), Mistake> {
        let merged = match self.providers.get(id) {
            Some(provider) => provider.clone().with(table)?,
            None => Provider::from_table(id, table)?,
        };
        self.providers.insert(id.into(), merged);
        Ok(())
    }

    pub fn get(&self, id: &str) -> Option<&Provider> {
        self.providers.get(id)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// What this answer of `provider` says of the value that was sent. What it repeats of it is not passed on.
    pub fn classify(&self, provider: &Provider, answer: &Answer, sent: &Sent<'_>) -> Step {
        let json = answer.json();
        let json = json.as_ref();
        let mut rules = self.front.iter().chain(&provider.rules).chain(&self.rest);
        let Some(rule) = rules.find(|rule| rule.holds(answer, json, sent)) else {
            return Step::Done(unexpected(answer, json.is_some()));
        };
        let said = Said { provider, answer, json, sent };
        let hint = rule.hint.as_ref().map(|hint| said.fill(hint));
        let words = rule.words.as_ref().map(|words| said.fill(words));
        let finding = match rule.kind {
            Kind::Valid => said.accepted(words.unwrap_or_else(|| "valid".into())),
            kind => {
                let words = words.unwrap_or_else(|| format!("HTTP {}", answer.status));
                Finding { hint, rests: rule.rests, ..Finding::new(kind, words) }
            }
        };
        let new = |name: &&str| !sent.asked.iter().any(|asked| asked.as_deref() == Some(name));
        match rule.then.as_deref() {
            Some(name) if new(&name) && provider.probe(name, sent.account_id).is_some() => {
                Step::Then(name.into(), finding)
            }
            // A value that was recognised is not called bad by an answer that decides nothing.
            Some(_) if finding.kind == Kind::Rejected && sent.before == Some(Kind::Limited) => Step::Before,
            _ => Step::Done(finding),
        }
    }
}

/// What was sent, and to which probes before.
pub struct Sent<'a> {
    pub value: &'a str,
    /// What else was sent that must not be shown.
    pub also: Vec<&'a str>,
    pub account_id: Option<&'a str>,
    pub asked: &'a [Option<String>],
    /// What the answer before this one would mean alone.
    pub before: Option<Kind>,
}

impl Sent<'_> {
    /// A provider's text for a line of the report: plain, and without what was sent. Hosts come back in lower case.
    fn shown(&self, text: &str) -> String {
        let mut text = text.to_string();
        for secret in self.also.iter().chain(&[self.value]).filter(|secret| secret.len() > 3) {
            let (mut out, mut rest) = (String::new(), text.as_str());
            let secret = secret.to_ascii_lowercase();
            while let Some(at) = rest.to_ascii_lowercase().find(&secret) {
                out = out + &rest[..at] + "(redacted)";
                rest = &rest[at + secret.len()..];
            }
            text = out + rest;
        }
        plain(&text)
    }
}

/// An answer, for the words that it fills.
struct Said<'a> {
    provider: &'a Provider,
    answer: &'a Answer,
    json: Option<&'a Value>,
    sent: &'a Sent<'a>,
}

impl Said<'_> {
    /// The words of a PASS, its expiry, and the FAIL that its dates may turn it into.
    fn accepted(&self, words: String) -> Finding {
        let told = self.answer.date();
        let now = told.unwrap_or_else(Timestamp::now);
        let date = |field: &Option<String>| match field.as_deref()? {
            // What the value says of itself is no word of the provider: its past does not make a FAIL.
            JWT => jwt_end(self.sent.value).filter(|end| *end > now),
            field => moment(field, self.answer, self.json, now),
        };
        if let Some(from) = date(&self.provider.not_before).filter(|from| *from > now) {
            let mut finding = Finding::new(Kind::Limited, format!("not valid before {}", day(from)));
            finding.hint = Some("the token is good from that day on: wait, or use the one before it until then".into());
            return finding;
        }
        let expires = date(&self.provider.expires).filter(|e| (e.as_second() - now.as_second()).abs() >= SAME_MOMENT);
        // By a clock that may be wrong no token is called expired.
        let expires = expires.filter(|e| told.is_some() || *e > now);
        if let Some(past) = expires.filter(|e| *e < now) {
            let mut finding = Finding::new(Kind::Rejected, format!("expired on {}", day(past)));
            finding.expires = Some(past);
            return finding;
        }
        let text_at = |at: &Option<String>| match self.json?.pointer(at.as_deref()?)? {
            Value::String(text) => Some(self.sent.shown(text)),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let who = text_at(&self.provider.identity);
        let owner = text_at(&self.provider.owner);
        Finding { expires, told_at: told, owner, ..Finding::new(Kind::Valid, who.unwrap_or(words)) }
    }

    /// Fills `{status}`, `{host}`, `{label}`, `{location}` (its host), `{firewall}` (Cloudflare's `error code: 1010`),
    /// `{header:NAME}` and `{/json/pointer}`.
    fn fill(&self, text: &str) -> String {
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

fn unexpected(answer: &Answer, is_json: bool) -> Finding {
    let what = match (answer.body.trim().is_empty(), is_json) {
        (true, _) => "an empty body",
        (_, true) => "an answer that it does not usually give",
        (_, false) => "a body that is not its JSON",
    };
    Finding::new(Kind::Unreachable, format!("HTTP {} with {what} from {}", answer.status, answer.host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::distance;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut all: Vec<(String, String)> = headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        if !headers.iter().any(|(n, _)| *n == "content-type") {
            all.push(("content-type".into(), "application/json".into()));
        }
        if !headers.iter().any(|(n, _)| *n == "date") {
            all.push(("date".into(), "Mon, 04 May 2026 08:00:00 GMT".into()));
        }
        Answer { host: "api.test".into(), status, headers: all, body: body.into() }
    }

    fn classified(id: &str, answer: Answer) -> Finding {
        let catalogue = Catalogue::built_in(&base_url("https://vault.test").unwrap());
        let asked = [Some("apps".into())];
        let sent = Sent { value: "ghp_made-up", also: Vec::new(), account_id: None, asked: &asked, before: None };
        match catalogue.classify(catalogue.get(id).unwrap(), &answer, &sent) {
            Step::Done(finding) => finding,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn dates_are_read_in_every_form_that_github_sends() {
        let at = |s: &str| date_of(s).map(|t| t.to_string());
        assert_eq!(at("2026-12-04 02:33:02 UTC").as_deref(), Some("2026-12-04T02:33:02Z"));
        assert_eq!(at("2023-04-26 23:23:18 +0200").as_deref(), Some("2023-04-26T21:23:18Z"));
        assert_eq!(at("2023-04-26 23:23:18 -0700").as_deref(), Some("2023-04-27T06:23:18Z"));
        assert_eq!(at("2026-12-04").as_deref(), Some("2026-12-05T00:00:00Z"));
        assert_eq!(at("2030-01-01T00:00:00Z").as_deref(), Some("2030-01-01T00:00:00Z"));
        assert_eq!(at("soon"), None);
    }

    #[test]
    fn a_json_web_token_says_its_own_end() {
        let token = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let end = |value: &str| jwt_end(value).map(|end| end.to_string());
        assert_eq!(end(&token(r#"{"exp":1893456000,"identityId":"x"}"#)).as_deref(), Some("2030-01-01T00:00:00Z"));
        assert_eq!(end(&token(r#"{"exp":1893456000.5}"#)).as_deref(), Some("2030-01-01T00:00:00Z"));
        for none in [r#"{"identityId":"x"}"#, r#"{"exp":null}"#, r#"{"exp":0}"#, r#"{"exp":1e300}"#, "[]", "no"] {
            assert_eq!(end(&token(none)), None, "{none}");
        }
        for none in ["", "a.b", "a.b.c", "a.b.c.d", "st.1.2.3"] {
            assert_eq!(end(none), None, "{none}");
        }
    }

    #[test]
    fn a_date_is_compared_with_the_answers_own_clock() {
        let user = r#"{"login":"octo-op"}"#;
        let with = |expiry| answer(200, &[("github-authentication-token-expiration", expiry)], user);
        let good = classified("github", with("2026-06-14 08:00:00 UTC"));
        assert_eq!((good.kind, good.words.as_str()), (Kind::Valid, "octo-op"));
        assert_eq!(good.told_at.zip(good.expires).map(|(now, end)| distance(now, end)).as_deref(), Some("in 41 days"));
        let now = classified("github", with("2026-05-04 08:00:30 UTC"));
        assert_eq!((now.kind, now.words.as_str(), now.expires), (Kind::Valid, "octo-op", None));
    }

    #[test]
    fn a_status_alone_never_rejects() {
        for id in ["cloudflare", "heroku", "github", "infisical"] {
            for status in [400, 401, 403, 404] {
                for body in ["", "{}", "null", "[]", "<html>", "nonsense"] {
                    let kind = classified(id, answer(status, &[], body)).kind;
                    assert!(!matches!(kind, Kind::Rejected | Kind::Valid), "{id} {status} {body}: {kind:?}");
                }
            }
        }
    }

    #[test]
    fn json_that_does_not_say_it_is_json_is_not_believed() {
        let portal = answer(200, &[("content-type", "text/plain")], r#"{"login":"octo-op"}"#);
        assert_eq!(classified("github", portal).kind, Kind::Unreachable);
    }

    #[test]
    fn a_providers_words_are_made_plain() {
        let body = "{\"message\":\"no\\u001b[31m SAML \\u202e\"}";
        let words = classified("github", answer(403, &[], body)).words;
        assert_eq!(words, "HTTP 403: no[31m SAML");
    }
}
