//! `raxx rotate`: from the page that tells how, to the new value in the store and in this shell.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Result, bail};
use zeroize::Zeroizing;

use super::export::names_before;
use super::store::{PATIENCE, input, proven};
use super::{credential, memory};
use crate::check::{Mode, Run};
use crate::cli::RotateArgs;
use crate::config::Config;
use crate::elsewhere;
use crate::history;
use crate::keep::{current, keep, place};
use crate::process::{block_on, say, write_whole};
use crate::report::Kind;
use crate::secret::Secret;
use crate::shell::{export_line, names_line};
use crate::source::environment;
use crate::store::{self, Lookup};

/// The rotation pages, in the binary so that they are at hand on every machine.
const PAGES: [(&str, &str); 4] = [
    ("cloudflare-user-api-token.md", include_str!("../../docs/ops/runbooks/rotation/cloudflare-user-api-token.md")),
    ("heroku-platform-token.md", include_str!("../../docs/ops/runbooks/rotation/heroku-platform-token.md")),
    ("github-pat.md", include_str!("../../docs/ops/runbooks/rotation/github-pat.md")),
    ("infisical-service-token.md", include_str!("../../docs/ops/runbooks/rotation/infisical-service-token.md")),
];

/// # Errors
/// Usage, configuration, a store that cannot be written.
pub fn run(args: &RotateArgs) -> Result<ExitCode> {
    if args.shell.is_some() && io::stdout().is_terminal() {
        bail!("raxx rotate --shell prints a secret: not to a terminal. Type: raxx rotate {}", args.name);
    }
    let config = Config::load()?;
    if [crate::vault::NAME, "infisical"].contains(&args.name.as_str()) {
        // Its ids come from the environment alone, so there is nothing to store; the page tells the whole way.
        show_page(config.infisical.rotate_via.as_deref(), args.value.stdin);
        return Ok(ExitCode::SUCCESS);
    }
    let catalogue = config.catalogue()?;
    let credential = credential(&config, &args.name)?;
    let name = &credential.name;
    let item = place(credential)?;
    super::unlock::ready_to_write(&config, !args.value.stdin)?;
    let store = store::open(&config);
    let state = memory(true);
    let run = Run::new(&config, &catalogue, Mode::Check, state.as_ref(), &*store);
    let provider = catalogue.get(&credential.provider).expect("the catalogue is checked against the list");
    block_on(async {
        // A locked store is told before anybody makes a token.
        let stored = current(&*store, item).await?;
        // ^C in the pager is the pager's: from here on it ends raxx only where something is waited for.
        let _handled = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
        show_page(credential.rotate_via.as_deref(), args.value.stdin);
        if let Some(page) = &provider.manage_url {
            say(&format!("raxx: make the new one here: {page}"));
            if args.open {
                open(page);
            }
        }
        if let Some(scope) = &credential.scope {
            say(&format!("raxx: what it must be allowed to do: {scope}"));
        }
        let old = match stored {
            Some(Lookup::Found(bytes)) => Secret::parse(&bytes).ok(),
            _ => environment(name).and_then(|held| held.ok()),
        };
        let secret = input(credential, &args.value)?;
        if old.as_ref() == Some(&secret) {
            bail!("{name}: that is the value that is to be replaced; nothing is changed");
        }
        let proof = proven(&run, credential, &secret, &args.value, PATIENCE);
        let (may, row) = tokio::select! {
            proof = proof => proof?,
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(130)),
        };
        if !may {
            return Ok(ExitCode::FAILURE);
        }
        if let (Some(old), Some(row)) = (&old, row.as_ref().filter(|row| row.kind == Kind::Valid)) {
            let before = run.prove(credential, old).await;
            if let (Kind::Valid, Some(before), Some(now)) = (before.kind, &before.owner, &row.owner)
                && before != now
            {
                match (redacted(before), redacted(now)) {
                    (before, now) if before == now => {
                        say("raxx: warning: the new one belongs to another account than the old one")
                    }
                    (before, now) => {
                        say(&format!("raxx: warning: the new one belongs to {now}, the old one to {before}"))
                    }
                }
            }
        }
        keep(&*store, name, item, &secret).await?;
        history::note_stored(row.clone(), store.name());
        say(&format!("raxx: {name} is stored in the {}", store.name()));

        let mut code = Zeroizing::new(String::new());
        if args.shell.is_some() {
            code.push_str(&export_line(name, &secret));
            let mut names = names_before();
            names.push(name.clone());
            names.sort();
            names.dedup();
            code.push_str(&names_line(&names));
        } else if environment(name).is_some() {
            say(&format!("raxx: this shell still holds the old value. Type: unset {name}; raxx load {name}"));
        }
        // The shell gets the new value before anything else is looked at.
        write_whole(&code)?;
        for line in elsewhere::setting(name) {
            say(&format!("raxx: {line} {}", advice(&line, old.as_ref(), &secret)));
        }
        if elsewhere::in_tmux(name).await {
            say(&format!("raxx: the tmux server still gives {name} to new panes. Type: raxx unset --tmux"));
        }
        match (row.is_some_and(|row| row.kind == Kind::Valid), &provider.revoke) {
            (true, Some(revoke)) => say(&format!("raxx: at last, revoke the old one: {revoke}")),
            (true, None) => say("raxx: at last, revoke the old one at its provider"),
            (false, _) => {
                say(&format!("raxx: the new one is not proven: keep the old one until raxx check {name} passes"))
            }
        }
        Ok(ExitCode::SUCCESS)
    })?
}

/// Shows the page on the terminal, in a pager where it is longer than that; as it is where nobody sits.
fn show_page(rotate_via: Option<&str>, piped: bool) {
    let Some(via) = rotate_via else { return };
    let ours = via.strip_prefix("docs/ops/runbooks/rotation/");
    let Some((_, page)) = PAGES.iter().find(|(name, _)| ours.is_some_and(|page| page.starts_with(name))) else {
        say(&format!("raxx: how to rotate it: {via}"));
        return;
    };
    if piped || !io::stderr().is_terminal() {
        say(page.trim_end());
        return;
    }
    let styled = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    let text = match styled {
        true => termimad::MadSkin::default().term_text(page).to_string(),
        false => (*page).to_string(),
    };
    if !paged(&text) {
        say(text.trim_end());
    }
}

/// Through `$PAGER`, or less where it is; tells whether that went.
fn paged(text: &str) -> bool {
    let pager = std::env::var("PAGER").ok().filter(|p| !p.is_empty()).unwrap_or_else(|| "less".into());
    let Ok(terminal) = std::fs::OpenOptions::new().write(true).open("/dev/tty") else { return false };
    // A page that fits is left on the screen.
    let mut command = Command::new("sh");
    command.args(["-c", &pager]).env("LESS", "FRX").stdin(Stdio::piped()).stdout(terminal).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return false };
    if let Some(mut input) = child.stdin.take() {
        // Who leaves the pager early has read enough.
        let _ = input.write_all(text.as_bytes());
    }
    child.wait().is_ok_and(|status| status.success())
}

fn open(page: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started =
        Command::new(program).arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if started.is_err() {
        say(&format!("raxx: warning: {program} is missing, so the page is not opened"));
    }
}

/// What is to be done about a line that sets the name.
fn advice(line: &elsewhere::Line, old: Option<&Secret>, new: &Secret) -> String {
    let name = &line.name;
    let Some(value) = &line.value else { return format!("sets {name}, but not to a plain value: look there") };
    let is = |secret: &Secret| secret.is(value.as_bytes());
    match (old.is_some_and(is), is(new)) {
        (true, _) => format!("still sets {name} to the old value: take it out there"),
        (_, true) => format!("sets {name} to the new value in a plain file: take it out there"),
        _ => format!("sets {name} to another value than the old and the new one: look there"),
    }
}

/// `o…p` or `o…@example.com`: enough to see that it is another one.
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
