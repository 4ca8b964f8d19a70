//! Which names a credential may have, and what to type in place of a wrong word.

use toml::Spanned;

use super::Credential;
use super::file::{ConfigError, File};
use crate::text::plain;

/// Names that the shell, the loader or raxx itself lives on: exporting a token there, or `raxx unset`, would break the
/// shell.
const NOT_OURS: &[&str] = &[
    "PATH",
    "HOME",
    "IFS",
    "ENV",
    "BASH_ENV",
    "ZDOTDIR",
    "SHELL",
    "SHELLOPTS",
    "BASHOPTS",
    "USER",
    "PWD",
    "OLDPWD",
    "TERM",
    "UID",
    "EUID",
    "PPID",
    "PS1",
    "PS2",
    "PROMPT_COMMAND",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "DYLD_INSERT_LIBRARIES",
    "RANDOM",
    "SECONDS",
    "LINENO",
    "HISTFILE",
    "_",
    "status",
    "argv",
    "path",
    "fpath",
    "cdpath",
    "manpath",
    "options",
    "commands",
    "functions",
    "aliases",
    "parameters",
    "precmd_functions",
    "RAXX_CONFIG",
    "RAXX_BOOTSTRAP_STATE_FILE",
    "HTTPS_PROXY",
    "SSL_CERT_FILE",
    "DBUS_SESSION_BUS_ADDRESS",
];

pub(super) fn check_name(file: &File, name: &Spanned<String>, before: &[Credential]) -> Result<(), ConfigError> {
    let refuse = |why: String| Err(file.error(Some(name.span()), why));
    let text = name.get_ref();
    if !is_identifier(text) {
        return refuse(format!(
            "\"{}\" is no name for a variable: letters, digits and _ alone, no digit first",
            plain(text)
        ));
    }
    if !may_be_named(text) {
        return refuse(format!("\"{text}\" is a name that the shell itself uses: choose another"));
    }
    if before.iter().any(|c| c.name == *text) {
        return refuse(format!("\"{text}\" is there twice: delete one [[credential]]"));
    }
    Ok(())
}

/// Whether a credential may have this name.
pub fn may_be_named(name: &str) -> bool {
    is_identifier(name) && !NOT_OURS.contains(&name) && !name.to_ascii_lowercase().starts_with("__raxx")
}

/// Whether a shell takes it as a variable's name.
pub fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The nearest known word: one that holds this one, or else one that is a slip of the fingers away.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let far = |k: &str| strsim::damerau_levenshtein(&word, &k.to_ascii_lowercase());
    if let Some(whole) = known.iter().find(|k| word.len() > 2 && k.to_ascii_lowercase().contains(&word)) {
        return Some(whole);
    }
    let best = known.iter().min_by_key(|k| far(k))?;
    (far(best) <= best.len().max(word.len()) / 3).then_some(*best)
}

/// What to type instead of an unknown word: the nearest one, or all there are.
pub fn instead(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are: {}", known.join(", ")),
    }
}
