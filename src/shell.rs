//! Shell code: quoting, exports, unsets, and the glue. `export_line` is the one place that prints a secret.

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::secret::Secret;

/// The exported variable in which a shell (and those started from it) keeps the names that raxx put there.
pub const NAMES_VARIABLE: &str = "__RAXX_NAMES";

/// A shell that has glue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    Zsh,
    Bash,
}

impl Shell {
    /// The glue of this shell with the names put in. Constant text, no secret: users cache it.
    pub fn glue(self, names: &[String]) -> String {
        let file = match self {
            Shell::Zsh => include_str!("../shell/raxx.zsh"),
            Shell::Bash => include_str!("../shell/raxx.bash"),
        };
        // Without its comments: `shopt -u interactive_comments` makes a bash take them for commands.
        let mut code = String::with_capacity(file.len());
        for line in file.split_inclusive('\n').filter(|line| !line.trim_ascii_start().starts_with('#')) {
            code.push_str(line);
        }
        code.replace("@NAMES@", &names.join(" "))
    }
}

/// Lines of shell code. They may hold values, so what they outgrow is wiped.
#[derive(Default)]
pub struct Code(Zeroizing<String>);

impl Code {
    pub fn push(&mut self, line: &str) {
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
pub fn quoted(text: &str) -> String {
    let escaped = shell_escape::unix::escape(Cow::Borrowed(text));
    match escaped.starts_with('\'') {
        true => escaped.into_owned(),
        false => format!("'{escaped}'"),
    }
}

/// `export NAME='value'`. `name` is a checked identifier.
pub fn export_line(name: &str, secret: &Secret) -> Zeroizing<String> {
    Zeroizing::new(format!("export {name}={}\n", *Zeroizing::new(quoted(secret.expose()))))
}

/// `unset NAME`.
pub fn unset_line(name: &str) -> String {
    format!("unset {name}\n")
}

/// `line`, in case that `name` still has the value that it had when `before` was read: a person may have set it meanwhile.
/// Like every line for the glue it is one statement on one line, so `before` must not hold a line end.
pub fn unless_changed(name: &str, before: &str, line: &str) -> Zeroizing<String> {
    let before = Zeroizing::new(quoted(&Zeroizing::new(format!("x{before}"))));
    // The letter in front because `test` takes some values for its own operators.
    Zeroizing::new(format!("\\builtin test \"x${{{name}-}}\" != {} || \\builtin {line}", *before))
}

/// Notes the names that raxx put into this shell, for `raxx unset` here and in shells started from it.
pub fn names_line(names: &[String]) -> String {
    format!("export {NAMES_VARIABLE}={}\n", quoted(&names.join(" ")))
}

/// Says something to the person, line by line, on stderr.
pub fn say_lines(text: &str) -> String {
    text.lines().map(|line| format!("builtin printf '%s\\n' {} >&2\n", quoted(line))).collect()
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
