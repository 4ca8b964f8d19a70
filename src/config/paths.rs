//! Where the configuration is.

use std::path::PathBuf;

use crate::files;

/// Where the configuration is, or would be: what is remembered of one is not another one's.
pub(crate) fn place() -> String {
    config_path().map(|(path, _)| path.display().to_string()).unwrap_or_default()
}

/// The path of the configuration, and whether it was asked for by name.
pub(super) fn config_path() -> Option<(PathBuf, bool)> {
    if let Some(path) = std::env::var_os("RAXX_CONFIG").filter(|v| !v.is_empty()) {
        return Some((path.into(), true));
    }
    Some((directory()?.join("config.toml"), false))
}

/// `$XDG_CONFIG_HOME/raxx`, by default `~/.config/raxx` on every OS: dirs would say ~/Library on macOS.
pub(crate) fn directory() -> Option<PathBuf> {
    xdg("XDG_CONFIG_HOME", ".config")
}

/// raxx's directory of one kind. A relative XDG path is none (XDG base directory spec).
pub(super) fn xdg(variable: &str, under_home: &str) -> Option<PathBuf> {
    let set = files::from_environment(variable);
    Some(set.or_else(|| files::home().map(|home| home.join(under_home)))?.join("raxx"))
}
