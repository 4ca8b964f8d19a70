//! Where the configuration is.

use std::path::PathBuf;

use crate::files;

/// Returns the path of the configuration, whether it exists or not. State is kept per configuration.
pub(crate) fn place() -> String {
    config_path().map(|(path, _)| path.display().to_string()).unwrap_or_default()
}

/// Returns the path of the configuration, and whether `RAXX_CONFIG` names it.
pub(super) fn config_path() -> Option<(PathBuf, bool)> {
    if let Some(path) = std::env::var_os("RAXX_CONFIG").filter(|v| !v.is_empty()) {
        return Some((path.into(), true));
    }
    Some((directory()?.join("config.toml"), false))
}

/// Returns `$XDG_CONFIG_HOME/raxx`, by default `~/.config/raxx` on every OS: `dirs` would return `~/Library` on macOS.
pub(crate) fn directory() -> Option<PathBuf> {
    xdg("XDG_CONFIG_HOME", ".config")
}

/// Returns one of raxx's directories. A relative XDG path is ignored, as the XDG specification requires.
pub(super) fn xdg(variable: &str, under_home: &str) -> Option<PathBuf> {
    let set = files::from_environment(variable);
    Some(set.or_else(|| files::home().map(|home| home.join(under_home)))?.join("raxx"))
}
