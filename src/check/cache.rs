//! What a run takes from memory instead of asking, and what it leaves there.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::time::timeout_at;

use super::{Mode, Run};
use crate::config::Credential;
use crate::provider::http::Fault;
use crate::provider::{Ask, Finding, Provider};
use crate::report::{Kind, Verdict, ago};
use crate::secret::Secret;
use crate::state::{CachedVerdict, REJECTED_BACK_OFF};

/// A new terminal does not repeat a login that the vault answered for so long: each one counts as a use of the client
/// secret, or towards the lock.
const LOGIN_BACK_OFF: Duration = Duration::from_secs(600);

/// How a value is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// With a request that changes nothing.
    Request,
    /// With a login, which counts as a use or a failure.
    Login,
}

/// Where a finding comes from.
pub(super) enum Answered {
    /// The provider was asked since this run began.
    Asked(Finding),
    /// The provider was asked earlier.
    Cached(Finding),
    /// Another raxx has been trying the same login for some time.
    Busy,
}

impl Answered {
    /// Whether the provider was asked for this run.
    pub(super) fn is_live(&self) -> bool {
        matches!(self, Answered::Asked(_))
    }

    pub(super) fn finding(self) -> Finding {
        match self {
            Answered::Asked(finding) | Answered::Cached(finding) => finding,
            Answered::Busy => {
                let words = "not asked: another raxx has been trying the same log-in for some time";
                Finding::new(Kind::Unreachable, words)
            }
        }
    }
}

impl Run<'_> {
    /// Runs `ask` until `end` at most, unless this mode takes the finding from the cache, and caches the result. The first of
    /// `parts` is the row's name.
    pub(super) async fn remembered(
        &self,
        parts: &[&str; 4],
        secret: &Secret,
        provider: &Provider,
        method: Method,
        end: Instant,
        ask: impl AsyncFn(Instant) -> Finding,
    ) -> Answered {
        let out_of_time = || self.no_answer(provider, Fault::TimedOut);
        let Some(state) = self.state else {
            return Answered::Asked(timeout_at(end.into(), ask(end)).await.unwrap_or_else(|_| out_of_time()));
        };
        let print = state.fingerprint(parts, secret);
        if self.mode == Mode::Hook
            && let Some(finding) = state.recall(&print).and_then(|cached| self.still_good(&cached, method))
        {
            return Answered::Cached(finding);
        }
        let mut flight = None;
        let mut began = Timestamp::now();
        let asking = async {
            // A login is never tried twice at the same time; for the rest only a terminal's hook waits for another one,
            // so that `raxx check` keeps its deadline.
            if self.mode == Mode::Hook || method == Method::Login {
                // Not forever: a raxx that was stopped by ^Z holds its lock. The one that asks may doubt what it hears.
                let left = end.saturating_duration_since(Instant::now());
                let wait = (left / 2 + provider.doubt.unwrap_or_default()).min(left * 3 / 4);
                match tokio::time::timeout(wait, state.flight(&print)).await {
                    Ok(lock) => flight = lock,
                    Err(_) if method == Method::Login => return Err(Answered::Busy),
                    Err(_) => {}
                }
                if let Some(cached) = state.recall(&print) {
                    // Another process asked since this run began: that is as fresh as asking now.
                    if cached.began >= self.began && cached.age().is_some() && !cached.doubtful {
                        return Err(Answered::Asked(Finding::from(&cached)));
                    }
                    // Or was rejected while this one waited.
                    if let Some(finding) = self.still_good(&cached, method).filter(|_| self.mode == Mode::Hook) {
                        return Err(Answered::Cached(finding));
                    }
                }
            } else {
                flight = state.try_flight(&print);
            }
            began = Timestamp::now();
            Ok(ask(end).await)
        };
        match timeout_at(end.into(), asking).await {
            Ok(Err(known)) => known,
            Ok(Ok(mut finding)) => {
                let before = state.recall(&print);
                // A mangled paste is not the provider's fault.
                let trusted = method == Method::Request
                    && secret.paste_artifact().is_none()
                    && before.as_ref().is_some_and(CachedVerdict::is_trusted);
                let doubt = provider.doubt.filter(|_| trusted && finding.verdict.kind == Kind::Rejected);
                let believes = !matches!(self.mode, Mode::Hook | Mode::Daily);
                if let Some(wait) = doubt.filter(|_| !believes) {
                    tokio::time::sleep(wait).await;
                    // Another process asked in the meantime, for all of them.
                    if let Some(cached) = state.recall(&print).filter(|c| c.began > began && !c.doubtful) {
                        return Answered::Asked(Finding::from(&cached));
                    }
                    began = Timestamp::now();
                    let end = Instant::now() + self.config.timeout;
                    finding = timeout_at(end.into(), ask(end)).await.unwrap_or_else(|_| out_of_time());
                }
                let mut cached = CachedVerdict::new(parts[0], began, finding.verdict.clone(), finding.back_off);
                cached.doubtful = doubt.is_some() && believes;
                // If the disk is full, only the cache is lost, not the verdict.
                let _ = state.remember(&print, &cached.after(before));
                Answered::Asked(finding)
            }
            Err(_) => Answered::Asked(out_of_time()),
        }
    }

    /// The cached finding, if a new terminal does not ask again.
    fn still_good(&self, cached: &CachedVerdict, method: Method) -> Option<Finding> {
        let cached = cached.rejection().unwrap_or(cached);
        let Verdict { kind, expires, http_status, .. } = &cached.verdict;
        let now = Timestamp::now();
        let age = cached.age()?;
        let login = method == Method::Login && age < LOGIN_BACK_OFF;
        let holds = match kind {
            Kind::Rejected | Kind::Malformed => !cached.doubtful && age < REJECTED_BACK_OFF,
            // A date that has come since is the provider's to judge.
            Kind::Valid => expires.is_none_or(|at| at > now) && (login || age < self.config.recheck_after),
            // What blocked the request let nothing through that would count.
            Kind::Blocked => false,
            _ => (cached.back_off && age < REJECTED_BACK_OFF) || (login && http_status.is_some()),
        };
        let mut finding = Finding::from(cached);
        if *kind != Kind::Valid {
            finding.verdict.words += &format!(", asked {}", ago(age, now));
        }
        holds.then_some(finding)
    }
}

impl From<&CachedVerdict> for Finding {
    fn from(cached: &CachedVerdict) -> Finding {
        Finding { back_off: cached.back_off, ..Finding::from(cached.verdict.clone()) }
    }
}

/// What a verdict is remembered under, beside the value: another account's answer is another verdict.
pub(crate) fn fingerprint_parts<'a>(credential: &'a Credential, first: &'a Ask) -> [&'a str; 4] {
    [&credential.name, &credential.provider, first.url.as_str(), credential.account_id.as_deref().unwrap_or_default()]
}
