//! `raxx store`: prompts for a value, verifies it, and stores it.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::session::{Session, recheck_command, reload_command};
use super::warn_unsaved;
use crate::alert::slack;
use crate::check::{Mode, Run};
use crate::cli::{Caller, StoreArgs, ValueArgs};
use crate::config::{self, Config, Credential, secret_variables};
use crate::process::{block_on, say, say_styled, until_a_signal, write_whole};
use crate::provider::http::Client;
use crate::report::{Kind, Row};
use crate::secret::{Secret, StandIn};
use crate::shell::Changes;
use crate::source::environment;
use crate::state::history;
use crate::store::Item;
use crate::store::update::{current, repaired, update_verified};
use crate::terminal::paste::{self, Pasted, Unusable};
use crate::terminal::{self, Terminal};

/// How long `rotate` retries: a new token takes a while to reach all of a provider's servers.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// # Errors
/// Usage, configuration, a store that cannot be written.
pub(crate) fn run(args: &StoreArgs) -> Result<ExitCode> {
    not_to_a_terminal("store", args.caller)?;
    let session = Session::new()?;
    // An unknown provider is an error before an unknown name is.
    session.catalog()?;
    let credential = session.credential(&args.name)?;
    let item = credential.place_in_store()?;
    if args.repair {
        return repair(&session, credential);
    }
    let run = session.run(Mode::Check)?;
    block_on(until_a_signal(async {
        let mut terminal = terminal_for(args.caller);
        super::unlock::ready_to_write(&session.config, asks(&args.value).then_some(&mut terminal)).await?;
        // A locked store is reported before a person types a token.
        current(run.store, &credential.name, item).await?;
        let secret = input(&mut terminal, credential, &args.value).await?;
        let decision = verified(&run, &mut terminal, credential, &secret, &args.value, Duration::ZERO).await?;
        let Decision::Store(row) = decision else { return Ok(ExitCode::FAILURE) };
        update_verified(run.store, &credential.name, item, &secret, &recheck_command(run.config, &credential.name))
            .await?;
        terminal.restore();
        let other = environment(&credential.name).is_some_and(|held| held.as_ref() != Ok(&secret));
        stored(&run, credential, item, row.map(|row| *row), &secret, args.caller, other.then_some("another value"))?;
        Ok(ExitCode::SUCCESS)
    }))?
}

/// Returns the terminal to prompt on.
pub(super) fn terminal_for(caller: Caller) -> Terminal {
    if caller.is_shell_function() { Terminal::in_a_shell_function() } else { Terminal::new() }
}

/// Refuses to print code with values where a terminal would show it.
///
/// # Errors
/// The shell function runs the command and standard output is a terminal.
pub(super) fn not_to_a_terminal(command: &str, caller: Caller) -> Result<()> {
    if caller.is_shell_function() && io::stdout().is_terminal() {
        bail!("secrets are not printed to a terminal. Type: raxx {command}");
    }
    Ok(())
}

/// Says that the value is stored, and exports it into the shell that called raxx; without the shell function, says what
/// this shell has `instead`. It never waits, so that no signal separates it from the change of the store.
///
/// # Errors
/// stdout cannot be written.
pub(super) fn stored(
    run: &Run<'_>,
    credential: &Credential,
    item: &Item,
    row: Option<Row>,
    secret: &Secret,
    caller: Caller,
    instead: Option<&str>,
) -> Result<()> {
    let (name, place) = (&credential.name, run.store.backend_for(item).name());
    warn_unsaved(history::record_stored(&config::place(), row, place));
    say(&format!("raxx: {name} is stored in the {place}"));
    // Shells do not need the credentials that alerts are sent with.
    if caller.is_shell_function() && (environment(name).is_some() || run.config.names().any(|listed| listed == name)) {
        let mut changes = Changes::now();
        changes.export(name, secret);
        write_whole(&changes.code())?;
    } else if let Some(instead) = instead {
        say(&format!("raxx: this shell still has {instead}. Type: {}", reload_command(run.config, name)));
    }
    Ok(())
}

/// Whether raxx can prompt: not if the value comes from a pipe.
pub(super) fn asks(how: &ValueArgs) -> bool {
    !how.stdin || terminal::stdin_is_a_terminal()
}

fn repair(session: &Session, credential: &Credential) -> Result<ExitCode> {
    let store = session.store();
    let item = credential.place_in_store()?;
    if store.name() != "Keychain" {
        bail!("--repair is for the macOS Keychain only, which this machine does not use");
    }
    say(&format!("raxx: the {} may now ask for permission to read {}: allow it once", store.name(), credential.name));
    block_on(until_a_signal(async {
        repaired(store, &credential.name, item).await?;
        say(&format!("raxx: {} can now be read without a dialog", credential.name));
        Ok(ExitCode::SUCCESS)
    }))?
}

/// Reads the value from the pipe or the terminal, and says what was trimmed from it. A value that is not verified, and so
/// has no report line, is shown redacted.
pub(super) async fn input(terminal: &mut Terminal, credential: &Credential, how: &ValueArgs) -> Result<Secret> {
    let bytes = if asks(how) {
        terminal.hidden(&format!("{} (hidden): ", credential.name)).await?
    } else {
        terminal::piped().await?
    };
    let name = &credential.name;
    let known: Vec<&str> = secret_variables().iter().map(String::as_str).collect();
    let Pasted { secret, removed } = paste::value(&bytes, name, &known).map_err(|why| match why {
        Unusable::Malformed(why) => anyhow!("{name}: {why}; nothing was stored"),
        Unusable::Other(other) => {
            anyhow!("{name}: that line sets {other}, so nothing was stored. To store it, type: raxx store {other}")
        }
        Unusable::Unknown => {
            anyhow!("{name}: that line sets another variable, so nothing was stored: paste only the value")
        }
        Unusable::NotPlain => {
            anyhow!("{name}: that line does not set a plain value, so nothing was stored: paste only the value")
        }
    })?;
    for words in removed {
        say(&format!("raxx: {name}: {words}"));
    }
    if how.no_check {
        say(&format!("raxx: {name} {}", secret.redacted()));
    }
    if let Some(warning) = secret.stand_in().map(StandIn::words).or(secret.paste_artifact()) {
        say(&format!("raxx: warning: {warning}"));
    }
    Ok(secret)
}

/// Whether a new value is stored.
pub(super) enum Decision {
    /// It is, with the verdict if it was verified.
    Store(Option<Box<Row>>),
    /// It is not, and the person was told why.
    Discard,
}

/// Verifies a value with its provider, and asks the person if the provider does not decide. A rejected value is retried for
/// `patience`: a new token takes a while to reach all of a provider's servers.
pub(super) async fn verified(
    run: &Run<'_>,
    terminal: &mut Terminal,
    credential: &Credential,
    secret: &Secret,
    how: &ValueArgs,
    patience: Duration,
) -> Result<Decision> {
    if how.no_check {
        say(&format!("raxx: {} is not verified (--no-check)", credential.name));
        run.trust(credential, secret);
        return Ok(Decision::Store(None));
    }
    let begun = Instant::now();
    let mut asked = 0;
    let row = loop {
        let row = if is_webhook(run.config, credential) {
            verify_webhook(run, credential, secret).await?
        } else {
            run.verify(credential, secret).await
        };
        let nap = nap(asked, begun.elapsed(), patience);
        let (Kind::Rejected, Some(nap)) = (row.verdict.kind, nap) else { break row };
        say(&format!("raxx: the provider rejects it so far; retrying in {} s", nap.as_secs().max(1)));
        tokio::time::sleep(nap).await;
        asked += 1;
    };
    let mut shown = row.clone();
    // The person is already rotating or storing it.
    shown.rotate_via = None;
    shown.next = None;
    shown.warning = None;
    say_styled(&shown.lines(anstream::AutoStream::choice(&std::io::stderr()).into()));
    let (stored, question) = match row.verdict.kind {
        Kind::Valid => return Ok(Decision::Store(Some(Box::new(row)))),
        Kind::Rejected | Kind::Malformed => {
            say("raxx: nothing was stored");
            return Ok(Decision::Discard);
        }
        // The missing permission may be one that is needed.
        Kind::Refused => ("the provider refused it", "The provider refused it without saying why. Store it anyway?"),
        Kind::Limited => ("the token works but is restricted", "The token works but is restricted. Store it anyway?"),
        _ => ("it could not be verified", "It could not be verified. Store it anyway?"),
    };
    if !asks(how) {
        say(&format!("raxx: {stored}, so nothing was stored. To store it anyway, add --no-check"));
        return Ok(Decision::Discard);
    }
    if terminal.yes(question).await.unwrap_or(false) {
        Ok(Decision::Store(Some(Box::new(row))))
    } else {
        say("raxx: nothing was stored");
        Ok(Decision::Discard)
    }
}

/// Returns how long to wait before the next try: longer each time, with the last try when the patience ends.
fn nap(asked: u32, elapsed: Duration, patience: Duration) -> Option<Duration> {
    let left = patience.checked_sub(elapsed).filter(|left| !left.is_zero())?;
    Some((Duration::from_secs(2) * 3_u32.saturating_pow(asked)).min(left))
}

/// Whether the value is the address of a Slack webhook.
pub(super) fn is_webhook(config: &Config, credential: &Credential) -> bool {
    config.alert.slack.webhook.as_ref().is_some_and(|webhook| webhook.name == credential.name)
}

/// Verifies a webhook's address, which is not a token that a provider can check.
async fn verify_webhook(run: &Run<'_>, credential: &Credential, secret: &Secret) -> Result<Row> {
    let client = Client::new().map_err(|fault| anyhow::anyhow!("{fault}"))?;
    Ok(slack::verify_webhook(&client, &credential.name, secret, run.config.timeout).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_use_all_of_the_patience_and_no_more() {
        let mut naps = Vec::new();
        let mut elapsed = Duration::ZERO;
        while let Some(nap) = nap(naps.len() as u32, elapsed, PATIENCE) {
            naps.push(nap.as_secs());
            elapsed += nap;
        }
        assert_eq!(naps, [2, 6, 12]);
        assert_eq!(nap(0, Duration::ZERO, Duration::ZERO), None, "store tries once");
        // The provider's response time counts.
        assert_eq!(nap(1, Duration::from_secs(19), PATIENCE), Some(Duration::from_secs(1)));
        assert_eq!(nap(1, Duration::from_secs(21), PATIENCE), None);
    }
}
