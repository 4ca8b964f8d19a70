//! The subcommands. Each has a file of its own, except the shortest.

pub(crate) mod alert;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod export;
pub(crate) mod forget;
pub(crate) mod hook;
pub(crate) mod import;
pub(crate) mod list;
pub(crate) mod load;
mod page;
pub(crate) mod prompt;
pub(crate) mod rotate;
pub(crate) mod schedule;
mod session;
pub(crate) mod setup;
pub(crate) mod store;
pub(crate) mod unlock;
pub(crate) mod usage;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::config::{self, Config};
use crate::files;
use crate::process::{say, write_whole};
use crate::report::Report;
use crate::shell::Shell;
use crate::state;

/// Warns once why this run does not cache results, and says what to do or what was done about it.
fn warn_without_memory(why: &str) {
    let why = files::foreign_home().or_else(state::close_to_others).unwrap_or_else(|| why.into());
    say(&format!("raxx: warning: results will not be cached: {why}"));
}

/// Warns that the history of verdicts could not be saved.
fn warn_unsaved(saved: Result<(), String>) {
    if let Err(why) = saved {
        say(&format!("raxx: warning: could not save the history: {why}"));
    }
}

/// Saves the time of a run over all credentials, if none of them failed.
fn save_last_validated(report: &Report) {
    if !report.failed()
        && report.unfinished == 0
        && let Err(why) = state::stamp(report.checked_at)
        // A foreign home directory is already reported by `warn_without_memory`.
        && files::foreign_home().is_none()
    {
        say(&format!("raxx: warning: could not save the time of this run: {why}"));
    }
}

/// Prints the shell integration. A broken configuration must not break the shell; the hook reports it.
pub(crate) fn init(shell: Shell) -> Result<ExitCode> {
    write_whole(&shell.integration(&config::names()))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the configured names.
pub(crate) fn names() -> Result<ExitCode> {
    let config = Config::load()?;
    let names: String = config.names().map(|name| format!("{name}\n")).collect();
    write_whole(&names)?;
    Ok(ExitCode::SUCCESS)
}

/// Says what to type if `raxx unset` runs without the shell function: a child process cannot change its parent's variables.
pub(crate) fn unset() -> Result<ExitCode> {
    let names = config::names().join(" ");
    bail!("the raxx shell function is not loaded, and only it can unset variables here. Type: unset {names}")
}
