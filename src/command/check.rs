//! `raxx check`: checks all credentials now, and prints the report.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use super::session::Session;
use super::{alert, save_last_validated, warn_unsaved};
use crate::alert::Attempt;
use crate::check::{Checked, Mode, Run};
use crate::cli::CheckArgs;
use crate::config;
use crate::process::{TerminationSignals, block_on, print, say, write_whole};
use crate::report::prometheus;
use crate::report::{Cause, Colors, Report, Shown};
use crate::schedule;
use crate::state::history;
use crate::text::output;

/// The exit code of a run that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// # Errors
/// Usage or configuration.
pub(crate) fn run(args: &CheckArgs) -> Result<ExitCode> {
    if args.test {
        return alert::test();
    }
    let began = Timestamp::now();
    let session = Session::new()?;
    let config = &session.config;
    // Without a channel the run is still recorded, for the first alert that can be sent.
    let (receivers, unheard) = match args.alert.then(|| alert::receivers(config)) {
        None => (Vec::new(), None),
        Some(Ok(receivers)) => (receivers, None),
        Some(Err(why)) if !config.alert.slack.has_a_place() => (Vec::new(), Some(why)),
        Some(Err(why)) => return Err(why),
    };
    let mode = if args.alert || args.if_due.is_some() { Mode::Daily } else { Mode::Check };
    let run = session.run_of(mode, &args.names)?;

    let silent = args.quiet || args.json || args.alert;
    let on_terminal = !silent && io::stdout().is_terminal() && io::stderr().is_terminal() && !is_dumb();
    let (report, _) = block_on(collect(&run, on_terminal))??;

    if args.json {
        write_whole(&report.json())?;
    } else if !args.alert {
        let choice = anstream::AutoStream::choice(&io::stdout());
        let shown = match (args.quiet, args.strict) {
            (false, _) => Shown::All,
            (true, false) => Shown::Fails,
            // Show what makes it fail.
            (true, true) => Shown::FailsAndWarnings,
        };
        print(&report.text(choice.into(), shown))?;
    }
    warn_unsaved(if args.alert || args.if_due.is_some() {
        history::record_unattended(&config::place(), &report.rows, began, report.checked_at)
    } else {
        history::record(&config::place(), &report.rows, began, report.checked_at)
    });
    if report.unfinished > 0 {
        say(&format!("raxx: interrupted: {} not checked", report.unfinished));
        return Ok(ExitCode::from(INTERRUPTED));
    }
    if !silent && args.names.is_empty() {
        first_steps(&run, &report);
    }
    if args.names.is_empty() {
        save_last_validated(&report);
    }
    // Before the alerts, which can take a minute.
    let metrics = args.prometheus.as_ref().map(|file| prometheus::write(file, &report, &config::place()));
    let mut told = true;
    if let Some(file) = config.alert.prometheus.as_ref().filter(|_| args.alert && args.names.is_empty())
        && let Err(why) = prometheus::write(file, &report, &config::place())
    {
        say(&format!("raxx: {why:#}"));
        told = false;
    }
    if args.alert {
        let again = args.if_due.as_ref().is_some_and(schedule::again);
        let attempt = if again { Attempt::Repeated } else { Attempt::First };
        let telling = async {
            tokio::select! {
                told = alert::tell(&session, &report, began, attempt, &receivers) => Some(told),
                _ = tokio::signal::ctrl_c() => None,
            }
        };
        let Some(done) = block_on(telling)? else {
            say("raxx: interrupted: the next run will send the remaining alerts");
            return Ok(ExitCode::from(INTERRUPTED));
        };
        told &= done && (unheard.is_none() || !report.failed());
    }
    if args.names.is_empty()
        && (args.alert || args.if_due.is_some())
        && let Err(why) = schedule::note(began, &report, told)
    {
        say(&format!("raxx: warning: could not record this run: {why}"));
    }
    session.prune(args.prometheus.as_deref());
    metrics.transpose()?;
    if let Some(why) = unheard {
        say(&format!("raxx: {why:#}")); // even if there is nothing to report today
    }
    let bad = !told || report.failed() || (args.strict && report.warned());
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs the checks until they are done or interrupted by Ctrl-C. Returns the finished rows in the configured order, and
/// what each row was made from.
///
/// # Errors
/// Another signal asked this process to end while it showed its progress.
pub(super) async fn collect(run: &Run<'_>, shown: bool) -> Result<(Report, Vec<Checked>)> {
    // Listen to every signal before the terminal is changed.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut ends = shown.then(TerminationSignals::listen).transpose()?;
    let ended = async {
        match &mut ends {
            Some(ends) => ends.next().await,
            None => std::future::pending().await,
        }
    };
    let progress = shown.then(|| Progress::new(&run.names()));
    let mut found: Vec<Option<Checked>> = (0..run.len()).map(|_| None).collect();
    let mut each = |i: usize, checked: Checked| {
        if let Some(progress) = &progress {
            progress.done(i, &checked);
        }
        found[i] = Some(checked);
    };
    tokio::select! {
        () = run.checks(&mut each) => {}
        _ = interrupt.recv() => {}
        ended = ended => {
            progress.iter().for_each(Progress::clear);
            return Err(ended.into());
        }
    }
    if let Some(progress) = progress {
        progress.clear();
    }
    let unfinished = found.iter().filter(|f| f.is_none()).count();
    let found: Vec<Checked> = found.into_iter().flatten().collect();
    let rows = found.iter().map(|c| c.row.clone()).collect();
    Ok((Report { rows, unfinished, checked_at: Timestamp::now() }, found))
}

/// Says what to type on a machine where nothing is stored.
fn first_steps(run: &Run<'_>, report: &Report) {
    let rows = &report.rows[..run.credentials.len().min(report.rows.len())];
    let is_env_only = run.credentials.iter().all(|credential| credential.store.is_none());
    if is_env_only || rows.iter().any(|row| !matches!(row.verdict.cause, Some(Cause::NotStored | Cause::NoStore))) {
        return;
    }
    say("raxx: nothing is stored yet. To prompt for a value, verify it and store it, type:");
    let stored = run.credentials.iter().filter(|credential| credential.store.is_some());
    stored.for_each(|credential| say(&format!("       raxx store {}", credential.name)));
    say("       raxx import        finds values that are set in this shell or in its files");
}

/// Whether the terminal cannot move the cursor up.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// One line for each credential, in the configured order: a spinner that the verdict replaces.
struct Progress {
    all: MultiProgress,
    lines: Vec<ProgressBar>,
    colors: Colors,
    _no_echo: Option<NoEcho>,
}

/// Keeps the terminal from writing `^C` after the last line: the line would wrap, and could not be cleared completely.
struct NoEcho(Termios);

impl NoEcho {
    fn begin() -> Option<NoEcho> {
        let before = tcgetattr(io::stderr()).ok()?;
        let mut without = before.clone();
        without.local_modes.remove(LocalModes::ECHOCTL);
        set(&without);
        Some(NoEcho(before))
    }
}

impl Drop for NoEcho {
    fn drop(&mut self) {
        set(&self.0);
    }
}

/// Sets the modes of the terminal, if it is this process's: a job in the background would be stopped.
fn set(modes: &Termios) {
    if tcgetpgrp(io::stderr()).is_ok_and(|foreground| foreground == getpgrp()) {
        let _ = tcsetattr(io::stderr(), OptionalActions::Now, modes);
    }
}

impl Progress {
    fn new(names: &[&str]) -> Progress {
        let all = MultiProgress::new();
        let style = ProgressStyle::with_template("{spinner} {msg}").expect("a constant");
        let style = if output::is_utf8() { style } else { style.tick_chars("-\\|/ ") };
        let lines = names
            .iter()
            .map(|name| {
                let line = all.add(ProgressBar::new_spinner().with_style(style.clone()).with_message(name.to_string()));
                line.enable_steady_tick(Duration::from_millis(100));
                line
            })
            .collect();
        let colors = anstream::AutoStream::choice(&io::stderr()).into();
        Progress { all, lines, colors, _no_echo: NoEcho::begin() }
    }

    fn done(&self, i: usize, checked: &Checked) {
        let line = &self.lines[i];
        line.set_style(ProgressStyle::with_template("{msg}").expect("a constant"));
        line.finish_with_message(output::for_people(&checked.row.lines(self.colors)).into_owned());
    }

    /// Clears the lines, for the report.
    fn clear(&self) {
        // A spinner that is still running would draw all lines once more.
        self.lines.iter().for_each(ProgressBar::disable_steady_tick);
        let _ = self.all.clear();
        self.all.set_draw_target(ProgressDrawTarget::hidden());
    }
}
