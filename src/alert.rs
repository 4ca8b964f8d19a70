//! What people are told of a run: who, of what, and in which words. What they have been told already is in the [`Book`].
//! Nothing here can hold a secret.

mod book;
pub mod command;
pub mod desktop;
pub mod slack;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use book::{Book, Noted};

use crate::report::{Kind, clean};

/// Where it is kept, in the state directory: the book, and what keeps two runs apart.
pub const FILES: [&str; 2] = ["alerts.json", "alerts.lock"];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_in_the_largest_unit() {
        let said = |s| span(Duration::from_secs(s));
        let spans = [said(5), said(720), said(10_800), said(100_000), said(200_000)];
        assert_eq!(spans, ["less than a minute", "12 min", "3 h", "27 h", "2 days"]);
    }
}
