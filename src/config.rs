//! Which credentials, from where: the built-in list or the user's file.
//!
//! Never read from the current directory: a hostile repository must not be able to send tokens elsewhere.

mod alert;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::Deserialize;
use toml::Spanned;
use url::Url;

use crate::address::base_url;
use crate::provider::{Catalogue, ProviderTable};
use crate::report::{clean, plain};
use crate::store::Item;

pub use alert::{AlertSettings, SlackSettings};

const DEFAULTS: &str = include_str!("defaults.toml");

/// Names that the shell, the loader or raxx itself lives on: exporting a token there, or `raxx unset`, would break the
/// shell.
const NOT_OURS: &[&str] = &[
    "PATH",
    "HOME",
    "IFS",
    "ENV",
    "BASH_ENV",
    "ZDOTDIR",
    "SHELL",
    "SHELLOPTS",
    "BASHOPTS",
    "USER",
    "PWD",
    "OLDPWD",
    "TERM",
    "UID",
    "EUID",
    "PPID",
    "PS1",
    "PS2",
    "PROMPT_COMMAND",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "DYLD_INSERT_LIBRARIES",
    "RANDOM",
    "SECONDS",
    "LINENO",
    "HISTFILE",
    "_",
    "status",
    "argv",
    "path",
    "fpath",
    "cdpath",
    "manpath",
    "options",
    "commands",
    "functions",
    "aliases",
    "parameters",
    "precmd_functions",
    "RAXX_CONFIG",
    "RAXX_BOOTSTRAP_STATE_FILE",
    "HTTPS_PROXY",
    "SSL_CERT_FILE",
    "DBUS_SESSION_BUS_ADDRESS",
];

/// One credential of the list.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The environment variable.
    pub name: String,
    /// A provider of the catalogue, by name.
    pub provider: String,
    /// Where the machine's secret store has it.
    pub store: Option<Item>,
    /// The page that tells how to rotate it.
    pub rotate_via: Option<String>,
    /// What a new token must be allowed to do, in words.
    pub scope: Option<String>,
    /// Fills `{account_id}` in the provider's paths.
    pub account_id: Option<String>,
    /// In place of the configuration's.
    pub warn_before: Option<Duration>,
}

/// The vault whose login is checked beside the credentials.
#[derive(Debug, Clone)]
pub struct Infisical {
    pub enabled: bool,
    pub base_url: Url,
    pub rotate_via: Option<String>,
    /// Of its access token, which is made anew by who logs in: nobody is warned of its end unless it is said.
    pub warn_before: Option<Duration>,
}

/// Which store, of those that this system may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The Keychain on macOS; else the Secret Service, and the file where there is none.
    Auto,
    Keychain,
    SecretService,
    File,
}

impl Backend {
    /// The words of the configuration.
    const WORDS: [(&str, Backend); 4] = [
        ("auto", Backend::Auto),
        ("keychain", Backend::Keychain),
        ("secret-service", Backend::SecretService),
        ("file", Backend::File),
    ];

    fn is_here(self) -> bool {
        match self {
            Backend::Auto | Backend::File => true,
            Backend::Keychain => cfg!(target_os = "macos"),
            Backend::SecretService => cfg!(target_os = "linux"),
        }
    }
}

/// Where values are stored.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    pub backend: Backend,
    /// Of the store file; none without a home directory.
    pub path: Option<PathBuf>,
    /// The identity file that opens it.
    pub identity: Option<PathBuf>,
}

/// All that a run needs to know.
#[derive(Debug)]
pub struct Config {
    /// For one credential, from connect to last byte.
    pub timeout: Duration,
    pub credentials: Vec<Credential>,
    /// A PASS younger than this is not asked again by a new terminal.
    pub recheck_after: Duration,
    /// A PASS that ends sooner than this comes with a warning; see [`Config::warn_before`].
    warn_before: Duration,
    /// Whether a new terminal speaks of warnings too.
    pub warn_in_terminals: bool,
    pub infisical: Infisical,
    pub store: StoreSettings,
    pub alert: AlertSettings,
    /// `[provider.*]` of the user's file, checked and merged by [`Config::catalogue`].
    providers: BTreeMap<String, Spanned<ProviderTable>>,
    /// Where each credential's `provider` stands in the file, for the error that it is unknown.
    provider_spans: Vec<Range<usize>>,
    file: File,
}

/// What is wrong with the configuration: one line with the place and the mend.
#[derive(Debug)]
pub struct ConfigError {
    place: String,
    message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for ConfigError {}

/// A configuration's text and its name, to say `file:line` with.
#[derive(Debug)]
struct File {
    name: String,
    text: String,
}

impl File {
    fn error(&self, at: Option<Range<usize>>, message: impl fmt::Display) -> ConfigError {
        let before = at.and_then(|span| self.text.get(..span.start));
        let place = match before {
            Some(before) => format!("{}:{}", self.name, before.matches('\n').count() + 1),
            None => self.name.clone(),
        };
        // A library's message may run over lines, and the file's text may hold anything; an error is one plain line.
        let message = message.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        ConfigError { place, message: clean(&message) }
    }
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
    store: Option<Item>,
    rotate_via: Option<String>,
    scope: Option<String>,
    account_id: Option<Spanned<String>>,
    warn_before: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct HookForm {
    recheck_after: Option<Spanned<String>>,
    warn: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct StoreForm {
    backend: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
    identity: Option<Spanned<String>>,
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
    rotate_via: Option<String>,
    warn_before: Option<Spanned<String>>,
}

impl Config {
    /// Reads the user's file, or takes the built-in configuration where there is none.
    ///
    /// # Errors
    /// One line with file, line and mend. A file that `$RAXX_CONFIG` names must exist.
    pub fn load() -> Result<Config, ConfigError> {
        let defaults = Config::built_in();
        let Some((path, wanted)) = config_path() else { return Ok(defaults) };
        let name = path.display().to_string();
        let failed = |message: String| ConfigError { place: name.clone(), message };
        if !path.is_absolute() {
            return Err(failed(
                "RAXX_CONFIG must be a whole path, from / on: the current directory is nobody's".into(),
            ));
        }
        if std::fs::metadata(&path).is_ok_and(|there| !there.is_file()) {
            return Err(failed("is no file that can be read as a configuration".into()));
        }
        match std::fs::read(&path) {
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

    /// The runbook's credentials: `src/defaults.toml`.
    pub fn built_in() -> Config {
        Config::parse("defaults.toml", DEFAULTS.into(), None).expect("the built-in configuration is tested")
    }

    fn parse(name: &str, text: String, defaults: Option<Config>) -> Result<Config, ConfigError> {
        let file = File { name: name.into(), text };
        let form: Form = toml::from_str(&file.text).map_err(|e| file.error(e.span(), mend_words(e.message())))?;

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
        let warn_time = |text: &Option<Spanned<String>>| {
            let year = Duration::from_secs(365 * 86_400);
            let time = |text| duration(&file, text, "warn_before", ("0s", Duration::ZERO), ("365d", year));
            text.as_ref().map(time).transpose()
        };
        let warn_before = warn_time(&form.warn_before)?
            .unwrap_or_else(|| base.map_or(Duration::from_secs(14 * 86_400), |b| b.warn_before));
        let warn_in_terminals = form.hook.warn.or(base.map(|b| b.warn_in_terminals)).unwrap_or(false);
        let store = store_settings(&file, &form.store)?;
        let vault = form.vault.infisical;
        let vault_url = match &vault.base_url {
            Some(text) => Some(base_url(text.get_ref()).map_err(|why| file.error(Some(text.span()), why))?),
            None => None,
        };
        let infisical = Infisical {
            enabled: vault.enabled.or(base.map(|b| b.infisical.enabled)).unwrap_or(true),
            base_url: vault_url.or(base.map(|b| b.infisical.base_url.clone())).expect("the defaults have one"),
            rotate_via: vault.rotate_via.or_else(|| base.and_then(|b| b.infisical.rotate_via.clone())),
            warn_before: warn_time(&vault.warn_before)?,
        };

        let mut credentials: Vec<Credential> = Vec::new();
        let mut provider_spans = Vec::new();
        for form in form.credentials {
            check_name(&file, &form.name, &credentials)?;
            if let Some(id) = &form.account_id {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
                if id.get_ref().is_empty() || !id.get_ref().chars().all(plain) {
                    let why = format!("account_id \"{}\" may have letters, digits, - and _ alone", id.get_ref());
                    return Err(file.error(Some(id.span()), why));
                }
            }
            provider_spans.push(form.provider.span());
            credentials.push(Credential {
                name: form.name.into_inner(),
                provider: form.provider.into_inner(),
                store: form.store,
                rotate_via: form.rotate_via,
                scope: form.scope,
                account_id: form.account_id.map(Spanned::into_inner),
                warn_before: warn_time(&form.warn_before)?,
            });
        }
        let built_in_alert = base.map(|b| b.alert.clone());
        if let (true, Some(defaults)) = (credentials.is_empty(), defaults) {
            credentials = defaults.credentials;
        }
        let alert = AlertSettings::read(&file, form.alert, &credentials, built_in_alert.as_ref())?;
        let providers = form.providers;
        Ok(Config {
            timeout,
            credentials,
            recheck_after,
            warn_before,
            warn_in_terminals,
            infisical,
            store,
            alert,
            providers,
            provider_spans,
            file,
        })
    }

    /// The providers: the built-in catalogue with the file's `[provider.*]` over it.
    ///
    /// # Errors
    /// A table that makes no sense, or a credential whose provider is in neither.
    pub fn catalogue(&self) -> Result<Catalogue, ConfigError> {
        let mut catalogue = Catalogue::built_in(&self.infisical.base_url);
        catalogue.move_to("slack", &self.alert.slack.base_url);
        for (id, table) in &self.providers {
            if id == "infisical" {
                let why = "[provider.infisical]: the vault has its own table, [vault.infisical] with base_url";
                return Err(self.file.error(Some(table.span()), why));
            }
            catalogue.merge(id, table.get_ref()).map_err(|why| {
                self.file
                    .error(Some(why.at.unwrap_or_else(|| table.span())), format!("[provider.{id}] {}", why.message))
            })?;
        }
        for (credential, span) in self.credentials.iter().zip(&self.provider_spans) {
            if catalogue.get(&credential.provider).is_none() {
                let known: Vec<&str> = catalogue.names().collect();
                let id = plain(&credential.provider);
                let why = format!("unknown provider \"{id}\": {} (or add [provider.{id}])", instead(&id, &known));
                return Err(self.file.error(Some(span.clone()), why));
            }
        }
        Ok(catalogue)
    }

    /// How long before the end of this credential a PASS warns of it.
    pub fn warn_before(&self, name: &str) -> Duration {
        let own = match name == crate::vault::NAME {
            true => self.infisical.warn_before,
            false => self.credentials.iter().find(|c| c.name == name).and_then(|c| c.warn_before),
        };
        own.unwrap_or(self.warn_before)
    }

    /// The configured names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.credentials.iter().map(|c| c.name.as_str())
    }
}

/// The names alone, for the glue, which each new terminal waits for: of the user's file as far as it can be understood, else the
/// built-in ones. Whatever else is wrong with it, the hook will tell.
pub fn names() -> Vec<String> {
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
        let (path, _) = config_path().filter(|(path, _)| path.is_absolute() && path.is_file())?;
        let names: Names = toml::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
        Some(names.credentials.into_iter().map(|c| c.name).filter(|name| may_be_named(name)).collect::<Vec<_>>())
    };
    listed().filter(|names| !names.is_empty()).unwrap_or_else(built_in_names)
}

/// The names of `src/defaults.toml`. To parse it takes a quarter of the time of `raxx init`, and its form is known.
fn built_in_names() -> Vec<String> {
    let named = DEFAULTS.lines().filter_map(|line| line.strip_prefix("name ")?.split('"').nth(1));
    named.map(String::from).collect()
}

/// Where the configuration is, or would be: what is remembered of one is not another one's.
pub fn place() -> String {
    config_path().map(|(path, _)| path.display().to_string()).unwrap_or_default()
}

/// The path of the configuration, and whether it was asked for by name.
fn config_path() -> Option<(PathBuf, bool)> {
    if let Some(path) = std::env::var_os("RAXX_CONFIG").filter(|v| !v.is_empty()) {
        return Some((path.into(), true));
    }
    Some((directory()?.join("config.toml"), false))
}

/// `$XDG_CONFIG_HOME/raxx`, by default `~/.config/raxx` on every OS: dirs would say ~/Library on macOS.
pub fn directory() -> Option<PathBuf> {
    xdg("XDG_CONFIG_HOME", ".config")
}

/// raxx's directory of one kind. A relative XDG path is none (XDG base directory spec).
fn xdg(variable: &str, under_home: &str) -> Option<PathBuf> {
    let set = std::env::var_os(variable).map(PathBuf::from).filter(|p| p.is_absolute());
    Some(set.or_else(|| dirs::home_dir().map(|home| home.join(under_home)))?.join("raxx"))
}

fn store_settings(file: &File, form: &StoreForm) -> Result<StoreSettings, ConfigError> {
    let backend = match &form.backend {
        None => Backend::Auto,
        Some(text) => {
            let refuse = |why: String| file.error(Some(text.span()), why);
            let word = text.get_ref().as_str();
            let Some((_, backend)) = Backend::WORDS.iter().find(|(known, _)| *known == word) else {
                let known = Backend::WORDS.map(|(known, _)| known);
                return Err(refuse(format!("unknown backend \"{}\": {}", plain(word), instead(word, &known))));
            };
            if !backend.is_here() {
                let here: Vec<&str> =
                    Backend::WORDS.iter().filter(|(_, b)| b.is_here()).map(|(known, _)| *known).collect();
                let os = std::env::consts::OS;
                return Err(refuse(format!("{os} has no backend \"{word}\": there are: {}", here.join(", "))));
            }
            *backend
        }
    };
    let path = |text: &Option<Spanned<String>>, key: &str| text.as_ref().map(|t| absolute(file, t, key)).transpose();
    Ok(StoreSettings {
        backend,
        path: path(&form.path, "path")?.or_else(|| Some(xdg("XDG_DATA_HOME", ".local/share")?.join("store.age"))),
        identity: path(&form.identity, "identity")?,
    })
}

/// A path of the configuration: from `/` on, or from the home directory on. Any other would depend on where a terminal
/// happens to stand.
fn absolute(file: &File, text: &Spanned<String>, key: &str) -> Result<PathBuf, ConfigError> {
    let refuse = |why: String| Err(file.error(Some(text.span()), why));
    let written = text.get_ref();
    let path = match written.strip_prefix("~/") {
        Some(rest) => match dirs::home_dir() {
            Some(home) => home.join(rest),
            None => return refuse(format!("{key} = \"{}\": there is no home directory", plain(written))),
        },
        None => PathBuf::from(written),
    };
    if !path.is_absolute() || path.file_name().is_none() || written.ends_with('/') || written.contains('\0') {
        return refuse(format!("{key} = \"{}\" is no file's path: begin it with / or ~/", plain(written)));
    }
    Ok(path)
}

fn check_name(file: &File, name: &Spanned<String>, before: &[Credential]) -> Result<(), ConfigError> {
    let refuse = |why: String| Err(file.error(Some(name.span()), why));
    let text = name.get_ref();
    if !is_identifier(text) {
        return refuse(format!(
            "\"{}\" is no name for a variable: letters, digits and _ alone, no digit first",
            plain(text)
        ));
    }
    if !may_be_named(text) {
        return refuse(format!("\"{text}\" is a name that the shell itself uses: choose another"));
    }
    if before.iter().any(|c| c.name == *text) {
        return refuse(format!("\"{text}\" is there twice: delete one [[credential]]"));
    }
    Ok(())
}

/// Whether a credential may have this name.
fn may_be_named(name: &str) -> bool {
    is_identifier(name) && !NOT_OURS.contains(&name) && !name.to_ascii_lowercase().starts_with("__raxx")
}

/// Whether a shell takes it as a variable's name.
pub fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn duration(
    file: &File,
    text: &Spanned<String>,
    key: &str,
    least: (&str, Duration),
    most: (&str, Duration),
) -> Result<Duration, ConfigError> {
    // A day is 24 hours here: what is counted in days is not counted to the hour.
    let span = || text.get_ref().parse::<Span>().ok()?.to_duration(SpanRelativeTo::days_are_24_hours()).ok();
    let parsed = text.get_ref().parse::<SignedDuration>().ok().or_else(span).and_then(|d| Duration::try_from(d).ok());
    match parsed {
        Some(d) if d >= least.1 && d <= most.1 => Ok(d),
        Some(_) => {
            let why = format!("{key} = \"{}\" must be from {} to {}", text.get_ref(), least.0, most.0);
            Err(file.error(Some(text.span()), why))
        }
        None => Err(file.error(
            Some(text.span()),
            format!("{key} = \"{}\" is no duration: write it like {}", text.get_ref(), examples(key)),
        )),
    }
}

/// How long one would set it to.
fn examples(key: &str) -> &'static str {
    match key {
        "warn_before" => r#""14d" or "12h""#,
        "repeat" | "recheck_after" => r#""24h" or "30m""#,
        _ => r#""10s", "700ms" or "2m""#,
    }
}

/// The nearest known word: one that holds this one, or else one that is a slip of the fingers away.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let far = |k: &str| strsim::damerau_levenshtein(&word, &k.to_ascii_lowercase());
    if let Some(whole) = known.iter().find(|k| word.len() > 2 && k.to_ascii_lowercase().contains(&word)) {
        return Some(whole);
    }
    let best = known.iter().min_by_key(|k| far(k))?;
    (far(best) <= best.len().max(word.len()) / 3).then_some(*best)
}

/// What to type instead of an unknown word: the nearest one, or all there are.
pub fn instead(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are: {}", known.join(", ")),
    }
}

/// serde's "unknown field" is a reader's "unknown key".
fn mend_words(message: &str) -> String {
    message.replace("unknown field", "unknown key").replace("missing field", "missing key")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        match Config::parse("c.toml", text.into(), Some(Config::built_in())) {
            Err(e) => e.to_string(),
            Ok(config) => config.catalogue().expect_err("an error").to_string(),
        }
    }

    #[test]
    fn the_built_in_configuration_is_the_runbooks() {
        let config = Config::built_in();
        let names: Vec<&str> = config.names().collect();
        assert_eq!(
            names,
            ["CLOUDFLARE_ACCESS_MGMT_TOKEN", "CF_WORKER_DEPLOY", "HEROKU_API_KEY", "GITHUB_API_SECRETS_TOKEN"]
        );
        assert_eq!(names, built_in_names());
        config.catalogue().unwrap();
        assert_eq!(config.timeout, Duration::from_secs(10));
    }

    #[test]
    fn a_file_without_credentials_keeps_the_list() {
        let config = Config::parse("c.toml", "timeout = \"3s\"".into(), Some(Config::built_in())).unwrap();
        assert_eq!(config.names().count(), 4);
        assert_eq!(config.timeout, Duration::from_secs(3));
    }

    #[test]
    fn each_mistake_is_one_line_with_its_place_and_its_mend() {
        let one = "[[credential]]\nname = \"A\"\nprovider = \"github\"\n";
        let said = wrong(&format!("{one}rotate-via = \"x\"\n"));
        assert!(said.starts_with("c.toml:4: unknown key `rotate-via`, expected one of"), "{said}");
        let said = wrong("timeout = 10\n");
        assert!(said.starts_with("c.toml:1: invalid type: integer `10`, expected a string"), "{said}");
        let said = wrong("timeout = \"soon\"\n");
        assert_eq!(said, "c.toml:1: timeout = \"soon\" is no duration: write it like \"10s\", \"700ms\" or \"2m\"");
        let said = wrong("timeout = \"0s\"\n");
        assert_eq!(said, "c.toml:1: timeout = \"0s\" must be from 1ms to 60s");
        let said = wrong("[[credential]]\nname = \"A\"\nprovider = \"gihtub\"\n");
        assert_eq!(said, "c.toml:3: unknown provider \"gihtub\": did you mean github? (or add [provider.gihtub])");
        let said = wrong(&format!("{one}{one}"));
        assert_eq!(said, "c.toml:5: \"A\" is there twice: delete one [[credential]]");
        let said = wrong("[[credential]]\nname = \"1-A\"\nprovider = \"github\"\n");
        assert_eq!(said, "c.toml:2: \"1-A\" is no name for a variable: letters, digits and _ alone, no digit first");
        let said = wrong("[[credential]]\nname = \"PATH\"\nprovider = \"github\"\n");
        assert_eq!(said, "c.toml:2: \"PATH\" is a name that the shell itself uses: choose another");
        let said = wrong("[provider.github]\nbase_url = \"http://example.com\"\n");
        assert_eq!(
            said,
            "c.toml:2: [provider.github] base_url \"http://example.com\" must be https: tokens are sent there (http only on loopback)"
        );
        let said = wrong("[provider.github]\nbase_url = \"https://me:pw@example.com\"\n");
        assert_eq!(said, "c.toml:2: [provider.github] base_url has a user name or password in it: take them out");
        let said = wrong("timeout = \"3s\n");
        assert!(said.starts_with("c.toml:1: ") && !said.contains('\n'), "{said}");
    }

    #[test]
    fn the_store_is_chosen_by_itself_or_by_the_file() {
        let store = |text: &str| Config::parse("c.toml", text.into(), Some(Config::built_in())).unwrap().store;
        let home = dirs::home_dir().unwrap();
        assert_eq!(store("").backend, Backend::Auto);
        assert!(store("").path.unwrap().ends_with("raxx/store.age"));
        assert_eq!(store("").identity, None);
        let chosen = store("[store]\nbackend = \"file\"\npath = \"/srv/raxx.age\"\nidentity = \"~/.config/id\"\n");
        assert_eq!(chosen.backend, Backend::File);
        assert_eq!((chosen.path, chosen.identity), (Some("/srv/raxx.age".into()), Some(home.join(".config/id"))));
    }

    #[test]
    fn a_store_that_is_not_there_or_no_path_is_one_line_with_its_mend() {
        let said = wrong("[store]\nbackend = \"keyring\"\n");
        assert_eq!(said, "c.toml:2: unknown backend \"keyring\": there are: auto, keychain, secret-service, file");
        let said = wrong("[store]\nbackend = \"fil\"\n");
        assert_eq!(said, "c.toml:2: unknown backend \"fil\": did you mean file?");
        let said = wrong("[store]\nidentity = \"id.txt\"\n");
        assert_eq!(said, "c.toml:2: identity = \"id.txt\" is no file's path: begin it with / or ~/");
        for path in ["~", "~/", "/", "store.age", "", "/srv/"] {
            wrong(&format!("[store]\npath = \"{path}\"\n"));
        }
        #[cfg(target_os = "linux")]
        assert_eq!(
            wrong("[store]\nbackend = \"keychain\"\n"),
            "c.toml:2: linux has no backend \"keychain\": there are: auto, secret-service, file"
        );
        #[cfg(target_os = "macos")]
        assert_eq!(
            wrong("[store]\nbackend = \"secret-service\"\n"),
            "c.toml:2: macos has no backend \"secret-service\": there are: auto, keychain, file"
        );
    }
}
