//! What a run takes from memory instead of asking, and what it leaves there.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::time::timeout_at;

use super::request::Asked;
use super::{Mode, Run};
use crate::config::Credential;
use crate::provider::http::Fault;
use crate::provider::{Ask, Finding, Provider};
use crate::report::{Kind, ago};
use crate::secret::Secret;
use crate::state::{Memory, REJECTED_RESTS};

/// A log-in that the vault answered is not repeated by a new terminal for so long: each one counts as a use of the client
/// secret, or towards the lock.
const LOGIN_RESTS: Duration = Duration::from_secs(600);

impl Run<'_> {
    /// Runs `ask` until `end` at most, after looking into the memory where this mode has one, and keeps what comes out.
    /// Tells also whether it was asked for this run. The first of `parts` is the row's name.
    pub(super) async fn remembered(
        &self,
        parts: &[&str; 4],
        secret: &Secret,
        provider: &Provider,
        login: bool,
        end: Instant,
        ask: impl AsyncFn(Instant) -> Asked,
    ) -> (Asked, bool) {
        let out_of_time = || self.no_answer(provider, Fault::TimedOut);
        let Some(state) = self.state else {
            return (timeout_at(end.into(), ask(end)).await.unwrap_or_else(|_| out_of_time()), true);
        };
        let print = state.fingerprint(parts, secret);
        if self.mode == Mode::Hook
            && let Some(asked) = state.recall(&print).and_then(|memory| self.still_good(&memory, login))
        {
            return (asked, false);
        }
        let mut flight = None;
        let mut began = Timestamp::now();
        let asking = async {
            // A log-in is never tried twice at the same time; for the rest only a terminal's hook waits for another one,
            // so that `raxx check` keeps its deadline.
            if self.mode == Mode::Hook || login {
                // Not for ever: a raxx that was stopped by ^Z holds its lock. The one that asks may doubt what it hears.
                let left = end.saturating_duration_since(Instant::now());
                let wait = (left / 2 + provider.doubt.unwrap_or_default()).min(left * 3 / 4);
                match tokio::time::timeout(wait, state.flight(&print)).await {
                    Ok(lock) => flight = lock,
                    Err(_) if login => return Err((busy(), false)),
                    Err(_) => {}
                }
                if let Some(memory) = state.recall(&print) {
                    // Somebody else asked since this run began: that is as fresh as asking now.
                    if memory.began >= self.began && memory.age().is_some() && !memory.doubtful {
                        return Err((Asked::from(&memory), true));
                    }
                    // Or was rejected while this one waited.
                    if let Some(asked) = self.still_good(&memory, login).filter(|_| self.mode == Mode::Hook) {
                        return Err((asked, false));
                    }
                }
            } else {
                flight = state.try_flight(&print);
            }
            began = Timestamp::now();
            Ok(ask(end).await)
        };
        match timeout_at(end.into(), asking).await {
            Ok(Err(remembered)) => remembered,
            Ok(Ok(mut asked)) => {
                let before = state.recall(&print);
                // A mangled paste is not the provider's fault.
                let trusted =
                    !login && secret.paste_artifact().is_none() && before.as_ref().is_some_and(Memory::is_trusted);
                let doubt = provider.doubt.filter(|_| trusted && asked.finding.kind == Kind::Rejected);
                let believes = !matches!(self.mode, Mode::Hook | Mode::Daily);
                if let Some(wait) = doubt.filter(|_| !believes) {
                    tokio::time::sleep(wait).await;
                    // Another process asked in the meantime, for all of them.
                    if let Some(memory) = state.recall(&print).filter(|m| m.began > began && !m.doubtful) {
                        return (Asked::from(&memory), true);
                    }
                    began = Timestamp::now();
                    let end = Instant::now() + self.config.timeout;
                    asked = timeout_at(end.into(), ask(end)).await.unwrap_or_else(|_| out_of_time());
                }
                let mut memory = asked.memory(parts[0], began);
                memory.doubtful = doubt.is_some() && believes;
                // A disk that is full costs the memory, not the verdict.
                let _ = state.remember(&print, &memory.after(before));
                (asked, true)
            }
            Err(_) => (out_of_time(), true),
        }
    }

    /// The remembered verdict, where a new terminal does not ask again.
    fn still_good(&self, memory: &Memory, login: bool) -> Option<Asked> {
        let memory = memory.rejection().unwrap_or(memory);
        let now = Timestamp::now();
        let age = memory.age()?;
        let login = login && age < LOGIN_RESTS;
        let rests = match memory.kind {
            Kind::Rejected | Kind::Malformed => !memory.doubtful && age < REJECTED_RESTS,
            // A date that has come since is the provider's to judge.
            Kind::Valid => memory.expires.is_none_or(|at| at > now) && (login || age < self.config.recheck_after),
            // What stands in front let nothing through that would count.
            Kind::Blocked => false,
            _ => (memory.rests && age < REJECTED_RESTS) || (login && memory.http_status.is_some()),
        };
        let mut asked = Asked::from(memory);
        if memory.kind != Kind::Valid {
            asked.finding.words += &format!(", asked {}", ago(age, now));
        }
        rests.then_some(asked)
    }
}

impl From<&Memory> for Asked {
    fn from(memory: &Memory) -> Asked {
        Asked { finding: memory.finding(), status: memory.http_status, cause: memory.cause.clone() }
    }
}

impl Asked {
    fn memory(&self, name: &str, began: Timestamp) -> Memory {
        Memory::new(name, began, &self.finding, self.status, self.cause.clone())
    }
}

/// What a verdict is remembered under, beside the value: another account's answer is another verdict.
pub(crate) fn fingerprint_parts<'a>(credential: &'a Credential, first: &'a Ask) -> [&'a str; 4] {
    [&credential.name, &credential.provider, first.url.as_str(), credential.account_id.as_deref().unwrap_or_default()]
}

/// A log-in is under way in another raxx, which does not come to an end.
fn busy() -> Asked {
    let words = "not asked: another raxx has been trying the same log-in for some time";
    Asked { finding: Finding::new(Kind::Unreachable, words), status: None, cause: None }
}
