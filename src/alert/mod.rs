//! Alerts: which receiver gets which alert, and in which words. The [`AlertsFile`] records what was already sent.
//! Nothing here can contain a secret.

pub(crate) mod command;
pub(crate) mod desktop;
mod pending;
mod pending_file;
pub(crate) mod slack;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use pending::{PendingAlerts, RunFacts};
pub(crate) use pending_file::AlertsFile;

use crate::report::{Kind, Verdict};
use crate::text::clean;

/// The pending alerts, in the state directory.
const ALERTS: &str = "alerts.json";
/// The lock for changing that file.
const LOCK: &str = "alerts.lock";
/// The lock for sending alerts: when two runs overlap, the second one finds everything sent.
const SENDING: &str = "alerts.sending";
/// The files of this module.
pub(crate) const FILES: [&str; 3] = [ALERTS, LOCK, SENDING];

/// A receiver of alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Receiver {
    Slack,
    Desktop,
    Command,
}

impl Receiver {
    /// Returns its name for messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Receiver::Slack => "Slack",
            Receiver::Desktop => "the desktop",
            Receiver::Command => "the alert command",
        }
    }
}

/// An alert about one credential for one receiver.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Alert {
    pub name: String,
    pub provider: String,
    pub event: Event,
    /// Only its kind, words and hint are used.
    #[serde(flatten, serialize_with = "kind_words_and_hint")]
    pub verdict: Verdict,
    /// Why the last run could not check it; the verdict is then an older one.
    pub lately: Option<String>,
    /// The command to type next.
    #[serde(rename = "type")]
    pub next: Option<String>,
    /// When it began to fail, also for a recovery.
    pub since: Timestamp,
    /// The host that did not answer.
    #[serde(skip)]
    pub no_answer_from: Option<String>,
    /// Whether this receiver already got an alert about it.
    pub repeated: bool,
    pub rotate_via: Option<String>,
    pub manage_url: Option<String>,
}

fn kind_words_and_hint<S: serde::Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Form<'a> {
        kind: Kind,
        words: &'a str,
        hint: Option<&'a str>,
    }
    let Verdict { kind, words, hint, .. } = verdict;
    Form { kind: *kind, words, hint: hint.as_deref() }.serialize(serializer)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Event {
    Failing,
    Warning,
    Recovered,
}

/// A message: all alerts that a receiver gets at once.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Message {
    /// The machine that it comes from.
    pub host: String,
    pub at: Timestamp,
    /// Whether this is only a test of the delivery.
    pub test: bool,
    #[serde(rename = "notices")]
    pub alerts: Vec<Alert>,
}

impl Message {
    /// Returns for example `2 credentials fail, 1 could not be checked, 1 warning, 1 works again`.
    pub(crate) fn summary(&self) -> String {
        if self.test {
            return "this is a test alert".into();
        }
        let count = |event| self.alerts.iter().filter(|n| n.event == event).count();
        let unknown =
            self.alerts.iter().filter(|n| n.event == Event::Failing && n.verdict.kind.is_inconclusive()).count();
        let mut parts = Vec::new();
        match count(Event::Failing) - unknown {
            0 => {}
            1 => parts.push("1 credential fails".to_string()),
            n => parts.push(format!("{n} credentials fail")),
        }
        match (unknown, parts.is_empty()) {
            (0, _) => {}
            (n, false) => parts.push(format!("{n} could not be checked")),
            (1, true) => parts.push("1 credential could not be checked".to_string()),
            (n, true) => parts.push(format!("{n} credentials could not be checked")),
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

    /// Returns how long a problem lasts or lasted, like `3 h`, or `None` if the clock was set back.
    pub(crate) fn lasted(&self, since: Timestamp) -> Option<String> {
        Duration::try_from(self.at.duration_since(since)).ok().map(span)
    }

    /// Returns the alerts, grouped by what they say, in the order of the first alert of each group.
    pub(crate) fn groups(&self) -> Vec<Group<'_>> {
        // After a network failure the words differ only in the names of the providers.
        let unanswered = |n: &&Alert| n.event == Event::Failing && n.no_answer_from.is_some();
        let together = self.alerts.iter().filter(unanswered).count() > 1;
        let mut places = HashMap::new();
        let mut groups: Vec<Group<'_>> = Vec::new();
        for alert in &self.alerts {
            let key = if together && unanswered(&alert) {
                None
            } else {
                let says = (alert.event, self.said(alert, 1), self.lasted(alert.since), alert.repeated);
                Some((says, &alert.rotate_via, &alert.verdict.hint))
            };
            let place = *places.entry(key).or_insert(groups.len());
            if let Some(group) = groups.get_mut(place) {
                group.alerts.push(alert);
                group.next.extend(alert.next.as_deref());
            } else {
                let next = BTreeSet::from_iter(alert.next.as_deref());
                groups.push(Group { alerts: vec![alert], said: self.said(alert, 1), since: alert.since, next });
            }
        }
        for group in groups.iter_mut().filter(|group| group.alerts.len() > 1) {
            let hosts: BTreeSet<&str> = group.alerts.iter().filter_map(|n| n.no_answer_from.as_deref()).collect();
            if unanswered(&group.alerts[0]) {
                let hosts: Vec<String> = hosts.into_iter().map(clean).collect();
                group.said = format!("no response from {}", hosts.join(", "));
                group.next = BTreeSet::from(["raxx check"]);
                group.since = group.alerts.iter().map(|n| n.since).min().unwrap_or(group.since);
            } else if group.alerts[0].event == Event::Recovered {
                group.said = self.said(group.alerts[0], group.alerts.len());
            }
        }
        groups
    }

    /// Returns the words that follow the names of `count` credentials with this alert.
    pub(crate) fn said(&self, alert: &Alert, count: usize) -> String {
        let (work, were) = if count == 1 { ("works", "was") } else { ("work", "were") };
        match alert.event {
            Event::Recovered => match self.lasted(alert.since) {
                Some(lasted) if alert.verdict.kind.is_inconclusive() => {
                    format!("{work} again, could not be checked for {lasted}")
                }
                Some(lasted) => format!("{work} again, {were} failing for {lasted}"),
                None => format!("{work} again"),
            },
            _ => match &alert.lately {
                Some(lately) => format!("{} (at the last check: {})", clean(&alert.verdict.words), clean(lately)),
                None => clean(&alert.verdict.words),
            },
        }
    }
}

/// Alerts with the same words.
pub(crate) struct Group<'a> {
    pub alerts: Vec<&'a Alert>,
    /// The words after their names.
    pub said: String,
    pub since: Timestamp,
    /// The commands to type next.
    pub next: BTreeSet<&'a str>,
}

/// Why a receiver did not confirm a message, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeliveryError {
    /// It was not delivered.
    NotDelivered(String),
    /// It is unknown whether it was delivered.
    Unknown(String),
}

impl DeliveryError {
    pub(crate) fn why(self) -> String {
        match self {
            DeliveryError::NotDelivered(why) | DeliveryError::Unknown(why) => why,
        }
    }
}

impl From<String> for DeliveryError {
    fn from(why: String) -> DeliveryError {
        DeliveryError::NotDelivered(why)
    }
}

/// What is known about a message that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Arrived,
    Unknown,
}

/// Whether a run is the scheduled one, or a retry because there was no answer or an alert was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    First,
    Repeated,
}

/// Returns a duration in the largest unit: `2 days`, `3 h`, `12 min`.
pub(crate) fn span(time: Duration) -> String {
    match time.as_secs() {
        0..60 => "less than a minute".into(),
        s @ 60..3_600 => format!("{} min", s / 60),
        s @ 3_600..172_800 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    }
}

/// Returns a time as alerts show it.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_use_the_largest_unit() {
        let said = |s| format!("{s} s => {}\n", span(Duration::from_secs(s)));
        insta::assert_snapshot!("spans", [5, 720, 10_800, 100_000, 200_000].map(said).concat());
    }

    /// The summary and lines of one alert, and of several with the same words.
    #[test]
    fn a_message_counts_and_groups_its_alerts() {
        let at: Timestamp = "2026-05-04T08:00:00Z".parse().unwrap();
        let alert = |name: String, event, kind: Kind| Alert {
            name,
            provider: "heroku".into(),
            event,
            verdict: Verdict::new(kind, "(words)"),
            lately: None,
            next: None,
            since: at - Duration::from_secs(10_800),
            no_answer_from: (kind == Kind::Unreachable).then(|| "api.test".into()),
            repeated: false,
            rotate_via: None,
            manage_url: None,
        };
        let mut all = String::new();
        for (event, kind) in [
            (Event::Failing, Kind::Rejected),
            (Event::Failing, Kind::Unreachable),
            (Event::Warning, Kind::Valid),
            (Event::Recovered, Kind::Rejected),
            (Event::Recovered, Kind::Unreachable),
            (Event::Recovered, Kind::Locked),
        ] {
            for count in [1, 2] {
                let alerts = (0..count).map(|n| alert(format!("TOKEN_{n}"), event, kind)).collect();
                let message = Message { host: "laptop".into(), at, test: false, alerts };
                all += &format!("{}\n", message.summary());
                for group in message.groups() {
                    let names: Vec<&str> = group.alerts.iter().map(|n| n.name.as_str()).collect();
                    all += &format!("    {} | {}\n", names.join(", "), group.said);
                }
            }
        }
        let each =
            [(Event::Failing, Kind::Rejected), (Event::Failing, Kind::Unreachable), (Event::Warning, Kind::Valid)];
        let mut alerts: Vec<Alert> = each.map(|(event, kind)| alert("A".into(), event, kind)).into();
        alerts[0].lately = Some("(words of the last run)".into());
        alerts.push(alert("B".into(), Event::Recovered, Kind::Missing));
        let message = Message { host: "laptop".into(), at, test: false, alerts };
        all += &format!("{}\n    A | {}\n", message.summary(), message.groups()[0].said);
        let test = Message { test: true, alerts: Vec::new(), ..message };
        all += &format!("{}\n", test.summary());
        insta::assert_snapshot!("summaries_and_groups", all);
    }
}
