//! `raxx export`: export lines for what the local sources have. Never the network, never a dialog.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::ValueEnum as _;
use jiff::Timestamp;

use super::session::Session;
use super::usage::unknown;
use crate::check::fingerprint_parts;
use crate::cli::ExportArgs;
use crate::config::Credential;
use crate::process::{block_on, say, write_whole};
use crate::provider::Catalog;
use crate::report::ago;
use crate::secret::Secret;
use crate::shell::{Changes, is_off};
use crate::source::{STORE, STORE_AT_START, Stored, environment, stored, without_value};
use crate::state::{CachedVerdict, State};

/// # Errors
/// Usage or configuration, a terminal on stdout.
pub(crate) fn run(args: &ExportArgs) -> Result<ExitCode> {
    if io::stdout().is_terminal() {
        let shell = args.shell.to_possible_value().map_or_else(String::new, |shell| shell.get_name().to_string());
        bail!("secrets are not printed to a terminal. Type: eval \"$(raxx export {shell})\"");
    }
    if args.missing && is_off() {
        return Ok(ExitCode::SUCCESS);
    }
    let session = Session::new()?;
    let config = &session.config;
    let mut wanted: Vec<&Credential> = config.credentials.iter().collect();
    if !args.names.is_empty() {
        let known: Vec<&str> = config.names().collect();
        if let Some(name) = args.names.iter().find(|n| !known.contains(&n.as_str())) {
            return Err(unknown(name, &known));
        }
        wanted.retain(|c| args.names.contains(&c.name));
    }

    let rejections = Rejections::open(&session);
    let mut changes = Changes::now();
    let mut ask_store: Vec<&Credential> = Vec::new();
    for &credential in &wanted {
        match environment(&credential.name) {
            Some(Ok(secret)) if args.missing => {
                // The provider rejected it within the last minutes; the store may have its replacement.
                if rejections.rejected(credential, &secret).is_some() {
                    ask_store.push(credential);
                }
            }
            Some(Ok(secret)) => changes.export(&credential.name, &secret),
            Some(Err(why)) => {
                if !args.missing {
                    say(&format!("raxx: {} is not exported: {}", credential.name, why));
                }
                ask_store.push(credential);
            }
            None => ask_store.push(credential),
        }
    }

    let mut short = false;
    if !ask_store.is_empty() {
        let store = session.store();
        let limit = if args.missing { STORE_AT_START } else { STORE };
        let values = block_on(stored(store, &ask_store, limit))?;
        for (credential, value) in ask_store.iter().zip(values) {
            let why = match value {
                Stored::Value(secret) => match rejections.rejected(credential, &secret) {
                    None => {
                        changes.export(&credential.name, &secret);
                        continue;
                    }
                    Some(cached) => {
                        let age = cached.age().unwrap_or_default();
                        format!("was rejected {}: {}", ago(age, Timestamp::now()), cached.verdict.words)
                    }
                },
                Stored::Malformed(why) => why.to_string(),
                Stored::Absent => without_value(credential, None, store).verdict.words,
                Stored::Failed(why) => without_value(credential, Some(&why), store).verdict.words,
            };
            short = true;
            if !args.missing {
                say(&format!("raxx: {} is not exported: {why}", credential.name));
            }
        }
    }
    write_whole(&if args.missing { changes.code() } else { changes.exports() })?;
    // Only a credential that was named must have a value.
    Ok(if short && !args.names.is_empty() && !args.missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The values that a provider rejected within the last minutes.
struct Rejections<'s> {
    state: Option<State>,
    catalog: Option<&'s Catalog>,
}

impl Rejections<'_> {
    fn open(session: &Session) -> Rejections<'_> {
        // Reading the catalog takes longer than the rest of a new terminal's export.
        let state = crate::state::existing().ok().flatten();
        let state = state.filter(|dir| dir.join("verdicts").is_dir()).and_then(|_| State::open().ok());
        let state = state.filter(State::any_rejection);
        let catalog = state.as_ref().and_then(|_| session.catalog().ok());
        Rejections { state, catalog }
    }

    fn rejected(&self, credential: &Credential, secret: &Secret) -> Option<CachedVerdict> {
        let provider = self.catalog?.get(&credential.provider)?;
        let first = provider.first(credential.account_id.as_deref(), &|p| secret.expose().starts_with(p)).ok()?;
        let state = self.state.as_ref()?;
        state.recall(&state.fingerprint(&fingerprint_parts(credential, &first), secret))?.rejection().cloned()
    }
}
