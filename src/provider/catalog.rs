//! All providers, and the classification of their answers.

use std::collections::BTreeMap;

use serde::Deserialize;
use url::Url;

use super::classify::{Sent, Template, unexpected};
use super::rule::Rule;
use super::table::{Mistake, ProviderTable};
use super::{Answer, Finding, Provider, Step};
use crate::report::{Kind, Verdict};

const CATALOG: &str = include_str!("providers.toml");

/// All providers, and the rules that apply to each of them.
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    providers: BTreeMap<String, Provider>,
    preconditions: Vec<Rule>,
    fallback: Vec<Rule>,
}

impl Catalog {
    /// Returns the providers of `providers.toml`, with the address of this vault.
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

    /// Changes the address of a built-in provider.
    pub(crate) fn move_to(&mut self, id: &str, base: &Url) {
        if let Some(provider) = self.providers.get_mut(id) {
            *provider = provider.at(base);
        }
    }

    /// Merges a user's table into the provider of this name, or adds a provider.
    ///
    /// # Errors
    /// The first mistake in the table, and where it is.
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

    /// Returns what this answer of `provider` means for the value that was sent. If the answer repeats the value, it is removed
    /// from the words.
    pub(crate) fn classify(&self, provider: &Provider, answer: &Answer, sent: &Sent<'_>) -> Step {
        let json = answer.json();
        let json = json.as_deref();
        let mut rules = self.preconditions.iter().chain(&provider.rules).chain(&self.fallback);
        let Some(rule) = rules.find(|rule| rule.matches(answer, json, sent)) else {
            let finding = unexpected(provider, answer, json);
            // The provider recognized the value: an answer without a reason does not change that.
            return match (finding.verdict.kind, sent.previous) {
                (Kind::Refused, Some(Kind::Limited)) => Step::KeepPrevious,
                _ => Step::Done(finding),
            };
        };
        let template = Template { provider, answer, json, sent };
        let hint = rule.hint.as_ref().map(|hint| template.fill(hint));
        let words = rule.words.as_ref().map(|words| template.fill(words));
        let finding = match rule.kind {
            Kind::Valid => template.accepted(words.unwrap_or_else(|| "valid".into())),
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
            // The provider recognized the value: a probe that cannot be sent does not make it a rejection.
            Some(_) if finding.verdict.kind == Kind::Rejected && sent.previous == Some(Kind::Limited) => {
                Step::KeepPrevious
            }
            _ => Step::Done(finding),
        }
    }
}
