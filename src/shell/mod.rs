//! Shell code: quoting, exports, unsets, and the glue. `export_line` is the one place that prints a secret.

pub(crate) mod rc_block;
pub(crate) mod rc_files;
pub(crate) mod startup_files;

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::config::{REFUSED_NAMES, may_be_named};
use crate::secret::{Secret, joined};
use crate::source::environment;
use crate::text::clean_lines;

/// The exported variable in which a shell (and those started from it) keeps the names that raxx put there.
const NAMES_VARIABLE: &str = "__RAXX_NAMES";

/// A shell that has glue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shell {
    Zsh,
    Bash,
}

impl Shell {
    /// Returns the name of its program.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Shell::Zsh => "zsh",
            Shell::Bash => "bash",
        }
    }

    /// The glue of this shell with the names put in. Constant text, no secret: users cache it.
    pub(crate) fn glue(self, names: &[String]) -> String {
        let file = match self {
            Shell::Zsh => include_str!("../../shell/raxx.zsh"),
            Shell::Bash => include_str!("../../shell/raxx.bash"),
        };
        // Without its comments: `shopt -u interactive_comments` makes a bash take them for commands.
        let mut code = String::with_capacity(file.len());
        for line in file.split_inclusive('\n').filter(|line| !line.trim_ascii_start().starts_with('#')) {
            code.push_str(line);
        }
        code.replace("@NAMES@", &names.join(" ")).replace("@REFUSED_NAMES@", &REFUSED_NAMES.join(" "))
    }
}

/// Lines of shell code. They may hold values, so what they outgrow is wiped.
#[derive(Default)]
pub(crate) struct Code(Zeroizing<String>);

impl Code {
    pub(crate) fn push(&mut self, line: &str) {
        let len = self.0.len() + line.len();
        if len > self.0.capacity() {
            let mut grown = Zeroizing::new(String::with_capacity(len.next_power_of_two()));
            grown.push_str(&self.0);
            self.0 = grown;
        }
        self.0.push_str(line);
    }
}

impl std::ops::Deref for Code {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Single-quoted for bash, zsh and every POSIX shell. shell-escape leaves some values bare; zsh expands a bare leading
/// `=`, so those are quoted too.
pub(crate) fn quoted(text: &str) -> String {
    let escaped = shell_escape::unix::escape(Cow::Borrowed(text));
    if escaped.starts_with('\'') { escaped.into_owned() } else { std::mem::take(&mut *joined(&["'", &escaped, "'"])) }
}

/// Whether `RAXX_OFF` is set: shells get no value by themselves, and nothing is checked in the background. What a person
/// types works as ever. Empty and `0` count as not set, as in the shell code.
pub(crate) fn is_off() -> bool {
    std::env::var_os("RAXX_OFF").is_some_and(|value| !value.is_empty() && value != "0")
}

/// Code that changes a shell's variables and keeps its list of those that raxx put there. What a person exported by hand
/// is never on that list, so that raxx never takes it away.
pub(crate) struct Changes {
    unsets: Code,
    exports: Code,
    /// The names on the list.
    ours: Vec<String>,
    /// The shell evaluates it some time later, when a person may have set the variables.
    late: bool,
}

impl Changes {
    /// For a shell that waits for the code.
    pub(crate) fn now() -> Changes {
        let ours = names_before();
        Changes { unsets: Code::default(), exports: Code::default(), ours, late: false }
    }

    /// For a shell that goes on meanwhile: what a person sets by then stays, and stays the person's.
    pub(crate) fn later() -> Changes {
        Changes { late: true, ..Changes::now() }
    }

    /// Gives the shell a value.
    pub(crate) fn export(&mut self, name: &str, secret: &Secret) {
        let export = export_line(name, secret);
        let inherited = environment(name).is_some_and(|held| held.is_ok_and(|held| held == *secret));
        let added = !inherited && !self.ours.iter().any(|ours| ours == name);
        if !self.late {
            self.exports.push(&export);
            if added {
                self.ours.push(name.into());
            }
            return;
        }
        // One statement: the name gets on the list only where the shell takes the value.
        let names = if added {
            format!(" {NAMES_VARIABLE}=\"${{{NAMES_VARIABLE}:+${NAMES_VARIABLE} }}{name}\"")
        } else {
            String::new()
        };
        let both = joined(&[export.trim_end_matches('\n'), &names, "\n"]);
        self.exports.push(&unless_set_meanwhile(name, &both));
    }

    /// Unsets a bad value, if raxx exported it.
    pub(crate) fn unset(&mut self, name: &str) {
        let Some(at) = self.ours.iter().position(|ours| ours == name) else { return };
        self.ours.remove(at);
        if self.late {
            self.unsets.push(&unless_set_meanwhile(name, &unset_line(name)));
        } else {
            self.unsets.push(&unset_line(name));
        }
    }

    /// The exports alone, for a shell that keeps no list.
    pub(crate) fn exports(self) -> Code {
        self.exports
    }

    /// The code, whole.
    pub(crate) fn code(mut self) -> Code {
        self.ours.sort_unstable();
        let names = format!("export {NAMES_VARIABLE}={}\n", quoted(&self.ours.join(" ")));
        let dropped = !self.unsets.is_empty();
        let mut code = self.unsets;
        if self.late {
            // The late exports add to the list by themselves.
            if dropped {
                code.push(&names);
            }
            code.push(&self.exports);
        } else {
            code.push(&self.exports);
            if dropped || !self.exports.is_empty() && !self.ours.is_empty() {
                code.push(&names);
            }
        }
        code
    }
}

/// The names that raxx put into this shell or one above it. The variable is anybody's to set: only names that a
/// credential may have come through.
fn names_before() -> Vec<String> {
    let names = std::env::var(NAMES_VARIABLE).unwrap_or_default();
    let mut ours: Vec<String> = Vec::new();
    for name in names.split_ascii_whitespace().filter(|name| may_be_named(name)) {
        if !ours.iter().any(|before| before == name) {
            ours.push(name.into());
        }
    }
    ours
}

/// `line`, for an answer that comes late: what a person has typed for this name by then stays.
fn unless_set_meanwhile(name: &str, line: &str) -> Zeroizing<String> {
    let before = Zeroizing::new(std::env::var_os(name).unwrap_or_default().into_encoded_bytes());
    match std::str::from_utf8(&before) {
        Ok(before) if !before.contains(char::is_control) => unless_changed(name, before, line),
        // Nothing that a person typed: it cannot be said on one line.
        _ => Zeroizing::new(line.into()),
    }
}

/// `export NAME='value'`. `name` is a checked identifier.
pub(crate) fn export_line(name: &str, secret: &Secret) -> Zeroizing<String> {
    joined(&["export ", name, "=", &Zeroizing::new(quoted(secret.expose())), "\n"])
}

/// `unset NAME`.
fn unset_line(name: &str) -> String {
    format!("unset {name}\n")
}

/// `line`, in case that `name` still has the value that it had when `before` was read: a person may have set it meanwhile.
/// Like every line for the glue it is one statement on one line, so `before` must not hold a line end.
fn unless_changed(name: &str, before: &str, line: &str) -> Zeroizing<String> {
    let before = Zeroizing::new(quoted(&joined(&["x", before])));
    // The letter in front because `test` takes some values for its own operators.
    joined(&["\\builtin test \"x${", name, "-}\" != ", &before, " || \\builtin ", line])
}

/// Says something to the person, line by line, on stderr.
pub(crate) fn say_lines(text: &str) -> String {
    crate::text::output::for_people(&clean_lines(text))
        .lines()
        .map(|line| format!("builtin printf '%s\\n' {} >&2\n", quoted(line)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_quoted() {
        assert_eq!(quoted("plain"), "'plain'");
        assert_eq!(quoted("=ls"), "'=ls'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_guarded_line_is_one_statement() {
        assert_eq!(
            *unless_changed("NAME", "it's", "unset NAME\n"),
            "\\builtin test \"x${NAME-}\" != 'xit'\\''s' || \\builtin unset NAME\n"
        );
    }

    #[test]
    fn a_line_that_is_said_cannot_become_code() {
        assert_eq!(
            say_lines("$(id) 'x'\nb"),
            "builtin printf '%s\\n' '$(id) '\\''x'\\''' >&2\nbuiltin printf '%s\\n' 'b' >&2\n"
        );
    }
}
