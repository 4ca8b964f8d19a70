//! The subcommands; those with a body of their own have a file each.

pub(crate) mod alert;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod export;
pub(crate) mod forget;
pub(crate) mod hook;
pub(crate) mod import;
pub(crate) mod list;
pub(crate) mod load;
pub(crate) mod prompt;
pub(crate) mod rotate;
pub(crate) mod schedule;
pub(crate) mod store;
pub(crate) mod unlock;
pub(crate) mod usage;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};

use crate::check::Run;
use crate::config::{self, Config, Credential, VAULT_ROW};
use crate::files;
use crate::process::{say, write_whole};
use crate::report::Report;
use crate::shell::Shell;
use crate::state::{self, State};
use crate::text::clean;
use crate::text::typed::{may_repeat, nearest};

/// Narrows a run to the credentials that were named; all where none was.
fn only(run: &mut Run<'_>, names: &[String]) -> Result<()> {
    const VAULT: [&str; 2] = ["infisical", VAULT_ROW];
    if names.is_empty() {
        return Ok(());
    }
    let known: Vec<&str> = run.config.names().chain([VAULT[0]]).collect();
    for name in names {
        if !VAULT.contains(&name.as_str()) && !known.contains(&name.as_str()) {
            return Err(unknown(name, &known));
        }
    }
    run.credentials.retain(|c| names.contains(&c.name));
    run.vault = names.iter().any(|n| VAULT.contains(&n.as_str()));
    Ok(())
}

/// The credential of this name.
fn credential<'c>(config: &'c Config, name: &str) -> Result<&'c Credential> {
    // Those that alerts are sent with are no rows of the report, and are stored and rotated as all others.
    let slack = &config.alert.slack;
    let all = || config.credentials.iter().chain([&slack.bot_token]).chain(&slack.webhook);
    let known: Vec<&str> = all().map(|c| c.name.as_str()).collect();
    all().find(|c| c.name == name).ok_or_else(|| unknown(name, &known))
}

/// What to type to have this credential asked about. Those that alerts are sent with are no rows of the report.
fn look(config: &Config, name: &str) -> String {
    if config.names().any(|listed| listed == name) {
        format!("raxx check {name}")
    } else {
        "raxx check --alert --test".into()
    }
}

/// What to type where this shell holds another value than the stored one.
fn freshened(config: &Config, name: &str) -> String {
    if config.names().any(|listed| listed == name) {
        format!("unset {name}; raxx load {name}")
    } else {
        format!("unset {name}; {}", look(config, name))
    }
}

/// A name that no credential has. It is repeated only where it is nearly one of the known: else it may be a value.
fn unknown(name: &str, known: &[&str]) -> anyhow::Error {
    if may_repeat(name, known)
        && let Some(near) = nearest(name, known)
    {
        return anyhow!("no credential is named {name}: did you mean {near}?; type: {}", usage::corrected(name, near));
    }
    let like_a_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let value = if may_be_a_value(name) && !name.chars().all(like_a_name) {
        format!(" If it was a value, {TYPED}.")
    } else {
        String::new()
    };
    let place = clean(&config::place());
    anyhow!(
        "no credential has that name.{value} There are: {}. To add one: a [[credential]] in {place}",
        known.join(", ")
    )
}

/// Whether a word of the command line may be a secret: no shorter one is taken for it.
fn may_be_a_value(word: &str) -> bool {
    word.contains('=') || word.chars().count() >= 16
}

/// Of a secret in the arguments.
const TYPED: &str = "it is in the shell's history now, so rotate it";

/// Opens the cache of results; if that fails, warns once and continues.
fn memory(warn: bool) -> Option<State> {
    State::open().map_err(|why| warn.then(|| warn_without_memory(&why))).ok()
}

/// Warns once why this run does not cache results, and says what to do or what was done about it.
fn warn_without_memory(why: &str) {
    let why = files::foreign_home().or_else(state::close_to_others).unwrap_or_else(|| why.into());
    say(&format!("raxx: warning: results will not be cached: {why}"));
}

/// Says that the history of verdicts could not be saved.
fn warn_unsaved(noted: Result<(), String>) {
    if let Err(why) = noted {
        say(&format!("raxx: warning: could not save the history: {why}"));
    }
}

/// Deletes what is too old to be of use, and what killed runs left in the directories that raxx writes to.
fn prune(state: Option<&State>, config: &Config, metrics: Option<&Path>) {
    if let Some(state) = state {
        state.prune();
    }
    let alert = config.alert.prometheus.as_deref();
    let written = [config.store.path.as_deref(), config.store.identity.as_deref(), alert, metrics];
    let written = written.into_iter().flatten().filter_map(|file| files::real(file).ok());
    let written = written.chain(state::stamp_file().and_then(|file| files::real(&file).ok()));
    let directories = written.filter_map(|file| file.parent().map(Path::to_path_buf)).chain(config::directory());
    directories.collect::<BTreeSet<_>>().iter().for_each(|directory| files::sweep(directory));
}

/// Notes the time of a whole run without FAIL.
fn stamp(report: &Report, whole: bool) {
    if whole
        && !report.failed()
        && report.unfinished == 0
        && let Err(why) = state::stamp(report.checked_at)
        // That is said once, of all that is not saved.
        && files::foreign_home().is_none()
    {
        say(&format!("raxx: warning: could not save the time of this run: {why}"));
    }
}

/// `raxx init`: constant text. A broken configuration must not break the shell: the hook will tell of it.
pub(crate) fn init(shell: Shell) -> Result<ExitCode> {
    write_whole(&shell.glue(&config::names()))?;
    Ok(ExitCode::SUCCESS)
}

/// `raxx names`.
pub(crate) fn names() -> Result<ExitCode> {
    let config = Config::load()?;
    let names: String = config.names().map(|name| format!("{name}\n")).collect();
    write_whole(&names)?;
    Ok(ExitCode::SUCCESS)
}

/// `raxx unset` without the shell function: a child cannot clear its parent's variables, so it says what to type.
pub(crate) fn unset() -> Result<ExitCode> {
    let names = config::names().join(" ");
    bail!("this shell has no raxx function, which clears the variables. Type: unset {names}")
}
