//! `raxx hook`: what the glue runs behind the first prompt. Prints shell code, nothing when all is well.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::export::names_before;
use super::{memory, stamp};
use crate::check::{Checked, Mode, Run};
use crate::cli::HookArgs;
use crate::config::Config;
use crate::process::{block_on, detach, write_whole};
use crate::report::{Kind, Report};
use crate::shell::{export_line, names_line, say_lines, unset_line};
use crate::store;

/// # Errors
/// A terminal on stdout; all else is said in the snippet.
pub fn run(args: &HookArgs) -> Result<ExitCode> {
    if io::stdout().is_terminal() {
        bail!("raxx hook is for the glue: to see the verdicts type raxx check");
    }
    detach();
    let code = match validated() {
        Ok(code) => code,
        Err(why) => Zeroizing::new(say_lines(&format!("raxx: {why:#}"))),
    };
    if let Some(file) = &args.ready {
        // Before the snippet is written: a pipe takes only 16 KiB on macOS, and the shell reads when it sees the file.
        mark_ready(file);
    }
    write_whole(&code)?;
    Ok(ExitCode::SUCCESS)
}

fn validated() -> Result<Zeroizing<String>> {
    let config = Config::load()?;
    let catalogue = config.catalogue()?;
    let state = memory(false);
    let store = store::open();
    let run = Run::new(&config, &catalogue, Mode::Hook, state.as_ref(), &*store);
    let mut found: Vec<Option<Checked>> = (0..run.len()).map(|_| None).collect();
    block_on(run.checks(&mut |i, checked| found[i] = Some(checked)))?;
    let found: Vec<Checked> = found.into_iter().flatten().collect();

    let rows = found.iter().map(|c| c.row.clone()).collect();
    let report = Report { rows, unfinished: 0, checked_at: Timestamp::now() };
    if report.rows.iter().all(|row| row.kind != Kind::Missing) && found.iter().all(|c| c.live) {
        stamp(&report, true);
    }
    if let Some(state) = &state {
        state.prune();
    }
    Ok(snippet(&found, &report, names_before()))
}

/// What the shell is to evaluate: late and better values, the end of rejected ones that raxx itself had put there, and
/// the FAILs.
fn snippet(found: &[Checked], report: &Report, mut ours: Vec<String>) -> Zeroizing<String> {
    let mut code = Zeroizing::new(String::new());
    let before = ours.clone();
    for checked in found {
        let name = &checked.row.name;
        match &checked.good {
            Some(good) if !good.in_environment => {
                code.push_str(&export_line(name, &good.secret));
                if !ours.contains(name) {
                    ours.push(name.clone());
                }
            }
            None if checked.row.kind == Kind::Rejected && ours.contains(name) => {
                code.push_str(&unset_line(name));
                ours.retain(|n| n != name);
            }
            _ => {}
        }
    }
    if ours != before {
        code.push_str(&names_line(&ours));
    }
    code.push_str(&say_lines(&report.condensed()));
    code
}

/// Makes the empty file that tells a bash prompt to read. It is only ever made, never written: nothing of the snippet
/// goes through it.
fn mark_ready(file: &Path) {
    if let Some(dir) = file.parent() {
        use std::os::unix::fs::DirBuilderExt as _;
        let _ = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    }
    let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
}
