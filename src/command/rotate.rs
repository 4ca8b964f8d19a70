//! `raxx rotate`: shows how to replace a token, then verifies, stores and loads the new one.

use std::process::{ExitCode, Stdio};

use anyhow::{Result, bail};

use super::page::{self, Reader};
use super::session::{Session, recheck_command};
use super::store::{Decision, PATIENCE, asks, input, is_webhook, not_to_a_terminal, terminal_for, verified};
use crate::check::Mode;
use crate::cli::RotateArgs;
use crate::config::VAULT_ROW;
use crate::process::{block_on, child_apart, say, until_a_signal};
use crate::report::{Kind, Row};
use crate::secret::Secret;
use crate::shell::startup_files;
use crate::source::environment;
use crate::store::update::{current, update_verified};

/// Where incoming webhooks are created and removed.
const WEBHOOKS: &str = "https://api.slack.com/apps (your app, Incoming Webhooks)";

/// # Errors
/// Usage, configuration, a store that cannot be written.
pub(crate) fn run(args: &RotateArgs) -> Result<ExitCode> {
    not_to_a_terminal("rotate", args.caller)?;
    let session = Session::new()?;
    let config = &session.config;
    if [VAULT_ROW, "infisical"].contains(&args.name.as_str()) {
        // Its credentials come from the environment alone, so there is nothing to store; the page has all the steps.
        let reader = if args.value.stdin { Reader::Nobody } else { Reader::Terminal };
        block_on(page::show(config.infisical.rotate_via.as_deref(), reader))??;
        return Ok(ExitCode::SUCCESS);
    }
    let catalog = session.catalog()?;
    let credential = session.credential(&args.name)?;
    let name = &credential.name;
    let item = credential.place_in_store()?;
    let recheck = recheck_command(config, name);
    let run = session.run(Mode::Check)?;
    // A webhook's address has a check of its own, and does not belong to an account.
    let webhook = is_webhook(config, credential);
    let provider = catalog.get(&credential.provider).filter(|_| !webhook);
    block_on(async {
        let stored = until_a_signal(async {
            let mut terminal = terminal_for(args.caller);
            super::unlock::ready_to_write(config, asks(&args.value).then_some(&mut terminal)).await?;
            // A locked store is reported before a person creates a token.
            current(run.store, name, item).await
        })
        .await?;
        let old = match stored {
            Some(bytes) => Secret::parse(&bytes).ok(),
            None => environment(name).and_then(std::result::Result::ok),
        };
        // A person who pipes in a value has already created the new token.
        let guided = asks(&args.value);
        if guided {
            // The pager handles its own ^C.
            page::show(credential.rotate_via.as_deref(), Reader::Terminal).await?;
        }
        until_a_signal(async {
            let mut terminal = terminal_for(args.caller);
            match provider.and_then(|provider| provider.manage_url.as_ref()) {
                Some(page) if guided => {
                    say(&format!("raxx: create the new token here: {page}"));
                    if args.open {
                        open(page);
                    }
                }
                None if webhook && guided => say(&format!("raxx: create the new webhook here: {WEBHOOKS}")),
                _ => {}
            }
            if let Some(scope) = credential.scope.as_ref().filter(|_| guided) {
                say(&format!("raxx: permissions it needs: {scope}"));
            }
            let secret = input(&mut terminal, credential, &args.value).await?;
            if old.as_ref() == Some(&secret) {
                bail!("{name}: that is the current value; nothing was changed");
            }
            let decision = verified(&run, &mut terminal, credential, &secret, &args.value, PATIENCE).await?;
            let Decision::Store(row) = decision else { return Ok(ExitCode::FAILURE) };
            let good = row.as_ref().filter(|row| row.verdict.kind == Kind::Valid && !webhook);
            if let (Some(old), Some(row)) = (&old, good) {
                compare(row, &run.verify(credential, old).await);
            }
            // Read before the value is stored: nothing waits after that, so that no signal separates the store from what the
            // person is told and the shell gets.
            let lines = startup_files::setting(name);
            let in_tmux = startup_files::in_tmux(name).await;
            update_verified(run.store, name, item, &secret, &recheck).await?;
            terminal.restore();
            let valid = row.as_ref().is_some_and(|row| row.verdict.kind == Kind::Valid);
            let instead = environment(name).map(|_| "the old value");
            super::store::stored(&run, credential, item, row.map(|row| *row), &secret, args.caller, instead)?;
            for line in lines {
                say(&format!("raxx: {line} {}", advice(&line, old.as_ref(), &secret)));
            }
            if in_tmux {
                say(&format!("raxx: tmux still gives {name} to new panes. Type: raxx unset --tmux"));
            }
            if valid {
                match provider.and_then(|provider| provider.revoke.as_ref()) {
                    Some(revoke) => say(&format!("raxx: finally, revoke the old token: {revoke}")),
                    None if webhook => say(&format!("raxx: finally, remove the old webhook: {WEBHOOKS}")),
                    None => say("raxx: finally, revoke the old token at its provider"),
                }
            } else {
                say(&format!("raxx: the new token is unverified: keep the old one until `{recheck}` passes"));
            }
            Ok(ExitCode::SUCCESS)
        })
        .await
    })?
}

/// Warns if the new token belongs to another account.
fn compare(now: &Row, before: &Row) {
    let (Kind::Valid, Some(before), Some(now)) = (before.verdict.kind, &before.owner, &now.owner) else { return };
    if before == now {
        return;
    }
    match (redacted(before), redacted(now)) {
        (before, now) if before == now => {
            say("raxx: warning: the new token belongs to a different account than the old one");
        }
        (before, now) => say(&format!("raxx: warning: the new token belongs to {now}, the old one to {before}")),
    }
}

fn open(page: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started =
        child_apart(program).arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if started.is_err() {
        say(&format!("raxx: warning: could not open the page: {program} is not installed"));
    }
}

/// Returns what to do about a line that sets the name.
fn advice(line: &startup_files::Line, old: Option<&Secret>, new: &Secret) -> String {
    let name = &line.name;
    let Some(value) = &line.value else { return format!("sets {name}, but not to a plain value: check it") };
    let is = |secret: &Secret| secret.is(value.as_bytes());
    match (old.is_some_and(is), is(new)) {
        (true, _) => format!("still sets {name} to the old value: remove it"),
        (_, true) => format!("sets {name} to the new value, in plain text: remove it"),
        _ => format!("sets {name} to a value that is neither the old nor the new one: check it"),
    }
}

/// `o…p` or `o…@example.com`: enough to tell two accounts apart.
fn redacted(owner: &str) -> String {
    if owner.chars().count() < 4 {
        return "…".into();
    }
    let first = owner.chars().next().unwrap_or('?');
    match owner.split_once('@') {
        Some((_, host)) => format!("{first}…@{host}"),
        None => format!("{first}…{}", owner.chars().last().unwrap_or('?')),
    }
}
