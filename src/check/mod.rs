//! A run: finds the value of every credential and verifies all of them at the same time.
//!
//! Each verdict is passed on as a [`Checked`] as soon as it is known: its row to the report, its value to the shell.

pub(crate) mod announced;
mod cache;
mod request;

use std::cell::OnceCell;
use std::time::{Duration, Instant};

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;

pub(crate) use cache::fingerprint_parts;
use cache::{Answered, Method};
use request::Extra;

use crate::config::{Config, Credential, Infisical, VAULT_ROW};
use crate::provider::http::{Client, Fault};
use crate::provider::{Catalog, Finding};
use crate::report::{ENVIRONMENT, Kind, Outcome, Row, distance, ends_soon, next_command};
use crate::secret::{Malformed, Secret};
use crate::source::infisical::{self, Access};
use crate::source::{Stored, environment, stored, without_value};
use crate::state::{CachedVerdict, State};
use crate::store::{Store, StoreError};

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `raxx check`: verifies the values of this environment, without the cache.
    Check,
    /// The daily check: like `Check`, but a surprising rejection is verified twice.
    Daily,
    /// `raxx load`: like `Check`, but a good value in the store replaces a bad one in the environment.
    Load,
    /// A new terminal: like `Load`, with the cache.
    Hook,
}

/// The result for one credential.
pub(crate) struct Checked {
    pub row: Row,
    /// The value, if it can be exported: it is not rejected or malformed.
    pub good: Option<Good>,
    /// Whether the provider was asked for this run.
    pub live: bool,
    /// A keyed hash of the value, if there is a value and a state directory with the key.
    pub print: Option<String>,
}

/// A value that can be exported.
pub(crate) struct Good {
    pub secret: Secret,
    /// Whether the environment already has it.
    pub in_environment: bool,
}

/// Everything that a run needs.
pub(crate) struct Run<'a> {
    pub config: &'a Config,
    pub catalog: &'a Catalog,
    pub credentials: Vec<&'a Credential>,
    /// The vault, if its row is part of the run.
    pub vault: Option<&'a Infisical>,
    pub mode: Mode,
    pub state: Option<&'a State>,
    pub store: &'a dyn Store,
    pub store_limit: Duration,
    pub began: Timestamp,
    client: OnceCell<Result<Client, Fault>>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        config: &'a Config,
        catalog: &'a Catalog,
        mode: Mode,
        state: Option<&'a State>,
        store: &'a dyn Store,
    ) -> Run<'a> {
        Run {
            config,
            catalog,
            credentials: config.credentials.iter().collect(),
            vault: Some(&config.infisical).filter(|vault| vault.enabled),
            mode,
            state,
            store,
            store_limit: crate::source::STORE,
            began: Timestamp::now(),
            client: OnceCell::new(),
        }
    }

    /// Returns the number of rows in the report.
    pub(crate) fn len(&self) -> usize {
        self.credentials.len() + usize::from(self.vault.is_some())
    }

    /// Returns the names of the rows, in order.
    pub(crate) fn names(&self) -> Vec<&str> {
        let names = self.credentials.iter().map(|c| c.name.as_str());
        names.chain(self.vault.map(|_| VAULT_ROW)).collect()
    }

    /// Runs all checks at the same time and calls `each` with every result and its position in the configured order.
    pub(crate) async fn checks(&self, each: &mut dyn FnMut(usize, Checked)) {
        let mut running: FuturesUnordered<LocalBoxFuture<'_, (usize, Checked)>> = FuturesUnordered::new();
        let mut without: Vec<(usize, &Credential)> = Vec::new();
        for (i, &credential) in self.credentials.iter().enumerate() {
            match environment(&credential.name) {
                Some(value) => {
                    running.push(async move { (i, self.of_environment(credential, value).await) }.boxed_local());
                }
                None => without.push((i, credential)),
            }
        }
        if let Some(vault) = self.vault {
            running.push(async move { (self.credentials.len(), self.vault(vault).await) }.boxed_local());
        }
        // One read of the store covers all credentials, while the values of the environment are being verified.
        let wanted: Vec<&Credential> = without.iter().map(|(_, c)| *c).collect();
        let mut reading = stored(self.store, &wanted, self.store_limit).boxed_local().fuse();
        let mut read = wanted.is_empty();
        loop {
            tokio::select! {
                values = &mut reading, if !read => {
                    read = true;
                    for ((i, credential), value) in without.drain(..).zip(values) {
                        running.push(async move { (i, self.of_store(credential, value).await) }.boxed_local());
                    }
                }
                Some((i, checked)) = running.next() => each(i, Checked { row: checked.row.cleaned(), ..checked }),
                else => return,
            }
        }
    }

    async fn of_environment(&self, credential: &Credential, value: Result<Secret, Malformed>) -> Checked {
        let end = self.end();
        let mut checked = match &value {
            Err(why) => malformed(credential, *why, ENVIRONMENT),
            Ok(secret) => self.of_shell(credential, secret, end).await,
        };
        if !checked.row.verdict.kind.is_bad() || credential.store.is_none() {
            return checked;
        }
        // The environment can be stale (an old pane, a tmux server): a different value in the store can be the rotated one.
        let limit = self.store_limit.min(end.saturating_duration_since(Instant::now()));
        let mut found = stored(self.store, &[credential], limit).await;
        let Some(Stored::Value(secret)) = found.pop() else { return checked };
        let name = credential.store.as_ref().map_or(self.store, |item| self.store.backend_for(item)).name();
        if value.is_ok_and(|value| value == secret) {
            // Setting the variable again does not help: a new shell loads the same value.
            if checked.row.verdict.kind == Kind::Malformed {
                checked.row.verdict.hint = None;
            }
            return checked;
        }
        let mut better = self.validated(credential, secret, name, end).await;
        if better.row.outcome() != Outcome::Pass {
            if better.row.verdict.kind == Kind::Unreachable && Instant::now() >= end {
                let other = "has a different value, which could not be verified in time";
                checked.row.verdict.hint = Some(format!("the {name} {other}"));
                checked.row.next = next_command(Kind::Unreachable, &credential.name, &credential.provider);
                // The stored value can be the rotated one.
                checked.row.rotate_via = None;
            }
            return checked;
        }
        match self.mode {
            Mode::Check | Mode::Daily => {
                checked.row.verdict.hint = Some(format!("the {name} has a different value, which works"));
                checked.row.next = Some(load(credential));
                // The stored value works, so nothing needs to be rotated.
                checked.row.rotate_via = None;
                checked
            }
            Mode::Load | Mode::Hook => {
                better.row.verdict.words += &format!(", from the {name} (the value in this shell was bad)");
                better
            }
        }
    }

    /// Verifies the shell's own value without a newline or spaces around it. Other programs would send those, so a check
    /// reports them, and `raxx load` and the hook replace the variable.
    async fn of_shell(&self, credential: &Credential, secret: &Secret, end: Instant) -> Checked {
        let reports_only = matches!(self.mode, Mode::Check | Mode::Daily);
        if secret.was_trimmed() && reports_only && secret.stand_in().is_none() {
            return mangled(credential, secret, "not a token: ends with a newline");
        }
        let mut checked = self.validated(credential, secret.clone(), ENVIRONMENT, end).await;
        match (&mut checked.good, secret.without_spaces()) {
            (Some(_), Some(_)) if reports_only && checked.row.verdict.kind == Kind::Valid => {
                mangled(credential, secret, "not a token: starts or ends with a space (without it the token works)")
            }
            (Some(good), Some(bare)) if !reports_only => {
                *good = Good { secret: bare, in_environment: false };
                checked
            }
            _ => checked,
        }
    }

    async fn of_store(&self, credential: &Credential, value: Stored) -> Checked {
        // If the store falls back to another one, the name of the one that has the value.
        let from = credential.store.as_ref().map_or(self.store, |item| self.store.backend_for(item)).name();
        match value {
            Stored::Value(secret) => self.validated(credential, secret, from, self.end()).await,
            Stored::Malformed(why) => malformed(credential, why, from),
            Stored::Absent => self.without_value(credential, None),
            Stored::Failed(why) => self.without_value(credential, Some(&why)),
        }
    }

    fn without_value(&self, credential: &Credential, why: Option<&StoreError>) -> Checked {
        let mut row = without_value(credential, why, self.store);
        row.manage_url = self.catalog.get(&credential.provider).and_then(|p| p.manage_url.clone());
        Checked { row, good: None, live: why != Some(&StoreError::TimedOut), print: None }
    }

    /// Verifies a value that is not in any source yet, without the cache, with the deadline of the configuration.
    pub(crate) async fn verify(&self, credential: &Credential, secret: &Secret) -> Row {
        self.validated(credential, secret.clone(), "input", self.end()).await.row.cleaned()
    }

    /// Clears the cached verdict of a value that a person stores unverified, so that it is exported, and marks it as trusted,
    /// so that its first rejection is verified twice.
    pub(crate) fn trust(&self, credential: &Credential, secret: &Secret) {
        let provider = self.catalog.get(&credential.provider).expect("every provider that is used exists");
        let first = provider.first(credential.account_id.as_deref(), &|prefix| secret.expose().starts_with(prefix));
        if let (Some(state), Ok(first)) = (self.state, first) {
            let print = state.fingerprint(&fingerprint_parts(credential, &first), secret);
            state.forget(&print);
            // If the disk is full, only the mark is lost; the value is still stored.
            let _ = state.remember(&print, &CachedVerdict::unchecked(&credential.name));
        }
    }

    /// Returns the deadline for a check that starts now.
    fn end(&self) -> Instant {
        Instant::now() + self.config.timeout
    }

    /// Verifies a value with its provider, with the deadline `end`.
    async fn validated(&self, credential: &Credential, secret: Secret, source: &str, end: Instant) -> Checked {
        if let Some(what) = secret.stand_in() {
            return malformed(credential, Malformed::StandIn(what), source);
        }
        let provider = self.catalog.get(&credential.provider).expect("every provider that is used exists");
        let account = credential.account_id.as_deref();
        let token = |prefix: &str| secret.expose().starts_with(prefix);
        let begun = Instant::now();
        let answered = match provider.first(account, &token) {
            Err(what) => Answered::Asked(Finding::new(Kind::NotConfigured, what)),
            Ok(first) => {
                let parts = fingerprint_parts(credential, &first);
                let ask = async |end: Instant| {
                    let mut finding = self.ask(provider, first.clone(), &secret, account, &Extra::default()).await;
                    self.look_up_expiry(provider, &secret, end, &mut finding.verdict).await;
                    finding
                };
                self.remembered(&parts, &secret, provider, Method::Request, end, ask).await
            }
        };
        let live = answered.is_live();
        let mut row = self.row(&credential.name, &credential.provider, answered.finding());
        if let (Kind::Rejected, Some(artifact)) = (row.verdict.kind, secret.paste_artifact()) {
            row.verdict.kind = Kind::Malformed;
            row.verdict.words += &format!("; {artifact}");
            row.next = next_command(row.verdict.kind, &row.name, &row.provider);
        }
        row.latency = live.then(|| begun.elapsed());
        row.source = Some(source.into());
        row.redacted = Some(secret.redacted());
        row.rotate_via = credential.rotate_via.clone();
        row.manage_url = provider.manage_url.clone();
        if row.verdict.kind == Kind::Malformed {
            set_again(&mut row, credential, source);
        }
        let exportable = !row.verdict.kind.is_bad();
        // A variable that ends with a newline is exported again without it.
        let in_environment = source == ENVIRONMENT && !secret.was_trimmed();
        let print = self.state.map(|state| state.fingerprint(&["said"], &secret));
        Checked { row, good: exportable.then_some(Good { secret, in_environment }), live, print }
    }

    async fn vault(&self, vault: &Infisical) -> Checked {
        let rotate_via = vault.rotate_via.clone();
        let provider = self.catalog.get("infisical").expect("Infisical is built in");
        let address = match infisical::address(&vault.base_url) {
            Ok(address) => address,
            Err(why) => return plain_row(Kind::Malformed, why),
        };
        let provider = provider.at(&address);
        let token = |secret: &Secret| provider.first(None, &|prefix| secret.expose().starts_with(prefix));
        let begun = Instant::now();
        let headers = infisical::access_headers(&address);
        let (first, secret, login) = match infisical::access() {
            Access::NotSet(words) => return plain_row(Kind::NotConfigured, words),
            Access::Malformed(name, why) => {
                let mut checked = plain_row(Kind::Malformed, format!("{name} is {why}"));
                checked.row.verdict.hint = Some(
                    why.hint().map_or_else(|| format!("set {name} again: the whole value, on one line"), String::from),
                );
                return checked;
            }
            Access::Token(secret) => (token(&secret).expect("its path needs no account id"), secret, None),
            Access::Login { id, secret } => {
                // Without the cache every new terminal would repeat a failing login, which locks the identity.
                if self.mode == Mode::Hook && self.state.is_none() {
                    let words = "not checked by new terminals: there is no state directory to cache the answer in";
                    return plain_row(Kind::NotConfigured, words.into());
                }
                let first = provider.probe("login", None).expect("Infisical is built in");
                (first, secret, Some(id))
            }
        };
        let id = login.as_ref().map_or("", Secret::expose);
        let parts = [VAULT_ROW, "infisical", first.url.as_str(), id];
        let body = login.as_ref().map(|id| infisical::login_body(id, &secret));
        let extra = Extra { body, headers, id: login.clone() };
        let ask = async |_| self.ask(&provider, first.clone(), &secret, None, &extra).await;
        let method = if login.is_some() { Method::Login } else { Method::Request };
        let answered = self.remembered(&parts, &secret, &provider, method, self.end(), ask).await;
        let live = answered.is_live();
        let mut row = self.row(VAULT_ROW, "infisical", answered.finding());
        let print = self.state.map(|state| state.fingerprint(&["said"], &secret));
        // The default address is wrong for a self-hosted vault.
        if row.verdict.kind == Kind::Rejected && provider.host().ends_with(".infisical.com") {
            row.verdict.hint = Some(format!(
                "checked at {}; if your vault is elsewhere, set base_url under [vault.infisical]",
                provider.host()
            ));
        }
        row.latency = live.then(|| begun.elapsed());
        row.source = Some(ENVIRONMENT.into());
        row.rotate_via = rotate_via;
        row.manage_url = Some(address.into());
        Checked { row, good: None, live, print }
    }

    /// Returns the row of a finding. Its dates are compared with the provider's clock if that is known.
    fn row(&self, name: &str, provider: &str, finding: Finding) -> Row {
        let Finding { verdict, answered_at, owner, back_off: _ } = finding;
        let mut row = Row::of(name, provider, verdict);
        row.owner = owner;
        if let (Kind::Valid, Some(end)) = (row.verdict.kind, row.verdict.expires) {
            let now = answered_at.unwrap_or_else(Timestamp::now);
            let ends = format!("expires {}", distance(now, end));
            row.verdict.words += &format!(", {ends}");
            row.warning = ends_soon(now, end, self.config.warn_before(name)).then_some(ends);
        }
        row
    }
}

fn plain_row(kind: Kind, words: String) -> Checked {
    Checked { row: Row::new(VAULT_ROW, "infisical", kind, words), good: None, live: true, print: None }
}

fn malformed(credential: &Credential, why: Malformed, source: &str) -> Checked {
    let mut row = Row::new(&credential.name, &credential.provider, Kind::Malformed, why.to_string());
    row.source = Some(source.into());
    row.redacted = Some("(redacted)".into());
    set_again(&mut row, credential, source);
    if let Some(hint) = why.hint() {
        row.verdict.hint = Some(hint.into());
    }
    row.rotate_via = credential.rotate_via.clone();
    Checked { row, good: None, live: true, print: None }
}

/// A variable whose value works but has whitespace around it.
fn mangled(credential: &Credential, secret: &Secret, words: &str) -> Checked {
    let mut row = Row::new(&credential.name, &credential.provider, Kind::Malformed, words);
    row.source = Some(ENVIRONMENT.into());
    row.redacted = Some(secret.redacted());
    row.next = Some(load(credential));
    row.rotate_via = credential.rotate_via.clone();
    Checked { row, good: None, live: true, print: None }
}

fn load(credential: &Credential) -> String {
    format!("raxx load {}", credential.name)
}

/// Says how to fix a malformed value in the environment.
fn set_again(row: &mut Row, credential: &Credential, source: &str) {
    if source == ENVIRONMENT {
        row.verdict.hint = Some(format!("set {} again: the whole value, on one line", credential.name));
        row.next = row.next.take().filter(|_| credential.store.is_some());
    }
}
