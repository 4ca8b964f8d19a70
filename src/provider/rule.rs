//! A rule: the conditions on an answer, and the verdict if they match.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::classify::Sent;
use super::{Answer, Probe};
use crate::report::Kind;
use crate::text::typed::shown;

/// One rule. All of its conditions must match.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    status: Option<Statuses>,
    /// JSON pointer → condition on the value there.
    #[serde(default)]
    json: BTreeMap<String, Condition>,
    #[serde(default)]
    header: BTreeMap<String, Condition>,
    /// The body contains this.
    body: Option<String>,
    /// The credential's value starts with this.
    token: Option<String>,
    /// The answer comes from the probe of this name.
    probe: Option<String>,
    /// The answer is not JSON.
    #[serde(default)]
    not_json: bool,
    pub(super) kind: Kind,
    pub(super) words: Option<String>,
    pub(super) hint: Option<String>,
    /// A new terminal does not ask again for a few minutes.
    #[serde(default, alias = "rests")]
    pub(super) back_off: bool,
    /// Ask this probe; `kind` and `words` apply if it cannot be asked or has been asked already.
    pub(super) then: Option<String>,
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
    expecting = "a condition is a value, { contains = \"…\" } (or a list of strings), { present = true }, { list = true } or { object = true }"
)]
enum Condition {
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
    /// Contains one of these strings.
    Contains(Texts),
    /// Exists and is not null.
    Present(bool),
    List(bool),
    Object(bool),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    fn any(&self, matches: impl Fn(&str) -> bool) -> bool {
        match self {
            Texts::One(text) => matches(text),
            Texts::Many(texts) => texts.iter().any(|text| matches(text)),
        }
    }
}

impl Condition {
    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Condition::Is(Scalar::Bool(b)), Some(Value::Bool(v))) => b == v,
            (Condition::Is(Scalar::Int(i)), Some(Value::Number(n))) => n.as_i64() == Some(*i),
            (Condition::Is(Scalar::Text(t)), Some(Value::String(s))) => t == s,
            (Condition::Like(Like::Contains(parts)), Some(Value::String(s))) => parts.any(|part| s.contains(part)),
            (Condition::Like(Like::Present(wanted)), v) => v.is_some_and(|v| !v.is_null()) == *wanted,
            (Condition::Like(Like::List(wanted)), v) => v.is_some_and(Value::is_array) == *wanted,
            (Condition::Like(Like::Object(wanted)), v) => v.is_some_and(Value::is_object) == *wanted,
            _ => false,
        }
    }
}

impl Condition {
    /// Whether it requires a value that exists.
    fn is_positive(&self) -> bool {
        !matches!(self, Condition::Like(Like::Present(false) | Like::List(false) | Like::Object(false)))
    }
}

impl Rule {
    pub(super) fn matches(&self, answer: &Answer, json: Option<&Value>, sent: &Sent<'_>) -> bool {
        let header = |(name, condition): (&String, &Condition)| {
            // `contains` ignores case in a header: text/HTML is text/html.
            let value = answer.header(name);
            match condition {
                Condition::Like(Like::Contains(parts)) => value.is_some_and(|v| {
                    let v = v.to_ascii_lowercase();
                    parts.any(|part| v.contains(&part.to_ascii_lowercase()))
                }),
                condition => condition.matches(value.map(|v| Value::String(v.into())).as_ref()),
            }
        };
        self.status.as_ref().is_none_or(|s| s.has(answer.status))
            && (self.json.is_empty()
                || json.is_some_and(|json| self.json.iter().all(|(at, condition)| condition.matches(json.pointer(at)))))
            && self.header.iter().all(header)
            && self.body.as_ref().is_none_or(|part| answer.body.contains(part.as_str()))
            && self.token.as_ref().is_none_or(|prefix| sent.value.starts_with(prefix.as_str()))
            && self.probe.as_ref().is_none_or(|name| sent.asked.last().is_some_and(|p| p.as_ref() == Some(name)))
            && !(self.not_json && json.is_some())
    }

    /// # Errors
    /// The first mistake in the rule.
    pub(super) fn check(&self, probes: &[Probe]) -> Result<(), String> {
        for class in self.status.iter().flat_map(Statuses::all) {
            if let Status::Class(text) = class
                && !matches!(text.as_str(), "1xx" | "2xx" | "3xx" | "4xx" | "5xx")
            {
                return Err(format!(
                    "status{}: write a number or one of \"2xx\", \"3xx\", \"4xx\", \"5xx\"",
                    shown(text, &[])
                ));
            }
        }
        if self.json.keys().any(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
            return Err("a key under json is not a JSON pointer: start it with /".into());
        }
        if self.body.as_ref().is_some_and(String::is_empty) {
            return Err("body = \"\" matches every answer: remove it".into());
        }
        let own_words = self.body.is_some() || self.json.values().any(Condition::is_positive);
        if self.kind == Kind::Rejected && !own_words {
            return Err("kind \"rejected\" needs the provider's own words: add a json or body condition".into());
        }
        let refusals = |s: &Statuses| s.all().iter().all(|s| matches!(s, Status::Code(401 | 403)));
        if self.kind == Kind::Refused && !self.status.as_ref().is_some_and(refusals) {
            return Err("kind \"refused\" needs status = 401, 403 or a list of both".into());
        }
        if self.kind == Kind::Valid && self.status.is_none() && !own_words {
            return Err("kind \"valid\" needs a condition: a status, json or body".into());
        }
        if self.status.as_ref().is_some_and(|s| s.all().is_empty()) {
            return Err("status = [] matches no answer: remove it, or add a status".into());
        }
        let probes: Vec<&str> = probes.iter().map(|probe| probe.name.as_str()).collect();
        let unknown = |name: &&String| !probes.contains(&name.as_str());
        if let Some(name) = self.probe.as_ref().filter(unknown) {
            return Err(format!("unknown probe{}", shown(name, &probes)));
        }
        if matches!(self.kind, Kind::Missing | Kind::Locked | Kind::NotConfigured) {
            return Err("kind must be valid, rejected, refused, malformed, limited, unreachable or blocked".into());
        }
        match &self.then {
            Some(name) if unknown(&name) => Err(format!("then: unknown probe{}", shown(name, &probes))),
            _ => Ok(()),
        }
    }
}
