//! A notification on this machine's desktop.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::command::ended;
use super::{Event, Group, Message};
use crate::process::child_apart;
use crate::text::clean;

/// How long the desktop may take.
const LIMIT: Duration = Duration::from_secs(10);

/// More lines than this are no notification.
const LINES: usize = 6;

/// # Errors
/// Why it is not shown, in a line.
pub(crate) async fn tell(message: &Message) -> Result<String, String> {
    let title = format!("raxx: {}", message.summary());
    let body = body(message);
    let command = if cfg!(target_os = "macos") {
        osascript(&title, &body)
    } else {
        notify_send(&title, &body, message.alerts.iter().any(|n| n.event == Event::Failing))
    };
    let name = command.get_program().to_string_lossy().into_owned();
    let fix = "install it (Debian: libnotify-bin), or set enabled = false under [alert.desktop]";
    ended(command, fix, "", LIMIT).await.map(|()| format!("handed to {name}"))
}

/// What to do where a notification was handed over and nobody saw it. `osascript` posts in the name of Script Editor and
/// ends well even if macOS drops what that app may not show.
pub(crate) fn remedy() -> &'static str {
    if cfg!(target_os = "macos") {
        "open Script Editor, run `display notification \"x\"` in it and allow its notifications (System Settings, \
         Notifications, Script Editor; no Focus may be on)"
    } else {
        "check that a notification service is running and that Do Not Disturb is off"
    }
}

/// Names of a line; more are counted.
const NAMES: usize = 5;

/// A line for each credential, or for those that say the same.
fn body(message: &Message) -> String {
    if message.test {
        return format!("sent by raxx on {}", message.host);
    }
    let groups = message.groups();
    let line = |group: &Group<'_>| {
        let names: Vec<String> = group.alerts.iter().take(NAMES).map(|n| clean(&n.name)).collect();
        let more = match group.alerts.len().saturating_sub(NAMES) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let next = match group.next.first().filter(|_| group.next.len() == 1) {
            Some(next) => format!(" (type: {})", clean(next)),
            None => String::new(),
        };
        format!("{}{more}: {}{next}", names.join(", "), group.said)
    };
    let mut lines: Vec<String> = groups.iter().take(LINES).map(line).collect();
    let left: usize = groups.iter().skip(LINES).map(|group| group.alerts.len()).sum();
    if left > 0 {
        lines.push(format!("and {left} more"));
    }
    // A click on it leads nowhere useful.
    if message.alerts.iter().any(|alert| alert.event != Event::Recovered) {
        lines.push("type: raxx check".into());
    }
    lines.join("\n")
}

/// The body may be taken for markup.
fn notify_send(title: &str, body: &str, urgent: bool) -> Command {
    let escaped = body.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut command = child_apart("notify-send");
    command.args(["--app-name=raxx", if urgent { "--urgency=critical" } else { "--urgency=normal" }]);
    // What follows `--` is no option, whatever it begins with.
    command.args(["--", title, &escaped]);
    // cron says nothing of the session; this is where its bus is.
    if std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_none() {
        let bus = format!("/run/user/{}/bus", rustix::process::getuid().as_raw());
        if Path::new(&bus).exists() {
            command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={bus}"));
        }
    }
    command
}

/// The script is constant; the text is its arguments.
fn osascript(title: &str, body: &str) -> Command {
    let mut command = child_apart("osascript");
    command.args(["-e", "on run argv"]);
    command.args(["-e", "display notification (item 1 of argv) with title (item 2 of argv)"]);
    // The body begins with a name or a word, so it is never taken for an option.
    command.args(["-e", "end run", body, title]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(command: &Command) -> Vec<String> {
        command.get_args().map(|a| a.to_string_lossy().into_owned()).collect()
    }

    const HOSTILE: &str = "\"; do shell script \"touch /tmp/x\" -- <b>&amp;";

    #[test]
    fn text_is_never_code() {
        let made = arguments(&osascript("title", HOSTILE));
        assert_eq!(made.iter().filter(|a| a.contains("shell script")).collect::<Vec<_>>(), [HOSTILE]);
        assert_eq!(&made[6..], [HOSTILE, "title"]);
    }

    #[test]
    fn text_is_never_markup_or_an_option() {
        let made = arguments(&notify_send("-title", "--icon=<b>&", true));
        assert_eq!(&made[1..], ["--urgency=critical", "--", "-title", "--icon=&lt;b&gt;&amp;"]);
    }
}
