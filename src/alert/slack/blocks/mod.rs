//! How a message reads on Slack: as blocks, and as plain text where Slack does not take those.

#[cfg(test)]
mod tests;

use serde_json::{Value, json};
use url::Url;

use super::super::{Alert, Event, Group, Message, moment};
use crate::text::clean;

/// Slack takes 50 blocks of 3,000 characters, but refused messages of some 13,200 (slackapi/bolt-js#2509).
const MESSAGE: usize = 11_000;
const SECTION: usize = 2_900;
const HEADER: usize = 150;

/// The text that stands for the blocks where they cannot be shown; Slack recommends no more than 4,000.
const TEXT: usize = 3_000;

/// Up to so many paragraphs a message is told in full; more are a list with a line each.
const IN_FULL: usize = 10;

/// Slack reads `<…>` as links and mentions and `&` as the beginning of an entity; nothing else needs escaping. What does
/// not fit is cut, and never inside an entity.
fn escaped(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    for c in clean(text).chars() {
        let piece = match c {
            '&' => "&amp;".to_string(),
            '<' => "&lt;".to_string(),
            '>' => "&gt;".to_string(),
            c => c.to_string(),
        };
        length += piece.chars().count();
        if length >= most {
            return out + "…";
        }
        out += &piece;
    }
    out
}

/// A link, where it is one: anything else would be a way to write mentions.
fn link(address: &str, label: &str) -> Option<String> {
    let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
    let url = escaped(&url.as_str().replace('|', "%7C"), 500);
    (!url.ends_with('…')).then(|| format!("<{url}|{label}>"))
}

/// What stands for the blocks in a notification, and in their place where Slack refuses them.
pub(super) fn text(message: &Message) -> String {
    let mut out = escaped(&format!("raxx on {}: {}", message.host, message.summary()), 300);
    let together = message.groups();
    for (i, group) in together.iter().enumerate() {
        let line = format!("\n{}", line(message, group));
        if out.chars().count() + line.chars().count() > TEXT {
            let left: usize = together[i..].iter().map(|group| group.alerts.len()).sum();
            return out + &format!("\n… and {left} more: raxx check");
        }
        out += &line;
    }
    out
}

fn mark(alert: &Alert) -> &'static str {
    match alert.event {
        Event::Failing => "🔴",
        Event::Warning => "🟡",
        Event::Recovered => "🟢",
    }
}

/// The names of a group, as many as fit.
fn names(group: &Group<'_>, most: usize) -> String {
    let mut out = String::new();
    for (i, alert) in group.alerts.iter().enumerate() {
        let name = format!("{}*{}*", if i == 0 { "" } else { ", " }, escaped(&alert.name, 120));
        if i > 0 && out.chars().count() + name.chars().count() > most {
            return out + &format!(" and {} more", group.alerts.len() - i);
        }
        out += &name;
    }
    out
}

/// `A, B — said`, or `A works again, …`.
fn said(group: &Group<'_>, most: usize) -> String {
    let between = if group.alerts[0].event == Event::Recovered { " " } else { " — " };
    format!("{between}{}", escaped(&group.said, most))
}

/// A group in a line.
fn line(message: &Message, group: &Group<'_>) -> String {
    let first = group.alerts[0];
    let mut out = format!("{} {}{}", mark(first), names(group, 600), said(group, 160));
    if let (Event::Failing, Some(lasted)) = (first.event, message.lasted(group.since)) {
        out += &format!(" · for {lasted}");
    }
    if let Some(page) = &first.rotate_via {
        out += &format!(" · {}", escaped(page, 120));
    }
    out
}

/// A group in full.
fn paragraph(message: &Message, group: &Group<'_>) -> String {
    let first = group.alerts[0];
    let mut out = format!("{} {}{}", mark(first), names(group, 800), said(group, 500));
    if first.event == Event::Failing {
        let still = match (first.verdict.kind.is_inconclusive(), first.repeated) {
            (true, _) => "could not be checked",
            (false, true) => "still failing",
            (false, false) => "failing",
        };
        out += &format!("\n{still} since {}", moment(group.since));
        if let Some(lasted) = message.lasted(group.since) {
            out += &format!(" ({lasted})");
        }
    }
    if let Some(page) = &first.rotate_via {
        let shown = link(page, "the rotation page").unwrap_or_else(|| escaped(page, 300));
        out += &format!("\nrotate via: {shown}");
        if let Some(make) = first.manage_url.as_deref().and_then(|url| link(url, "make a new one")) {
            out += &format!(" · {make}");
        }
    }
    if let Some(hint) = &first.verdict.hint {
        out += &format!("\n{}", escaped(hint, 300));
    }
    if !group.next.is_empty() {
        let commands: Vec<&str> = group.next.iter().copied().collect();
        out += &format!("\ntype: {}", escaped(&commands.join(" · "), 300));
    }
    out
}

/// The message as blocks: a header, sections, and where it comes from.
pub(super) fn blocks(message: &Message) -> Value {
    let groups = message.groups();
    let full: Vec<String> = groups.iter().map(|group| paragraph(message, group)).collect();
    let in_full = groups.len() <= IN_FULL && full.iter().map(|p| p.chars().count() + 2).sum::<usize>() <= MESSAGE / 2;
    let (pieces, gap) =
        if in_full { (full, "\n\n") } else { (groups.iter().map(|group| line(message, group)).collect(), "\n") };
    let mut sections = vec![String::new()];
    let mut length = 0;
    for (i, piece) in pieces.iter().enumerate() {
        let size = piece.chars().count() + gap.len();
        length += size;
        if length > MESSAGE {
            let left: usize = groups[i..].iter().map(|group| group.alerts.len()).sum();
            sections.push(format!("… and {left} more. All of them: `raxx check`"));
            break;
        }
        match sections.last_mut() {
            Some(last) if last.is_empty() => last.push_str(piece),
            Some(last) if last.chars().count() + size <= SECTION => *last += &format!("{gap}{piece}"),
            _ => sections.push(piece.clone()),
        }
    }
    let header: String = format!("raxx: {}", message.summary()).chars().take(HEADER).collect();
    let mut blocks =
        vec![json!({ "type": "header", "text": { "type": "plain_text", "text": header, "emoji": false } })];
    // Slack makes no links and no mentions of its own out of `verbatim` text.
    let markdown = |text: String| json!({ "type": "mrkdwn", "text": text, "verbatim": true });
    let told = sections.into_iter().filter(|text| !text.is_empty());
    blocks.extend(told.map(|text| json!({ "type": "section", "text": markdown(text) })));
    let from = format!("on {} · checked {}", escaped(&message.host, 200), moment(message.at));
    blocks.push(json!({ "type": "context", "elements": [markdown(from)] }));
    json!(blocks)
}
