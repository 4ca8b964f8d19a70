//! `raxx schedule`: runs the check once a day with the machine's own scheduler; and the check that the scheduler starts.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::alert::{receivers, to_store};
use super::session::Session;
use crate::cli::{CheckArgs, InstallArgs, ScheduleAction};
use crate::config::Credential;
use crate::files;
use crate::process::{block_on, print as print_for_people, say, write_whole};
use crate::report::distance;
use crate::schedule::{self, At, Change, Job, LastRun, Scheduler};
use crate::source::{STORE, Stored, environment, stored};
use crate::store::StoreError;
use crate::text::{clean, clean_lines, plain};

/// The PATH that launchd and cron start a program with.
const SHORT_PATH: [&str; 2] = ["/usr/bin", "/bin"];

/// `raxx schedule`.
///
/// # Errors
/// Usage, or a scheduler that fails.
pub(crate) fn run(action: &ScheduleAction) -> Result<ExitCode> {
    match action {
        ScheduleAction::Install(args) => install(args),
        ScheduleAction::Uninstall => uninstall(),
        ScheduleAction::Status => status(),
    }
}

/// Runs `raxx check`, which a scheduler starts more often than it is due.
///
/// # Errors
/// As `raxx check`.
pub(crate) fn watched(args: &CheckArgs) -> Result<ExitCode> {
    let Some(at) = &args.if_due else { return super::check::run(args) };
    let Some(_turn) = schedule::acquire(at) else { return Ok(ExitCode::SUCCESS) };
    super::check::run(args).inspect_err(|why| {
        let _ = schedule::note_broken(&format!("{why:#}"));
    })
}

fn install(args: &InstallArgs) -> Result<ExitCode> {
    let at = At::new(args.at, !args.local);
    let scheduler = match args.via {
        Some(scheduler) => scheduler,
        None => Scheduler::here()?,
    };
    let job = Job::new(at)?;
    if args.local
        && let Some(zone) = other_zone()
    {
        say(&format!("raxx: warning: TZ affects only this shell; the schedule uses the system time zone (now {zone})"));
    }
    if args.print {
        return print(scheduler, &job);
    }
    files::refuse_foreign_home()?;
    // Report a broken configuration now, to a person, and not every morning to a log.
    let session = Session::new()?;
    session.catalog()?;
    let config = &session.config;
    // A missing channel can be added later. If every receiver is turned off, there is nothing to schedule.
    let mut unheard = receivers(config).err();
    if config.alert.slack.has_a_place()
        && let Some(why) = unheard.take()
    {
        return Err(why);
    }
    // First, so that a job that starts at once does not see a missed check.
    let marked = schedule::mark_installed()?;
    let change = scheduler.install(&job).inspect_err(|_| {
        if marked {
            schedule::unmark();
        }
    })?;
    let (kind, when) = (scheduler.words(), at.words());
    match change {
        Change::Made => say(&format!("raxx: the daily check is installed: {kind}, every day at {when}")),
        Change::None => say(&format!("raxx: the daily check is already installed: {kind}, every day at {when}")),
    }
    // Only one scheduler may run it.
    for other in Scheduler::ALL.into_iter().filter(|other| *other != scheduler) {
        match other.uninstall() {
            Ok(Change::Made) => say(&format!("raxx: removed the previous daily check: {}", other.words())),
            Ok(Change::None) => {}
            Err(why) => say(&format!("raxx: warning: could not tell whether another one is installed: {why}")),
        }
    }
    if let Some(why) = unheard {
        say(&format!("raxx: warning: {why}"));
    }
    // The others report it when they are started.
    if scheduler == Scheduler::Cron
        && let Some(why) = scheduler.idle()
    {
        say(&format!("raxx: warning: {why}"));
    }
    if let Some(caveat) = scheduler.caveat(&job).filter(|_| change == Change::Made) {
        say(&format!("raxx: {caveat}"));
    }
    unseen(&session)?;
    if change == Change::Made {
        say("raxx: to test its alerts, type: raxx check --alert --test");
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the system's time, such as `11:40 CET`, if this shell uses another time zone.
fn other_zone() -> Option<String> {
    std::env::var_os("TZ").filter(|tz| !tz.is_empty())?;
    let (here, now) = (TimeZone::system(), Timestamp::now());
    let machine = schedule::machine_zone();
    (machine.to_offset(now) != here.to_offset(now))
        .then(|| now.to_zoned_datetime(machine).strftime("%H:%M %Z").to_string())
}

/// Warns of what works only in this shell: a scheduler starts the check without this shell's variables and PATH.
fn unseen(session: &Session) -> Result<()> {
    let config = &session.config;
    let slack = config.alert.slack.enabled.then(|| config.alert.slack.credential());
    let here = config.credentials.iter().filter(|c| environment(&c.name).is_some());
    let asked: Vec<&Credential> = here.chain(slack).collect();
    let found = block_on(stored(session.store(), &asked, STORE))?;
    for (credential, stored) in asked.iter().zip(found) {
        // A store that is locked or slow can still have it.
        if !matches!(
            stored,
            Stored::Absent
                | Stored::Failed(StoreError::Unavailable(_) | StoreError::Unreachable(_) | StoreError::Broken(_))
        ) {
            continue;
        }
        let name = &credential.name;
        let what = match environment(name) {
            Some(_) => format!("{name} is only in this shell, which the daily check does not see"),
            None => format!("{name} is not stored, so alerts cannot be sent to Slack"),
        };
        say(&format!("raxx: warning: {what}; {}", to_store(credential)));
    }
    if let Some(program) = config.alert.command.as_ref().and_then(|command| command.first())
        && !program.contains('/')
        && !SHORT_PATH.iter().any(|dir| Path::new(dir).join(program).is_file())
    {
        let program = plain(program);
        say(&format!(
            "raxx: warning: schedulers find {program} only by its absolute path; write that under [alert.command]"
        ));
    }
    Ok(())
}

fn print(scheduler: Scheduler, job: &Job) -> Result<ExitCode> {
    let texts = scheduler.texts(job)?;
    let several = texts.len() > 1;
    let mut out = String::new();
    for (place, text) in texts {
        if several {
            // A comment, so that what is printed can still be read by the scheduler's own tools.
            out += &format!("# {}\n", clean(&place));
        } else {
            say(&format!("raxx: {place}:"));
        }
        out += &text;
        if several {
            out += "\n";
        }
    }
    write_whole(out.trim_end())?;
    write_whole("\n")?;
    Ok(ExitCode::SUCCESS)
}

fn uninstall() -> Result<ExitCode> {
    files::refuse_foreign_home()?;
    let mut failed = None;
    let mut found = false;
    for scheduler in Scheduler::ALL {
        match scheduler.uninstall() {
            Ok(Change::Made) => {
                found = true;
                say(&format!("raxx: the daily check is removed: {}", scheduler.words()));
            }
            Ok(Change::None) => {}
            Err(why) => failed = Some(why),
        }
    }
    if let Some(why) = failed {
        return Err(why.into());
    }
    if found {
        schedule::forget_alerts()?;
    }
    schedule::forget()?;
    if !found {
        say("raxx: the daily check is not installed");
    }
    Ok(ExitCode::SUCCESS)
}

fn status() -> Result<ExitCode> {
    let now = Timestamp::now();
    let last = LastRun::load();
    let mut out = String::new();
    let mut well = true;
    let mut wrong = |out: &mut String, what: String| {
        well = false;
        *out += &format!("           {what}\n");
    };
    let mut time = None;
    let mut installed = false;
    // Whether the scheduler will start it; otherwise there is no next run.
    let mut runs = false;
    for scheduler in Scheduler::ALL {
        match scheduler.installed() {
            Ok(None) => {}
            Ok(Some((place, None))) => {
                installed = true;
                out += &format!("installed: {} ({place})\n", scheduler.words());
                wrong(&mut out, "it was changed by hand; to reinstall it: raxx schedule install".into());
            }
            Ok(Some((place, Some(written)))) => {
                installed = true;
                let when = written.at.words();
                out += &format!("installed: {}, every day at {when} ({place})\n", scheduler.words());
                if !written.program.is_file() {
                    let gone = written.program.display();
                    wrong(&mut out, format!("{gone} no longer exists; to reinstall it: raxx schedule install"));
                }
                match scheduler.idle() {
                    Some(why) => wrong(&mut out, why),
                    None => runs = true,
                }
                time = Some(written.at);
            }
            Err(why) => wrong(&mut out, format!("{}: {why}", scheduler.words())),
        }
    }
    if !installed {
        well = false;
        out += "installed: no; type: raxx schedule install\n";
    }
    let at = time.unwrap_or_else(|| At::new("00:00".parse().expect("a constant"), true));
    match &last.ran {
        Some(ran) => {
            out += &format!("last run:  {} — {}\n", moment(&at, now, ran.at), ran.words());
            if !ran.answered {
                out += "           no provider answered: is there a network?\n";
            }
            if !ran.told {
                out += "           some alerts could not be sent; to see why: raxx check --alert --test\n";
            }
        }
        None => out += "last run:  never\n",
    }
    if let Some(broken) = &last.broken {
        well = false;
        out += &format!("           it could not run {}: {}\n", moment(&at, now, broken.at), broken.why);
    }
    if let Some(at) = &time {
        if let Some(missed) = last.late(at, now) {
            well = false;
            let when = moment(at, now, missed);
            out += &format!("           it should have run at {when} but did not: is the scheduler running?\n");
        }
        out += &match last.next(at, now) {
            _ if !runs => "next run:  none: the scheduler is not running\n".to_string(),
            Some(next) => format!("next run:  {}\n", moment(at, now, next)),
            None => "next run:  due, within the hour\n".to_string(),
        };
    }
    print_for_people(&clean_lines(&out))?;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `2026-08-20 08:00 UTC (in 21 hours)`.
fn moment(at: &At, now: Timestamp, then: Timestamp) -> String {
    let far = match now.duration_since(then).abs().as_secs() {
        0..60 if then > now => "in less than a minute".into(),
        0..60 => "just now".into(),
        _ => distance(now, then),
    };
    format!("{} ({far})", then.to_zoned_datetime(at.zone()).strftime("%Y-%m-%d %H:%M %Z"))
}
