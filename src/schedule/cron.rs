//! cron: one line in the user's crontab, between two marker lines. The rest of the crontab is never changed.

use std::path::Path;

use super::{Call, Change, Job, Written, call, last_words};

const OPENING: &str = "# >>> raxx >>>";
const CLOSING: &str = "# <<< raxx <<<";

/// Maximum length of a command. cron truncates longer ones (`MAX_COMMAND` in Vixie cron, minus a margin).
const MAX_COMMAND: usize = 900;

/// Quotes a word for any shell that cron could start, and escapes `%`, which cron turns into a newline.
fn quoted(text: &str) -> String {
    shell_escape::unix::escape(text.into()).replace('%', "\\%")
}

/// Returns the crontab line between its marker lines.
pub(super) fn block(job: &Job) -> Result<String, String> {
    // cron removes the backslash from `\%`, so a path with a backslash before a `%` would end the command there.
    if let Some(odd) = job.words().find(|text| text.contains('\\')) {
        return Err(format!("cron cannot run a command that contains a backslash: {}", crate::text::plain(odd)));
    }
    let mut command = String::new();
    if !job.environment.is_empty() {
        command += "env";
        for (name, value) in &job.environment {
            command += &format!(" {name}={}", quoted(value));
        }
        command += " ";
    }
    command += &format!("{} check --alert --if-due {}", quoted(&job.program), job.at);
    if command.len() > MAX_COMMAND {
        return Err(format!("the command is longer than cron's limit of {MAX_COMMAND} bytes: {command}"));
    }
    let minute = job.at.minute_now();
    Ok(format!(
        "{OPENING} daily check at {} (started hourly; runs only when due)\n\
         {minute} * * * * {command}\n\
         {CLOSING}\n",
        job.at.words()
    ))
}

fn read(block: &[u8]) -> Option<Written> {
    let text = std::str::from_utf8(block).ok()?;
    let line = text.lines().find(|line| !line.starts_with('#'))?;
    let words = shlex::split(&line.replace("\\%", "%"))?;
    let due = words.iter().position(|word| word == "--if-due")?;
    // PROGRAM check --alert --if-due AT
    Some(Written { at: words.get(due + 1)?.parse().ok()?, program: words.get(due.checked_sub(3)?)?.into() })
}

/// Returns the crontab, or `None` if the user has none yet.
fn current() -> Result<Option<Vec<u8>>, String> {
    match call("crontab", &["-l"], b"") {
        Call::Answered(output) if output.status.success() => Ok(Some(output.stdout)),
        Call::Answered(output) => {
            let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
            // Vixie cron, cronie and macOS; then BusyBox.
            if said.contains("no crontab for") || (said.contains("can't open") && said.contains("no such file")) {
                return Ok(None);
            }
            Err(format!("crontab -l: {}", last_words(&output)))
        }
        other => other.into_result("crontab -l").map(|_| None),
    }
}

pub(super) fn is_here() -> bool {
    !matches!(call("crontab", &["-l"], b""), Call::Missing)
}

/// Returns a warning if no cron daemon is running. Linux only: macOS starts its daemon on demand.
pub(super) fn idle() -> Option<String> {
    (cfg!(target_os = "linux") && daemon_runs() == Some(false)).then(|| {
        // Debian calls the service cron; Fedora and Alpine, crond.
        let service = if Path::new("/usr/sbin/crond").exists() { "crond" } else { "cron" };
        format!("no cron daemon is running, so the check never starts; as root, type: service {service} start")
    })
}

/// Whether a cron daemon is running, or `None` if other users' processes are hidden.
fn daemon_runs() -> Option<bool> {
    const DAEMONS: [&str; 6] = ["cron", "crond", "fcron", "dcron", "bcron-start", "cronie"];
    // systemd-cron has no daemon: it converts crontabs to timers.
    if Path::new("/run/systemd/generator/cron.target.wants").exists() {
        return Some(true);
    }
    let name = |process: &Path| std::fs::read_to_string(process.join("comm")).ok();
    name(Path::new("/proc/1"))?;
    let processes = std::fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path());
    Some(processes.filter_map(|process| name(&process)).any(|name| DAEMONS.contains(&name.trim_end())))
}

/// A crontab, split around raxx's block.
#[derive(Debug, PartialEq, Eq)]
struct Parts<'t> {
    before: &'t [u8],
    block: &'t [u8],
    after: &'t [u8],
}

/// # Errors
/// The marker lines do not form one block, so the lines between them might be the user's own.
fn parts(text: &[u8]) -> Result<Parts<'_>, String> {
    let (mut opening, mut closing) = (Vec::new(), Vec::new());
    let mut start = 0;
    for line in text.split_inclusive(|b| *b == b'\n') {
        let end = start + line.len();
        if line.starts_with(OPENING.as_bytes()) {
            opening.push(start);
        } else if line.starts_with(CLOSING.as_bytes()) {
            closing.push(end);
        }
        start = end;
    }
    match (&opening[..], &closing[..]) {
        ([], []) => Ok(Parts { before: text, block: b"", after: b"" }),
        ([from], [to]) if from < to => {
            Ok(Parts { before: &text[..*from], block: &text[*from..*to], after: &text[*to..] })
        }
        _ => Err(format!(
            "the crontab's `{OPENING}` and `{CLOSING}` lines do not form one block; \
             delete them and raxx's line with: crontab -e"
        )),
    }
}

/// Installs a crontab and verifies that cron accepted it unchanged.
fn put(text: &[u8]) -> Result<(), String> {
    if text.is_empty() {
        // Remove the crontab rather than leave an empty one.
        return call("crontab", &["-r"], b"").into_result("crontab -r").map(|_| ());
    }
    call("crontab", &["-"], text).into_result("crontab")?;
    match current()? {
        Some(there) if there == text => Ok(()),
        _ => Err("crontab accepted the lines but does not list them unchanged; look at it with: crontab -l".into()),
    }
}

pub(super) fn install(job: &Job) -> Result<Change, String> {
    let block = block(job)?;
    let old = current()?.unwrap_or_default();
    let parts = parts(&old)?;
    if parts.block == block.as_bytes() {
        return Ok(Change::None);
    }
    let mut new = parts.before.to_vec();
    if !new.is_empty() && !new.ends_with(b"\n") {
        new.push(b'\n');
    }
    new.extend_from_slice(block.as_bytes());
    new.extend_from_slice(parts.after);
    put(&new)?;
    Ok(Change::Made)
}

pub(super) fn uninstall() -> Result<Change, String> {
    if !is_here() {
        return Ok(Change::None);
    }
    let Some(old) = current()? else { return Ok(Change::None) };
    let parts = parts(&old)?;
    if parts.block.is_empty() {
        return Ok(Change::None);
    }
    put(&[parts.before, parts.after].concat())?;
    Ok(Change::Made)
}

pub(super) fn installed() -> Result<Option<(String, Option<Written>)>, String> {
    if !is_here() {
        return Ok(None);
    }
    let Some(text) = current()? else { return Ok(None) };
    let parts = parts(&text)?;
    Ok((!parts.block.is_empty()).then(|| ("crontab -l".into(), read(parts.block))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job {
            program: "/home/o'p 50%/raxx".into(),
            at: "08:00Z".parse().expect("a time"),
            environment: vec![("RAXX_CONFIG".into(), "/a b%/c".into())],
            home: "/home/op".into(),
        }
    }

    #[test]
    fn written_block_parses_back() {
        let block = block(&job()).expect("a block");
        let written = read(block.as_bytes()).expect("a readable block");
        assert_eq!(written, Written { at: job().at, program: job().program.into() });
        assert_eq!(block.lines().count(), 3);
        assert!(!block.replace("\\%", "").contains('%'), "cron would end the command at the unescaped %: {block}");
    }

    #[test]
    fn block_is_found_between_other_lines() {
        let block = block(&job()).expect("a block");
        let before = b"MAILTO=op\n\xff\xfe broken bytes\r\n\n# comment\n".as_slice();
        let after = b"0 5 * * * tar\n\n\n".as_slice();
        let text = [before, block.as_bytes(), after].concat();
        assert_eq!(parts(&text), Ok(Parts { before, block: block.as_bytes(), after }));
        assert_eq!(parts(before), Ok(Parts { before, block: b"", after: b"" }));
    }

    #[test]
    fn damaged_marker_lines_are_rejected() {
        let lines = |lines: &[&str]| lines.join("\n") + "\n";
        let mut all = String::new();
        for damaged in [
            lines(&[OPENING, "0 8 * * * x"]),
            lines(&["0 8 * * * x", CLOSING]),
            lines(&[CLOSING, OPENING]),
            lines(&[OPENING, CLOSING, OPENING, CLOSING]),
        ] {
            all += &format!("{damaged}=> {}\n\n", parts(damaged.as_bytes()).unwrap_err());
        }
        insta::assert_snapshot!("damaged_marks", all);
    }

    #[test]
    fn backslash_is_rejected() {
        let mut job = job();
        job.environment[0].1 = "/50\\%/config.toml".into();
        let why = block(&job).unwrap_err();
        assert!(why.contains("/50\\%/config.toml"), "{why}");
        insta::assert_snapshot!("a_backslash", why);
    }

    #[test]
    fn command_over_the_length_limit_is_rejected() {
        let mut job = job();
        job.program = format!("/{}/raxx", "x".repeat(1000));
        let why = block(&job).unwrap_err().replace(&"x".repeat(1000), "xxx…");
        insta::assert_snapshot!("a_command_that_is_too_long", why);
    }
}
