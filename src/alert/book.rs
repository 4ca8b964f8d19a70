//! The book: what is known of every credential that is not well, and which receiver knows.
//!
//! It is the queue too: what a receiver does not know yet is due to it, in this run or in a later one, so that neither a
//! crash nor a dead network loses anything. Pure: the time is passed in, and nothing here can hold a secret.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Event, Notice, Receiver};
use crate::report::{Kind, Row, Verdict, clean};

/// Troubles of which a single run says little: a laptop without network at 8 in the morning is no incident.
const RUNS_UNTIL_TOLD: u32 = 2;

/// The version of the book's form; another one is not read.
const VERSION: u32 = 1;

/// What is known of every credential that is not well, and who was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Book {
    version: u32,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Entry {
    /// What somebody said: the provider, the store, or this machine.
    known: Option<Trouble>,
    /// That nobody could be asked. It changes nothing about what is known.
    silent: Option<Trouble>,
    /// A failure that is over, until everybody knows.
    ended: Option<Ended>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Trouble {
    provider: String,
    /// `valid` is a warning.
    kind: Kind,
    words: String,
    hint: Option<String>,
    rotate_via: Option<String>,
    manage_url: Option<String>,
    since: Timestamp,
    /// When the last run that found it ended.
    seen: Timestamp,
    /// How many runs found it, one after the other.
    runs: u32,
    told: BTreeMap<Receiver, Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ended {
    was: Trouble,
    owed: BTreeSet<Receiver>,
}

/// One run, as the book needs to know it.
pub struct Noted<'a> {
    pub rows: &'a [Row],
    pub began: Timestamp,
    pub now: Timestamp,
    /// Every name that is configured, in order.
    pub names: &'a [&'a str],
    /// Who is to be told.
    pub receivers: &'a [Receiver],
    /// Since when a credential fails, where that is known from elsewhere.
    pub failing_since: &'a dyn Fn(&str) -> Option<Timestamp>,
}

impl Default for Book {
    fn default() -> Book {
        Book { version: VERSION, entries: BTreeMap::new() }
    }
}

/// Whether it says anything of the credential, or only that nobody could be asked.
fn is_silence(kind: Kind) -> bool {
    matches!(kind, Kind::Unreachable | Kind::Blocked)
}

impl Book {
    /// Reads what [`Book::bytes`] wrote. A book that cannot be read is an empty one: then people are told once more.
    pub fn read(bytes: &[u8]) -> Book {
        serde_json::from_slice(bytes).ok().filter(|book: &Book| book.version == VERSION).unwrap_or_default()
    }

    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a book is plain data")
    }

    /// Takes in what a run found.
    pub fn note(&mut self, run: &Noted<'_>) {
        self.entries.retain(|name, _| run.names.contains(&name.as_str()));
        for entry in self.entries.values_mut() {
            entry.keep_up(run);
        }
        for row in run.rows {
            self.entries.entry(row.name.clone()).or_default().note(row, run);
        }
        self.tidy();
    }

    /// What this receiver is to be told now, in the order of `names`, the failing first.
    pub fn due(&self, to: Receiver, names: &[&str], now: Timestamp, repeat: Duration) -> Vec<Notice> {
        let entries = names.iter().filter_map(|name| self.entries.get_key_value(*name));
        let mut due: Vec<Notice> = entries.flat_map(|(name, entry)| entry.due(name, to, now, repeat)).collect();
        due.sort_by_key(|notice| notice.event);
        due
    }

    /// Notes that this receiver knows.
    pub fn told(&mut self, to: Receiver, notices: &[Notice], now: Timestamp) {
        for notice in notices {
            let Some(entry) = self.entries.get_mut(&notice.name) else { continue };
            match notice.event {
                Event::Recovered => {
                    if let Some(ended) = &mut entry.ended {
                        ended.owed.remove(&to);
                    }
                }
                _ => {
                    let troubles = [&mut entry.known, &mut entry.silent].into_iter().flatten();
                    for trouble in troubles.filter(|trouble| trouble.kind == notice.kind) {
                        trouble.told.insert(to, now);
                    }
                }
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
    fn keep_up(&mut self, run: &Noted<'_>) {
        let ended = self.ended.as_mut().map(|ended| &mut ended.was);
        for trouble in [self.known.as_mut(), self.silent.as_mut(), ended].into_iter().flatten() {
            trouble.since = trouble.since.min(run.now);
            trouble.told.values_mut().for_each(|told| *told = (*told).min(run.now));
            // A run from the future has not just ended.
            if trouble.seen > run.now {
                trouble.seen = Timestamp::UNIX_EPOCH;
            }
        }
        if let Some(ended) = &mut self.ended {
            ended.owed.retain(|to| run.receivers.contains(to));
        }
    }

    fn note(&mut self, row: &Row, run: &Noted<'_>) {
        match row.verdict() {
            // Not asked: nothing new.
            Verdict::Skip => {}
            Verdict::Fail if is_silence(row.kind) => {
                Trouble::note(&mut self.silent, row, run, run.now);
                // It was looked at, so it may be told again.
                if let Some(known) = &mut self.known {
                    known.seen = run.now;
                }
            }
            Verdict::Fail => {
                let before = match (&self.known, &self.silent) {
                    (Some(known), _) if known.is_failure() => Some(known.since),
                    (_, silent) => silent.as_ref().map(|silent| silent.since),
                };
                let elsewhere = (run.failing_since)(&row.name).filter(|since| *since <= run.now);
                let since = [before, elsewhere].into_iter().flatten().min().unwrap_or(run.now);
                Trouble::note(&mut self.known, row, run, since);
                self.silent = None;
                self.ended = None;
            }
            Verdict::Pass => {
                let failed = self.known.take_if(|known| known.is_failure());
                let was_silent = self.silent.take();
                self.end(failed, was_silent, run);
                match row.warning {
                    Some(_) => Trouble::note(&mut self.known, row, run, run.now),
                    None => self.known = None,
                }
            }
        }
    }

    /// A failure is over. Who was not told of it yet is told of both at once. Of a silence only those are told who know of it:
    /// what nobody was told, and what says nothing of the credential, is no news when it is over.
    fn end(&mut self, failed: Option<Trouble>, was_silent: Option<Trouble>, run: &Noted<'_>) {
        let receivers = run.receivers.iter().copied();
        let ended = match (failed, was_silent) {
            (Some(was), _) => Ended { owed: receivers.collect(), was },
            (None, Some(was)) => Ended { owed: receivers.filter(|to| was.told.contains_key(to)).collect(), was },
            (None, None) => return,
        };
        self.ended = Some(ended).filter(|ended| !ended.owed.is_empty()).or(self.ended.take());
    }

    fn due(&self, name: &str, to: Receiver, now: Timestamp, repeat: Duration) -> Vec<Notice> {
        let mut due = Vec::new();
        if let Some(ended) = self.ended.as_ref().filter(|ended| ended.owed.contains(&to)) {
            due.push(ended.was.notice(name, Event::Recovered, to));
        }
        let fails = self.known.as_ref().is_some_and(Trouble::is_failure);
        if let Some(known) = self.known.as_ref().filter(|known| known.is_due(to, now, repeat)) {
            let event = if fails { Event::Failing } else { Event::Warning };
            let mut notice = known.notice(name, event, to);
            notice.lately = self.silent.as_ref().map(|silent| silent.words.clone());
            due.push(notice);
        }
        // Beside a failure that is known, a silence is no further one.
        let lasting = self.silent.as_ref().filter(|silent| !fails && silent.runs >= RUNS_UNTIL_TOLD);
        if let Some(silent) = lasting.filter(|silent| silent.is_due(to, now, repeat)) {
            due.push(silent.notice(name, Event::Failing, to));
        }
        due
    }
}

impl Trouble {
    /// Puts what a row says into its place: the same trouble goes on, another one begins.
    fn note(place: &mut Option<Trouble>, row: &Row, run: &Noted<'_>, since: Timestamp) {
        let same = |old: &Trouble| old.kind == row.kind || (is_silence(old.kind) && is_silence(row.kind));
        let before = place.take().filter(same);
        // Two runs at the same time are one.
        let again = before.as_ref().is_none_or(|old| run.began >= old.seen);
        *place = Some(Trouble {
            provider: row.provider.clone(),
            kind: row.kind,
            words: clean(row.warning.as_ref().unwrap_or(&row.words)),
            hint: row.hint.clone(),
            rotate_via: row.rotate_via.clone(),
            manage_url: row.manage_url.clone(),
            since: before.as_ref().map_or(since, |old| old.since.min(since)),
            seen: run.now,
            runs: before.as_ref().map_or(0, |old| old.runs).saturating_add(u32::from(again)),
            told: before.map(|old| old.told).unwrap_or_default(),
        });
    }

    fn is_failure(&self) -> bool {
        self.kind.verdict() == Verdict::Fail
    }

    /// What was never told is due whenever; what was told is due again when a run has just found it once more.
    fn is_due(&self, to: Receiver, now: Timestamp, repeat: Duration) -> bool {
        let Some(told) = self.told.get(&to) else { return true };
        // A daily run comes a few seconds early at times, and an hour when the clocks change.
        let repeat = repeat - repeat / 12;
        let since = Duration::try_from(now.duration_since(*told)).unwrap_or_default();
        self.seen == now && since >= repeat
    }

    fn notice(&self, name: &str, event: Event, to: Receiver) -> Notice {
        // As in the report: only these, and warnings, send a person to rotate.
        let rotate = matches!(self.kind, Kind::Rejected | Kind::Missing | Kind::Valid) && event != Event::Recovered;
        Notice {
            name: name.into(),
            provider: self.provider.clone(),
            event,
            kind: self.kind,
            words: self.words.clone(),
            lately: None,
            hint: self.hint.clone().filter(|_| event != Event::Recovered),
            since: self.since,
            repeated: event != Event::Recovered && self.told.contains_key(&to),
            rotate_via: self.rotate_via.clone().filter(|_| rotate),
            manage_url: self.manage_url.clone().filter(|_| rotate),
        }
    }
}
