//! A program that is told: it gets the JSON report on standard input.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::Message;
use crate::process::child_apart;
use crate::report::Report;
use crate::text::plain;

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(30);

/// As much of what it says on stderr as a line needs.
const HEARD: u64 = 4096;

/// Gives it the report, as `raxx check --json` prints it, with what is new under `alert`.
///
/// # Errors
/// Why it did not take it, in a line.
pub(crate) async fn tell(run: &[String], report: &Report, message: &Message) -> Result<String, String> {
    let (program, arguments) = run.split_first().ok_or("no program is configured")?;
    let mut json = serde_json::to_value(report).expect("a report is plain data");
    json["alert"] = serde_json::to_value(message).expect("a message is plain data");
    let mut command = child_apart(program);
    command.args(arguments);
    let fix = "set its absolute path, or install it";
    ended(command, fix, &format!("{json:#}\n"), LIMIT).await.map(|()| format!("{} accepted it", plain(program)))
}

/// Runs a program, as [`child_apart`] makes it, until it succeeds. `fix` is what to do if it is missing.
///
/// # Errors
/// It cannot be started, says that it failed, or is not done in time; then all that it started is ended too.
pub(super) async fn ended(
    command: std::process::Command,
    fix: &str,
    input: &str,
    limit: Duration,
) -> Result<(), String> {
    let name = plain(&command.get_program().to_string_lossy());
    let mut command = Command::from(command);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => format!("{name} was not found: {fix}"),
        _ => format!("{name} cannot be started: {e}"),
    })?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let whole = async {
        let write = async {
            // Who does not read to the end may have read enough: its exit status tells.
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let hear = async {
            let mut said = Vec::new();
            if let Some(mut stderr) = stderr {
                let _ = (&mut stderr).take(HEARD).read_to_end(&mut said).await;
                // The rest goes nowhere, so that the program does not wait for a reader.
                let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
            }
            said
        };
        // What it leaves running may hold stderr open: the end of the program itself is what counts.
        let mut hearing = std::pin::pin!(async { tokio::join!(write, hear).1 });
        tokio::select! {
            said = &mut hearing => (child.wait().await, said),
            status = child.wait() => {
                let said = tokio::time::timeout(Duration::from_millis(200), &mut hearing).await;
                (status, said.unwrap_or_default())
            }
        }
    };
    let Ok((status, said)) = tokio::time::timeout(limit, whole).await else {
        if let Some(group) = group {
            // It may be over by now.
            let _ = kill_process_group(group, Signal::KILL);
        }
        return Err(format!("{name} did not finish within {limit:?} and was stopped"));
    };
    let status = status.map_err(|e| format!("{name} cannot be waited for: {e}"))?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    let first = said.lines().map(plain).find(|line| !line.is_empty());
    Err(match first {
        Some(line) => format!("{name} failed ({status}): {line}"),
        None => format!("{name} failed ({status})"),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::process::block_on;

    fn sh(script: &str, input: &str, limit: Duration) -> Result<(), String> {
        let mut command = child_apart("sh");
        command.args(["-c", script]);
        block_on(ended(command, "", input, limit)).unwrap()
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn its_exit_status_says_whether_it_took_the_alert() {
        assert_eq!(sh("cat >/dev/null", &"x".repeat(1_000_000), LONG), Ok(()));
        assert_eq!(sh("exit 0", &"x".repeat(1_000_000), LONG), Ok(()), "it need not read");
        assert_eq!(sh("yes 'much to say' | head -n 100000 >&2", "", LONG), Ok(()), "it need not be heard to the end");
        let said = sh("echo >&2; printf 'no\\033[31m way\\nmore\\n' >&2; exit 4", "", LONG);
        let with_words = said.unwrap_err();
        assert!(with_words.contains("no[31m way") && !with_words.contains("more"), "{with_words}");
        let without = sh("exit 5", "", LONG).unwrap_err();
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("tell");
        std::fs::write(&file, "").unwrap();
        let start = |program: &str| block_on(ended(child_apart(program), "(what to do)", "", LONG)).unwrap();
        let not_a_program = start(&file.display().to_string()).unwrap_err();
        let not_a_program = not_a_program.replace(&place.path().display().to_string(), "[DIR]");
        let gone = start("/nonexistent/tell").unwrap_err();
        insta::assert_snapshot!("failures", [with_words, without, not_a_program, gone].join("\n"));
    }

    #[test]
    fn it_is_ended_with_all_that_it_started_when_it_hangs() {
        let place = tempfile::tempdir().unwrap();
        let late = place.path().join("late");
        let begun = Instant::now();
        let script = format!("(sleep 2; touch '{}') & wait", late.display());
        let said = sh(&script, "", Duration::from_millis(300)).unwrap_err();
        insta::assert_snapshot!("a_command_that_hangs", said);
        assert!(begun.elapsed() < Duration::from_secs(2));
        std::thread::sleep(Duration::from_millis(2_500));
        assert!(!late.exists(), "what it started goes on");
    }

    #[test]
    fn what_it_leaves_running_is_not_waited_for() {
        let begun = Instant::now();
        assert_eq!(sh("sleep 15 & exit 0", "", LONG), Ok(()));
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
