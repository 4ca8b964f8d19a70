//! One run: every credential is found and asked about, all at the same time.
//!
//! Each verdict comes out as a [`Checked`] as soon as it is known: its row goes on to the report, its value to the glue.

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

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `raxx check`: what this environment holds, asked afresh.
    Check,
    /// The daily check: as `Check`, and a rejection may be doubted.
    Daily,
    /// `raxx load`: as `Check`, and a value of the store takes the place of a bad one of the environment.
    Load,
    /// A new terminal: as `Load`, with memory.
    Hook,
}

/// What is known of one credential.
pub(crate) struct Checked {
    pub row: Row,
    /// A value that may be exported: one that no provider rejected.
    pub good: Option<Good>,
    /// Whether the provider was asked for this very run.
    pub live: bool,
    /// A keyed hash of the value, where there is one and a state directory with the key.
    pub print: Option<String>,
}

/// A value that may be exported.
pub(crate) struct Good {
    pub secret: Secret,
    /// The environment has it already.
    pub in_environment: bool,
}

/// All that a run needs.
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

    /// How many rows the report will have.
    pub(crate) fn len(&self) -> usize {
        self.credentials.len() + usize::from(self.vault.is_some())
    }

    /// The rows' names, in order.
    pub(crate) fn names(&self) -> Vec<&str> {
        let names = self.credentials.iter().map(|c| c.name.as_str());
        names.chain(self.vault.map(|_| VAULT_ROW)).collect()
    }

    /// Runs all checks at once. `each` gets every verdict with its place in the configured order.
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
        // The store is asked for all at once and while the environment's values are already on their way.
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
        // A stale environment (an old pane, a tmux server) against the store: another value there may be the rotated one.
        let limit = self.store_limit.min(end.saturating_duration_since(Instant::now()));
        let mut found = stored(self.store, &[credential], limit).await;
        let Some(Stored::Value(secret)) = found.pop() else { return checked };
        let name = credential.store.as_ref().map_or(self.store, |item| self.store.backend_for(item)).name();
        if value.is_ok_and(|value| value == secret) {
            // A new shell gets it from there again.
            if checked.row.verdict.kind == Kind::Malformed {
                checked.row.verdict.hint = None;
            }
            return checked;
        }
        let mut better = self.validated(credential, secret, name, end).await;
        if better.row.outcome() != Outcome::Pass {
            if better.row.verdict.kind == Kind::Unreachable && Instant::now() >= end {
                let other = "has another value, which could not be checked in time";
                checked.row.verdict.hint = Some(format!("the {name} {other}"));
                checked.row.next = next_command(Kind::Unreachable, &credential.name, &credential.provider);
                // It may be the rotated one.
                checked.row.rotate_via = None;
            }
            return checked;
        }
        match self.mode {
            Mode::Check | Mode::Daily => {
                checked.row.verdict.hint = Some(format!("the {name} has another value, which works"));
                checked.row.next = Some(load(credential));
                // There is a good value: nobody needs to rotate.
                checked.row.rotate_via = None;
                checked
            }
            Mode::Load | Mode::Hook => {
                better.row.verdict.words += &format!(", from the {name} (the one in this shell was bad)");
                better
            }
        }
    }

    /// Asks about the shell's own value. What other programs would send with a line end or spaces around it is not the value
    /// that was asked about: a check says so, and a shell gets the bare one.
    async fn of_shell(&self, credential: &Credential, secret: &Secret, end: Instant) -> Checked {
        let only_looks = matches!(self.mode, Mode::Check | Mode::Daily);
        if secret.was_trimmed() && only_looks && secret.stand_in().is_none() {
            return mangled(credential, secret, "not a token: ends with a newline");
        }
        let mut checked = self.validated(credential, secret.clone(), ENVIRONMENT, end).await;
        match (&mut checked.good, secret.without_spaces()) {
            (Some(_), Some(_)) if only_looks && checked.row.verdict.kind == Kind::Valid => {
                mangled(credential, secret, "not a token: works only without the spaces at its ends")
            }
            (Some(good), Some(bare)) if !only_looks => {
                *good = Good { secret: bare, in_environment: false };
                checked
            }
            _ => checked,
        }
    }

    async fn of_store(&self, credential: &Credential, value: Stored) -> Checked {
        // Of two stores behind one another, the one that gave it.
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

    /// Proves a value that is not in any source yet. Always asks; the deadline is the configuration's.
    pub(crate) async fn prove(&self, credential: &Credential, secret: &Secret) -> Row {
        self.validated(credential, secret.clone(), "input", self.end()).await.row.cleaned()
    }

    /// Forgets what was said of a value that a person stores unchecked: it must not be held back, and a first rejection is
    /// doubted.
    pub(crate) fn trust(&self, credential: &Credential, secret: &Secret) {
        let provider = self.catalog.get(&credential.provider).expect("the catalog is checked against the list");
        let first = provider.first(credential.account_id.as_deref(), &|prefix| secret.expose().starts_with(prefix));
        if let (Some(state), Ok(first)) = (self.state, first) {
            let print = state.fingerprint(&fingerprint_parts(credential, &first), secret);
            state.forget(&print);
            // If the disk is full, only the trust is lost; the value is still stored.
            let _ = state.remember(&print, &CachedVerdict::unchecked(&credential.name));
        }
    }

    /// When a credential that is begun with now must be done.
    fn end(&self) -> Instant {
        Instant::now() + self.config.timeout
    }

    /// Asks the provider about a value, until `end` at most.
    async fn validated(&self, credential: &Credential, secret: Secret, source: &str, end: Instant) -> Checked {
        if let Some(what) = secret.stand_in() {
            return malformed(credential, Malformed::StandIn(what), source);
        }
        let provider = self.catalog.get(&credential.provider).expect("the catalog is checked against the list");
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
        if let (Kind::Rejected, Some(paste_artifact)) = (row.verdict.kind, secret.paste_artifact()) {
            row.verdict.kind = Kind::Malformed;
            row.verdict.words += &format!("; {paste_artifact}");
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
        // A shell that has a line end after the value gets the bare one.
        let in_environment = source == ENVIRONMENT && !secret.was_trimmed();
        let print = self.state.map(|state| state.fingerprint(&["said"], &secret));
        Checked { row, good: exportable.then_some(Good { secret, in_environment }), live, print }
    }

    async fn vault(&self, vault: &Infisical) -> Checked {
        let rotate_via = vault.rotate_via.clone();
        let provider = self.catalog.get("infisical").expect("it is built in");
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
                checked.row.verdict.hint =
                    Some(why.hint().map_or_else(|| format!("set {name} again, whole and on one line"), String::from));
                return checked;
            }
            Access::Token(secret) => (token(&secret).expect("its path needs nothing"), secret, None),
            Access::Login { id, secret } => {
                // Without a memory nothing keeps every new terminal from failing again, which locks the identity.
                if self.mode == Mode::Hook && self.state.is_none() {
                    let words = "not asked by a new terminal: there is no state directory to remember the answer in";
                    return plain_row(Kind::NotConfigured, words.into());
                }
                let first = provider.probe("login", None).expect("it is built in");
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
        // The built-in address may be anybody's but this vault's.
        if row.verdict.kind == Kind::Rejected && provider.host().ends_with(".infisical.com") {
            row.verdict.hint = Some(format!(
                "asked at {}; if the vault is elsewhere: base_url under [vault.infisical]",
                provider.host()
            ));
        }
        row.latency = live.then(|| begun.elapsed());
        row.source = Some(ENVIRONMENT.into());
        row.rotate_via = rotate_via;
        row.manage_url = Some(address.into());
        Checked { row, good: None, live, print }
    }

    /// A row with what an answer says. The provider's clock counts, where it is known.
    fn row(&self, name: &str, provider: &str, finding: Finding) -> Row {
        let Finding { verdict, told_at, owner, back_off: _ } = finding;
        let mut row = Row::of(name, provider, verdict);
        row.owner = owner;
        if let (Kind::Valid, Some(end)) = (row.verdict.kind, row.verdict.expires) {
            let now = told_at.unwrap_or_else(Timestamp::now);
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

/// A variable with a good value and something around it.
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

/// How a mangled value is put right, where it came from.
fn set_again(row: &mut Row, credential: &Credential, source: &str) {
    if source == ENVIRONMENT {
        row.verdict.hint = Some(format!("set {} again, whole and on one line", credential.name));
        row.next = row.next.take().filter(|_| credential.store.is_some());
    }
}
