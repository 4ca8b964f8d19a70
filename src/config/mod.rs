//! The configuration: the built-in list, or the user's file.
//!
//! It is never read from the current directory: a hostile repository must not be able to send tokens elsewhere.

mod alert;
mod entries;
mod file;
mod names;
mod paths;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use url::Url;

use crate::files;
use crate::provider::{Catalog, ProviderTable};
use crate::store::{Item, StoreSettings};
use crate::text::typed::{self, shown, shown_name, shown_path, suggestion};
use entries::{credential, infisical, warn_time};
use file::{File, duration};
use names::check_name;
use paths::config_path;
use store::{StoreForm, store_settings};

pub(crate) use alert::{AlertSettings, SlackSettings};
pub(crate) use file::ConfigError;
pub(crate) use names::{REFUSED_NAMES, is_identifier, may_be_named};
pub(crate) use paths::{directory, place};

/// The name of the row that reports on the Infisical vault.
pub(crate) const VAULT_ROW: &str = "infisical auth (universal-auth)";

/// The largest configuration file that is read.
const LARGEST: u64 = 4 << 20;

const DEFAULTS: &str = include_str!("defaults.toml");

/// One credential of the list.
#[derive(Debug, Clone)]
pub(crate) struct Credential {
    /// The environment variable.
    pub name: String,
    /// A provider of the catalog, by name.
    pub provider: String,
    /// Its item in the machine's secret store.
    pub store: Option<Item>,
    /// The page with the steps to rotate it.
    pub rotate_via: Option<String>,
    /// The permissions that a new token needs, in words.
    pub scope: Option<String>,
    /// Fills `{account_id}` in the provider's paths.
    pub account_id: Option<String>,
    /// Overrides the configuration's `warn_before`.
    pub warn_before: Option<Duration>,
}

impl Credential {
    /// Returns the store item for its value.
    ///
    /// # Errors
    /// The credential is configured without a store.
    pub(crate) fn place_in_store(&self) -> anyhow::Result<&Item> {
        self.store.as_ref().ok_or_else(|| {
            let name = &self.name;
            anyhow::anyhow!("{name} is configured without a store: add store = {{ service = \"…\", account = \"…\" }} to its [[credential]]")
        })
    }
}

/// The vault whose login is checked along with the credentials.
#[derive(Debug, Clone)]
pub(crate) struct Infisical {
    pub enabled: bool,
    pub base_url: Url,
    pub rotate_via: Option<String>,
    /// For its access token. Each login creates a new one, so there is no expiry warning unless this is set.
    pub warn_before: Option<Duration>,
}

/// The configuration of a run.
#[derive(Debug)]
pub(crate) struct Config {
    /// The time for one credential, from connecting to the last byte.
    pub timeout: Duration,
    pub credentials: Vec<Credential>,
    /// A new terminal does not check a credential again if it passed more recently than this.
    pub recheck_after: Duration,
    /// A PASS that expires sooner than this comes with a warning; see [`Config::warn_before`].
    warn_before: Duration,
    /// Whether a new terminal checks its credentials; it gets their values either way.
    pub check_in_terminals: bool,
    /// Whether a new terminal prints warnings too.
    pub warn_in_terminals: bool,
    pub infisical: Infisical,
    pub store: StoreSettings,
    pub alert: AlertSettings,
    /// `[provider.*]` of the user's file, checked and merged by [`Config::catalog`].
    providers: BTreeMap<String, Spanned<ProviderTable>>,
    /// The position of each credential's `provider` in the file, for the error that it is unknown.
    provider_spans: Vec<Range<usize>>,
    file: File,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    timeout: Option<Spanned<String>>,
    warn_before: Option<Spanned<String>>,
    #[serde(default, rename = "credential")]
    credentials: Vec<CredentialForm>,
    #[serde(default, rename = "provider")]
    providers: BTreeMap<String, Spanned<ProviderTable>>,
    #[serde(default)]
    hook: HookForm,
    #[serde(default)]
    store: StoreForm,
    #[serde(default)]
    vault: VaultForm,
    #[serde(default)]
    alert: alert::AlertForm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CredentialForm {
    name: Spanned<String>,
    provider: Spanned<String>,
    store: Option<Spanned<Item>>,
    rotate_via: Option<Spanned<String>>,
    scope: Option<Spanned<String>>,
    account_id: Option<Spanned<String>>,
    warn_before: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct HookForm {
    enabled: Option<bool>,
    recheck_after: Option<Spanned<String>>,
    warn: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct VaultForm {
    #[serde(default)]
    infisical: InfisicalForm,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct InfisicalForm {
    enabled: Option<bool>,
    base_url: Option<Spanned<String>>,
    rotate_via: Option<Spanned<String>>,
    warn_before: Option<Spanned<String>>,
}

impl Config {
    /// Reads the user's file, or returns the built-in configuration if there is none.
    ///
    /// # Errors
    /// One line with file, line and fix. A file that `$RAXX_CONFIG` names must exist.
    pub(crate) fn load() -> Result<Config, ConfigError> {
        let config = Config::read()?;
        SECRET_VARIABLES.get_or_init(|| config.secret_variables());
        Ok(config)
    }

    fn read() -> Result<Config, ConfigError> {
        let defaults = Config::built_in();
        let Some((path, wanted)) = config_path() else { return Ok(defaults) };
        // RAXX_CONFIG may have been set to a token by mistake.
        let name = shown_path(&path).unwrap_or_else(|| "RAXX_CONFIG".into());
        let failed = |message: String| ConfigError { place: name.clone(), message };
        if !path.is_absolute() {
            let message = "the path is not absolute: start it with /".into();
            return Err(ConfigError { place: "RAXX_CONFIG".into(), message });
        }
        match files::read(&path, LARGEST) {
            Ok(bytes) => {
                let text = String::from_utf8(bytes).map_err(|_| failed("not UTF-8 text: save it as UTF-8".into()))?;
                Config::parse(&name, text, Some(defaults))
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !wanted => Ok(defaults),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Err(failed("RAXX_CONFIG names this file, but it does not exist: create it or unset RAXX_CONFIG".into()))
            }
            Err(e) => Err(failed(format!("cannot be read: {e}"))),
        }
    }

    /// Returns the built-in configuration, `defaults.toml`.
    pub(crate) fn built_in() -> Config {
        Config::parse("defaults.toml", DEFAULTS.into(), None).expect("the built-in configuration is tested")
    }

    fn parse(name: &str, text: String, defaults: Option<Config>) -> Result<Config, ConfigError> {
        let file = File { name: name.into(), text, built_in: defaults.is_none() };
        let form: Form = toml::from_str(&file.text).map_err(|e| file.mistake(&e))?;

        let base = defaults.as_ref();
        let timeout = match &form.timeout {
            Some(text) => {
                duration(&file, text, "timeout", ("1ms", Duration::from_millis(1)), ("60s", Duration::from_secs(60)))?
            }
            None => base.map_or(Duration::from_secs(10), |b| b.timeout),
        };
        let recheck_after = match &form.hook.recheck_after {
            Some(text) => duration(
                &file,
                text,
                "recheck_after",
                ("0s", Duration::ZERO),
                ("168h", Duration::from_secs(168 * 3600)),
            )?,
            None => base.map_or(Duration::ZERO, |b| b.recheck_after),
        };
        let warn_before = warn_time(&file, form.warn_before.as_ref())?
            .unwrap_or_else(|| base.map_or(Duration::from_secs(14 * 86_400), |b| b.warn_before));
        let check_in_terminals = form.hook.enabled.or(base.map(|b| b.check_in_terminals)).unwrap_or(true);
        let warn_in_terminals = form.hook.warn.or(base.map(|b| b.warn_in_terminals)).unwrap_or(false);
        let store = store_settings(&file, &form.store)?;
        let infisical = infisical(&file, form.vault.infisical, base)?;

        let mut credentials: Vec<Credential> = Vec::new();
        let mut provider_spans = Vec::new();
        let mut items = Items::default();
        for form in form.credentials {
            check_name(&file, &form.name, &credentials)?;
            provider_spans.push(form.provider.span());
            credentials.push(credential(&file, form, &mut items)?);
        }
        let built_in_alert = base.map(|b| b.alert.clone());
        if let (true, Some(defaults)) = (credentials.is_empty(), defaults) {
            credentials = defaults.credentials;
        }
        let own_list = built_in_alert.is_some() && !provider_spans.is_empty();
        let webhook_at = form.alert.slack.webhook.as_ref().map(Spanned::span);
        let alert = AlertSettings::read(&file, form.alert, &credentials, own_list, built_in_alert.as_ref())?;
        items.check_alert(&file, &credentials, &alert.slack, webhook_at)?;
        let providers = form.providers;
        Ok(Config {
            timeout,
            credentials,
            recheck_after,
            warn_before,
            check_in_terminals,
            warn_in_terminals,
            infisical,
            store,
            alert,
            providers,
            provider_spans,
            file,
        })
    }

    /// Returns the built-in catalog of providers, with the file's `[provider.*]` merged into it.
    ///
    /// # Errors
    /// An invalid table, or a credential whose provider does not exist.
    pub(crate) fn catalog(&self) -> Result<Catalog, ConfigError> {
        let mut catalog = Catalog::built_in(&self.infisical.base_url);
        catalog.move_to("slack", &self.alert.slack.base_url);
        for (id, table) in &self.providers {
            if id == "infisical" {
                let why =
                    "[provider.infisical] is not needed: the vault has its own table, [vault.infisical] with base_url";
                return Err(self.file.error(Some(table.span()), why));
            }
            catalog.merge(id, table.get_ref()).map_err(|why| {
                let shown = if typed::is_harmless(id) { id } else { "…" };
                self.file
                    .error(Some(why.at.unwrap_or_else(|| table.span())), format!("[provider.{shown}] {}", why.message))
            })?;
        }
        for (credential, span) in self.credentials.iter().zip(&self.provider_spans) {
            if catalog.get(&credential.provider).is_none() {
                let known: Vec<&str> = catalog.names().collect();
                let id = &credential.provider;
                let table = if typed::is_harmless(id) { id } else { "NAME" };
                let why = format!(
                    "unknown provider{}: {} (or add [provider.{table}])",
                    shown(id, &known),
                    suggestion(id, &known)
                );
                return Err(self.file.error(Some(span.clone()), why));
            }
        }
        Ok(catalog)
    }

    /// Returns how long before this credential expires a PASS comes with a warning.
    pub(crate) fn warn_before(&self, name: &str) -> Duration {
        let own = if name == VAULT_ROW {
            self.infisical.warn_before
        } else {
            self.credentials.iter().find(|c| c.name == name).and_then(|c| c.warn_before)
        };
        own.unwrap_or(self.warn_before)
    }

    /// Returns the configured names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.credentials.iter().map(|c| c.name.as_str())
    }
}

/// The store item of each credential. Two credentials with one item would overwrite each other's value, and one provider
/// would get the token of another.
#[derive(Default)]
struct Items(Vec<(String, Item, usize)>);

impl Items {
    /// Records the item of a credential in the file.
    fn check(&mut self, file: &File, name: &Spanned<String>, item: &Spanned<Item>) -> Result<(), ConfigError> {
        if let Some((other, _, line)) = self.0.iter().find(|(_, known, _)| known == item.get_ref()) {
            let other = format!("{} (line {line})", shown_name(other).unwrap_or("another one"));
            return Err(Items::taken(file, Some(item.span()), name.get_ref(), &other));
        }
        self.0.push((name.get_ref().clone(), item.get_ref().clone(), file.line(item.span().start)));
        Ok(())
    }

    /// Compares the items of the credentials for sending alerts, which are not in the file.
    fn check_alert(
        &self,
        file: &File,
        credentials: &[Credential],
        slack: &SlackSettings,
        webhook_at: Option<Range<usize>>,
    ) -> Result<(), ConfigError> {
        for (own, at) in [(Some(&slack.bot_token), None), (slack.webhook.as_ref(), webhook_at)] {
            let Some(own) = own else { continue };
            let others = credentials.iter().chain([&slack.bot_token]).filter(|other| other.name != own.name);
            if let Some(other) = others.into_iter().find(|other| own.store.is_some() && other.store == own.store) {
                let line = self.0.iter().find(|(name, ..)| *name == other.name).map(|(.., line)| *line);
                let other = shown_name(&other.name).unwrap_or("another one");
                let shown = line.map_or_else(|| other.into(), |line| format!("{other} (line {line})"));
                return Err(Items::taken(file, at, &own.name, &shown));
            }
        }
        Ok(())
    }

    fn taken(file: &File, at: Option<Range<usize>>, name: &str, other: &str) -> ConfigError {
        let what = "use the same store item: give one of them another service or account, then store its value";
        let shown = shown_name(name).unwrap_or("this credential");
        file.error(at, format!("{shown} and {other} {what}; type: raxx store {}", shown_name(name).unwrap_or("NAME")))
    }
}

impl Config {
    /// Returns the variables of all credentials, including those for sending alerts.
    fn secret_variables(&self) -> Vec<String> {
        let slack = &self.alert.slack;
        let all = self.credentials.iter().chain([&slack.bot_token]).chain(&slack.webhook);
        all.map(|credential| credential.name.clone()).collect()
    }
}

/// The variables of the configuration that was loaded.
static SECRET_VARIABLES: OnceLock<Vec<String>> = OnceLock::new();

/// Returns the variables of all credentials, including those for sending alerts. If the configuration could not be loaded,
/// they are read from its file as far as possible.
pub(crate) fn secret_variables() -> &'static [String] {
    SECRET_VARIABLES.get_or_init(|| {
        let built_in = Config::built_in().secret_variables();
        let text = config_path().and_then(|(path, _)| files::read(&path, LARGEST).ok()).unwrap_or_default();
        let named = |line: &str| {
            let (key, value) = line.split_once('=')?;
            matches!(key.trim(), "name" | "webhook").then(|| value.split(['"', '\'']).nth(1).map(String::from))?
        };
        let text = String::from_utf8_lossy(&text);
        names().into_iter().chain(text.lines().filter_map(named)).chain(built_in).collect()
    })
}

/// Returns only the names, for the shell integration, which each new terminal waits for. They come from the user's file as
/// far as it can be read, otherwise from the built-in list; the hook reports what is wrong with the file.
pub(crate) fn names() -> Vec<String> {
    #[derive(Deserialize)]
    struct Names {
        #[serde(default, rename = "credential")]
        credentials: Vec<Name>,
    }
    #[derive(Deserialize)]
    struct Name {
        name: String,
    }
    let listed = || {
        let (path, _) = config_path().filter(|(path, _)| path.is_absolute())?;
        let text = String::from_utf8(files::read(&path, LARGEST).ok()?).ok()?;
        let names: Names = toml::from_str(&text).ok()?;
        Some(names.credentials.into_iter().map(|c| c.name).filter(|name| may_be_named(name)).collect::<Vec<_>>())
    };
    listed().filter(|names| !names.is_empty()).unwrap_or_else(built_in_names)
}

/// Returns the names of `defaults.toml`. Parsing it would take a quarter of the time of `raxx init`, and its form is known.
fn built_in_names() -> Vec<String> {
    let named = DEFAULTS.lines().filter_map(|line| line.strip_prefix("name ")?.split('"').nth(1));
    named.map(String::from).collect()
}
