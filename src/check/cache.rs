//! The verdict cache of a run: which findings it uses instead of asking, and which it saves.

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

/// How long a new terminal does not repeat a login that the vault answered: each login uses up the client secret or counts
/// toward the lockout.
const LOGIN_BACK_OFF: Duration = Duration::from_secs(600);

/// How a value is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// With a request that changes nothing.
    Request,
    /// With a login, which the vault counts.
    Login,
}

/// A finding and where it comes from.
pub(super) enum Answered {
    /// The provider answered after this run began.
    Asked(Finding),
    /// The provider answered earlier.
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
                let words = "not checked: another raxx process is still trying the same login";
                Finding::new(Kind::Unreachable, words)
            }
        }
    }
}

impl Run<'_> {
    /// Returns the cached finding if this mode allows it; otherwise runs `ask` with the deadline `end` and caches the result.
    /// The first of `parts` is the row's name.
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
            // Two processes never try a login at the same time. For a request only the hook waits for another process, so that
            // `raxx check` keeps its deadline.
            if self.mode == Mode::Hook || method == Method::Login {
                // The wait has a limit, because a raxx stopped by ^Z keeps its lock. It includes the time for a second check.
                let left = end.saturating_duration_since(Instant::now());
                let wait = (left / 2 + provider.doubt.unwrap_or_default()).min(left * 3 / 4);
                match tokio::time::timeout(wait, state.flight(&print)).await {
                    Ok(lock) => flight = lock,
                    Err(_) if method == Method::Login => return Err(Answered::Busy),
                    Err(_) => {}
                }
                if let Some(cached) = state.recall(&print) {
                    // Another process got this answer after this run began, so it is current.
                    if cached.began >= self.began && cached.age().is_some() && !cached.doubtful {
                        return Err(Answered::Asked(Finding::from(&cached)));
                    }
                    // Or another process got a rejection while this one waited.
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
                // A rejection of a mangled paste is never doubted.
                let trusted = method == Method::Request
                    && secret.paste_artifact().is_none()
                    && before.as_ref().is_some_and(CachedVerdict::is_trusted);
                let doubt = provider.doubt.filter(|_| trusted && finding.verdict.kind == Kind::Rejected);
                let believes = !matches!(self.mode, Mode::Hook | Mode::Daily);
                if let Some(wait) = doubt.filter(|_| !believes) {
                    tokio::time::sleep(wait).await;
                    // Another process has checked again in the meantime.
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

    /// Returns the cached finding if a new terminal can use it instead of asking.
    fn still_good(&self, cached: &CachedVerdict, method: Method) -> Option<Finding> {
        let cached = cached.rejection().unwrap_or(cached);
        let Verdict { kind, expires, http_status, .. } = &cached.verdict;
        let now = Timestamp::now();
        let age = cached.age()?;
        let login = method == Method::Login && age < LOGIN_BACK_OFF;
        let is_current = match kind {
            Kind::Rejected | Kind::Malformed => !cached.doubtful && age < REJECTED_BACK_OFF,
            // If the expiry has passed since, the provider decides.
            Kind::Valid => expires.is_none_or(|at| at > now) && (login || age < self.config.recheck_after),
            // A blocked login did not reach the vault, so it does not count.
            Kind::Blocked => false,
            _ => (cached.back_off && age < REJECTED_BACK_OFF) || (login && http_status.is_some()),
        };
        let mut finding = Finding::from(cached);
        if *kind != Kind::Valid {
            finding.verdict.words += &format!(", checked {}", ago(age, now));
        }
        is_current.then_some(finding)
    }
}

impl From<&CachedVerdict> for Finding {
    fn from(cached: &CachedVerdict) -> Finding {
        Finding { back_off: cached.back_off, ..Finding::from(cached.verdict.clone()) }
    }
}

/// Returns what a cached verdict is keyed by besides the value. The account is part of it: its answers can differ.
pub(crate) fn fingerprint_parts<'a>(credential: &'a Credential, first: &'a Ask) -> [&'a str; 4] {
    [&credential.name, &credential.provider, first.url.as_str(), credential.account_id.as_deref().unwrap_or_default()]
}
