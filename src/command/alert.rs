//! `raxx check --alert`: sends the alerts of a run, and keeps those that could not be sent for the next run.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;

use super::session::Session;
use crate::alert::slack::Slack;
use crate::alert::{
    self, AlertsFile, Attempt, Delivery, DeliveryError, Message, PendingAlerts, Receiver, RunFacts, command, desktop,
};
use crate::config::{self, Config, Credential, VAULT_ROW};
use crate::process::{ALSO_WITHHELD, block_on, print, say};
use crate::provider::http::Client;
use crate::report::prometheus;
use crate::report::{Report, Row};
use crate::secret::Secret;
use crate::source::{STORE, Stored, environment, stored};
use crate::state::history;
use crate::store::{StoreError, why_not};
use crate::terminal::Terminal;
use crate::text::clean;

/// How much longer than its own retries a run waits for another one that is sending.
const WAIT: Duration = Duration::from_secs(60);

/// Returns the configured receivers.
///
/// # Errors
/// No receiver is configured.
pub(super) fn receivers(config: &Config) -> Result<Vec<Receiver>> {
    let alert = &config.alert;
    let all = [
        (Receiver::Slack, alert.slack.enabled),
        (Receiver::Desktop, alert.desktop),
        (Receiver::Command, alert.command.is_some()),
    ];
    let on: Vec<Receiver> = all.into_iter().filter(|(_, on)| *on).map(|(receiver, _)| receiver).collect();
    if alert.slack.enabled && !alert.slack.has_a_place() {
        bail!("no Slack channel is configured: {}", to_receive(config));
    }
    if on.is_empty() && alert.prometheus.is_none() {
        bail!("no alert receiver is configured: {}", to_receive(config));
    }
    Ok(on)
}

/// Returns what to write into the configuration, and then to type, to receive alerts.
fn to_receive(config: &Config) -> String {
    let key = if config.alert.slack.has_a_place() { "enabled = true" } else { "channel = \"#name\"" };
    let place = clean(&config::place());
    format!(
        "write {key} under [alert.slack] in {place} (or see [alert.desktop], [alert.command]); \
             type: raxx check --alert --test"
    )
}

/// Sends the alerts that are due after this run. Returns whether every receiver accepted them; undelivered alerts stay queued.
pub(super) async fn tell(
    session: &Session,
    report: &Report,
    began: Timestamp,
    attempt: Attempt,
    receivers: &[Receiver],
) -> bool {
    let config = &session.config;
    let mut file = AlertsFile::open();
    let now = Timestamp::now();
    let vault = config.infisical.enabled.then_some(VAULT_ROW);
    let names: Vec<&str> = config.names().chain(vault).collect();
    let failing_since = |row: &Row| history::failing_since(&row.name, &row.provider, &config::place());
    let run =
        RunFacts { rows: &report.rows, began, attempt, now, names: &names, receivers, failing_since: &failing_since };
    // Before anything is sent or waited for, so that a crash loses nothing.
    file.change(now, |pending| pending.note(&run)).await;
    let Some(_alone) = file.lock_sending(config.alert.retry_for + WAIT).await else {
        say("raxx: no alert sent: another `raxx check --alert` is still running");
        return false;
    };
    let repeat = config.alert.repeat;
    let due =
        |pending: &mut PendingAlerts| receivers.iter().map(|to| (*to, pending.due(*to, &names, now, repeat))).collect();
    let due: Vec<_> = file.read(now, due);

    let host = host();
    let mut sending = FuturesUnordered::new();
    for (to, alerts) in due.into_iter().filter(|(_, alerts)| !alerts.is_empty()) {
        let message = Message { host: host.clone(), at: now, test: false, alerts };
        sending.push(async move {
            let result = send(session, report, to, &message, config.alert.retry_for).await;
            (to, message, result)
        });
    }
    let mut all = true;
    while let Some((to, message, result)) = sending.next().await {
        let delivery = match &result {
            Ok(_) => Some(Delivery::Arrived),
            Err(DeliveryError::Unknown(_)) => Some(Delivery::Unknown),
            Err(DeliveryError::NotDelivered(_)) => None,
        };
        if let Some(delivery) = delivery {
            file.change(now, |pending| pending.told(to, &message.alerts, now, delivery)).await;
        }
        let Err(error) = result else { continue };
        all = false;
        let (name, summary) = (to.name(), message.summary());
        let what = match error {
            DeliveryError::Unknown(_) => format!("it is unknown whether {name} got the alert ({summary})"),
            DeliveryError::NotDelivered(_) => format!("could not notify {name} ({summary})"),
        };
        let is_due = |pending: &mut PendingAlerts| !pending.due(to, &names, now, repeat).is_empty();
        let next = match (file.is_saved(), file.read(now, is_due)) {
            (false, _) => "and it cannot be kept without a state directory".into(),
            (true, true) => "kept for the next run".into(),
            (true, false) => format!("not retried within {}", alert::span(repeat)),
        };
        say(&format!("raxx: {what}, {next}: {}", error.why()));
    }
    all
}

/// Sends a test alert to every receiver, and says whether it was delivered.
///
/// # Errors
/// Usage or configuration.
pub(super) fn test() -> Result<ExitCode> {
    let session = Session::new()?;
    session.catalog()?;
    let config = &session.config;
    let report = Report { rows: Vec::new(), unfinished: 0, checked_at: Timestamp::now() };
    let message = Message { host: host(), at: report.checked_at, test: true, alerts: Vec::new() };
    let mut good = true;
    for to in receivers(config)? {
        let result = block_on(async {
            let mut whose = String::new();
            if to == Receiver::Slack && config.alert.slack.webhook.is_none() {
                whose = format!("the bot is {}; ", slack(&session).await?.of(config).who().await?);
            }
            let sent = send(&session, &report, to, &message, Duration::ZERO).await;
            sent.map(|sent| whose + &sent).map_err(DeliveryError::why)
        })?;
        let result = match to {
            Receiver::Desktop => block_on(seen(result))?,
            Receiver::Slack | Receiver::Command => result,
        };
        good &= tell_test(to.name(), result)?;
    }
    if let Some(file) = &config.alert.prometheus {
        let result = prometheus::try_out(file).map(|()| format!("{} can be written", file.display()));
        good &= tell_test("Prometheus", result.map_err(|why| format!("{why:#}")))?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks the person, if there is a terminal, whether the notification appeared: no program can tell.
async fn seen(result: Result<String, String>) -> Result<String, String> {
    let handed = result?;
    let person = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let answer = if person { Terminal::new().yes("Did you see the notification?").await } else { None };
    match answer {
        Some(false) => {
            Err(format!("{handed}, but not shown: {}; then type: raxx check --alert --test", desktop::remedy()))
        }
        Some(true) => Ok(format!("{handed}, and shown")),
        None => Ok(handed),
    }
}

/// Prints the result of a test. Returns whether it passed.
fn tell_test(name: &str, result: Result<String, String>) -> Result<bool> {
    let good = result.is_ok();
    let (word, Ok(said) | Err(said)) = (if good { "PASS" } else { "FAIL" }, result);
    print(&format!("[{word}] {name}    {}\n", clean(&said)))?;
    Ok(good)
}

async fn send(
    session: &Session,
    report: &Report,
    to: Receiver,
    message: &Message,
    retry_for: Duration,
) -> Result<String, DeliveryError> {
    let config = &session.config;
    match to {
        Receiver::Slack => slack(session).await?.of(config).tell(message, retry_for).await,
        Receiver::Desktop => Ok(desktop::tell(message).await?),
        Receiver::Command => {
            Ok(command::tell(config.alert.command.as_deref().unwrap_or_default(), report, message).await?)
        }
    }
}

/// The client and the values that a request to Slack needs.
struct SlackAuth {
    client: Client,
    secret: Secret,
    also: Vec<Secret>,
}

impl SlackAuth {
    fn of<'a>(&'a self, config: &'a Config) -> Slack<'a> {
        let SlackAuth { client, secret, also } = self;
        Slack { settings: &config.alert.slack, client, secret, also, timeout: config.timeout }
    }
}

/// Reads the bot token or the webhook's address from the environment or the store.
async fn slack(session: &Session) -> Result<SlackAuth, String> {
    let (config, store) = (&session.config, session.store());
    let credential = config.alert.slack.credential();
    let name = &credential.name;
    let next = || format!("to turn Slack off, set enabled = false under [alert.slack]; {}", to_store(credential));
    let secret = match environment(name) {
        Some(value) => value.and_then(Secret::token).map_err(|why| format!("{name} is {why}"))?,
        None => match stored(store, &[credential], STORE).await.pop() {
            Some(Stored::Value(secret)) => secret.token().map_err(|why| format!("{name} is {why}; {}", next()))?,
            Some(Stored::Malformed(why)) => {
                return Err(format!("{name} is {why}; store it again: raxx store {name}"));
            }
            None | Some(Stored::Absent) => {
                let place = if credential.store.is_some() { format!(" or {}", store.name()) } else { String::new() };
                return Err(format!("{name} is not in env{place}; {}", next()));
            }
            Some(Stored::Failed(error)) => {
                let why = credential.store.as_ref().map(|item| why_not(&error, item, store));
                let why = why.unwrap_or_default();
                // The other errors say what to type, or are temporary.
                let next = matches!(error, StoreError::Unavailable(_) | StoreError::Unreachable(_))
                    .then(|| format!("; {}", next()));
                return Err(format!("{name} is not in env, and {why}{}", next.unwrap_or_default()));
            }
        },
    };
    let client = Client::new().map_err(|fault| fault.to_string())?;
    let also = config.names().chain(ALSO_WITHHELD).filter_map(|name| environment(name)?.ok()).collect();
    Ok(SlackAuth { client, secret, also })
}

/// Returns what to type to store a value.
pub(super) fn to_store(credential: &Credential) -> String {
    let name = &credential.name;
    match credential.store {
        Some(_) => format!("type: raxx store {name}"),
        None => format!(
            "add store = {{ service = \"…\", account = \"…\" }} to its [[credential]], then type: raxx store {name}"
        ),
    }
}

/// Returns this machine's name.
fn host() -> String {
    clean(&rustix::system::uname().nodename().to_string_lossy())
}
