//! `raxx list`: the last verdict of each credential, from local state. It contacts no provider and opens no store.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;
use serde::ser::SerializeStruct as _;

use super::session::Session;
use super::usage::unknown;
use crate::cli::ListArgs;
use crate::config::{self, Config, VAULT_ROW};
use crate::process::{print, say, write_whole};
use crate::report::{ENVIRONMENT, Kind, Outcome, Verdict, distance, ends_soon};
use crate::secret::from_environment;
use crate::source::infisical::{self, Access};
use crate::state;
use crate::state::history::{self, Change, Known, Last};
use crate::text::clean;

/// The version of the JSON forms.
const JSON_VERSION: u32 = 1;

/// What the vault's row is called on the command line.
const SHORT: &str = "infisical";

/// Shown for a missing value.
const NOTHING: &str = "-";

/// # Errors
/// Usage or configuration.
pub(crate) fn run(args: &ListArgs) -> Result<ExitCode> {
    let session = Session::new()?;
    let config = &session.config;
    // Provider names are printed, so they must be known ones.
    session.catalog()?;
    let format = Format::new(args);
    let now = Timestamp::now();
    if let Some(name) = &args.history {
        return changes(config, name, format, now);
    }
    if let Err(why) = state::existing() {
        super::warn_without_memory(&why);
    }
    let mut entries = entries(config, &history::known(&config::place()), now);
    narrow(&mut entries, config, &args.names)?;
    match format {
        Format::Json => write_whole(&json(&entries))?,
        Format::Text(colors) => print(&shown(&entries, now, colors, terminal_width()))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// How the list is printed.
#[derive(Debug, Clone, Copy)]
enum Format {
    Json,
    Text(Colors),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colors {
    On,
    Off,
}

impl Format {
    fn new(args: &ListArgs) -> Format {
        match anstream::AutoStream::choice(&io::stdout()) {
            _ if args.json => Format::Json,
            anstream::ColorChoice::Never => Format::Text(Colors::Off),
            _ => Format::Text(Colors::On),
        }
    }
}

/// Keeps the credentials that were named, or all if none was.
fn narrow(entries: &mut Vec<Entry>, config: &Config, names: &[String]) -> Result<()> {
    let named = |entry: &Entry, name: &str| entry.name == name || (name == SHORT && entry.name == VAULT_ROW);
    if let Some(name) = names.iter().find(|name| !entries.iter().any(|entry| named(entry, name))) {
        let known: Vec<&str> = config.names().chain([SHORT]).collect();
        return Err(unknown(name, &known));
    }
    entries.retain(|entry| names.is_empty() || names.iter().any(|name| named(entry, name)));
    Ok(())
}

/// Returns the width of the terminal, if the list is printed to one.
fn terminal_width() -> Option<usize> {
    let columns = rustix::termios::tcgetwinsize(io::stdout()).ok()?.ws_col;
    (io::stdout().is_terminal() && columns > 0).then_some(columns.into())
}

/// One line of the list.
#[derive(Debug)]
struct Entry {
    name: String,
    provider: String,
    /// `env`, or the name of the store that had the value at the last check.
    source: Option<String>,
    /// The last check, if any.
    last: Option<Last>,
    warning: Option<String>,
}

/// The fields of the JSON list, in its order.
impl Serialize for Entry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let last = self.last.as_ref();
        let verdict = self.verdict();
        let mut entry = serializer.serialize_struct("Entry", 11)?;
        entry.serialize_field("name", &self.name)?;
        entry.serialize_field("provider", &self.provider)?;
        entry.serialize_field("source", &self.source)?;
        entry.serialize_field("verdict", &verdict.map(Verdict::outcome))?;
        entry.serialize_field("kind", &verdict.map(|verdict| verdict.kind))?;
        entry.serialize_field("words", &verdict.map(|verdict| &verdict.words))?;
        entry.serialize_field("warning", &self.warning)?;
        entry.serialize_field("checked_at", &last.map(|last| last.at))?;
        entry.serialize_field("failing_since", &last.and_then(Last::failing_since))?;
        entry.serialize_field("last_good", &last.and_then(|last| last.good))?;
        entry.serialize_field("expires", &self.expires())?;
        entry.end()
    }
}

impl Entry {
    fn new(
        config: &Config,
        name: &str,
        provider: &str,
        source: Option<String>,
        last: Option<&Last>,
        now: Timestamp,
    ) -> Entry {
        // A verdict of another provider is about another credential.
        let last = last.filter(|last| last.provider == provider);
        let valid = last.filter(|last| last.verdict.kind == Kind::Valid);
        let expires = valid.and_then(|last| last.verdict.expires);
        let soon = expires.filter(|end| ends_soon(now, *end, config.warn_before(name)));
        Entry {
            name: name.into(),
            provider: provider.into(),
            source,
            last: last.cloned(),
            warning: soon.map(|end| ending(now, end)),
        }
    }

    fn verdict(&self) -> Option<&Verdict> {
        self.last.as_ref().map(|last| &last.verdict)
    }

    fn expires(&self) -> Option<Timestamp> {
        self.verdict().and_then(|verdict| verdict.expires)
    }

    fn checked_at(&self) -> Option<Timestamp> {
        self.last.as_ref().map(|last| last.at)
    }
}

fn ending(now: Timestamp, end: Timestamp) -> String {
    let word = if end <= now { "expired" } else { "expires" };
    format!("{word} {}", distance(now, end))
}

fn entries(config: &Config, known: &Known, now: Timestamp) -> Vec<Entry> {
    let entry = |name: &str, provider: &str, source| Entry::new(config, name, provider, source, known.get(name), now);
    let mut entries = Vec::new();
    for credential in &config.credentials {
        let source = match (from_environment(&credential.name), &credential.store) {
            (Some(_), _) => Some(ENVIRONMENT.into()),
            // The store is not opened: this is where the last check found the value.
            (None, Some(_)) => {
                known.get(&credential.name).and_then(|last| last.source.clone()).filter(|s| s != ENVIRONMENT)
            }
            (None, None) => None,
        };
        entries.push(entry(&credential.name, &credential.provider, source));
    }
    if config.infisical.enabled {
        let set = !matches!(infisical::access(), Access::NotSet(_));
        entries.push(entry(VAULT_ROW, "infisical", set.then(|| ENVIRONMENT.into())));
    }
    entries
}

fn json(entries: &[Entry]) -> String {
    #[derive(Serialize)]
    struct Form<'a> {
        version: u32,
        credentials: &'a [Entry],
    }
    pretty(&Form { version: JSON_VERSION, credentials: entries })
}

fn pretty(form: &impl Serialize) -> String {
    serde_json::to_string_pretty(form).expect("plain data") + "\n"
}

/// Returns a table without the columns that do not fit, or a paragraph for each credential in a narrow terminal.
fn shown(entries: &[Entry], now: Timestamp, colors: Colors, width: Option<usize>) -> String {
    /// The columns to drop, in this order.
    const DISPENSABLE: [usize; 2] = [1, 2];
    let rows = cells(entries, now);
    let widths: [usize; COLUMNS] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut columns: Vec<usize> = (0..COLUMNS).collect();
    let fits = |columns: &[usize]| {
        let needed = columns.iter().map(|column| widths[*column] + GAP).sum::<usize>() - GAP;
        width.is_none_or(|width| needed <= width)
    };
    for dispensable in DISPENSABLE {
        if !fits(&columns) {
            columns.retain(|column| *column != dispensable);
        }
    }
    match width {
        Some(width) if !fits(&columns) => paragraphs(entries, now, colors, width),
        _ => table(entries, &rows, &columns, &widths, colors),
    }
}

const COLUMNS: usize = 6;

/// The space between two columns.
const GAP: usize = 2;

/// Returns the rows of the table, the header first.
fn cells(entries: &[Entry], now: Timestamp) -> Vec<[String; COLUMNS]> {
    let nothing = || NOTHING.to_string();
    let row = |entry: &Entry| {
        [
            clean(&entry.name),
            clean(&entry.provider),
            entry.source.as_deref().map_or_else(nothing, clean),
            entry.verdict().map_or_else(nothing, |verdict| word(verdict.kind)),
            entry.checked_at().map_or_else(|| "never".into(), |at| ago(now, at)),
            entry.expires().map_or_else(nothing, |end| distance(now, end)),
        ]
    };
    let head = ["NAME", "PROVIDER", "SOURCE", "VERDICT", "CHECKED", "EXPIRES"].map(String::from);
    std::iter::once(head).chain(entries.iter().map(row)).collect()
}

fn table(
    entries: &[Entry],
    rows: &[[String; COLUMNS]],
    columns: &[usize],
    widths: &[usize; COLUMNS],
    colors: Colors,
) -> String {
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        let entry = i.checked_sub(1).map(|i| &entries[i]);
        let mut line = String::new();
        for column in columns.iter().copied() {
            let cell = &row[column];
            let color = entry.filter(|_| colors == Colors::On).and_then(|entry| color(entry, column));
            let padding = " ".repeat(widths[column] - cell.chars().count() + GAP);
            line += &colored(cell, color);
            line += &padding;
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}

fn colored(text: &str, color: Option<AnsiColor>) -> String {
    let style = Style::new().fg_color(color.map(Into::into));
    format!("{style}{text}{style:#}")
}

/// Returns a paragraph for each credential: its name, then its columns, wrapped to the width of the terminal.
fn paragraphs(entries: &[Entry], now: Timestamp, colors: Colors, width: usize) -> String {
    const INDENT: &str = "  ";
    let mut out = String::new();
    for entry in entries {
        let mut parts = match entry.verdict() {
            None => vec![("never checked".to_string(), None)],
            Some(verdict) => vec![(word(verdict.kind), color(entry, 3))],
        };
        parts.extend(entry.checked_at().map(|at| (format!("checked {}", ago(now, at)), None)));
        parts.extend(entry.expires().map(|end| (ending(now, end), color(entry, 5))));
        parts.push((clean(&entry.provider), None));
        parts.extend(entry.source.as_deref().map(|source| (format!("from {}", clean(source)), None)));
        out += &clean(&entry.name);
        let mut room = 0;
        let last = parts.len() - 1;
        for (i, (part, color)) in parts.into_iter().enumerate() {
            let comma = if i < last { "," } else { "" };
            let needed = part.chars().count() + comma.len();
            if needed < room {
                room -= needed + 1;
                out.push(' ');
            } else {
                room = width.saturating_sub(INDENT.len() + needed);
                out.push('\n');
                out += INDENT;
            }
            out += &colored(&part, color.filter(|_| colors == Colors::On));
            out += comma;
        }
        out.push('\n');
    }
    out
}

fn color(entry: &Entry, column: usize) -> Option<AnsiColor> {
    match (column, entry.verdict()?.outcome()) {
        (3, Outcome::Pass) => Some(AnsiColor::Green),
        (3, Outcome::Fail) => Some(AnsiColor::Red),
        (3, Outcome::Skip) => Some(AnsiColor::Yellow),
        (5, _) if entry.warning.is_some() => Some(AnsiColor::Yellow),
        _ => None,
    }
}

/// `PASS`, `FAIL rejected`, `SKIP`.
fn word(kind: Kind) -> String {
    match kind.outcome() {
        Outcome::Pass => "PASS".into(),
        Outcome::Skip => "SKIP".into(),
        Outcome::Fail => format!("FAIL {}", kind.as_str()),
    }
}

/// Formats a time in the past. A future time means that the clock was set back.
fn ago(now: Timestamp, at: Timestamp) -> String {
    match now.as_second() - at.as_second() {
        0..60 => "just now".into(),
        _ => distance(now, at),
    }
}

/// `raxx list --history NAME`.
fn changes(config: &Config, name: &str, format: Format, now: Timestamp) -> Result<ExitCode> {
    // The vault's row has a short name on the command line.
    let name = if name == SHORT { VAULT_ROW } else { name };
    let changes = history::of(name, &config::place());
    let configured = config.names().any(|known| known == name) || name == VAULT_ROW;
    // A credential that was removed from the configuration can still have a history.
    if !configured && changes.is_empty() {
        let known: Vec<&str> = config.names().chain([SHORT]).collect();
        return Err(unknown(name, &known));
    }
    let last = history::known(&config::place()).remove(name);
    let colors = match format {
        Format::Text(colors) => colors,
        Format::Json => {
            write_whole(&history_json(name, &changes, last.as_ref()))?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    if changes.is_empty() {
        say(&format!("raxx: {name} was never checked. Type: raxx check"));
        return Ok(ExitCode::SUCCESS);
    }
    print(&history_text(&changes, last.as_ref(), now, colors))?;
    Ok(ExitCode::SUCCESS)
}

fn history_json(name: &str, changes: &[Change], last: Option<&Last>) -> String {
    #[derive(Serialize)]
    struct Form<'a> {
        version: u32,
        name: &'a str,
        failing_since: Option<Timestamp>,
        last_good: Option<Timestamp>,
        changes: Vec<Line<'a>>,
    }
    #[derive(Serialize)]
    struct Line<'a> {
        at: Timestamp,
        provider: &'a str,
        verdict: Outcome,
        kind: Kind,
        words: &'a str,
    }
    impl<'a> From<&'a Change> for Line<'a> {
        fn from(c: &'a Change) -> Line<'a> {
            Line {
                at: c.at,
                provider: &c.provider,
                verdict: c.verdict.outcome(),
                kind: c.verdict.kind,
                words: &c.verdict.words,
            }
        }
    }
    pretty(&Form {
        version: JSON_VERSION,
        name,
        failing_since: last.and_then(Last::failing_since),
        last_good: last.and_then(|last| last.good),
        changes: changes.iter().map(Line::from).collect(),
    })
}

/// Returns a line for each change, the newest last, and a summary.
fn history_text(changes: &[Change], last: Option<&Last>, now: Timestamp, colors: Colors) -> String {
    let mut out = String::new();
    let verdicts: Vec<String> = changes.iter().map(|c| word(c.verdict.kind)).collect();
    let width = verdicts.iter().map(String::len).max().unwrap_or(0);
    for (change, verdict) in changes.iter().zip(&verdicts) {
        let color = match change.verdict.outcome() {
            Outcome::Pass => AnsiColor::Green,
            Outcome::Fail => AnsiColor::Red,
            Outcome::Skip => AnsiColor::Yellow,
        };
        let style = Style::new().fg_color(Some(color.into()).filter(|_| colors == Colors::On));
        let padding = " ".repeat(width - verdict.len());
        out += &format!("{}  {style}{verdict}{style:#}{padding}  {}\n", day(change.at), clean(&change.verdict.words));
    }
    if let Some(last) = last {
        let at = |at: Timestamp| format!("{} ({})", day(at), ago(now, at));
        if let Some(since) = last.failing_since() {
            out += &format!("failing since {}; ", at(since));
            out += &last.good.map_or("never known to be good\n".into(), |good| format!("last good {}\n", at(good)));
        } else if let Some(good) = last.good {
            out += &format!("last good {}\n", at(good));
        }
    }
    out
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
