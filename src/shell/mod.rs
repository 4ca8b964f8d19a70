//! Shell code: quoting, exports, unsets, and the shell integration. `export_line` is the only function that prints a
//! secret.

pub(crate) mod rc_block;
pub(crate) mod rc_files;
pub(crate) mod startup_files;

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::config::{REFUSED_NAMES, may_be_named};
use crate::secret::{Secret, joined};
use crate::source::environment;
use crate::text::clean_lines;

/// Exported variable that lists the names that raxx exported in a shell. Child shells inherit it.
const NAMES_VARIABLE: &str = "__RAXX_NAMES";

/// A shell that raxx integrates with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shell {
    Zsh,
    Bash,
}

impl Shell {
    /// Returns the name of the program.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Shell::Zsh => "zsh",
            Shell::Bash => "bash",
        }
    }

    /// Returns the shell integration for these names. It contains no secrets, and users can cache it.
    pub(crate) fn integration(self, names: &[String]) -> String {
        let file = match self {
            Shell::Zsh => include_str!("../../shell/raxx.zsh"),
            Shell::Bash => include_str!("../../shell/raxx.bash"),
        };
        // Strip comments: with `shopt -u interactive_comments`, bash would run them as commands.
        let mut code = String::with_capacity(file.len());
        for line in file.split_inclusive('\n').filter(|line| !line.trim_ascii_start().starts_with('#')) {
            code.push_str(line);
        }
        code.replace("@NAMES@", &names.join(" ")).replace("@REFUSED_NAMES@", &REFUSED_NAMES.join(" "))
    }
}

/// Lines of shell code. They can contain secrets, so old buffers are wiped when the text grows.
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

/// Single-quotes text for bash, zsh and every POSIX shell. shell-escape leaves some values unquoted. They are quoted too,
/// because zsh expands an unquoted leading `=`.
pub(crate) fn quoted(text: &str) -> String {
    let escaped = shell_escape::unix::escape(Cow::Borrowed(text));
    if escaped.starts_with('\'') { escaped.into_owned() } else { std::mem::take(&mut *joined(&["'", &escaped, "'"])) }
}

/// Whether `RAXX_OFF` is set: shells export no values automatically, and nothing is checked in the background. Commands
/// that the user types still work. An empty value and `0` count as unset, as in the shell code.
pub(crate) fn is_off() -> bool {
    std::env::var_os("RAXX_OFF").is_some_and(|value| !value.is_empty() && value != "0")
}

/// Code that changes a shell's variables and updates its list of those that raxx exported. A variable that the user
/// exported is never on that list, so raxx never unsets it.
pub(crate) struct Changes {
    unsets: Code,
    exports: Code,
    /// Names on the list.
    ours: Vec<String>,
    /// The shell runs the code later, when the user might have set the variables.
    late: bool,
}

impl Changes {
    /// For a shell that waits for the code.
    pub(crate) fn now() -> Changes {
        let ours = names_before();
        Changes { unsets: Code::default(), exports: Code::default(), ours, late: false }
    }

    /// For a shell that continues meanwhile. A variable that the user sets by then is not changed or listed.
    pub(crate) fn later() -> Changes {
        Changes { late: true, ..Changes::now() }
    }

    /// Exports a value.
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
        // One statement: the name is listed only if the shell exports the value.
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

    /// Returns only the exports, for a shell that keeps no list.
    pub(crate) fn exports(self) -> Code {
        self.exports
    }

    /// Returns all of the code.
    pub(crate) fn code(mut self) -> Code {
        self.ours.sort_unstable();
        let names = format!("export {NAMES_VARIABLE}={}\n", quoted(&self.ours.join(" ")));
        let dropped = !self.unsets.is_empty();
        let mut code = self.unsets;
        if self.late {
            // Late exports add their own names to the list.
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

/// Returns the names that raxx exported in this shell or a parent shell. Anyone can set the variable, so only names that
/// are allowed for credentials count.
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

/// Returns `line` for a late result, guarded so that it keeps a value that the user set meanwhile.
fn unless_set_meanwhile(name: &str, line: &str) -> Zeroizing<String> {
    let before = Zeroizing::new(std::env::var_os(name).unwrap_or_default().into_encoded_bytes());
    match std::str::from_utf8(&before) {
        Ok(before) if !before.contains(char::is_control) => unless_changed(name, before, line),
        // Not typed by the user, and it does not fit on one line.
        _ => Zeroizing::new(line.into()),
    }
}

/// Returns `export NAME='value'`. `name` is a validated identifier.
pub(crate) fn export_line(name: &str, secret: &Secret) -> Zeroizing<String> {
    joined(&["export ", name, "=", &Zeroizing::new(quoted(secret.expose())), "\n"])
}

/// Returns `unset NAME`.
fn unset_line(name: &str) -> String {
    format!("unset {name}\n")
}

/// Returns `line`, guarded so that it runs only if `name` still has the value `before`: the user might have set it
/// meanwhile. The shell integration requires one statement per line, so `before` must not contain a newline.
fn unless_changed(name: &str, before: &str, line: &str) -> Zeroizing<String> {
    let before = Zeroizing::new(quoted(&joined(&["x", before])));
    // The leading x: `test` would treat some values as operators.
    joined(&["\\builtin test \"x${", name, "-}\" != ", &before, " || \\builtin ", line])
}

/// Returns code that prints the text on stderr, line by line.
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
    fn every_value_is_single_quoted() {
        assert_eq!(quoted("plain"), "'plain'");
        assert_eq!(quoted("=ls"), "'=ls'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn guarded_line_is_one_statement() {
        assert_eq!(
            *unless_changed("NAME", "it's", "unset NAME\n"),
            "\\builtin test \"x${NAME-}\" != 'xit'\\''s' || \\builtin unset NAME\n"
        );
    }

    #[test]
    fn printed_line_cannot_run_as_code() {
        assert_eq!(
            say_lines("$(id) 'x'\nb"),
            "builtin printf '%s\\n' '$(id) '\\''x'\\''' >&2\nbuiltin printf '%s\\n' 'b' >&2\n"
        );
    }
}
