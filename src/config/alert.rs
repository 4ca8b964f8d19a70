//! `[alert]`: who gets alerts, how, and how often.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::file::{ConfigError, File, absolute, duration};
use super::{Credential, is_identifier};
use crate::provider::base_url::base_url;
use crate::store::Item;
use crate::text::typed::looks_like_a_value;

/// The variable of the bot token that alerts are sent with. It is not in the report.
pub(super) const BOT_TOKEN: &str = "SLACK_BOT_TOKEN";

/// The account of store items that are not configured.
const ACCOUNT: &str = "raxx";

/// The account of the store items of the built-in list.
const BUILT_IN_ACCOUNT: &str = "claude-bootstrap";

const DAY: u64 = 86_400;

/// The receivers of what a run with `--alert` finds.
#[derive(Debug, Clone)]
pub(crate) struct AlertSettings {
    /// A failure that lasts is reported again after this time.
    pub repeat: Duration,
    /// How long an alert that a receiver does not accept is retried.
    pub retry_for: Duration,
    pub slack: SlackSettings,
    pub desktop: bool,
    /// A program and its arguments.
    pub command: Option<Vec<String>>,
    /// The Prometheus file that each run with `--alert` writes.
    pub prometheus: Option<PathBuf>,
}

/// Slack, by a bot or by an incoming webhook.
#[derive(Debug, Clone)]
pub(crate) struct SlackSettings {
    pub enabled: bool,
    /// `None` if the file lists its own credentials and names no channel. A webhook needs none.
    pub channel: Option<String>,
    pub base_url: Url,
    pub bot_token: Credential,
    /// Its value is the whole address, which is a secret. It is used instead of the bot token.
    pub webhook: Option<Credential>,
}

impl SlackSettings {
    /// Whether a channel or a webhook is configured.
    pub(crate) fn has_a_place(&self) -> bool {
        self.webhook.is_some() || self.channel.is_some()
    }

    /// Returns the credential that messages are sent with.
    pub(crate) fn credential(&self) -> &Credential {
        self.webhook.as_ref().unwrap_or(&self.bot_token)
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertForm {
    repeat: Option<Spanned<String>>,
    retry_for: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) slack: SlackForm,
    #[serde(default)]
    desktop: DesktopForm,
    #[serde(default)]
    command: CommandForm,
    #[serde(default)]
    prometheus: PrometheusForm,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct SlackForm {
    enabled: Option<bool>,
    channel: Option<Spanned<String>>,
    base_url: Option<Spanned<String>>,
    pub(super) webhook: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct DesktopForm {
    enabled: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct CommandForm {
    run: Option<Spanned<Vec<String>>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct PrometheusForm {
    file: Option<Spanned<String>>,
}

impl AlertSettings {
    /// Reads `[alert]`, with the built-in settings as defaults. `own_list`: the credentials are not the built-in ones.
    pub(super) fn read(
        file: &File,
        form: AlertForm,
        credentials: &[Credential],
        own_list: bool,
        base: Option<&AlertSettings>,
    ) -> Result<AlertSettings, ConfigError> {
        let time = |text: &Option<Spanned<String>>, key, most: (&str, u64), built_in: Option<Duration>| match text {
            Some(text) => duration(file, text, key, ("0s", Duration::ZERO), (most.0, Duration::from_secs(most.1))),
            None => Ok(built_in.expect("the defaults have one")),
        };
        let account = if own_list { ACCOUNT } else { BUILT_IN_ACCOUNT };
        let item = |service: String| Item { service, account: account.into() };
        let refuse = |text: &Spanned<String>, why: String| Err(file.error(Some(text.span()), why));
        let channel = match &form.slack.channel {
            Some(text) if !is_channel(text.get_ref()) => {
                return refuse(text, "channel is not a Slack channel: write its ID (C…, D…, U…) or its #name".into());
            }
            Some(text) => {
                file.no_secret(text.span(), "channel", text.get_ref())?;
                Some(text.get_ref().clone())
            }
            // The built-in channel belongs to the owners of the built-in list.
            None => base.filter(|_| !own_list).and_then(|b| b.slack.channel.clone()),
        };
        let address = match &form.slack.base_url {
            Some(text) => base_url(text.get_ref()).map_err(|why| file.error(Some(text.span()), why))?,
            None => base.map(|b| b.slack.base_url.clone()).expect("the defaults have one"),
        };
        let webhook = match &form.slack.webhook {
            Some(text) if !is_identifier(text.get_ref()) || looks_like_a_value(text.get_ref()) => {
                // It may be the address itself, which is a secret, so it is not repeated.
                let why =
                    "webhook must be the name of a credential whose value is the address, like \"SLACK_WEBHOOK_URL\"";
                return refuse(text, why.into());
            }
            Some(text) => {
                let service = format!("raxx-{}", text.get_ref().to_ascii_lowercase().replace('_', "-"));
                Some(named(credentials, text.get_ref(), item(service), "incoming-webhook"))
            }
            None => None,
        };
        let command = match form.command.run {
            Some(run) if run.get_ref().first().is_none_or(String::is_empty) => {
                let why = "run = [\"program\", \"argument\"] names no program";
                return Err(file.error(Some(run.span()), why));
            }
            Some(run) if run.get_ref().iter().any(|word| word.contains('\0')) => {
                return Err(file.error(Some(run.span()), "run contains a NUL character"));
            }
            Some(run) if is_relative_path(&run.get_ref()[0]) => {
                let why = "run must not be a relative path: write the program's absolute path";
                return Err(file.error(Some(run.span()), why));
            }
            Some(run) => Some(run.into_inner()),
            None => base.and_then(|b| b.command.clone()),
        };
        // By default it is on if there is a channel or a webhook.
        let has_a_place = webhook.is_some() || channel.is_some();
        let enabled = form.slack.enabled.unwrap_or(has_a_place && base.is_none_or(|b| b.slack.enabled));
        Ok(AlertSettings {
            repeat: time(&form.repeat, "repeat", ("720h", 30 * DAY), base.map(|b| b.repeat))?,
            retry_for: time(&form.retry_for, "retry_for", ("5m", 300), base.map(|b| b.retry_for))?,
            slack: SlackSettings {
                enabled,
                channel,
                base_url: address,
                bot_token: named(credentials, BOT_TOKEN, item("raxx-slack-bot-token".into()), "chat:write"),
                webhook,
            },
            desktop: form.desktop.enabled.unwrap_or(base.is_some_and(|b| b.desktop)),
            command,
            prometheus: match &form.prometheus.file {
                Some(text) => Some(absolute(file, text, "file")?),
                None => base.and_then(|b| b.prometheus.clone()),
            },
        })
    }
}

/// Returns the credential of this name from the list, or a new one that is not in the report.
fn named(credentials: &[Credential], name: &str, item: Item, scope: &str) -> Credential {
    let listed = credentials.iter().find(|c| c.name == name).cloned();
    listed.unwrap_or_else(|| Credential {
        name: name.into(),
        provider: "slack".into(),
        store: Some(item),
        rotate_via: None,
        scope: Some(scope.into()),
        account_id: None,
        warn_before: None,
    })
}

/// Whether it is a path relative to the current directory.
fn is_relative_path(program: &str) -> bool {
    program.contains('/') && !Path::new(program).is_absolute()
}

fn is_channel(text: &str) -> bool {
    let name = text.strip_prefix('#').unwrap_or(text);
    // Names can have letters of any language.
    (1..=80).contains(&name.chars().count())
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn read(text: &str) -> Result<AlertSettings, String> {
        Config::parse("c.toml", text.into(), Some(Config::built_in())).map(|c| c.alert).map_err(|e| e.to_string())
    }

    #[test]
    fn the_default_channel_is_the_runbooks() {
        let alert = read("").unwrap();
        assert_eq!((alert.repeat, alert.retry_for), (Duration::from_secs(DAY), Duration::from_secs(60)));
        assert_eq!(alert.slack.channel.as_deref(), Some("D0AJ7K184TV"));
        assert_eq!(alert.slack.base_url.as_str(), "https://slack.com/api");
        let item = Item { service: "raxx-slack-bot-token".into(), account: "claude-bootstrap".into() };
        assert_eq!(alert.slack.credential().store, Some(item));
        assert!(alert.slack.enabled && !alert.desktop && alert.command.is_none());
    }

    #[test]
    fn a_table_sets_the_receivers_and_the_interval() {
        let alert = read(
            "[alert]\nrepeat = \"6h\"\n[alert.slack]\nenabled = false\nchannel = \"#ops\"\nwebhook = \"OPS_HOOK\"\n\
             [alert.desktop]\nenabled = true\n[alert.command]\nrun = [\"tell\", \"-x\"]\n",
        )
        .unwrap();
        assert_eq!(alert.repeat, Duration::from_secs(6 * 3600));
        assert!(!alert.slack.enabled && alert.desktop);
        assert_eq!(alert.slack.credential().store.as_ref().unwrap().service, "raxx-ops-hook");
        assert_eq!(alert.command.unwrap(), ["tell", "-x"]);
    }

    #[test]
    fn each_mistake_is_one_line_with_its_location() {
        let mut all = String::new();
        for (text, line) in [
            ("[alert.slack]\nchannel = \"a b\"", 2),
            ("[alert.slack]\nwebhook = \"https://hooks.slack.com/services/T/B/hunter2\"", 2),
            ("[alert.slack]\nbase_url = \"http://slack.com/api\"", 2),
            ("[alert.command]\nrun = []", 2),
            ("[alert]\nrepeat = \"often\"", 2),
            ("[alert.command]\nrun = [\"bin/tell\"]", 2),
            ("[alert.command]\nrun = [\"./tell\"]", 2),
            ("[alert.command]\nrun = [\"~/bin/tell\"]", 2),
            ("[alert.slak]", 1),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.starts_with(&format!("c.toml:{line}: ")) && !said.contains('\n'), "{text}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
            all += &format!("{text}\n=> {said}\n\n");
        }
        insta::assert_snapshot!("mistakes", all);
    }
}
