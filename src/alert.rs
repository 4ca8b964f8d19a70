//! What people are told of a run, and what they have been told already.
//!
//! The [`Book`] holds, for each credential, what is wrong with it and which receiver knows. It is the queue too: what a
//! receiver does not know yet is due to it, in this run or in a later one, so that neither a crash nor a dead network
//! loses anything. Pure: the time is passed in, and nothing here can hold a secret.

pub mod command;
pub mod desktop;
pub mod slack;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::report::{Kind, Row, Verdict, clean};

/// Troubles of which a single run says little: a laptop without network at 8 in the morning is no incident.
const RUNS_UNTIL_TOLD: u32 = 2;

/// Where it is kept, in the state directory: the book, and what keeps two runs apart.
pub const FILES: [&str; 2] = ["alerts.json", "alerts.lock"];

/// The version of the book's form; another one is not read.
const VERSION: u32 = 1;

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Receiver {
    Slack,
    Desktop,
    Command,
}

impl Receiver {
    /// Its name in a line for a person.
    pub fn name(self) -> &'static str {
        match self {
            Receiver::Slack => "Slack",
            Receiver::Desktop => "the desktop",
            Receiver::Command => "the alert command",
        }
    }
}

/// What one receiver is to be told of one credential.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    pub name: String,
    pub provider: String,
    pub event: Event,
    pub kind: Kind,
    pub words: String,
    /// What the last run could not find out, beside what is known from before.
    pub lately: Option<String>,
    pub hint: Option<String>,
    /// Since when it fails; of a recovery, since when it had failed.
    pub since: Timestamp,
    /// Whether this receiver was told before.
    pub repeated: bool,
    pub rotate_via: Option<String>,
    pub manage_url: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    Failing,
    Warning,
    Recovered,
}

/// One message: all that a receiver is told at once.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    /// The machine that it comes from.
    pub host: String,
    pub at: Timestamp,
    /// Whether it is only to see that messages arrive.
    pub test: bool,
    pub notices: Vec<Notice>,
}

impl Message {
    /// `2 credentials fail, 1 warning, 1 works again`.
    pub fn summary(&self) -> String {
        if self.test {
            return "a test: alerts arrive here".into();
        }
        let count = |event| self.notices.iter().filter(|n| n.event == event).count();
        let mut parts = Vec::new();
        match count(Event::Failing) {
            0 => {}
            1 => parts.push("1 credential fails".to_string()),
            n => parts.push(format!("{n} credentials fail")),
        }
        match count(Event::Warning) {
            0 => {}
            1 => parts.push("1 warning".to_string()),
            n => parts.push(format!("{n} warnings")),
        }
        match count(Event::Recovered) {
            0 => {}
            1 => parts.push("1 works again".to_string()),
            n => parts.push(format!("{n} work again")),
        }
        parts.join(", ")
    }

    /// How long a notice's trouble lasts or lasted: `3 h`; none where the clock makes no sense of it.
    pub fn lasted(&self, notice: &Notice) -> Option<String> {
        Duration::try_from(self.at.duration_since(notice.since)).ok().map(span)
    }

    /// What a notice says after its names.
    pub fn said(&self, notice: &Notice) -> String {
        match notice.event {
            Event::Recovered => match self.lasted(notice) {
                Some(lasted) => format!("works again, was failing for {lasted}"),
                None => "works again".into(),
            },
            _ => match &notice.lately {
                Some(lately) => format!("{} (at the last check: {})", clean(&notice.words), clean(lately)),
                None => clean(&notice.words),
            },
        }
    }
}

/// The largest unit that says it: `2 days`, `3 h`, `12 min`.
fn span(time: Duration) -> String {
    match time.as_secs() {
        0..60 => "less than a minute".into(),
        s @ 60..3_600 => format!("{} min", s / 60),
        s @ 3_600..172_800 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    }
}

/// A time as people are told it.
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 2] = ["HEROKU_API_KEY", "OTHER"];
    const NAME: &str = NAMES[0];
    const DAY: Duration = Duration::from_secs(86_400);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn hours(hours: i64) -> i64 {
        hours * 3_600
    }

    fn row(kind: Kind) -> Row {
        let mut row = Row::new(NAME, "heroku", kind, format!("{kind:?}"));
        row.rotate_via = Some("page.md".into());
        row
    }

    fn warning() -> Row {
        let mut row = row(Kind::Valid);
        row.warning = Some("expires in 9 days".into());
        row
    }

    /// A run that ended at this second, seen by Slack alone.
    fn run(book: &mut Book, second: i64, row: Row) -> Vec<Notice> {
        run_since(book, second, row, None)
    }

    fn run_since(book: &mut Book, second: i64, row: Row, since: Option<Timestamp>) -> Vec<Notice> {
        noted(book, at(second - 2), at(second), row, &[Receiver::Slack], since);
        book.due(Receiver::Slack, &NAMES, at(second), DAY)
    }

    fn noted(
        book: &mut Book,
        began: Timestamp,
        now: Timestamp,
        row: Row,
        receivers: &[Receiver],
        since: Option<Timestamp>,
    ) {
        let rows = [row];
        book.note(&Noted { rows: &rows, began, now, names: &NAMES, receivers, failing_since: &|_| since });
        // Whatever happens next, the book survives it.
        *book = Book::read(&book.bytes());
    }

    /// The same, and Slack takes it.
    fn told(book: &mut Book, second: i64, row: Row) -> Vec<String> {
        let due = run(book, second, row);
        book.told(Receiver::Slack, &due, at(second));
        let message = Message { host: "h".into(), at: at(second), test: false, notices: due };
        message.notices.iter().map(|n| format!("{:?}: {}", n.event, message.said(n))).collect()
    }

    const NOTHING: [&str; 0] = [];

    #[test]
    fn a_failure_is_told_once_then_after_a_day_and_its_end_once() {
        let mut book = Book::default();
        assert_eq!(told(&mut book, 0, row(Kind::Rejected)), ["Failing: Rejected"]);
        assert_eq!(told(&mut book, hours(1), row(Kind::Rejected)), NOTHING);
        assert_eq!(told(&mut book, hours(21), row(Kind::Rejected)), NOTHING);
        let again = run(&mut book, hours(24) - 9, row(Kind::Rejected));
        assert!(again.len() == 1 && again[0].repeated, "a daily run that comes a little early repeats: {again:?}");
        book.told(Receiver::Slack, &again, at(hours(24) - 9));
        assert_eq!(told(&mut book, hours(25), row(Kind::Rejected)), NOTHING);
        assert_eq!(told(&mut book, hours(27), row(Kind::Valid)), ["Recovered: works again, was failing for 27 h"]);
        assert_eq!(told(&mut book, hours(28), row(Kind::Valid)), NOTHING);
        assert_eq!(book, Book::default(), "nothing is kept of what is well");
    }

    #[test]
    fn what_was_not_delivered_is_due_to_the_next_run_whatever_it_finds() {
        let mut book = Book::default();
        assert_eq!(run(&mut book, 0, row(Kind::Missing)).len(), 1);
        assert_eq!(run(&mut book, 60, row(Kind::Missing)).len(), 1, "not told yet");
        let mut skipped = book.clone();
        assert_eq!(run(&mut skipped, 120, row(Kind::NotConfigured)).len(), 1, "not asked about is not forgotten");
        // It works by now: one notice says both.
        assert_eq!(told(&mut book, hours(3), row(Kind::Valid)), ["Recovered: works again, was failing for 3 h"]);
        assert_eq!(told(&mut book, hours(4), row(Kind::Valid)), NOTHING);
    }

    #[test]
    fn an_end_that_was_not_delivered_is_due_until_it_is() {
        let mut book = Book::default();
        told(&mut book, 0, row(Kind::Rejected));
        assert_eq!(run(&mut book, hours(1), row(Kind::Valid)).len(), 1);
        assert_eq!(run(&mut book, hours(2), row(Kind::Valid)).len(), 1);
        assert_eq!(run(&mut book, hours(2), row(Kind::Unreachable)).len(), 1);
        let mut fails_again = book.clone();
        assert_eq!(told(&mut fails_again, hours(3), row(Kind::Rejected)), ["Failing: Rejected"]);
        assert_eq!(told(&mut book, hours(3), row(Kind::Valid)).len(), 1);
        assert_eq!(told(&mut book, hours(4), row(Kind::Valid)), NOTHING);
    }

    #[test]
    fn no_answer_is_told_after_two_runs_and_its_end_to_those_who_know() {
        let mut book = Book::default();
        assert_eq!(told(&mut book, 0, row(Kind::Unreachable)), NOTHING);
        assert_eq!(told(&mut book, hours(1), row(Kind::Valid)), NOTHING, "a laptop without network is no incident");
        assert_eq!(told(&mut book, hours(2), row(Kind::Unreachable)), NOTHING, "the count begins anew");
        assert_eq!(told(&mut book, hours(3), row(Kind::Blocked)), ["Failing: Blocked"]);
        assert_eq!(told(&mut book, hours(4), row(Kind::Unreachable)), NOTHING);
        assert_eq!(told(&mut book, hours(5), row(Kind::Valid)), ["Recovered: works again, was failing for 3 h"]);

        run(&mut book, hours(6), row(Kind::Unreachable));
        assert_eq!(run(&mut book, hours(7), row(Kind::Unreachable)).len(), 1);
        assert_eq!(told(&mut book, hours(8), row(Kind::Valid)), NOTHING, "nobody had heard of it");
    }

    #[test]
    fn two_runs_at_the_same_time_are_one() {
        let mut book = Book::default();
        let receivers = [Receiver::Slack];
        noted(&mut book, at(0), at(10), row(Kind::Unreachable), &receivers, None);
        noted(&mut book, at(1), at(11), row(Kind::Unreachable), &receivers, None);
        assert_eq!(book.due(Receiver::Slack, &NAMES, at(11), DAY), []);
        noted(&mut book, at(12), at(20), row(Kind::Unreachable), &receivers, None);
        assert_eq!(book.due(Receiver::Slack, &NAMES, at(20), DAY).len(), 1);
    }

    #[test]
    fn an_outage_neither_ends_nor_renews_a_failure() {
        let mut book = Book::default();
        told(&mut book, 0, row(Kind::Rejected));
        for hour in 1..5 {
            assert_eq!(told(&mut book, hours(hour), row(Kind::Unreachable)), NOTHING);
        }
        assert_eq!(told(&mut book, hours(5), row(Kind::Rejected)), NOTHING);
        let said = ["Failing: Rejected (at the last check: Unreachable)"];
        assert_eq!(told(&mut book, hours(24), row(Kind::Unreachable)), said);
    }

    #[test]
    fn another_reason_is_another_failure() {
        let mut book = Book::default();
        told(&mut book, 0, row(Kind::Missing));
        assert_eq!(told(&mut book, 60, row(Kind::Rejected)), ["Failing: Rejected"]);
        told(&mut book, hours(1), row(Kind::Unreachable));
        told(&mut book, hours(2), row(Kind::Valid));
        told(&mut book, hours(3), row(Kind::Unreachable));
        assert_eq!(
            told(&mut book, hours(4), row(Kind::Rejected)),
            ["Failing: Rejected"],
            "no second silence is waited for"
        );
        let mut book = Book::default();
        told(&mut book, 0, row(Kind::Rejected));
        told(&mut book, 60, row(Kind::Limited));
        assert_eq!(told(&mut book, hours(3), row(Kind::Valid)), ["Recovered: works again, was failing for 3 h"]);
    }

    #[test]
    fn a_warning_is_told_and_repeated_and_becomes_a_failure() {
        let mut book = Book::default();
        assert_eq!(told(&mut book, 0, warning()), ["Warning: expires in 9 days"]);
        assert_eq!(told(&mut book, hours(1), warning()), NOTHING);
        assert_eq!(told(&mut book, hours(2), row(Kind::Unreachable)), NOTHING);
        assert_eq!(told(&mut book, hours(3), warning()), NOTHING, "an outage does not renew it");
        assert_eq!(told(&mut book, hours(24), warning()), ["Warning: expires in 9 days"]);
        let failed = run(&mut book, hours(25), row(Kind::Rejected));
        assert_eq!((failed.len(), failed[0].since), (1, at(hours(25))), "a warning was no failure");
        book.told(Receiver::Slack, &failed, at(hours(25)));
        let said = ["Warning: expires in 9 days", "Recovered: works again, was failing for 1 h"];
        assert_eq!(told(&mut book, hours(26), warning()), said);
        assert_eq!(told(&mut book, hours(27), row(Kind::Valid)), NOTHING);
        assert_eq!(book, Book::default());
    }

    #[test]
    fn each_receiver_has_its_own_queue() {
        let mut book = Book::default();
        let both = [Receiver::Slack, Receiver::Command];
        noted(&mut book, at(0), at(1), row(Kind::Rejected), &both, None);
        let due = book.due(Receiver::Command, &NAMES, at(1), DAY);
        book.told(Receiver::Command, &due, at(1));
        noted(&mut book, at(60), at(61), row(Kind::Rejected), &both, None);
        assert_eq!(book.due(Receiver::Slack, &NAMES, at(61), DAY).len(), 1);
        assert_eq!(book.due(Receiver::Command, &NAMES, at(61), DAY), []);
        noted(&mut book, at(120), at(121), row(Kind::Valid), &both, None);
        let due = book.due(Receiver::Command, &NAMES, at(121), DAY);
        book.told(Receiver::Command, &due, at(121));
        assert_eq!(book.due(Receiver::Slack, &NAMES, at(121), DAY)[0].event, Event::Recovered);
        // Slack is taken out of the configuration: nothing is owed to it.
        noted(&mut book, at(180), at(181), row(Kind::Valid), &[Receiver::Command], None);
        assert_eq!(book, Book::default());
    }

    #[test]
    fn a_clock_that_is_set_back_tells_nothing_twice_and_silences_nothing() {
        let mut book = Book::default();
        told(&mut book, hours(1_000), row(Kind::Rejected));
        assert_eq!(told(&mut book, 0, row(Kind::Rejected)), NOTHING);
        assert_eq!(told(&mut book, hours(1), row(Kind::Rejected)), NOTHING);
        assert_eq!(told(&mut book, hours(24), row(Kind::Rejected)).len(), 1, "a day later by the new clock");
        assert_eq!(told(&mut book, hours(25), row(Kind::Valid)), ["Recovered: works again, was failing for 25 h"]);

        told(&mut book, hours(1_000), row(Kind::Unreachable));
        assert_eq!(
            told(&mut book, hours(1), row(Kind::Unreachable)).len(),
            1,
            "the second run, for all its clock says"
        );
    }

    #[test]
    fn who_noticed_first_says_since_when() {
        let mut book = Book::default();
        let due = run_since(&mut book, hours(8), row(Kind::Rejected), Some(at(hours(5))));
        assert_eq!(due[0].since, at(hours(5)));
        let due = run_since(&mut book, hours(9), row(Kind::Rejected), Some(at(hours(99))));
        assert_eq!(due[0].since, at(hours(5)), "the future is not believed");
    }

    #[test]
    fn what_is_no_longer_configured_is_forgotten() {
        let mut book = Book::default();
        run(&mut book, 0, row(Kind::Rejected));
        let rows = [];
        let receivers = [Receiver::Slack];
        let run = Noted {
            rows: &rows,
            began: at(1),
            now: at(2),
            names: &NAMES[1..],
            receivers: &receivers,
            failing_since: &|_| None,
        };
        book.note(&run);
        assert_eq!(book, Book::default());
    }

    #[test]
    fn a_damaged_book_is_an_empty_one() {
        for damaged in [&b""[..], b"{", b"[]", b"{\"version\":99,\"entries\":{}}"] {
            assert_eq!(Book::read(damaged), Book::default());
        }
    }

    #[test]
    fn only_what_rotation_mends_names_the_page() {
        let page = |kind| run(&mut Book::default(), 0, row(kind))[0].rotate_via.is_some();
        assert!(page(Kind::Rejected) && page(Kind::Missing));
        assert!(!page(Kind::Limited) && !page(Kind::Locked) && !page(Kind::Malformed));
    }

    #[test]
    fn spans_read_in_the_largest_unit() {
        let said = |s| span(Duration::from_secs(s));
        let spans = [said(5), said(720), said(10_800), said(100_000), said(200_000)];
        assert_eq!(spans, ["less than a minute", "12 min", "3 h", "27 h", "2 days"]);
    }
}
