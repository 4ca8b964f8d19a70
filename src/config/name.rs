//! Which names a credential may have, and what to type in place of a wrong word.

use toml::Spanned;

use super::Credential;
use super::file::{ConfigError, File};
use crate::typed::{looks_like_a_value, shown, shown_name};

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
        return refuse("name is not a variable name: use letters, digits and _, not starting with a digit".to_string());
    }
    if looks_like_a_value(text) {
        let why = "name looks like a token, not like a variable name: write the variable's name, \
                   and store the token with: raxx store NAME";
        return refuse(why.into());
    }
    if !may_be_named(text) {
        return refuse(format!("name{} is one that the shell itself uses: choose another", shown(text, NOT_OURS)));
    }
    if before.iter().any(|c| c.name == *text) {
        let name = shown_name(text).unwrap_or("this credential");
        return refuse(format!("{name} is defined twice: remove one [[credential]]"));
    }
    Ok(())
}

/// Whether a credential may have this name.
pub fn may_be_named(name: &str) -> bool {
    is_identifier(name)
        && !looks_like_a_value(name)
        && !NOT_OURS.contains(&name)
        && !name.to_ascii_lowercase().starts_with("__raxx")
}

/// Whether a shell takes it as a variable's name.
pub fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
