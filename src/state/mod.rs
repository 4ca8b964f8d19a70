//! The state directory: what raxx remembers between runs. No file in it contains a value.

pub(crate) mod history;
mod last_validated;
mod verdicts;

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::{self, shown};
use crate::text::clean;

pub(crate) use last_validated::{stamp, stamp_file};
pub(crate) use verdicts::{CachedVerdict, REJECTED_BACK_OFF, State};

/// Where the state directory is or would be: `$XDG_STATE_HOME/raxx`, by default `~/.local/state/raxx` on every OS; none
/// without a home directory.
pub(crate) fn place() -> Option<PathBuf> {
    let set = files::from_environment("XDG_STATE_HOME");
    Some(set.or_else(|| files::home().map(|home| home.join(".local/state")))?.join("raxx"))
}

/// The state directory, if there is one.
///
/// # Errors
/// One line: it is another user's, or other users can write to it.
pub(crate) fn existing() -> Result<Option<PathBuf>, String> {
    let Some(dir) = place() else { return Ok(None) };
    match private(&dir) {
        Ok(()) => Ok(Some(dir)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {}", shown(&dir), files::why(&error))),
    }
}

/// The state directory, which is made (0700) if there is none.
///
/// # Errors
/// One line: which directory, and why it cannot be used.
pub(crate) fn directory() -> Result<PathBuf, String> {
    let dir = place().ok_or("there is no home directory to keep verdicts in")?;
    let made = files::make_directory(&dir).and_then(|()| private(&dir));
    made.map_err(|error| format!("{}: {}", shown(&dir), files::why(&error)))?;
    Ok(dir)
}

/// Refuses a directory that other users can write to, or that is another user's.
fn private(dir: &Path) -> io::Result<()> {
    let there = fs::metadata(dir)?;
    if !there.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    files::belongs_to_this_user(&there)?;
    if there.mode() & 0o022 != 0 {
        let typed = shell_escape::unix::escape(dir.to_string_lossy());
        return Err(io::Error::other(format!("other users can write to it. Type: chmod 700 {}", clean(&typed))));
    }
    if there.mode() & 0o055 != 0 {
        fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Closes the state directory to other users, if it is this user's and they can write to it. What they may have left in
/// there is not used: its files are theirs. The sentence about it.
pub(crate) fn close_to_others() -> Option<String> {
    let dir = place()?;
    let there = fs::metadata(&dir).ok().filter(fs::Metadata::is_dir)?;
    if files::belongs_to_this_user(&there).is_err() || there.mode() & 0o022 == 0 {
        return None;
    }
    fs::set_permissions(&dir, Permissions::from_mode(0o700)).ok()?;
    let typed = clean(&shell_escape::unix::escape(dir.to_string_lossy()));
    let dir = shown(&dir);
    Some(format!("{dir}: other users could write to it, so this run did not use it; raxx has run: chmod 700 {typed}"))
}

/// Waits until no other raxx changes the store, and keeps others waiting until the guard is dropped; none where there is no
/// directory to lock in.
pub(crate) async fn alone_with_the_store() -> Option<File> {
    let lock = files::lock_file(&directory().ok()?.join("store.lock")).ok()?;
    files::lock(&lock, Duration::MAX).await.ok().map(|_| lock)
}
