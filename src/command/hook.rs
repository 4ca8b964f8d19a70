//! `raxx hook`: the background check of a new terminal. Prints shell code, or nothing if all is well.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use anyhow::{Result, bail};
use jiff::Timestamp;

use super::save_last_validated;
use super::session::Session;
use crate::check::announced::{self, Nesting};
use crate::check::{Checked, Mode};
use crate::config;
use crate::process::{block_on, detach, write_whole};
use crate::report::{Report, Row, Shown};
use crate::shell::{Changes, Code, is_off, say_lines};
use crate::state::history;

/// # Errors
/// A terminal on stdout; every other error is reported by the code it prints.
pub(crate) fn run(nesting: Nesting) -> Result<ExitCode> {
    if io::stdout().is_terminal() {
        bail!("raxx hook is for the shell integration; type: raxx check");
    }
    if is_off() {
        return Ok(ExitCode::SUCCESS);
    }
    if detach() {
        return Ok(ExitCode::SUCCESS);
    }
    match validated(nesting) {
        Ok(code) => write_whole(&code)?,
        Err(why) => write_whole(&say_lines(&format!("raxx: {why:#}")))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn validated(nesting: Nesting) -> Result<Code> {
    let session = Session::new()?;
    if !session.config.check_in_terminals {
        return Ok(Code::default());
    }
    let run = session.run(Mode::Hook)?;
    let mut found: Vec<Option<Checked>> = (0..run.len()).map(|_| None).collect();
    block_on(run.checks(&mut |i, checked| found[i] = Some(checked)))?;
    let found: Vec<Checked> = found.into_iter().flatten().collect();

    let rows = found.iter().map(|c| c.row.clone()).collect();
    let report = Report { rows, unfinished: 0, checked_at: Timestamp::now() };
    // A cached verdict does not count as a check.
    let live: Vec<Row> = found.iter().filter(|c| c.live).map(|c| c.row.clone()).collect();
    if live.len() == report.rows.len() {
        save_last_validated(&report);
    }
    // A new terminal does not report it; commands that a person types do.
    let _ = history::record(&config::place(), &live, run.began, report.checked_at);
    session.prune(None);
    let shown = if session.config.warn_in_terminals { Shown::FailsAndWarnings } else { Shown::Fails };
    let rows = block_on(announced::news(&found, run.catalog, nesting, shown))?;
    let said = Report { rows, ..report }.condensed(shown);
    Ok(snippet(&found, &said))
}

/// Returns the code for the shell: it exports good values, unsets bad ones that came from raxx, and prints the report.
fn snippet(found: &[Checked], said: &str) -> Code {
    let mut changes = Changes::later();
    for checked in found {
        let name = &checked.row.name;
        match &checked.good {
            Some(good) if !good.in_environment => changes.export(name, &good.secret),
            None if checked.row.verdict.kind.is_bad() => changes.unset(name),
            _ => {}
        }
    }
    let mut code = changes.code();
    code.push(&say_lines(said));
    code
}
