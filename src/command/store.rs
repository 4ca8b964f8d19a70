//! `raxx store`: takes a value, proves it, stores it.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::session::{Session, recheck_command, reload_command};
use super::warn_unsaved;
use crate::alert::slack::prove_webhook;
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

/// How long `rotate` waits: a token that was made a moment ago may not be known everywhere.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// # Errors
/// Usage, configuration, a store that cannot be written.
pub(crate) fn run(args: &StoreArgs) -> Result<ExitCode> {
    not_to_a_terminal("store", args.caller)?;
    let session = Session::new()?;
    // Providers that do not exist are refused before the name is looked up.
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
        // A locked store is told before anybody types a token.
        current(run.store, &credential.name, item).await?;
        let secret = input(&mut terminal, credential, &args.value).await?;
        let (may, row) = proven(&run, &mut terminal, credential, &secret, &args.value, Duration::ZERO).await?;
        if !may {
            return Ok(ExitCode::FAILURE);
        }
        update_verified(run.store, &credential.name, item, &secret, &recheck_command(run.config, &credential.name))
            .await?;
        terminal.restore();
        let other = environment(&credential.name).is_some_and(|held| held.as_ref() != Ok(&secret));
        stored(&run, credential, item, row, &secret, args.caller, other.then_some("another value"))?;
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
        bail!("this prints a secret, so not to a terminal. Type: raxx {command}");
    }
    Ok(())
}

/// Says that the value is stored, and gives it to the shell that asked for it; to a person at another one, what that has
/// `instead`. Nothing in it waits, so that it belongs to the change of the store.
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
    warn_unsaved(history::note_stored(&config::place(), row, place));
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

/// Whether a person is there to be asked: not where the value comes from a pipe.
pub(super) fn asks(how: &ValueArgs) -> bool {
    !how.stdin || terminal::stdin_is_a_person()
}

fn repair(session: &Session, credential: &Credential) -> Result<ExitCode> {
    let store = session.store();
    let item = credential.place_in_store()?;
    if store.name() != "Keychain" {
        bail!("only items of the macOS Keychain need a repair: this machine keeps values elsewhere");
    }
    say(&format!("raxx: the {} may ask now whether {} may be read: allow it once", store.name(), credential.name));
    block_on(until_a_signal(async {
        repaired(store, &credential.name, item).await?;
        say(&format!("raxx: {} can be read silently from now on", credential.name));
        Ok(ExitCode::SUCCESS)
    }))?
}

/// Takes the value, from the pipe or the terminal, and says what was taken off around it. What is not checked, and so not
/// shown with its verdict, is shown redacted.
pub(super) async fn input(terminal: &mut Terminal, credential: &Credential, how: &ValueArgs) -> Result<Secret> {
    let bytes = if asks(how) {
        terminal.hidden(&format!("{} (hidden): ", credential.name)).await?
    } else {
        terminal::piped().await?
    };
    let name = &credential.name;
    let known: Vec<&str> = secret_variables().iter().map(String::as_str).collect();
    let Pasted { secret, removed } = paste::value(&bytes, name, &known).map_err(|why| match why {
        Unusable::Malformed(why) => anyhow!("{name}: {why}; nothing is stored"),
        Unusable::Other(other) => {
            anyhow!("{name}: that line sets {other}, so nothing is stored. To store it, type: raxx store {other}")
        }
        Unusable::Unknown => {
            anyhow!("{name}: that line sets another variable, so nothing is stored: paste the value alone")
        }
        Unusable::NotPlain => {
            anyhow!("{name}: that line does not set a plain value, so nothing is stored: paste the value alone")
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

/// Asks the provider, and where it does not decide, the person. Gives whether the value may be stored, and the verdict.
/// A value that is rejected is asked about again for `patience`: a fresh token is not known everywhere at once.
pub(super) async fn proven(
    run: &Run<'_>,
    terminal: &mut Terminal,
    credential: &Credential,
    secret: &Secret,
    how: &ValueArgs,
    patience: Duration,
) -> Result<(bool, Option<Row>)> {
    if how.no_check {
        say(&format!("raxx: {} is not checked, as you asked", credential.name));
        run.trust(credential, secret);
        return Ok((true, None));
    }
    let begun = Instant::now();
    let mut asked = 0;
    let row = loop {
        let row = if is_webhook(run.config, credential) {
            webhook_proven(run, credential, secret).await?
        } else {
            run.prove(credential, secret).await
        };
        let nap = nap(asked, begun.elapsed(), patience);
        let (Kind::Rejected, Some(nap)) = (row.verdict.kind, nap) else { break row };
        say("raxx: the provider does not know it yet; asked again in a moment");
        tokio::time::sleep(nap).await;
        asked += 1;
    };
    let mut shown = row.clone();
    // It is being rotated or stored right now.
    shown.rotate_via = None;
    shown.next = None;
    shown.warning = None;
    say_styled(&shown.lines(anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never));
    let (stored, question) = match row.verdict.kind {
        Kind::Valid => return Ok((true, Some(row))),
        Kind::Rejected | Kind::Malformed => {
            say("raxx: nothing is stored");
            return Ok((false, Some(row)));
        }
        // It may be the very permission that the work needs.
        Kind::Refused => ("the provider refused it", "The provider refused it without saying why. Store it anyway?"),
        Kind::Limited => ("the token works but is restricted", "The token works but is restricted. Store it anyway?"),
        _ => ("it could not be checked", "It could not be checked. Store it anyway?"),
    };
    if !asks(how) {
        say(&format!("raxx: {stored}, so nothing is stored. To store it anyway, add --no-check"));
        return Ok((false, Some(row)));
    }
    let may = terminal.yes(question).await.unwrap_or(false);
    if !may {
        say("raxx: nothing is stored");
    }
    Ok((may, Some(row)))
}

/// How long to wait before it is asked again: longer each time, and for the last time at the very end.
fn nap(asked: u32, elapsed: Duration, patience: Duration) -> Option<Duration> {
    let left = patience.checked_sub(elapsed).filter(|left| !left.is_zero())?;
    Some((Duration::from_secs(2) * 3_u32.saturating_pow(asked)).min(left))
}

/// Whether its value is the address of a Slack webhook.
pub(super) fn is_webhook(config: &Config, credential: &Credential) -> bool {
    config.alert.slack.webhook.as_ref().is_some_and(|webhook| webhook.name == credential.name)
}

/// A webhook's address is no token that a provider could be asked about.
async fn webhook_proven(run: &Run<'_>, credential: &Credential, secret: &Secret) -> Result<Row> {
    let client = Client::new().map_err(|fault| anyhow::anyhow!("{fault}"))?;
    Ok(prove_webhook(&client, &credential.name, secret, run.config.timeout).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_patience_is_used_and_no_more() {
        let mut naps = Vec::new();
        let mut elapsed = Duration::ZERO;
        while let Some(nap) = nap(naps.len() as u32, elapsed, PATIENCE) {
            naps.push(nap.as_secs());
            elapsed += nap;
        }
        assert_eq!(naps, [2, 6, 12]);
        assert_eq!(nap(0, Duration::ZERO, Duration::ZERO), None, "store asks once");
        // The provider's own time counts.
        assert_eq!(nap(1, Duration::from_secs(19), PATIENCE), Some(Duration::from_secs(1)));
        assert_eq!(nap(1, Duration::from_secs(21), PATIENCE), None);
    }
}
