//! What is known of every credential that is not well, and which receiver knows.
//!
//! It is the queue of alerts too: what a receiver does not know yet is due to it, in this run or in a later one, so that neither a
//! crash nor a dead network loses anything. Pure: the time is passed in, and nothing here can hold a secret.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Alert, Attempt, Delivery, Event, Receiver};
use crate::report::{Cause, Kind, Outcome, Row, Verdict};
use crate::text::clean;

/// What is known of every credential that is not well, and who was told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PendingAlerts {
    pub(super) opened: Timestamp,
    /// When the run began that was last noted, by name: one that began before that knows less, however late it ends.
    asked: BTreeMap<String, Timestamp>,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Entry {
    /// What somebody said: the provider, the store, or this machine.
    known: Option<Problem>,
    /// That nobody could be asked, or the store is locked. It changes nothing about what is known.
    silent: Option<Problem>,
    /// A failure that is over, until everybody knows.
    ended: Option<Ended>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Problem {
    provider: String,
    /// Its kind (`valid` is a warning), words and hint alone.
    #[serde(flatten)]
    verdict: Verdict,
    /// The command to type next.
    #[serde(default)]
    next: Option<String>,
    rotate_via: Option<String>,
    manage_url: Option<String>,
    since: Timestamp,
    /// When the last run that found it ended.
    seen: Timestamp,
    /// How many runs found it, one after the other.
    runs: u32,
    /// The host that gave no answer at all.
    no_answer_from: Option<String>,
    /// Who was told of it, and of the kinds that it had before: one that comes and goes is not news each time.
    told: BTreeMap<Receiver, BTreeMap<Kind, Sent>>,
}

/// When somebody was sent something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sent {
    at: Timestamp,
    /// How many times, one after the other, it is not known whether it arrived.
    doubts: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ended {
    was: Problem,
    /// Who is to be told, and what was sent already without anybody knowing whether it arrived.
    owed: BTreeMap<Receiver, Option<Sent>>,
}

/// What the alerts need to know about one run.
pub(crate) struct RunFacts<'a> {
    pub rows: &'a [Row],
    pub began: Timestamp,
    pub now: Timestamp,
    /// A repeated one and the one before it count as one.
    pub attempt: Attempt,
    /// Every name that is configured, in order.
    pub names: &'a [&'a str],
    /// Who is to be told.
    pub receivers: &'a [Receiver],
    /// Since when a credential fails, where that is known from elsewhere.
    pub failing_since: &'a dyn Fn(&Row) -> Option<Timestamp>,
}

/// What counts as one and the same thing to be told: in front of a provider or in its place, nobody answers.
fn topic(kind: Kind) -> Kind {
    if kind == Kind::Blocked { Kind::Unreachable } else { kind }
}

/// After how many runs it is told. Of some a single run says little: a laptop without network at 8 in the morning is no
/// incident.
fn runs_until_told(kind: Kind) -> u32 {
    if matches!(topic(kind), Kind::Unreachable | Kind::Refused) { 2 } else { 1 }
}

impl Sent {
    fn new(before: Option<&Sent>, now: Timestamp, delivery: Delivery) -> Sent {
        let doubts = match delivery {
            Delivery::Arrived => 0,
            Delivery::Unknown => before.map_or(0, |sent| sent.doubts).saturating_add(1),
        };
        Sent { at: now, doubts }
    }

    /// Whether enough time has gone by to send it again. What may not have arrived is sent once more at once: nothing is
    /// lost, and nobody gets it over and over.
    fn is_past(&self, now: Timestamp, repeat: Duration) -> bool {
        // A daily run comes a few seconds early at times, and an hour when the clocks change.
        let repeat = repeat.saturating_sub(repeat / 12);
        self.doubts == 1 || Duration::try_from(now.duration_since(self.at)).unwrap_or_default() >= repeat
    }
}

impl PendingAlerts {
    /// Takes in what a run found.
    pub(crate) fn note(&mut self, run: &RunFacts<'_>) {
        self.entries.retain(|name, _| run.names.contains(&name.as_str()));
        self.asked.retain(|name, at| run.names.contains(&name.as_str()) && *at <= run.now);
        for entry in self.entries.values_mut() {
            entry.keep_up(run);
        }
        // What was not asked is nothing new.
        for row in run.rows.iter().filter(|row| row.outcome() != Outcome::Skip) {
            if self.asked.get(&row.name).is_some_and(|at| *at > run.began) {
                continue;
            }
            self.asked.insert(row.name.clone(), run.began);
            self.entries.entry(row.name.clone()).or_default().note(row, run);
        }
        self.tidy();
    }

    /// What this receiver is to be told now, in the order of `names`, the failing first.
    pub(crate) fn due(&self, to: Receiver, names: &[&str], now: Timestamp, repeat: Duration) -> Vec<Alert> {
        let entries = names.iter().filter_map(|name| self.entries.get_key_value(*name));
        let mut due: Vec<Alert> = entries.flat_map(|(name, entry)| entry.due(name, to, now, repeat)).collect();
        due.sort_by_key(|alert| alert.event);
        due
    }

    /// Notes that this receiver knows; or, where it is not known whether it arrived, that it may.
    pub(crate) fn told(&mut self, to: Receiver, alerts: &[Alert], now: Timestamp, delivery: Delivery) {
        for alert in alerts {
            let Some(entry) = self.entries.get_mut(&alert.name) else { continue };
            let place = if alert.verdict.kind.is_inconclusive() { &mut entry.silent } else { &mut entry.known };
            match (alert.event, &mut entry.ended, place) {
                (Event::Recovered, Some(ended), _) if delivery == Delivery::Arrived => drop(ended.owed.remove(&to)),
                (Event::Recovered, Some(ended), _) => {
                    if let Some(sent) = ended.owed.get_mut(&to) {
                        *sent = Some(Sent::new(sent.as_ref(), now, delivery));
                    }
                }
                (Event::Failing | Event::Warning, _, Some(problem)) => {
                    let told = problem.told.entry(to).or_default();
                    let kind = topic(alert.verdict.kind);
                    told.insert(kind, Sent::new(told.get(&kind), now, delivery));
                }
                _ => {}
            }
        }
        self.tidy();
    }

    fn tidy(&mut self) {
        for entry in self.entries.values_mut() {
            entry.ended.take_if(|ended| ended.owed.is_empty());
        }
        self.entries.retain(|_, e| e.known.is_some() || e.silent.is_some() || e.ended.is_some());
    }
}

impl Entry {
    /// After a clock was set back, nothing lies in the future; and nothing is owed to a receiver that is gone.
    fn keep_up(&mut self, run: &RunFacts<'_>) {
        let ended = self.ended.as_mut().map(|ended| &mut ended.was);
        for problem in [self.known.as_mut(), self.silent.as_mut(), ended].into_iter().flatten() {
            problem.since = problem.since.min(run.now);
            problem.told.values_mut().flat_map(BTreeMap::values_mut).for_each(|sent| sent.at = sent.at.min(run.now));
            // A run from the future has not just ended.
            if problem.seen > run.now {
                problem.seen = Timestamp::UNIX_EPOCH;
            }
        }
        if let Some(ended) = &mut self.ended {
            ended.owed.retain(|to, _| run.receivers.contains(to));
            ended.owed.values_mut().flatten().for_each(|sent| sent.at = sent.at.min(run.now));
        }
    }

    fn note(&mut self, row: &Row, run: &RunFacts<'_>) {
        match row.outcome() {
            // Not asked: nothing new.
            Outcome::Skip => {}
            Outcome::Fail if row.verdict.kind.is_inconclusive() => {
                Problem::note(&mut self.silent, row, run, run.now);
                // It was looked at, so it may be told again.
                if let Some(known) = &mut self.known {
                    known.seen = run.now;
                }
            }
            Outcome::Fail => {
                // Not since nobody could be asked: then it may have been good.
                let before = self.known.as_ref().filter(|known| known.is_failure()).map(|known| known.since);
                let elsewhere = (run.failing_since)(row).filter(|since| *since <= run.now);
                let since = [before, elsewhere].into_iter().flatten().min().unwrap_or(run.now);
                Problem::note(&mut self.known, row, run, since);
                self.silent = None;
                self.ended = None;
            }
            Outcome::Pass => {
                let failed = self.known.take_if(|known| known.is_failure());
                let was_silent = self.silent.take();
                self.end(failed, was_silent, run);
                match row.warning {
                    Some(_) => Problem::note(&mut self.known, row, run, run.now),
                    None => self.known = None,
                }
            }
        }
    }

    /// A failure is over. Who was not told of it yet is told of both at once. Of a silence only those are told who know of it:
    /// what nobody was told, and what says nothing of the credential, is no news when it is over.
    fn end(&mut self, failed: Option<Problem>, was_silent: Option<Problem>, run: &RunFacts<'_>) {
        let receivers = run.receivers.iter().map(|to| (*to, None));
        let ended = match (failed, was_silent) {
            (Some(was), _) if was.lasted() => Ended { owed: receivers.collect(), was },
            (Some(was), _) | (None, Some(was)) => {
                Ended { owed: receivers.filter(|(to, _)| was.told.contains_key(to)).collect(), was }
            }
            (None, None) => return,
        };
        self.ended = Some(ended).filter(|ended| !ended.owed.is_empty()).or(self.ended.take());
    }

    fn due(&self, name: &str, to: Receiver, now: Timestamp, repeat: Duration) -> Vec<Alert> {
        let mut due = Vec::new();
        if let Some(ended) = &self.ended
            && let Some(sent) = ended.owed.get(&to)
            && sent.as_ref().is_none_or(|sent| sent.is_past(now, repeat))
        {
            due.push(ended.was.alert(name, Event::Recovered, to));
        }
        let fails = self.known.as_ref().is_some_and(Problem::is_failure);
        if let Some(known) = self.known.as_ref().filter(|known| known.lasted() && known.is_due(to, now, repeat)) {
            let event = if fails { Event::Failing } else { Event::Warning };
            let mut alert = known.alert(name, event, to);
            alert.lately = self.silent.as_ref().map(|silent| clean(&silent.verdict.words));
            due.push(alert);
        }
        // Beside a failure that is known, a silence is no further one.
        let lasting = self.silent.as_ref().filter(|silent| !fails && silent.lasted());
        if let Some(silent) = lasting.filter(|silent| silent.is_due(to, now, repeat)) {
            due.push(silent.alert(name, Event::Failing, to));
        }
        due
    }
}

impl Problem {
    /// Puts what a row says into its place: the same problem goes on, another one begins.
    fn note(place: &mut Option<Problem>, row: &Row, run: &RunFacts<'_>, since: Timestamp) {
        let mut before = place.take();
        let told = before.as_mut().map(|old| std::mem::take(&mut old.told)).unwrap_or_default();
        let before = before.filter(|old| topic(old.verdict.kind) == topic(row.verdict.kind));
        let no_answer_from = match &row.verdict.cause {
            Some(Cause::NoResponse { host, .. }) => Some(host.clone()),
            _ => None,
        };
        // Two runs at the same time are one, too.
        let counts = before.as_ref().is_none_or(|old| run.attempt == Attempt::First && run.began >= old.seen);
        let words = row.warning.as_ref().unwrap_or(&row.verdict.words);
        *place = Some(Problem {
            provider: row.provider.clone(),
            verdict: Verdict { hint: row.verdict.hint.clone(), ..Verdict::new(row.verdict.kind, clean(words)) },
            next: row.next.clone(),
            rotate_via: row.rotate_via.clone(),
            manage_url: row.manage_url.clone(),
            since: before.as_ref().map_or(since, |old| old.since.min(since)),
            seen: run.now,
            runs: before.as_ref().map_or(0, |old| old.runs).saturating_add(u32::from(counts)),
            no_answer_from,
            told,
        });
    }

    /// Whether enough runs have found it, one after the other.
    fn lasted(&self) -> bool {
        self.runs >= runs_until_told(self.verdict.kind)
    }

    fn is_failure(&self) -> bool {
        self.verdict.kind.outcome() == Outcome::Fail
    }

    /// What was never told is due whenever; what was told is due again when a run has just found it once more.
    fn is_due(&self, to: Receiver, now: Timestamp, repeat: Duration) -> bool {
        let Some(sent) = self.told.get(&to).and_then(|told| told.get(&topic(self.verdict.kind))) else { return true };
        (self.seen == now || sent.doubts > 0) && sent.is_past(now, repeat)
    }

    fn alert(&self, name: &str, event: Event, to: Receiver) -> Alert {
        // As in the report: only these, and warnings, send a person to rotate.
        let rotate =
            matches!(self.verdict.kind, Kind::Rejected | Kind::Missing | Kind::Valid) && event != Event::Recovered;
        let hint = self.verdict.hint.as_deref().filter(|_| event != Event::Recovered).map(clean);
        Alert {
            name: name.into(),
            provider: self.provider.clone(),
            event,
            // The file may have been written by another version, or by hand.
            verdict: Verdict { hint, ..Verdict::new(self.verdict.kind, clean(&self.verdict.words)) },
            lately: None,
            next: self.next.as_deref().filter(|_| event == Event::Failing).map(clean),
            since: self.since,
            no_answer_from: self.no_answer_from.clone(),
            repeated: event != Event::Recovered && self.told.contains_key(&to),
            rotate_via: self.rotate_via.clone().filter(|_| rotate),
            manage_url: self.manage_url.clone().filter(|_| rotate),
        }
    }
}
