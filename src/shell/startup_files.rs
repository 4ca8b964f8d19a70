//! Places outside raxx's sources that set variables: lines of shell files, and the tmux server's environment.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::files;
use crate::process::child_apart;
use crate::text::clean;

/// Maximum size of a startup file, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// Timeout for tmux.
const TMUX_TIMEOUT: Duration = Duration::from_secs(1);

/// Files in the home directory that set variables: those of shells, direnv and desktop sessions.
const FILES: [&str; 26] = [
    ".zshenv",
    ".zprofile",
    ".zshrc",
    ".zlogin",
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".bash_aliases",
    ".profile",
    ".envrc",
    ".env",
    ".kshrc",
    ".mkshrc",
    ".cshrc",
    ".tcshrc",
    ".login",
    ".config/fish/config.fish",
    ".config/fish/fish_variables",
    ".xprofile",
    ".xsession",
    ".xsessionrc",
    ".xinitrc",
    ".pam_environment",
    ".ssh/environment",
    ".config/uwsm/env",
    ".config/labwc/environment",
];

/// Directories of such files, and the suffix of the file names.
const DIRECTORIES: [(&str, &str); 5] = [
    (".config/environment.d", ".conf"),
    (".config/fish/conf.d", ".fish"),
    (".config/plasma-workspace/env", ".sh"),
    (".bashrc.d", ""),
    (".zshrc.d", ""),
];

/// Files that set variables for every user. They are reported, but their values are never imported.
const SYSTEM_FILES: [&str; 2] = ["/etc/environment", "/etc/profile"];

/// A line that sets a variable. `Display` shows only the file and the line number.
pub(crate) struct Line {
    pub file: PathBuf,
    pub number: usize,
    pub name: String,
    /// The literal value; `None` if the shell would have to expand it.
    pub value: Option<Zeroizing<String>>,
    /// Whether the line is not indented, so that deleting it does not break the lines around it.
    pub alone: bool,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Another user's directory can have any name.
        write!(f, "{}:{}", clean(&self.file.display().to_string()), self.number)
    }
}

/// Returns the startup files in the home directory and in `$ZDOTDIR`. Files in the current directory are excluded: a
/// hostile repository must not be able to put its own token into the store.
pub(crate) fn usual_files() -> Vec<PathBuf> {
    let directories = files::home().into_iter().chain(files::from_environment("ZDOTDIR"));
    let mut files = Vec::new();
    for directory in directories {
        files.extend(FILES.map(|name| directory.join(name)));
        for (below, end) in DIRECTORIES {
            let entries = std::fs::read_dir(directory.join(below)).into_iter().flatten().flatten();
            let mut inside: Vec<PathBuf> =
                entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with(end)).collect();
            inside.sort();
            files.extend(inside);
        }
    }
    each_once(files)
}

/// Returns the files that exist, without duplicates. Two paths can lead to the same file.
fn each_once(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = Vec::new();
    files.retain(|file| {
        let real = file.canonicalize();
        let new = real.as_ref().is_ok_and(|real| !seen.contains(real));
        seen.extend(real);
        new
    });
    files
}

/// Returns the lines of a file that set one of these variables.
///
/// # Errors
/// The file is not a regular file, is too large, or cannot be read.
pub(crate) fn lines_setting(file: &Path, names: &[&str]) -> io::Result<Vec<Line>> {
    let bytes = Zeroizing::new(files::read(file, MAX_SIZE)?);
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(io::Error::other("the file is UTF-16; save it as UTF-8"));
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut lines = Vec::new();
    for (i, line) in text.split(|b| *b == b'\n').enumerate() {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        for name in names.iter().filter(|name| sets(line, name)) {
            let value = literal_of(line, name).map(|value| Zeroizing::new(value.to_string()));
            let alone = !line.starts_with([' ', '\t']);
            lines.push(Line { file: file.into(), number: i + 1, name: (*name).into(), value, alone });
        }
    }
    Ok(lines)
}

/// Returns the lines that set this variable in the startup files, in the current directory's `.env`, and in the `.envrc`
/// that direnv finds in this directory or a parent directory.
pub(crate) fn setting(name: &str) -> Vec<Line> {
    let mut files = usual_files();
    if let Ok(here) = std::env::current_dir() {
        files.extend(here.ancestors().map(|above| above.join(".envrc")).find(|file| file.exists()));
        files.push(here.join(".env"));
    }
    files.extend(SYSTEM_FILES.map(PathBuf::from));
    let files = each_once(files).into_iter();
    files.filter_map(|file| lines_setting(&file, &[name]).ok()).flatten().collect()
}

/// Whether a command on this line sets the variable, as far as that is clear without running a shell.
fn sets(line: &str, name: &str) -> bool {
    let line = line.trim();
    if line.starts_with('#') {
        return false;
    }
    // csh, fish's universal variables, and pam_env.
    let mut words = line.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some("setenv"), Some(word), _) if word == name => return true,
        (Some("SETUVAR"), _, Some(word)) if word.split(':').next() == Some(name) => return true,
        (Some(word), Some(second), _) if word == name => {
            return second.starts_with("DEFAULT=") || second.starts_with("OVERRIDE=");
        }
        _ => {}
    }
    if line.starts_with("set ") {
        return line.split_whitespace().any(|word| word.trim_matches(['"', '\'']) == name);
    }
    let assigned = format!("{name}=");
    line.match_indices(&assigned).any(|(at, _)| {
        // The whole word can be quoted: export "NAME=value".
        let start = line[..at].strip_suffix(['"', '\'']).map_or(at, str::len);
        let before = line[..start].trim_end();
        let inside_word = before.len() == start && start > 0;
        let last = before.split_whitespace().next_back().unwrap_or_default();
        let opens = start == at && (before.is_empty() || before.ends_with([';', '&', '|', '(', '{']));
        let words = ["export", "typeset", "declare", "readonly", "local", "then", "do", "else", "env"];
        opens || !inside_word && (words.contains(&last) || last.starts_with('-') || last.contains('='))
    })
}

/// Returns the value if the line only assigns a literal to this variable, optionally followed by a comment.
fn literal_of<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let mut rest = line.trim();
    if let Some(fish) = rest.strip_prefix("set ") {
        let (flags, words) = fish.trim_start().split_once(' ')?;
        (flags.starts_with('-') && flags.contains('x')).then_some(())?;
        return literal(words.trim_start().strip_prefix(name)?.strip_prefix(' ')?.trim_start());
    }
    for word in ["export", "typeset", "declare", "readonly"] {
        if let Some(after) = rest.strip_prefix(word).filter(|after| after.starts_with([' ', '\t'])) {
            rest = after.trim_start();
            while let Some((_, after)) = rest.split_once(' ').filter(|(flag, _)| flag.starts_with('-')) {
                rest = after.trim_start();
            }
            break;
        }
    }
    // The whole assignment is quoted.
    if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        return within(quote, rest[1..].strip_prefix(name)?.strip_prefix('=')?);
    }
    literal(rest.strip_prefix(name)?.strip_prefix('=')?)
}

/// Returns a single literal: unquoted characters that no shell expands, or one quoted string. Only a comment can follow.
fn literal(text: &str) -> Option<&str> {
    if let quote @ ('\'' | '"') = text.chars().next()? {
        within(quote, &text[1..])
    } else {
        let bare = |c: char| c.is_ascii_alphanumeric() || "_./:+=@%,-".contains(c);
        let (value, after) = text.split_at(text.find(|c| !bare(c)).unwrap_or(text.len()));
        if_only_comment_follows(value, after)
    }
}

/// Returns the literal up to the closing quote.
fn within(quote: char, text: &str) -> Option<&str> {
    let (value, after) = text.split_once(quote)?;
    let expands = quote == '"' && value.contains(['$', '`', '\\']);
    if_only_comment_follows(value, after).filter(|_| !expands)
}

/// Returns the value if only a comment follows.
fn if_only_comment_follows<'l>(value: &'l str, after: &str) -> Option<&'l str> {
    let comment = after.trim_start();
    let ends = comment.is_empty() || (comment.len() < after.len() && comment.starts_with('#'));
    (!value.is_empty() && ends).then_some(value)
}

/// Whether the tmux server's global environment has this variable, and so gives it to every new pane.
pub(crate) async fn in_tmux(name: &str) -> bool {
    let mut tmux = tokio::process::Command::from(child_apart("tmux"));
    tmux.args(["show-environment", "-g", name]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    tmux.kill_on_drop(true);
    match tokio::time::timeout(TMUX_TIMEOUT, tmux.output()).await {
        Ok(Ok(answer)) => {
            let said = Zeroizing::new(answer.stdout);
            // tmux prints `-NAME` for a removed variable.
            answer.status.success() && said.starts_with(name.as_bytes()) && said.get(name.len()) == Some(&b'=')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::option_option)] // outer: whether the line sets it; inner: whether to a literal
    fn found(line: &str) -> Option<Option<&str>> {
        sets(line, "TOKEN").then(|| literal_of(line, "TOKEN"))
    }

    #[test]
    fn literal_value_is_read_in_every_form() {
        for (line, value) in [
            ("export TOKEN=abc", "abc"),
            ("export\tTOKEN=abc", "abc"),
            ("  export TOKEN='a b'  # mine", "a b"),
            ("TOKEN=\"abc\"\r", "abc"),
            ("typeset -gx TOKEN=abc", "abc"),
            ("declare -x TOKEN=abc", "abc"),
            ("readonly TOKEN=abc", "abc"),
            ("set -gx TOKEN abc", "abc"),
            ("export TOKEN='$literal'", "$literal"),
            ("export \"TOKEN=abc\"", "abc"),
            ("export 'TOKEN=a b' # mine", "a b"),
            ("typeset -gx 'TOKEN=$literal'", "$literal"),
        ] {
            assert_eq!(found(line), Some(Some(value)), "{line}");
        }
    }

    #[test]
    fn value_that_needs_a_shell_is_not_guessed() {
        for line in [
            "export TOKEN=$(op read x)",
            "export TOKEN=\"$OTHER\"",
            "export TOKEN=",
            "export TOKEN=good; export FOO=bar",
            "TOKEN=good;export TOKEN",
            "export TOKEN='good'; true",
            "TOKEN=good&& true",
            "(TOKEN=good)",
            "export TOKEN='abc'\"$SUFFIX\"",
            "TOKEN='a'b",
            "TOKEN=~/x",
            "export TOKEN=a OTHER=b",
            "export OTHER=b TOKEN=a",
            "TOKEN=a somecmd --flag",
            "if true; then export TOKEN=a; fi",
            "export TOKEN=a\\",
            "set -gx \"TOKEN\" good",
            "set -gx TOKEN good; true",
            "export \"TOKEN=$OTHER\"",
            "export \"TOKEN=good\"more",
            "export \"TOKEN=good\" OTHER=b",
            "export \"TOKEN=good",
            "TOKEN DEFAULT=good",
            "setenv TOKEN good",
            "SETUVAR --export TOKEN:good",
        ] {
            assert_eq!(found(line), Some(None), "{line}");
        }
    }

    #[test]
    fn byte_order_mark_does_not_hide_a_line() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".env");
        std::fs::write(&file, "\u{feff}TOKEN=abc\r\n").unwrap();
        let lines = lines_setting(&file, &["TOKEN"]).unwrap();
        assert_eq!(lines[0].value.as_ref().map(|value| value.as_str()), Some("abc"));
        std::fs::write(&file, b"\xff\xfeT\0O\0").unwrap();
        let why = lines_setting(&file, &["TOKEN"]).err().unwrap().to_string();
        insta::assert_snapshot!("utf_16", why);
    }

    #[test]
    fn other_lines_do_not_set_the_variable() {
        for line in [
            "# export TOKEN=abc",
            "echo TOKEN=abc",
            "exportTOKEN=abc",
            "MY_TOKEN=abc",
            "echo $TOKEN",
            "unset TOKEN",
            "",
            "echo \"TOKEN=abc\"",
            "\"TOKEN=abc\"",
            "export \"MY_TOKEN=abc\"",
            "export OTHER=\"TOKEN=abc\"",
        ] {
            assert_eq!(found(line), None, "{line}");
        }
    }

    #[test]
    fn directory_name_cannot_control_the_terminal() {
        let file = "/srv/\x1b]0;x\x07project/.envrc".into();
        let line = Line { file, number: 3, name: "TOKEN".into(), value: None, alone: true };
        assert_eq!(line.to_string(), "/srv/]0;xproject/.envrc:3");
    }

    #[test]
    fn named_pipe_is_not_opened() {
        let home = tempfile::tempdir().unwrap();
        let pipe = home.path().join(".env");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(lines_setting(&pipe, &["TOKEN"]).is_err());
        assert!(lines_setting(Path::new("/dev/zero"), &["TOKEN"]).is_err());
        // A process that waits to write to the pipe keeps waiting.
        let mut writer =
            std::process::Command::new("sh").args(["-c", ": >.env"]).current_dir(home.path()).spawn().unwrap();
        for _ in 0..50 {
            assert!(lines_setting(&pipe, &["TOKEN"]).is_err());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(writer.try_wait().unwrap().is_none(), "the writer was released");
        writer.kill().unwrap();
        writer.wait().unwrap();
    }
}
