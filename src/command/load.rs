//! `raxx load`: checks the credentials and exports the good values into the shell that evaluates its output.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use anyhow::{Result, bail};

use super::check::collect;
use super::session::Session;
use super::{save_last_validated, warn_unsaved};
use crate::check::Mode;
use crate::cli::LoadArgs;
use crate::config;
use crate::process::{block_on, say, say_styled, write_whole};
use crate::report::Shown;
use crate::shell::Changes;
use crate::state::history;

/// # Errors
/// Usage or configuration.
pub(crate) fn run(args: &LoadArgs) -> Result<ExitCode> {
    if !args.caller.is_shell_function() {
        let bash = std::env::var_os("SHELL").is_some_and(|shell| shell.to_string_lossy().ends_with("bash"));
        let shell = if bash { "bash" } else { "zsh" };
        bail!(
            "the raxx shell function is not loaded, and only it can load values here. Type: eval \"$(raxx init {shell})\" && raxx load"
        );
    }
    if io::stdout().is_terminal() {
        bail!("secrets are not printed to a terminal. Type: raxx load");
    }
    let session = Session::new()?;
    let run = session.run_of(Mode::Load, &args.names)?;

    let (report, checked) = block_on(collect(&run, false))??;
    let colors = anstream::AutoStream::choice(&io::stderr()).into();
    if !report.rows.is_empty() {
        say_styled(report.text(colors, Shown::All).trim_end());
    }
    if report.unfinished > 0 {
        say(&format!("raxx: interrupted: {} not checked, nothing exported", report.unfinished));
        return Ok(ExitCode::from(130));
    }

    warn_unsaved(history::record(&config::place(), &report.rows, run.began, report.checked_at));

    let mut changes = Changes::now();
    for checked in &checked {
        let name = &checked.row.name;
        match &checked.good {
            Some(good) => changes.export(name, &good.secret),
            None if checked.row.verdict.kind.is_bad() => changes.unset(name),
            None => {}
        }
    }
    write_whole(&changes.code())?;
    if args.names.is_empty() {
        save_last_validated(&report);
    }
    Ok(if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
