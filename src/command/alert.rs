//! `raxx check --alert`: who is to be told of a run is told, now or by the next run.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;

use crate::alert::{Book, Message, Noted, Receiver, command, desktop, slack::Slack};
use crate::config::{Config, Credential};
use crate::history;
use crate::http::Client;
use crate::process::{block_on, say, write_whole};
use crate::report::Report;
use crate::secret::Secret;
use crate::source::{STORE, Stored, environment, stored, why_not};
use crate::state;
use crate::store::{self, Lookup, Store};
use crate::vault;

/// Secrets that raxx takes from the environment beside the credentials.
const ALSO_HIDDEN: [&str; 5] = [
    "INFISICAL_CLIENT_SECRET",
    "INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET",
    "INFISICAL_UNIVERSAL_AUTH_ACCESS_TOKEN",
    "INFISICAL_TOKEN",
    "CF_ACCESS_CLIENT_SECRET",
];

/// How much longer than its own tries a run waits for another one that is telling people.
const WAIT: Duration = Duration::from_secs(60);

/// Who is to be told.
///
/// # Errors
/// Nobody is.
pub(super) fn receivers(config: &Config) -> Result<Vec<Receiver>> {
    let alert = &config.alert;
    let all = [
        (Receiver::Slack, alert.slack.enabled),
        (Receiver::Desktop, alert.desktop),
        (Receiver::Command, alert.command.is_some()),
    ];
    let on: Vec<Receiver> = all.into_iter().filter(|(_, on)| *on).map(|(receiver, _)| receiver).collect();
    if on.is_empty() {
        bail!("nobody is to be told: switch a receiver on, as in [alert.slack] enabled = true");
    }
    Ok(on)
}

/// Tells what is due after this run, and gives whether everybody took it. What was not taken is kept.
pub(super) async fn tell(
    config: &Config,
    store: &dyn Store,
    report: &Report,
    began: Timestamp,
    receivers: &[Receiver],
) -> bool {
    // A state directory that cannot be used was told of already; then nothing is remembered, and people are told each time.
    let place = place();
    // Until all is sent: of two runs at once, the second one finds that everything is told.
    let limit = config.alert.retry_for + WAIT;
    let _alone = match &place {
        None => None,
        Some(dir) => match state::lock_file(&dir.join("alerts.lock")) {
            None => None,
            Some(file) => match tokio::time::timeout(limit, state::locked(file)).await {
                Ok(lock) => lock,
                Err(_) => {
                    say("raxx: nobody is told: another raxx check --alert does not come to an end");
                    return false;
                }
            },
        },
    };
    let file = place.as_ref().map(|dir| dir.join("alerts.json"));
    let mut book = file.as_ref().and_then(|file| fs::read(file).ok()).map_or_else(Book::default, |b| Book::read(&b));
    let now = Timestamp::now();
    let vault = config.infisical.enabled.then_some(vault::NAME);
    let names: Vec<&str> = config.names().chain(vault).collect();
    let failing_since = |name: &str| history::failing_since(name);
    book.note(&Noted { rows: &report.rows, began, now, names: &names, receivers, failing_since: &failing_since });
    // Before anything is sent: a crash loses nothing.
    let mut kept = keep(&book, file.as_ref());

    let host = host();
    let mut sending = FuturesUnordered::new();
    for to in receivers.iter().copied() {
        let notices = book.due(to, &names, now, config.alert.repeat);
        if !notices.is_empty() {
            let message = Message { host: host.clone(), at: now, test: false, notices };
            sending.push(async move {
                let result = send(config, store, report, to, &message, config.alert.retry_for).await;
                (to, message, result)
            });
        }
    }
    let mut all = true;
    while let Some((to, message, result)) = sending.next().await {
        match result {
            Ok(_) => {
                book.told(to, &message.notices, now);
                kept &= keep(&book, file.as_ref());
            }
            Err(why) => {
                all = false;
                let next = if kept { "kept for the next run" } else { "and not kept: there is no state directory" };
                say(&format!("raxx: {} was not told ({}), {next}: {why}", to.name(), message.summary()));
            }
        }
    }
    all
}

/// `raxx check --alert --test`: sends a test message to everybody, and says what became of it.
///
/// # Errors
/// Usage or configuration.
pub(super) fn test() -> Result<ExitCode> {
    let config = Config::load()?;
    config.catalogue()?;
    let store = store::open(&config);
    let report = Report { rows: Vec::new(), unfinished: 0, checked_at: Timestamp::now() };
    let message = Message { host: host(), at: report.checked_at, test: true, notices: Vec::new() };
    let mut good = true;
    for to in receivers(&config)? {
        let result = block_on(async {
            let mut whose = String::new();
            if to == Receiver::Slack && config.alert.slack.webhook.is_none() {
                whose = format!("the bot is {}; ", slack(&config, &*store).await?.of(&config).who().await?);
            }
            let sent = send(&config, &*store, &report, to, &message, Duration::ZERO).await?;
            Ok::<_, String>(whose + &sent)
        })?;
        good &= result.is_ok();
        let (word, said) = match result {
            Ok(said) => ("PASS", said),
            Err(why) => ("FAIL", why),
        };
        write_whole(&format!("[{word}] {}    {said}\n", to.name()))?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn send(
    config: &Config,
    store: &dyn Store,
    report: &Report,
    to: Receiver,
    message: &Message,
    retry_for: Duration,
) -> Result<String, String> {
    let alert = &config.alert;
    let webhook = alert.slack.webhook.as_ref().map(|c| c.name.as_str());
    let own = [Some(alert.slack.bot_token.name.as_str()), webhook];
    let hidden: Vec<&str> = config.names().chain(own.into_iter().flatten()).chain(ALSO_HIDDEN).collect();
    match to {
        Receiver::Slack => slack(config, store).await?.of(config).tell(message, retry_for).await,
        Receiver::Desktop => desktop::tell(&hidden, message).await,
        Receiver::Command => {
            command::tell(alert.command.as_deref().unwrap_or_default(), &hidden, report, message).await
        }
    }
}

/// What Slack is spoken to with.
struct Means {
    client: Client,
    secret: Secret,
}

impl Means {
    fn of<'a>(&'a self, config: &'a Config) -> Slack<'a> {
        Slack { settings: &config.alert.slack, client: &self.client, secret: &self.secret, timeout: config.timeout }
    }
}

/// The bot token's or the webhook's value, from the environment or the store, as any credential's.
async fn slack(config: &Config, store: &dyn Store) -> Result<Means, String> {
    let credential = config.alert.slack.credential();
    let name = &credential.name;
    let secret = match environment(name) {
        Some(value) => value.map_err(|why| format!("{name} is {}", why.words()))?,
        None => match stored(store, &[credential], STORE).await.pop() {
            Some(Stored::Value(secret)) => secret,
            Some(Stored::Malformed(why)) => {
                return Err(format!("{name} is {}; store it again: raxx store {name}", why.words()));
            }
            None | Some(Stored::Not(Lookup::Absent)) => {
                let place = if credential.store.is_some() { format!(" or {}", store.name()) } else { String::new() };
                return Err(format!(
                    "{name} is not in env{place}; {} (or, for no Slack: enabled = false under [alert.slack])",
                    to_store(credential)
                ));
            }
            Some(Stored::Not(lookup)) => {
                let why = credential.store.as_ref().map(|item| why_not(&lookup, item, store));
                return Err(format!("{name} is not in env, and {}", why.unwrap_or_default()));
            }
        },
    };
    let client = Client::new().map_err(|fault| fault.to_string())?;
    Ok(Means { client, secret })
}

/// What to type so that the store has it.
pub(super) fn to_store(credential: &Credential) -> String {
    let name = &credential.name;
    match credential.store {
        Some(_) => format!("type: raxx store {name}"),
        None => format!(
            "add store = {{ service = \"…\", account = \"…\" }} to its [[credential]], then type: raxx store {name}"
        ),
    }
}

/// The state directory, made where it is not there yet.
fn place() -> Option<PathBuf> {
    let dir = state::directory()?;
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).ok()?;
    Some(dir)
}

/// Whether the book is on the disk now.
fn keep(book: &Book, file: Option<&PathBuf>) -> bool {
    let Some(file) = file else { return false };
    let written = state::replace(file, &book.bytes());
    if let Err(why) = &written {
        say(&format!("raxx: warning: who was told is not noted: {}: {why}", file.display()));
    }
    written.is_ok()
}

/// This machine's name.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
