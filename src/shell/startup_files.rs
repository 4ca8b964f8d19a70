//! Where values live outside raxx's sources: lines of shell files, and the tmux server's environment.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::files;
use crate::process::child_apart;
use crate::text::clean;

/// No start-up file is larger.
const LARGEST: u64 = 1 << 20;

/// How long tmux may take to answer.
const TMUX: Duration = Duration::from_secs(1);

/// The files under the home directory that set variables for shells: their own, direnv's, and those of a desktop session.
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

/// The directories beside them, and how the names of their files end.
const DIRECTORIES: [(&str, &str); 5] = [
    (".config/environment.d", ".conf"),
    (".config/fish/conf.d", ".fish"),
    (".config/plasma-workspace/env", ".sh"),
    (".bashrc.d", ""),
    (".zshrc.d", ""),
];

/// What sets variables for every user; a value there is named, but is nobody's to import.
const OF_ALL: [&str; 2] = ["/etc/environment", "/etc/profile"];

/// A place that sets a variable. Its `Display` gives file and line alone.
pub(crate) struct Line {
    pub file: PathBuf,
    pub number: usize,
    pub name: String,
    /// The value, where it stands there as it is and nothing else does; none for what a shell would have to work out.
    pub value: Option<Zeroizing<String>>,
    /// Whether the line stands by itself, so that taking it out breaks nothing around it.
    pub alone: bool,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A directory of somebody else's may have any name.
        write!(f, "{}:{}", clean(&self.file.display().to_string()), self.number)
    }
}

/// The shell's files in the home directory and in `$ZDOTDIR`. Not those of the current directory: a hostile repository
/// must not be able to put its own token into the store.
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

/// Those that are there, each once: links, and the way one came, may lead to one file twice.
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

/// The lines of a file that set one of these variables.
///
/// # Errors
/// It is no regular file, larger than any start-up file, or cannot be read.
pub(crate) fn lines_setting(file: &Path, names: &[&str]) -> io::Result<Vec<Line>> {
    let bytes = Zeroizing::new(files::read(file, LARGEST)?);
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(io::Error::other("it is UTF-16 text: save it as UTF-8"));
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

/// The lines that set this variable, in the shell's files, in the current directory's `.env`, and in the `.envrc` that
/// direnv finds from here: in this directory or above it.
pub(crate) fn setting(name: &str) -> Vec<Line> {
    let mut files = usual_files();
    if let Ok(here) = std::env::current_dir() {
        files.extend(here.ancestors().map(|above| above.join(".envrc")).find(|file| file.exists()));
        files.push(here.join(".env"));
    }
    files.extend(OF_ALL.map(PathBuf::from));
    let files = each_once(files).into_iter();
    files.filter_map(|file| lines_setting(&file, &[name]).ok()).flatten().collect()
}

/// Whether a command of this line sets the variable, as far as one can tell without being a shell.
fn sets(line: &str, name: &str) -> bool {
    let line = line.trim();
    if line.starts_with('#') {
        return false;
    }
    // pam_env, csh, and fish's universal variables.
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
        // The whole word may stand in quotes: export "NAME=value".
        let start = line[..at].strip_suffix(['"', '\'']).map_or(at, str::len);
        let before = line[..start].trim_end();
        let glued = before.len() == start && start > 0;
        let last = before.split_whitespace().next_back().unwrap_or_default();
        let opens = start == at && (before.is_empty() || before.ends_with([';', '&', '|', '(', '{']));
        let words = ["export", "typeset", "declare", "readonly", "local", "then", "do", "else", "env"];
        opens || !glued && (words.contains(&last) || last.starts_with('-') || last.contains('='))
    })
}

/// The value, where the line is this one assignment of a plain value, and at most a comment behind it.
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
    // One pair of quotes around all of it.
    if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        return within(quote, rest[1..].strip_prefix(name)?.strip_prefix('=')?);
    }
    literal(rest.strip_prefix(name)?.strip_prefix('=')?)
}

/// One unbroken literal: bare characters that no shell expands, or one pair of quotes. What follows may only be a
/// comment; anything else is for a shell to read.
fn literal(text: &str) -> Option<&str> {
    if let quote @ ('\'' | '"') = text.chars().next()? {
        within(quote, &text[1..])
    } else {
        let bare = |c: char| c.is_ascii_alphanumeric() || "_./:+=@%,-".contains(c);
        let (value, after) = text.split_at(text.find(|c| !bare(c)).unwrap_or(text.len()));
        whole(value, after)
    }
}

/// The literal up to the quote that ends it.
fn within(quote: char, text: &str) -> Option<&str> {
    let (value, after) = text.split_once(quote)?;
    let expands = quote == '"' && value.contains(['$', '`', '\\']);
    whole(value, after).filter(|_| !expands)
}

/// The value, where nothing but a comment follows.
fn whole<'l>(value: &'l str, after: &str) -> Option<&'l str> {
    let comment = after.trim_start();
    let ends = comment.is_empty() || (comment.len() < after.len() && comment.starts_with('#'));
    (!value.is_empty() && ends).then_some(value)
}

/// Whether the tmux server's global environment has this variable, and so gives it to every new pane.
pub(crate) async fn in_tmux(name: &str) -> bool {
    let mut tmux = tokio::process::Command::from(child_apart("tmux"));
    tmux.args(["show-environment", "-g", name]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    tmux.kill_on_drop(true);
    match tokio::time::timeout(TMUX, tmux.output()).await {
        Ok(Ok(answer)) => {
            let said = Zeroizing::new(answer.stdout);
            // `-NAME` stands for a variable that was taken out.
            answer.status.success() && said.starts_with(name.as_bytes()) && said.get(name.len()) == Some(&b'=')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::option_option)] // set or not, and whether to a literal
    fn found(line: &str) -> Option<Option<&str>> {
        sets(line, "TOKEN").then(|| literal_of(line, "TOKEN"))
    }

    #[test]
    fn a_plain_value_is_read_in_every_form() {
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
    fn what_a_shell_would_have_to_work_out_is_not_guessed() {
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
    fn a_byte_order_mark_hides_no_line() {
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
    fn other_lines_set_nothing() {
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
    fn a_directorys_name_does_nothing_to_the_terminal() {
        let file = "/srv/\x1b]0;x\x07project/.envrc".into();
        let line = Line { file, number: 3, name: "TOKEN".into(), value: None, alone: true };
        assert_eq!(line.to_string(), "/srv/]0;xproject/.envrc:3");
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let pipe = home.path().join(".env");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(lines_setting(&pipe, &["TOKEN"]).is_err());
        assert!(lines_setting(Path::new("/dev/zero"), &["TOKEN"]).is_err());
        // Who writes to it does not hear of it.
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
