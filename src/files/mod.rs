//! Files that other programs and other users can reach: opened without following foreign links or blocking, read up
//! to a size limit, locked, and replaced atomically.
//!
//! Any path that raxx reads or writes can turn out to be a fifo, a device or another user's link. This user's own
//! links, as in a dotfiles repository, are followed and kept.

use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::text::clean;

mod directory;
mod lock;
mod ownership;
mod read;
mod replace;
mod resolve;
mod rewrite;

pub(crate) use directory::{make_directory, make_directory_of};
pub(crate) use lock::{lock, lock_blocking, lock_file, try_lock};
pub(crate) use ownership::{belongs_to_this_user, foreign_home, refuse_foreign_home};
pub(crate) use read::{append, open, read, read_opened, read_own};
pub(crate) use replace::{Target, replace, sweep, sweep_named};
pub(crate) use resolve::real;
pub(crate) use rewrite::{obstacle, rewrite};

/// The path in an environment variable. Empty and relative paths count as unset, because raxx does not trust the
/// current directory.
pub(crate) fn from_environment(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The home directory, if it exists. raxx never creates it.
pub(crate) fn home() -> Option<PathBuf> {
    dirs::home_dir().filter(|home| home.is_absolute() && home.is_dir())
}

/// Why a file could not be written.
pub(crate) fn why(error: &io::Error) -> String {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::Other, _) | (_, Some(_)) => error.to_string(),
        (kind, None) => kind.to_string(),
    }
}

/// Whether a file was last modified longer ago than this.
pub(crate) fn is_older(metadata: &Metadata, age: Duration) -> bool {
    let elapsed = |modified: SystemTime| SystemTime::now().duration_since(modified).ok();
    metadata.modified().ok().and_then(elapsed).is_some_and(|since| since > age)
}

/// `dir/name` → `dir/.name.ending`.
pub(crate) fn sibling(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or(OsStr::new("")));
    name.push(ending);
    path.with_file_name(name)
}

/// A path in the form for messages.
pub(crate) fn shown(path: &Path) -> String {
    clean(&path.display().to_string())
}

#[cfg(test)]
mod tests;
