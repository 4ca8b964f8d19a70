//! One run: every credential is found and asked about, all at the same time.
//!
//! Each verdict comes out as a [`Checked`] as soon as it is known: its row goes on to the report, its value to the glue.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::config::{Config, Credential};
use crate::expiry::{self, End};
use crate::http::{Client, Fault, Request};
use crate::provider::{Ask, Auth, Catalogue, Finding, Provider, Sent, Step};
use crate::report::{Cause, Kind, Row, Verdict, ago, distance, ends_soon};
use crate::secret::{Malformed, Secret};
use crate::source::{ENVIRONMENT, Stored, environment, stored, without_value};
use crate::state::{Memory, State};
use crate::store::{Lookup, Store};
use crate::vault::{self, Access};

/// A value that was rejected so short a time ago is not sent again by a new terminal: GitHub and Cloudflare lock out
/// who sends bad tokens, and Infisical locks the identity for everybody after three.
pub const REJECTED_RESTS: Duration = Duration::from_secs(600);

/// A log-in that went well is not repeated by a new terminal for so long: each one counts as a use of the client secret.
const LOGIN_RESTS: Duration = Duration::from_secs(600);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `raxx check`: what this environment holds, asked afresh.
    Check,
    /// `raxx load`: as `Check`, and a value of the store takes the place of a bad one of the environment.
    Load,
    /// A new terminal: as `Load`, with memory.
    Hook,
}

/// What is known of one credential.
pub struct Checked {
    pub row: Row,
    /// A value that may be exported: one that no provider rejected.
    pub good: Option<Good>,
    /// Whether the provider was asked for this very run.
    pub live: bool,
}

/// A value that may be exported.
pub struct Good {
    pub secret: Secret,
    /// The environment has it already.
    pub in_environment: bool,
}

/// All that a run needs.
pub struct Run<'a> {
    pub config: &'a Config,
    pub catalogue: &'a Catalogue,
    pub credentials: Vec<&'a Credential>,
    /// Whether the vault's row is part of it.
    pub vault: bool,
    pub mode: Mode,
    pub state: Option<&'a State>,
    pub store: &'a dyn Store,
    pub store_limit: Duration,
    began: Timestamp,
    client: OnceCell<Result<Client, Fault>>,
}

/// What the vault's requests hold beside the credential: a log-in's body, and the headers for the gate in front.
#[derive(Default)]
struct Extra {
    body: Option<Zeroizing<String>>,
    headers: Vec<(String, Zeroizing<String>)>,
}

/// An answer's meaning, and the status it came with.
struct Asked {
    finding: Finding,
    status: Option<u16>,
    cause: Option<Cause>,
}

impl<'a> Run<'a> {
    pub fn new(
        config: &'a Config,
        catalogue: &'a Catalogue,
        mode: Mode,
        state: Option<&'a State>,
        store: &'a dyn Store,
    ) -> Run<'a> {
        Run {
            config,
            catalogue,
            credentials: config.credentials.iter().collect(),
            vault: config.infisical.enabled,
            mode,
            state,
            store,
            store_limit: crate::source::STORE,
            began: Timestamp::now(),
            client: OnceCell::new(),
        }
    }

    /// How many rows the report will have.
    pub fn len(&self) -> usize {
        self.credentials.len() + usize::from(self.vault)
    }

    /// The rows' names, in order.
    pub fn names(&self) -> Vec<&str> {
        let names = self.credentials.iter().map(|c| c.name.as_str());
        names.chain(self.vault.then_some(vault::NAME)).collect()
    }

    /// Runs all checks at once. `each` gets every verdict with its place in the configured order.
    pub async fn checks(&self, each: &mut dyn FnMut(usize, Checked)) {
        let mut running: FuturesUnordered<LocalBoxFuture<'_, (usize, Checked)>> = FuturesUnordered::new();
        let mut without: Vec<(usize, &Credential)> = Vec::new();
        for (i, &credential) in self.credentials.iter().enumerate() {
            match environment(&credential.name) {
                Some(value) => {
                    running.push(async move { (i, self.of_environment(credential, value).await) }.boxed_local())
                }
                None => without.push((i, credential)),
            }
        }
        if self.vault {
            running.push(async move { (self.credentials.len(), self.vault().await) }.boxed_local());
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
                Some((i, checked)) = running.next() => each(i, checked),
                else => return,
            }
        }
    }

    async fn of_environment(&self, credential: &Credential, value: Result<Secret, Malformed>) -> Checked {
        let mut checked = match value {
            Ok(secret) => {
                // The trimmed form is what is asked about; where the variable holds more, the shell gets the trimmed one.
                let same = std::env::var(&credential.name).is_ok_and(|v| secret.is(Zeroizing::new(v).as_bytes()));
                self.validated(credential, secret, ENVIRONMENT, same).await
            }
            Err(why) => malformed(credential, why, ENVIRONMENT),
        };
        if !matches!(checked.row.kind, Kind::Rejected | Kind::Malformed) || credential.store.is_none() {
            return checked;
        }
        // A stale environment (an old pane, a tmux server) against the store: another value there may be the rotated one.
        let mut found = stored(self.store, &[credential], self.store_limit).await;
        let Some(Stored::Value(secret)) = found.pop() else { return checked };
        if environment(&credential.name).is_some_and(|v| v.is_ok_and(|v| v == secret)) {
            return checked;
        }
        let mut better = self.validated(credential, secret, self.store.name(), false).await;
        if better.row.verdict() != Verdict::Pass {
            return checked;
        }
        match self.mode {
            Mode::Check => {
                let hint = format!(
                    "the {} holds another value, which works. For this shell, type: raxx load",
                    self.store.name()
                );
                checked.row.hint = Some(hint);
                // There is a good value: nobody needs to rotate.
                checked.row.rotate_via = None;
                checked
            }
            Mode::Load | Mode::Hook => {
                better.row.words += &format!(", from the {} (this shell held one that is bad)", self.store.name());
                better
            }
        }
    }

    async fn of_store(&self, credential: &Credential, value: Stored) -> Checked {
        // Of two stores behind one another, the one that gave it.
        let from = credential.store.as_ref().map_or(self.store, |item| self.store.speaker(item)).name();
        match value {
            Stored::Value(secret) => self.validated(credential, secret, from, false).await,
            Stored::Malformed(why) => malformed(credential, why, from),
            Stored::Not(lookup) => {
                let mut row = without_value(credential, &lookup, self.store);
                row.manage_url = self.catalogue.get(&credential.provider).and_then(|p| p.manage_url.clone());
                Checked { row, good: None, live: !matches!(lookup, Lookup::TimedOut) }
            }
        }
    }

    /// Proves a value that is not in any source yet. Always asks; the deadline is the configuration's.
    pub async fn prove(&self, credential: &Credential, secret: &Secret) -> Row {
        self.validated(credential, secret.clone(), "input", false).await.row
    }

    /// Forgets what was said of a value: a person stores it all the same, and it must not be held back.
    pub fn forget_verdict(&self, credential: &Credential, secret: &Secret) {
        let provider = self.catalogue.get(&credential.provider).expect("the catalogue is checked against the list");
        let first = provider.first(credential.account_id.as_deref(), &|prefix| secret.expose().starts_with(prefix));
        if let (Some(state), Ok(first)) = (self.state, first) {
            state.forget(&state.fingerprint(&fingerprint_parts(credential, &first), secret));
        }
    }

    /// Asks the provider about a value.
    async fn validated(&self, credential: &Credential, secret: Secret, source: &str, in_environment: bool) -> Checked {
        let provider = self.catalogue.get(&credential.provider).expect("the catalogue is checked against the list");
        let account = credential.account_id.as_deref();
        let token = |prefix: &str| secret.expose().starts_with(prefix);
        let begun = Instant::now();
        let (asked, live) = match provider.first(account, &token) {
            Err(what) => (Asked { finding: Finding::new(Kind::NotConfigured, what), status: None, cause: None }, true),
            Ok(first) => {
                let parts = fingerprint_parts(credential, &first);
                let ask = async {
                    let mut asked = self.ask(provider, first.clone(), &secret, account, Extra::default()).await;
                    self.look_up_expiry(provider, &secret, begun, &mut asked.finding).await;
                    asked
                };
                self.remembered(&credential.name, &parts, &secret, provider, false, ask).await
            }
        };
        let mut row = self.row(&credential.name, &credential.provider, asked);
        if let (Kind::Rejected, Some(oddity)) = (row.kind, secret.oddity()) {
            row.kind = Kind::Malformed;
            row.words += &format!("; {oddity}");
        }
        row.latency = live.then(|| begun.elapsed());
        row.source = Some(source.into());
        row.redacted = Some(secret.redacted());
        row.rotate_via = credential.rotate_via.clone();
        row.manage_url = provider.manage_url.clone();
        if row.kind == Kind::Malformed {
            row.hint = store_again(credential, source);
        }
        let exportable = !matches!(row.kind, Kind::Rejected | Kind::Malformed);
        Checked { row, good: exportable.then_some(Good { secret, in_environment }), live }
    }

    async fn vault(&self) -> Checked {
        let rotate_via = self.config.infisical.rotate_via.clone();
        let provider = self.catalogue.get("infisical").expect("it is built in");
        let address = match vault::address(&self.config.infisical) {
            Ok(address) => address,
            Err(why) => return plain_row(Kind::Malformed, why),
        };
        let provider = provider.at(&address);
        let token = |secret: &Secret| provider.first(None, &|prefix| secret.expose().starts_with(prefix));
        let begun = Instant::now();
        let headers = vault::access_headers(&address);
        let (first, secret, login) = match vault::access() {
            Access::NotSet(words) => return plain_row(Kind::NotConfigured, words),
            Access::Malformed(name, why) => {
                let mut checked = plain_row(Kind::Malformed, format!("{name} is {}", why.words()));
                checked.row.hint = Some(format!("set {name} again, whole and on one line"));
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
        let parts = [vault::NAME, "infisical", first.url.as_str(), id];
        let body = login.as_ref().map(|id| vault::login_body(id, &secret));
        let ask = self.ask(&provider, first.clone(), &secret, None, Extra { body, headers });
        let (asked, live) = self.remembered(vault::NAME, &parts, &secret, &provider, login.is_some(), ask).await;
        let mut row = self.row(vault::NAME, "infisical", asked);
        // The built-in address may be anybody's but this vault's.
        if row.kind == Kind::Rejected && provider.host().ends_with(".infisical.com") {
            row.hint = Some(format!(
                "asked at {}; if the vault is elsewhere: base_url under [vault.infisical]",
                provider.host()
            ));
        }
        row.latency = live.then(|| begun.elapsed());
        row.source = Some(ENVIRONMENT.into());
        row.rotate_via = rotate_via;
        row.manage_url = Some(address.into());
        Checked { row, good: None, live }
    }

    /// Runs `ask` inside the deadline, after looking into the memory where this mode has one, and keeps what comes out.
    /// Tells also whether it was asked for this run.
    async fn remembered(
        &self,
        name: &str,
        parts: &[&str],
        secret: &Secret,
        provider: &Provider,
        login: bool,
        ask: impl Future<Output = Asked>,
    ) -> (Asked, bool) {
        let limit = self.config.timeout;
        let out_of_time = || self.no_answer(provider, Fault::TimedOut);
        let Some(state) = self.state else {
            return (tokio::time::timeout(limit, ask).await.unwrap_or_else(|_| out_of_time()), true);
        };
        let print = state.fingerprint(parts, secret);
        if self.mode == Mode::Hook
            && let Some(asked) = state.recall(&print).and_then(|memory| self.still_good(memory, login))
        {
            return (asked, false);
        }
        let mut flight = None;
        let mut began = Timestamp::now();
        let asking = async {
            // A log-in is never tried twice at the same time; for the rest only a terminal's hook waits for another one,
            // so that `raxx check` keeps its deadline.
            if self.mode == Mode::Hook || login {
                // Not for ever: a raxx that was stopped by ^Z holds its lock.
                match tokio::time::timeout(limit / 2, state.flight(&print)).await {
                    Ok(lock) => flight = lock,
                    Err(_) if login => return Err((busy(), false)),
                    Err(_) => {}
                }
                if let Some(memory) = state.recall(&print) {
                    // Somebody else asked since this run began: that is as fresh as asking now.
                    if memory.began >= self.began && memory.age().is_some() {
                        return Err((Asked::from(&memory), true));
                    }
                    // Or was rejected while this one waited.
                    if let Some(asked) = self.still_good(memory, login).filter(|_| self.mode == Mode::Hook) {
                        return Err((asked, false));
                    }
                }
            } else {
                flight = state.try_flight(&print);
            }
            began = Timestamp::now();
            Ok(ask.await)
        };
        match tokio::time::timeout(limit, asking).await {
            Ok(Err(remembered)) => remembered,
            Ok(Ok(asked)) => {
                // A disk that is full costs the memory, not the verdict.
                let _ = state.remember(&print, &asked.memory(name, began));
                (asked, true)
            }
            Err(_) => (out_of_time(), true),
        }
    }

    /// The remembered verdict, where a new terminal does not ask again.
    fn still_good(&self, memory: Memory, login: bool) -> Option<Asked> {
        let age = memory.age()?;
        let mut asked = Asked::from(&memory);
        match memory.kind {
            Kind::Rejected if age < REJECTED_RESTS => {
                asked.finding.words += &format!(", asked {}", ago(age, Timestamp::now()));
                Some(asked)
            }
            // A date that has come since is the provider's to judge.
            Kind::Valid if memory.expires.is_some_and(|at| at <= Timestamp::now()) => None,
            Kind::Valid if age < self.config.recheck_after || (login && age < LOGIN_RESTS) => Some(asked),
            _ => None,
        }
    }

    /// Asks, and asks again where an answer says that another probe decides.
    async fn ask(
        &self,
        provider: &Provider,
        first: Ask,
        secret: &Secret,
        account: Option<&str>,
        extra: Extra,
    ) -> Asked {
        let client = match self.client.get_or_init(Client::new) {
            Ok(client) => client,
            Err(fault) => return self.no_answer(provider, fault.clone()),
        };
        let mut asked = Vec::new();
        let mut ask = first;
        loop {
            let answer = match client.send(&request(&ask, secret, &extra)).await {
                Ok(answer) => answer,
                Err(fault) => return self.no_answer(provider, fault),
            };
            asked.push(ask.probe.clone());
            let also = extra.headers.iter().map(|(_, value)| value.as_str()).collect();
            let sent = Sent { value: secret.expose(), also, account_id: account, asked: &asked };
            match self.catalogue.classify(provider, &answer, &sent) {
                Step::Done(finding) => return Asked { finding, status: Some(answer.status), cause: None },
                Step::Then(name) => ask = provider.probe(&name, account).expect("only what can be asked is asked"),
            }
        }
    }

    /// Where the provider's answer does not say when the value ends, but a list of the account's tokens does, and may be
    /// asked for.
    async fn look_up_expiry(&self, provider: &Provider, secret: &Secret, begun: Instant, finding: &mut Finding) {
        let (Kind::Valid, None, Some(list)) = (finding.kind, finding.expires, provider.expiry_list()) else { return };
        let Some(Ok(client)) = self.client.get() else { return };
        // Inside the credential's deadline: what is known to be valid must not become unreachable over it.
        let left = (self.config.timeout * 9 / 10).saturating_sub(begun.elapsed());
        let looking = expiry::look_up(client, request(&list, secret, &Extra::default()), secret.expose());
        match tokio::time::timeout(left, looking).await.unwrap_or_else(|_| Err("the list did not come in time".into()))
        {
            Ok(End::At(at)) => finding.expires = Some(at),
            Ok(End::Never) => finding.words += ", does not expire",
            Err(why) => finding.words += &format!(", expiry not known ({why})"),
        }
    }

    /// A row with what an answer says. The provider's clock counts, where it is known.
    fn row(&self, name: &str, provider: &str, asked: Asked) -> Row {
        let Finding { kind, words, hint, expires, told_at, owner } = asked.finding;
        let mut row = Row::new(name, provider, kind, words);
        row.hint = hint;
        row.expires = expires;
        row.http_status = asked.status;
        row.cause = asked.cause;
        row.owner = owner;
        if let (Kind::Valid, Some(end)) = (kind, expires) {
            let now = told_at.unwrap_or_else(Timestamp::now);
            let ends = format!("expires {}", distance(now, end));
            row.words += &format!(", {ends}");
            row.warning = ends_soon(now, end, self.config.warn_before).then_some(ends);
        }
        row
    }

    fn no_answer(&self, provider: &Provider, fault: Fault) -> Asked {
        let host = provider.host();
        let why = match &fault {
            Fault::TimedOut => format!("timed out after {:?}", self.config.timeout),
            Fault::Dns => format!("the name {host} could not be resolved"),
            other => other.to_string(),
        };
        let silent = matches!(fault, Fault::TimedOut | Fault::Dns | Fault::Refused | Fault::Other(_));
        let finding = Finding::new(Kind::Unreachable, format!("no response (network/{} down?): {why}", provider.label));
        Asked { finding, status: None, cause: silent.then_some(Cause::NoResponse { host }) }
    }
}

impl From<&Memory> for Asked {
    fn from(memory: &Memory) -> Asked {
        let cause = memory.silent.clone().map(|host| Cause::NoResponse { host });
        Asked { finding: memory.finding(), status: memory.http_status, cause }
    }
}

impl Asked {
    fn memory(&self, name: &str, began: Timestamp) -> Memory {
        let silent = match &self.cause {
            Some(Cause::NoResponse { host }) => Some(host.clone()),
            _ => None,
        };
        Memory::new(name, began, &self.finding, self.status, silent)
    }
}

/// What a verdict is remembered under, beside the value: another account's answer is another verdict.
pub fn fingerprint_parts<'a>(credential: &'a Credential, first: &'a Ask) -> [&'a str; 4] {
    [&credential.name, &credential.provider, first.url.as_str(), credential.account_id.as_deref().unwrap_or_default()]
}

/// A log-in is under way in another raxx, which does not come to an end.
fn busy() -> Asked {
    let words = "not asked: another raxx has been trying the same log-in for some time";
    Asked { finding: Finding::new(Kind::Unreachable, words), status: None, cause: None }
}

fn request(ask: &Ask, secret: &Secret, extra: &Extra) -> Request {
    let mut headers: HashMap<String, Zeroizing<String>> =
        ask.headers.iter().map(|(n, v)| (n.to_ascii_lowercase(), Zeroizing::new(v.clone()))).collect();
    if let Auth::Header { name, prefix } = &ask.auth {
        headers.insert(name.clone(), Zeroizing::new(format!("{prefix}{}", secret.expose())));
    }
    headers.extend(extra.headers.iter().cloned());
    Request { post: ask.post, url: ask.url.clone(), headers: headers.into_iter().collect(), body: extra.body.clone() }
}

fn plain_row(kind: Kind, words: String) -> Checked {
    Checked { row: Row::new(vault::NAME, "infisical", kind, words), good: None, live: true }
}

fn malformed(credential: &Credential, why: Malformed, source: &str) -> Checked {
    let mut row = Row::new(&credential.name, &credential.provider, Kind::Malformed, why.words());
    row.source = Some(source.into());
    row.redacted = Some("(redacted)".into());
    row.hint = store_again(credential, source);
    row.rotate_via = credential.rotate_via.clone();
    Checked { row, good: None, live: true }
}

/// How a mangled value is put right, where it came from.
fn store_again(credential: &Credential, source: &str) -> Option<String> {
    match source {
        ENVIRONMENT => Some(format!("set {} again, whole and on one line", credential.name)),
        _ => Some(format!("store it again: raxx store {}", credential.name)),
    }
}
