//! systemd: an hourly timer of the user's service manager. It makes up for missed hours as soon as it can, sometimes
//! before the network is up.

use std::path::PathBuf;

use super::{At, Change, Job, Written, call, delete, has_text, text_of, write};
use crate::files;

const NAME: &str = "raxx-session-bootstrap";
const UNITS: &str = "systemd/user";

fn timer() -> String {
    format!("{NAME}.timer")
}

/// Returns the directories that the user's service manager reads units from, or `None` if it does not respond.
fn unit_path() -> Option<String> {
    let output = call("systemctl", &["--user", "show", "--property=UnitPath", "--value"], b"").into_result("").ok()?;
    String::from_utf8(output.stdout).ok()
}

pub(super) fn runs() -> bool {
    unit_path().is_some()
}

/// Returns the directories that can contain the user's units.
fn directories() -> Result<Vec<PathBuf>, String> {
    let home = files::home().ok_or("there is no home directory; set HOME")?.join(".config").join(UNITS);
    let set = files::from_environment("XDG_CONFIG_HOME");
    let mut directories: Vec<PathBuf> = set.map(|path| path.join(UNITS)).into_iter().collect();
    if !directories.contains(&home) {
        directories.push(home);
    }
    Ok(directories)
}

/// Returns the directory that the manager reads. Its `$XDG_CONFIG_HOME` can differ from this shell's.
fn directory() -> Result<PathBuf, String> {
    let mut directories = directories()?;
    if directories.len() > 1 {
        let known = unit_path().unwrap_or_default();
        directories.retain(|d| known.trim().is_empty() || known.split_whitespace().any(|k| d.as_os_str() == k));
    }
    directories
        .into_iter()
        .next()
        .ok_or_else(|| "systemd reads units from neither $XDG_CONFIG_HOME nor ~/.config".into())
}

/// Quotes a word for a unit file and escapes systemd's special characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%"))
}

fn unquoted(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text.strip_prefix('"')?.chars();
    loop {
        match rest.next()? {
            '"' => return Some(out.replace("%%", "%")),
            '\\' => out.push(rest.next()?),
            c => out.push(c),
        }
    }
}

fn service(job: &Job) -> String {
    let environment: String = job
        .environment
        .iter()
        .map(|(name, value)| format!("Environment={}\n", quoted(&format!("{name}={value}"))))
        .collect();
    // The colon turns off variable expansion in the path. Every step of a run has its own timeout. The last ones (waiting
    // for another run's alerts, then for Slack) can take twice the longest `retry_for`.
    format!(
        "[Unit]\nDescription=raxx: daily check of API tokens\n\n\
         [Service]\nType=oneshot\n{environment}ExecStart=:{} check --alert --if-due {}\nTimeoutStartSec=30min\n",
        quoted(&job.program),
        job.at
    )
}

/// Returns an hourly calendar expression, at the check's minute.
fn calendar(at: &At) -> String {
    format!("*-*-* *:{:02}:00{}", at.time.minute(), if at.utc { " UTC" } else { "" })
}

fn timer_text(job: &Job) -> String {
    format!(
        "[Unit]\nDescription=raxx: daily check of API tokens at {} (started hourly; runs only when due)\n\n\
         [Timer]\nOnCalendar={}\nPersistent=true\n\n\
         [Install]\nWantedBy=timers.target\n",
        job.at.words(),
        calendar(&job.at)
    )
}

/// Returns the path and the text of each unit.
pub(super) fn files(job: &Job) -> Result<[(PathBuf, String); 2], String> {
    let directory = directory()?;
    if job.program.contains(['"', '\'', '\\']) {
        let program = crate::text::plain(&job.program);
        return Err(format!("systemd cannot start a program with a quote or a backslash in its path: {program}"));
    }
    Ok([(directory.join(format!("{NAME}.service")), service(job)), (directory.join(timer()), timer_text(job))])
}

/// Whether the timer is `active` or `enabled`.
fn is(what: &str) -> bool {
    call("systemctl", &["--user", &format!("is-{what}"), "--quiet", &timer()], b"").succeeded()
}

fn active() -> bool {
    is("active") && is("enabled")
}

pub(super) fn install(job: &Job) -> Result<Change, String> {
    let files = files(job)?;
    if files.iter().all(|(path, text)| has_text(path, text)) && active() {
        return Ok(Change::None);
    }
    let new = !files.iter().any(|(path, _)| path.exists());
    let put = || -> Result<(), String> {
        for (path, text) in &files {
            write(path, text)?;
        }
        // A running timer picks up a new time only when it is restarted.
        for arguments in [&["daemon-reload"][..], &["enable", &timer()], &["restart", &timer()]] {
            let all: Vec<&str> = ["--user"].iter().chain(arguments).copied().collect();
            call("systemctl", &all, b"").into_result(&format!("systemctl --user {}", arguments[0]))?;
        }
        Ok(())
    };
    put().map_err(|why| {
        if new {
            let _ = uninstall();
        }
        if runs() || !super::cron::is_here() { why } else { format!("{why}; type: raxx schedule install --via cron") }
    })?;
    Ok(Change::Made)
}

pub(super) fn uninstall() -> Result<Change, String> {
    let directories = directories()?;
    let units = [format!("{NAME}.service"), timer()];
    let there: Vec<PathBuf> =
        directories.iter().flat_map(|d| units.iter().map(|unit| d.join(unit))).filter(|path| path.exists()).collect();
    // A timer keeps running when its unit files are deleted.
    if there.is_empty() && !is("active") && !is("enabled") {
        return Ok(Change::None);
    }
    // This fails if no manager is running; then deleting the files is enough.
    let _ = call("systemctl", &["--user", "disable", "--now", &timer()], b"");
    for directory in &directories {
        delete(&directory.join("timers.target.wants").join(timer()))?;
        let _ = std::fs::remove_dir(directory.join("timers.target.wants"));
    }
    for path in &there {
        delete(path)?;
    }
    let _ = call("systemctl", &["--user", "daemon-reload"], b"");
    let _ = call("systemctl", &["--user", "reset-failed", &units[0], &units[1]], b"");
    // The timestamp files of persistent timers.
    let data = files::from_environment("XDG_DATA_HOME");
    let data = data.into_iter().chain(files::home().map(|home| home.join(".local/share")));
    let stamps: Vec<PathBuf> = data.map(|data| data.join("systemd/timers")).collect();
    for directory in &stamps {
        delete(&directory.join(format!("stamp-{}", timer())))?;
    }
    // Fails for directories that contain other files, which stay.
    for directory in directories.iter().chain(&stamps) {
        let _ = std::fs::remove_dir(directory);
        let _ = directory.parent().map(std::fs::remove_dir);
    }
    Ok(Change::Made)
}

fn read(service: &str) -> Option<Written> {
    let start = service.lines().find_map(|line| line.strip_prefix("ExecStart=:"))?;
    let (_, due) = start.rsplit_once(" --if-due ")?;
    Some(Written { at: due.parse().ok()?, program: unquoted(start)?.into() })
}

pub(super) fn installed() -> Result<Option<(String, Option<Written>)>, String> {
    for directory in directories()? {
        let path = directory.join(timer());
        let Some(timer) = text_of(&path) else { continue };
        let service = text_of(&directory.join(format!("{NAME}.service"))).unwrap_or_default();
        // The two units must agree on the time.
        let consistent = |written: &Written| timer.contains(&format!("\nOnCalendar={}\n", calendar(&written.at)));
        return Ok(Some((path.display().to_string(), read(&service).filter(consistent))));
    }
    Ok(None)
}

pub(super) fn idle() -> Option<String> {
    if !runs() {
        return Some("`systemctl --user` does not respond".into());
    }
    (!active()).then(|| format!("the timer is not active; type: systemctl --user enable --now {}", timer()))
}

/// Returns a note if lingering is off: then the manager stops with the last session.
pub(super) fn caveat() -> Option<String> {
    let user = call("id", &["-un"], b"").into_result("id").ok()?;
    let user = String::from_utf8(user.stdout).ok()?;
    let lingers = PathBuf::from("/var/lib/systemd/linger").join(user.trim()).exists();
    (!lingers).then(|| {
        "it runs only while you are logged in; a missed check runs at your next login. \
         To run it always: loginctl enable-linger"
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_units_parse_back() {
        for at in ["08:00Z", "17:45"] {
            let job = Job {
                program: "/home/op 50%/$b %h/raxx".into(),
                at: at.parse().expect("a time"),
                environment: Vec::new(),
                home: "/home/op".into(),
            };
            let written = read(&service(&job)).expect("a readable unit");
            assert_eq!(written, Written { at: job.at, program: job.program.into() });
        }
    }
}
