//! `raxx import`: finds the configured names in the environment and in shell files, verifies their values, stores them, and
//! shows which lines to delete. It changes no file.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use super::session::{Session, recheck_command};
use super::store::not_to_a_terminal;
use super::usage::{TYPED, may_be_a_value};
use super::warn_unsaved;
use crate::check::{Mode, Run};
use crate::cli::ImportArgs;
use crate::config::{self, Credential};
use crate::process::{block_on, say, until_a_signal, write_whole};
use crate::report::Kind;
use crate::secret::Secret;
use crate::shell::Changes;
use crate::shell::startup_files::{Line, lines_setting, usual_files};
use crate::source::environment;
use crate::state::history;
use crate::store::update::{current, update_verified};
use crate::terminal::Terminal;
use crate::text::clean;

/// A value, and where it was found.
struct Candidate {
    secret: Secret,
    place: String,
}

/// What happened to the values of one credential.
#[derive(Default)]
struct Settled {
    /// The value that the store has now.
    kept: Option<Secret>,
    /// The values that the provider rejected.
    dead: Vec<Secret>,
}

impl Settled {
    /// Returns the stored value if the shell has no value or a rejected one. Any other exported value is left alone.
    fn for_the_shell(&self, name: &str) -> Option<&Secret> {
        let good = environment(name).is_some_and(|held| held.is_ok_and(|held| !self.dead.contains(&held)));
        self.kept.as_ref().filter(|_| !good)
    }
}

/// # Errors
/// Usage, configuration, a file that was named and cannot be read.
pub(crate) fn run(args: &ImportArgs) -> Result<ExitCode> {
    not_to_a_terminal("import", args.caller)?;
    let session = Session::new()?;
    // An unknown provider is an error before a file is read.
    session.catalog()?;
    let config = &session.config;
    let names: Vec<&str> = config.names().collect();
    let mut lines: Vec<Line> = Vec::new();
    for file in &args.files {
        lines.extend(lines_setting(file, &names).or_else(|why| bail!(unreadable(file, &why)))?);
    }
    if args.files.is_empty() {
        lines.extend(usual_files().iter().filter_map(|file| lines_setting(file, &names).ok()).flatten());
    }
    let run = session.run(Mode::Check)?;
    let changes = RefCell::new(Changes::now());
    let result = block_on(until_a_signal(async {
        if config.credentials.iter().any(|credential| !candidates(credential, &lines).is_empty()) {
            super::unlock::ready_to_write(config, Some(&mut Terminal::new())).await?;
        }
        let mut settled = Vec::new();
        for credential in &config.credentials {
            let candidates = candidates(credential, &lines);
            if !candidates.is_empty() {
                let settled_here = import(&run, credential, candidates, args.no_check).await?;
                if let Some(value) = settled_here.for_the_shell(&credential.name) {
                    changes.borrow_mut().export(&credential.name, value);
                }
                settled.push((&credential.name, settled_here));
            }
        }
        for line in &lines {
            say(&format!("raxx: {line} {}", advice(line, settled.iter().find(|(name, _)| **name == line.name))));
        }
        if settled.is_empty() && lines.is_empty() {
            let none = "none of the configured names is set in the environment or in the shell files";
            say(&format!("raxx: {none}. Type: raxx store NAME"));
        }
        let all = !settled.is_empty() && settled.iter().all(|(_, settled)| settled.kept.is_some());
        Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }))?;
    // After an interruption too, the shell gets what was stored so far.
    if args.caller.is_shell_function() {
        write_whole(&changes.into_inner().code())?;
    }
    result
}

/// Returns the error for a file that was named. A name whose directory does not exist is not repeated: it may be a value.
fn unreadable(file: &Path, why: &io::Error) -> String {
    let shown = clean(&file.display().to_string());
    let leads_nowhere = !file.parent().is_some_and(Path::exists);
    if why.kind() == io::ErrorKind::NotFound && leads_nowhere && may_be_a_value(&shown) {
        format!("no file has that name. If it was a value, {TYPED}. Type: raxx import FILE")
    } else {
        format!("{shown}: could not be read: {why}")
    }
}

/// Returns what to do about a line, without the risk of losing the only copy of a good value.
fn advice(line: &Line, settled: Option<&(&String, Settled)>) -> String {
    let name = &line.name;
    let Some(value) = &line.value else { return format!("sets {name}, but not to a plain value: check it") };
    let is = |secret: &Secret| secret.is(value.as_bytes());
    match settled.map(|(_, settled)| settled) {
        Some(Settled { kept: Some(kept), .. }) if is(kept) => {
            if line.alone {
                format!("sets {name}, which is in the store: delete that line")
            } else {
                format!("sets {name}, which is in the store: remove it there")
            }
        }
        Some(Settled { dead, .. }) if dead.iter().any(is) => {
            format!("sets {name} to a value that the provider rejects")
        }
        Some(Settled { kept: Some(_), .. }) => format!(
            "sets {name} to a different value than the stored one, which was kept; to use this one: raxx store {name}"
        ),
        _ => format!("sets {name} to a value that is not stored: keep the line"),
    }
}

/// Returns the different values found for a credential, the environment's first: it is the one in use.
fn candidates(credential: &Credential, lines: &[Line]) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    let mut add = |secret: Secret, place: String| {
        if !found.iter().any(|c| c.secret == secret) {
            found.push(Candidate { secret, place });
        }
    };
    if let Some(Ok(secret)) = environment(&credential.name) {
        add(secret, "the environment".into());
    }
    for line in lines.iter().filter(|line| line.name == credential.name) {
        if let Some(Ok(secret)) = line.value.as_ref().map(|value| Secret::parse_token(value.as_bytes())) {
            add(secret, line.to_string());
        }
    }
    found
}

/// Stores the first value that the provider accepts, unless the stored value works.
async fn import(run: &Run<'_>, credential: &Credential, candidates: Vec<Candidate>, no_check: bool) -> Result<Settled> {
    let (name, store) = (&credential.name, run.store);
    let mut settled = Settled::default();
    let Some(item) = &credential.store else {
        say(&format!("raxx: {name} is configured without a store, so it was not imported"));
        return Ok(settled);
    };
    let held = current(store, name, item).await?.and_then(|bytes| Secret::parse(&bytes).ok());
    if let Some(held) = held {
        if candidates.iter().any(|c| c.secret == held) {
            say(&format!("raxx: {name} is already in the {}", store.backend_for(item).name()));
            settled.kept = Some(held);
            return Ok(settled);
        }
        // Only a rejected value is replaced. An outage or a missing permission does not make it bad.
        let dead =
            !no_check && matches!(run.verify(credential, &held).await.verdict.kind, Kind::Rejected | Kind::Malformed);
        if !dead {
            say(&format!(
                "raxx: {name}: the {} already has a different value, which was kept",
                store.backend_for(item).name()
            ));
            settled.kept = Some(held);
            return Ok(settled);
        }
    }
    for Candidate { secret, place } in candidates {
        let mut verified = None;
        if no_check {
            run.trust(credential, &secret);
        } else {
            let row = run.verify(credential, &secret).await;
            if row.verdict.kind != Kind::Valid {
                say(&format!(
                    "raxx: {name} from {place} was not stored: {} — {}",
                    secret.redacted(),
                    row.verdict.words
                ));
                if row.verdict.kind == Kind::Rejected {
                    settled.dead.push(secret);
                }
                continue;
            }
            verified = Some(row);
        }
        update_verified(store, name, item, &secret, &recheck_command(run.config, name)).await?;
        warn_unsaved(history::record_stored(&config::place(), verified, store.backend_for(item).name()));
        say(&format!(
            "raxx: {name} from {place} is stored in the {}: {}",
            store.backend_for(item).name(),
            secret.redacted()
        ));
        settled.kept = Some(secret);
        break;
    }
    Ok(settled)
}
