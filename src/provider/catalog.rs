//! All providers, and what an answer of one of them means.

use std::collections::BTreeMap;

use serde::Deserialize;
use url::Url;

use super::classify::{Said, Sent, unexpected};
use super::rule::Rule;
use super::table::{Mistake, ProviderTable};
use super::{Answer, Finding, Provider, Step};
use crate::report::{Kind, Verdict};

const CATALOG: &str = include_str!("providers.toml");

/// All providers, and the rules that hold for each of them.
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    providers: BTreeMap<String, Provider>,
    preconditions: Vec<Rule>,
    fallback: Vec<Rule>,
}

impl Catalog {
    /// `src/providers.toml`, with this vault's address.
    pub(crate) fn built_in(vault: &Url) -> Catalog {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Form {
            preconditions: Vec<Rule>,
            fallback: Vec<Rule>,
            provider: BTreeMap<String, ProviderTable>,
        }
        let form: Form = toml::from_str(CATALOG).expect("the built-in catalog is tested");
        let ready = |(id, table): (String, ProviderTable)| {
            let provider = Provider::from_table(&id, &table).expect("the built-in catalog is tested");
            (id, provider)
        };
        let mut providers: BTreeMap<String, Provider> = form.provider.into_iter().map(ready).collect();
        if let Some(infisical) = providers.get_mut("infisical") {
            *infisical = infisical.at(vault);
        }
        Catalog { providers, preconditions: form.preconditions, fallback: form.fallback }
    }

    /// Has a built-in provider asked at another address.
    pub(crate) fn move_to(&mut self, id: &str, base: &Url) {
        if let Some(provider) = self.providers.get_mut(id) {
            *provider = provider.at(base);
        }
    }

    /// Puts a user's table over the built-in one, or adds it.
    ///
    /// # Errors
    /// What makes no sense in it, and where.
    pub(crate) fn merge(&mut self, id: &str, table: &ProviderTable) -> Result<(), Mistake> {
        let merged = match self.providers.get(id) {
            Some(provider) => provider.clone().with(table)?,
            None => Provider::from_table(id, table)?,
        };
        self.providers.insert(id.into(), merged);
        Ok(())
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Provider> {
        self.providers.get(id)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// What this answer of `provider` says of the value that was sent. What it repeats of it is not passed on.
    pub(crate) fn classify(&self, provider: &Provider, answer: &Answer, sent: &Sent<'_>) -> Step {
        let json = answer.json();
        let json = json.as_deref();
        let mut rules = self.preconditions.iter().chain(&provider.rules).chain(&self.fallback);
        let Some(rule) = rules.find(|rule| rule.holds(answer, json, sent)) else {
            let finding = unexpected(provider, answer, json);
            // A value that was recognized is not called bad by an answer that does not say why.
            return match (finding.verdict.kind, sent.before) {
                (Kind::Refused, Some(Kind::Limited)) => Step::Before,
                _ => Step::Done(finding),
            };
        };
        let said = Said { provider, answer, json, sent };
        let hint = rule.hint.as_ref().map(|hint| said.fill(hint));
        let words = rule.words.as_ref().map(|words| said.fill(words));
        let finding = match rule.kind {
            Kind::Valid => said.accepted(words.unwrap_or_else(|| "valid".into())),
            kind => {
                let words = words.unwrap_or_else(|| format!("HTTP {}", answer.status));
                let verdict = Verdict { hint, ..Verdict::new(kind, words) };
                Finding { back_off: rule.back_off, ..Finding::from(verdict) }
            }
        };
        let new = |name: &&str| !sent.asked.iter().any(|asked| asked.as_deref() == Some(name));
        match rule.then.as_deref() {
            Some(name) if new(&name) && provider.probe(name, sent.account_id).is_some() => {
                Step::Then(name.into(), finding)
            }
            // A value that was recognized is not called bad by an answer that decides nothing.
            Some(_) if finding.verdict.kind == Kind::Rejected && sent.before == Some(Kind::Limited) => Step::Before,
            _ => Step::Done(finding),
        }
    }
}
