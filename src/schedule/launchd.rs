//! launchd: an agent in the user's graphical session, where the Keychain is readable.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Call, Change, Job, LABEL, Written, call, delete, has_text, last_words, text_of, write};
use crate::files;
use crate::process::say;

/// Relative to the home directory.
const AGENTS: &str = "Library/LaunchAgents";
const LOGS: &str = "Library/Logs/raxx";
const LOG: &str = "check.log";

/// `launchctl bootout` returns before the agent has stopped, and `bootstrap` fails until then.
const TRIES: usize = 10;
const RETRY_DELAY: Duration = Duration::from_millis(300);

/// Exit codes of `launchctl` without a graphical session: its domain does not exist or does not support the command.
const NO_SESSION: [i32; 3] = [112, 113, 125];

/// Folders in the home directory that a program can read only after the user allows it in a dialog.
const PROTECTED: [&str; 5] = ["Documents", "Desktop", "Downloads", "Library/Mobile Documents", "Library/CloudStorage"];

const STARTS_AT_LOGIN: &str =
    "no one is logged in on this Mac's screen; the daily check starts at the next login there";

fn home() -> Result<PathBuf, String> {
    files::home().ok_or_else(|| "there is no home directory; set HOME".into())
}

/// Returns the path of the property list.
pub(super) fn file() -> Result<PathBuf, String> {
    Ok(home()?.join(AGENTS).join(format!("{LABEL}.plist")))
}

fn domain() -> String {
    format!("gui/{}", rustix::process::getuid().as_raw())
}

fn target() -> String {
    format!("{}/{LABEL}", domain())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

pub(super) fn plist(job: &Job) -> String {
    let string = |text: &str| format!("<string>{}</string>", escape(text));
    let arguments = [job.program.as_str(), "check", "--alert", "--if-due", &job.at.to_string()]
        .map(|argument| format!("    {}\n", string(argument)))
        .concat();
    let mut environment = String::new();
    if !job.environment.is_empty() {
        environment += "  <key>EnvironmentVariables</key>\n  <dict>\n";
        for (name, value) in &job.environment {
            environment += &format!("    <key>{}</key>\n    {}\n", escape(name), string(value));
        }
        environment += "  </dict>\n";
    }
    let log = string(&job.home.join(LOGS).join(LOG).to_string_lossy());
    let minute = job.at.minute_now();
    // Hourly and at login: raxx decides whether the check is due.
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>{LABEL}</string>
  <key>ProgramArguments</key>
  <array>
{arguments}  </array>
{environment}  <key>StartCalendarInterval</key>
  <dict>
    <key>Minute</key>
    <integer>{minute}</integer>
  </dict>
  <key>RunAtLoad</key>
  <true/>
  <key>StandardOutPath</key>
  {log}
  <key>StandardErrorPath</key>
  {log}
</dict>
</plist>
"#
    )
}

fn read(text: &str) -> Option<Written> {
    let (_, arguments) = text.split_once("<key>ProgramArguments</key>")?;
    let (arguments, _) = arguments.split_once("</array>")?;
    let strings: Vec<String> = arguments
        .split("<string>")
        .skip(1)
        .filter_map(|s| s.split_once("</string>"))
        .map(|(text, _)| unescape(text))
        .collect();
    let due = strings.iter().position(|s| s == "--if-due")?;
    Some(Written { at: strings.get(due + 1)?.parse().ok()?, program: strings.first()?.into() })
}

fn loaded() -> bool {
    call("launchctl", &["print", &target()], b"").succeeded()
}

/// Whether `launchctl` reports that there is no graphical session.
fn reports_no_session(call: &Call) -> bool {
    matches!(call, Call::Answered(output) if output.status.code().is_some_and(|code| NO_SESSION.contains(&code)))
}

fn no_graphical_session() -> bool {
    reports_no_session(&call("launchctl", &["print", &domain()], b""))
}

pub(super) fn install(job: &Job) -> Result<Change, String> {
    let (file, text) = (file()?, plist(job));
    let logs = job.home.join(LOGS);
    // launchd creates the log file but not its directory.
    files::make_directory(&logs).map_err(|e| format!("{}: {e}", logs.display()))?;
    let new = !file.exists();
    let same = has_text(&file, &text);
    if same && loaded() {
        return Ok(Change::None);
    }
    write(&file, &text)?;
    let path = file.to_str().ok_or("the home directory is not UTF-8")?;
    // An older version might be loaded or disabled.
    let _ = call("launchctl", &["bootout", &target()], b"");
    let _ = call("launchctl", &["enable", &target()], b"");
    let mut left = TRIES;
    loop {
        let bootstrap = call("launchctl", &["bootstrap", &domain(), path], b"");
        // Without a session, the exit code of `bootstrap` depends on the version of macOS, so check for the session too.
        if !bootstrap.succeeded() && (reports_no_session(&bootstrap) || (left == TRIES && no_graphical_session())) {
            say(&format!("raxx: {STARTS_AT_LOGIN}"));
            return Ok(if same { Change::None } else { Change::Made });
        }
        match bootstrap {
            Call::Answered(output) if output.status.success() => return Ok(Change::Made),
            Call::Answered(_) if left > 0 => {
                left -= 1;
                std::thread::sleep(RETRY_DELAY);
            }
            call => {
                if new {
                    let _ = uninstall();
                }
                return Err(match call {
                    Call::Answered(output) => format!("launchctl bootstrap: {}", last_words(&output)),
                    other => other.into_result("launchctl bootstrap").expect_err("a failed call"),
                });
            }
        }
    }
}

pub(super) fn uninstall() -> Result<Change, String> {
    let file = file()?;
    // An agent stays loaded when its file is deleted.
    let loaded = loaded();
    if loaded || file.exists() {
        // This fails if the agent is not loaded, which is fine.
        let _ = call("launchctl", &["bootout", &target()], b"");
    }
    let deleted = delete(&file)?;
    let logs = home()?.join(LOGS);
    delete(&logs.join(LOG))?;
    // Fails if the directory contains other files, which stay.
    let _ = std::fs::remove_dir(logs);
    Ok(if loaded { Change::Made } else { deleted })
}

pub(super) fn installed() -> Result<Option<(String, Option<Written>)>, String> {
    let file = file()?;
    let Some(text) = text_of(&file) else { return Ok(None) };
    Ok(Some((file.display().to_string(), read(&text))))
}

pub(super) fn idle() -> Option<String> {
    match loaded() {
        true => None,
        false if no_graphical_session() => Some(STARTS_AT_LOGIN.into()),
        false => Some("launchd has not loaded it; log in on the Mac's screen, or type: raxx schedule install".into()),
    }
}

/// Returns a warning about a file that macOS might block: a launch agent cannot show a permission dialog.
pub(super) fn caveat(job: &Job) -> Option<String> {
    let home = job.home.canonicalize().ok()?;
    let files = [Some(PathBuf::from(crate::config::place())), crate::state::place(), Some(job.program.clone().into())];
    let (folder, file) = files.into_iter().flatten().find_map(|file| Some((protected(&file, &home)?, file)))?;
    Some(format!(
        "warning: {} is in {}, which macOS might not let the daily check read; move it elsewhere, or give raxx Full Disk \
         Access (System Settings, Privacy & Security)",
        crate::text::plain(&file.to_string_lossy()),
        crate::text::plain(&folder.to_string_lossy())
    ))
}

/// Returns the protected folder that contains the file, after following links. For a file that does not exist yet, its
/// directory counts.
fn protected(file: &Path, home: &Path) -> Option<PathBuf> {
    let real = file.ancestors().find_map(|path| path.canonicalize().ok())?;
    PROTECTED.iter().map(|folder| home.join(folder)).find(|folder| real.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_property_list_parses_back() {
        let job = Job {
            program: "/Users/op <&> \"x\"/bin/raxx".into(),
            at: "08:00Z".parse().expect("a time"),
            environment: vec![("RAXX_CONFIG".into(), "/a&b".into())],
            home: "/Users/op".into(),
        };
        let written = read(&plist(&job)).expect("a readable property list");
        assert_eq!(written, Written { at: job.at, program: job.program.into() });
    }
}
