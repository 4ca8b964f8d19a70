//! The rotation pages, on the terminal.

use std::io::{self, IsTerminal as _};
use std::process::Stdio;
use std::time::Duration;

use anstyle::Style;
use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::process::{TerminationSignals, child, say, say_styled};
use crate::text::output;

/// The rotation pages, embedded so that every machine has them.
const PAGES: [(&str, &str); 4] = [
    ("cloudflare-user-api-token.md", include_str!("../../docs/ops/runbooks/rotation/cloudflare-user-api-token.md")),
    ("heroku-platform-token.md", include_str!("../../docs/ops/runbooks/rotation/heroku-platform-token.md")),
    ("github-pat.md", include_str!("../../docs/ops/runbooks/rotation/github-pat.md")),
    ("infisical-service-token.md", include_str!("../../docs/ops/runbooks/rotation/infisical-service-token.md")),
];

/// How long a pager can take to exit.
const LEAVING: Duration = Duration::from_secs(1);

/// The width of a page if the terminal's is unknown.
const USUAL_COLUMNS: usize = 80;

/// Who reads a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// A person at the terminal, if stderr is one.
    Terminal,
    /// No person: the value comes through a pipe.
    Nobody,
}

/// Shows the page on the terminal, in a pager if it is longer than the screen; without a reader it is printed as it is.
///
/// # Errors
/// A signal asked this process to end.
pub(super) async fn show(rotate_via: Option<&str>, reader: Reader) -> Result<()> {
    let Some(via) = rotate_via else { return Ok(()) };
    let ours = via.strip_prefix("docs/ops/runbooks/rotation/");
    let Some((_, page)) = PAGES.iter().find(|(name, _)| ours.is_some_and(|page| page.starts_with(name))) else {
        say(&format!("raxx: rotation steps: {via}"));
        return Ok(());
    };
    if reader == Reader::Nobody || !io::stderr().is_terminal() {
        say(page.trim_end());
        return Ok(());
    }
    let styled = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    let columns = output::columns(io::stderr()).unwrap_or(USUAL_COLUMNS);
    let text = if styled { rendered(page, columns) } else { (*page).to_string() };
    if !paged(&text).await? {
        say_styled(text.trim_end());
    }
    Ok(())
}

/// Renders a page for a terminal: headings bold and without their marks, code as it is, paragraphs wrapped.
fn rendered(page: &str, columns: usize) -> String {
    let bold = Style::new().bold();
    let mut out = String::new();
    let mut paragraph = String::new();
    let mut in_code = false;
    for line in page.lines() {
        let continues =
            !in_code && !line.is_empty() && !line.starts_with('#') && !line.starts_with("```") && !starts_item(line);
        if continues && !paragraph.is_empty() {
            paragraph = paragraph + " " + line.trim_start();
            continue;
        }
        flush(&mut out, &mut paragraph, columns);
        if line.starts_with("```") {
            in_code = !in_code;
        } else if in_code || line.is_empty() {
            out = out + line + "\n";
        } else if line.starts_with('#') {
            out += &format!("{bold}{}{bold:#}\n", line.trim_start_matches(['#', ' ']));
        } else {
            paragraph = line.into();
        }
    }
    flush(&mut out, &mut paragraph, columns);
    out
}

/// Writes the complete paragraph. Continuation lines of a list item are indented.
fn flush(out: &mut String, paragraph: &mut String, columns: usize) {
    let indent = if starts_item(paragraph) { "  " } else { "" };
    if !paragraph.is_empty() {
        *out += &output::wrapped(&std::mem::take(paragraph), indent, columns);
        out.push('\n');
    }
}

fn starts_item(line: &str) -> bool {
    line.starts_with("- ")
}

/// Shows the text in `$PAGER` or less. Returns whether that worked.
async fn paged(text: &str) -> Result<bool> {
    let pager = std::env::var("PAGER").ok().filter(|p| !p.is_empty()).unwrap_or_else(|| "less".into());
    let Ok(terminal) = std::fs::OpenOptions::new().write(true).open("/dev/tty") else { return Ok(false) };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut ends = TerminationSignals::listen()?;
    // A page that fits is left on the screen.
    let mut command = Command::from(child("sh"));
    command.args(["-c", &pager]).env("LESS", "FRX").stdin(Stdio::piped()).stdout(terminal).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return Ok(false) };
    if let Some(mut input) = child.stdin.take() {
        // The pager can be closed before it has read everything.
        let _ = input.write_all(text.as_bytes()).await;
    }
    loop {
        tokio::select! {
            biased;
            ended = ends.next() => {
                // Terminated rather than killed, so that it restores the terminal.
                if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id as i32)) {
                    let _ = kill_process(pid, Signal::TERM);
                }
                if timeout(LEAVING, child.wait()).await.is_err() {
                    let _ = child.start_kill();
                }
                return Err(ended.into());
            }
            _ = interrupt.recv() => {} // handled here, so that it does not interrupt a later step
            // The exit of the pager can be seen before an earlier signal: yield once, so that a later prompt does not take
            // the pager's ^C for its own.
            ended = async { let ended = child.wait().await; yield_now().await; ended } => {
                return Ok(ended.is_ok_and(|status| status.success()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_bold_headings_whole_code_and_wrapped_paragraphs() {
        let page = "# Rotate it\n\nOne two three\nfour five six.\n\n- an item that is\n  longer than a line\n- `code` here\n\n```sh\n# a comment that is longer than a line\n\n- x\n```\n";
        let wanted = "\x1b[1mRotate it\x1b[0m\n\nOne two three four\nfive six.\n\n- an item that is\n  longer than a line\n- `code` here\n\n# a comment that is longer than a line\n\n- x\n";
        assert_eq!(rendered(page, 20), wanted);
    }
}
