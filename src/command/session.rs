//! What a command works with. Each part is opened on first use, so that a new terminal waits only for what it needs.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::usage::unknown;
use super::warn_without_memory;
use crate::check::{Mode, Run};
use crate::config::{self, Config, Credential, VAULT_ROW};
use crate::files;
use crate::provider::Catalog;
use crate::state::{self, State};
use crate::store::{self, Store};

/// The configuration, the catalog of providers, the secret store and the state directory of one command.
pub(super) struct Session {
    pub config: Config,
    catalog: OnceCell<Catalog>,
    store: OnceCell<Box<dyn Store>>,
    state: OnceCell<Option<State>>,
}

impl Session {
    /// Reads the configuration, and opens nothing else yet.
    ///
    /// # Errors
    /// The configuration is broken.
    pub(super) fn new() -> Result<Session> {
        let config = Config::load()?;
        Ok(Session { config, catalog: OnceCell::new(), store: OnceCell::new(), state: OnceCell::new() })
    }

    /// Returns the providers, checked against the configuration.
    ///
    /// # Errors
    /// The configuration names a provider that does not exist, or defines a broken one.
    pub(super) fn catalog(&self) -> Result<&Catalog> {
        if let Some(catalog) = self.catalog.get() {
            return Ok(catalog);
        }
        let catalog = self.config.catalog()?;
        Ok(self.catalog.get_or_init(|| catalog))
    }

    /// Returns the secret store.
    pub(super) fn store(&self) -> &dyn Store {
        &**self.store.get_or_init(|| store::open(&self.config.store))
    }

    /// Returns a run over all credentials. If results cannot be cached it warns once, except in a new terminal.
    ///
    /// # Errors
    /// As [`Session::catalog`].
    pub(super) fn run(&self, mode: Mode) -> Result<Run<'_>> {
        let catalog = self.catalog()?;
        let state = self.state.get_or_init(|| match (State::open(), mode) {
            (Ok(state), _) => Some(state),
            (Err(_), Mode::Hook) => None,
            (Err(why), Mode::Check | Mode::Daily | Mode::Load) => {
                warn_without_memory(&why);
                None
            }
        });
        Ok(Run::new(&self.config, catalog, mode, state.as_ref(), self.store()))
    }

    /// Returns a run over the credentials that were named, or over all if none was.
    ///
    /// # Errors
    /// As [`Session::catalog`], and a name that no credential has.
    pub(super) fn run_of(&self, mode: Mode, names: &[String]) -> Result<Run<'_>> {
        const VAULT: [&str; 2] = ["infisical", VAULT_ROW];
        let mut run = self.run(mode)?;
        if names.is_empty() {
            return Ok(run);
        }
        let known: Vec<&str> = self.config.names().chain([VAULT[0]]).collect();
        for name in names {
            if !VAULT.contains(&name.as_str()) && !known.contains(&name.as_str()) {
                return Err(unknown(name, &known));
            }
        }
        run.credentials.retain(|c| names.contains(&c.name));
        run.vault = names.iter().any(|n| VAULT.contains(&n.as_str())).then_some(&run.config.infisical);
        Ok(run)
    }

    /// Returns the credential of this name. The credentials for sending alerts are not in the report, but are stored and
    /// rotated like the others.
    ///
    /// # Errors
    /// No credential has that name.
    pub(super) fn credential(&self, name: &str) -> Result<&Credential> {
        let slack = &self.config.alert.slack;
        let all = || self.config.credentials.iter().chain([&slack.bot_token]).chain(&slack.webhook);
        let known: Vec<&str> = all().map(|c| c.name.as_str()).collect();
        all().find(|c| c.name == name).ok_or_else(|| unknown(name, &known))
    }

    /// Deletes outdated state, and temporary files that killed runs left in the directories that raxx writes to.
    pub(super) fn prune(&self, metrics: Option<&Path>) {
        if let Some(Some(state)) = self.state.get() {
            state.prune();
        }
        let alert = self.config.alert.prometheus.as_deref();
        let written = [self.config.store.path.as_deref(), self.config.store.identity.as_deref(), alert, metrics];
        let written = written.into_iter().flatten().filter_map(|file| files::real(file).ok());
        let written = written.chain(state::stamp_file().and_then(|file| files::real(&file).ok()));
        let directories = written.filter_map(|file| file.parent().map(Path::to_path_buf)).chain(config::directory());
        directories.collect::<BTreeSet<_>>().iter().for_each(|directory| files::sweep(directory));
    }
}

/// Returns the command that checks this credential. The credentials for sending alerts are not in the report.
pub(super) fn recheck_command(config: &Config, name: &str) -> String {
    if config.names().any(|listed| listed == name) {
        format!("raxx check {name}")
    } else {
        "raxx check --alert --test".into()
    }
}

/// Returns the command to type if this shell has another value than the stored one.
pub(super) fn reload_command(config: &Config, name: &str) -> String {
    if config.names().any(|listed| listed == name) {
        format!("unset {name}; raxx load {name}")
    } else {
        format!("unset {name}; {}", recheck_command(config, name))
    }
}
