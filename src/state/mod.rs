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

/// The path of the state directory, whether or not it exists: `$XDG_STATE_HOME/raxx`, by default
/// `~/.local/state/raxx` on every OS. `None` without a home directory.
pub(crate) fn place() -> Option<PathBuf> {
    let set = files::from_environment("XDG_STATE_HOME");
    Some(set.or_else(|| files::home().map(|home| home.join(".local/state")))?.join("raxx"))
}

/// The state directory, if it exists.
///
/// # Errors
/// One line: it belongs to another user, or other users can write to it.
pub(crate) fn existing() -> Result<Option<PathBuf>, String> {
    let Some(dir) = place() else { return Ok(None) };
    match private(&dir) {
        Ok(()) => Ok(Some(dir)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {}", shown(&dir), files::why(&error))),
    }
}

/// The state directory, which is created (0700) if it does not exist.
///
/// # Errors
/// One line: which directory, and why it cannot be used.
pub(crate) fn directory() -> Result<PathBuf, String> {
    let dir = place().ok_or("there is no home directory to save results in")?;
    let made = files::make_directory(&dir).and_then(|()| private(&dir));
    made.map_err(|error| format!("{}: {}", shown(&dir), files::why(&error)))?;
    Ok(dir)
}

/// Refuses a directory that other users can write to or that belongs to another user.
fn private(dir: &Path) -> io::Result<()> {
    let metadata = fs::metadata(dir)?;
    if !metadata.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    files::belongs_to_this_user(&metadata)?;
    if metadata.mode() & 0o022 != 0 {
        let typed = shell_escape::unix::escape(dir.to_string_lossy());
        return Err(io::Error::other(format!("other users can write to it. Type: chmod 700 {}", clean(&typed))));
    }
    if metadata.mode() & 0o055 != 0 {
        fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Removes other users' access to the state directory, if it belongs to this user and they can write to it, and
/// returns the message about it. Files that they may have left there are not used, because they belong to them.
pub(crate) fn close_to_others() -> Option<String> {
    let dir = place()?;
    let metadata = fs::metadata(&dir).ok().filter(fs::Metadata::is_dir)?;
    if files::belongs_to_this_user(&metadata).is_err() || metadata.mode() & 0o022 == 0 {
        return None;
    }
    fs::set_permissions(&dir, Permissions::from_mode(0o700)).ok()?;
    let typed = clean(&shell_escape::unix::escape(dir.to_string_lossy()));
    let dir = shown(&dir);
    Some(format!("{dir}: other users could write to it, so this run did not use it; raxx has run: chmod 700 {typed}"))
}

/// Waits until no other raxx is changing the store, and locks it until the guard is dropped. `None` without a
/// directory for the lock file.
pub(crate) async fn lock_store() -> Option<File> {
    let lock = files::lock_file(&directory().ok()?.join("store.lock")).ok()?;
    files::lock(&lock, Duration::MAX).await.ok().map(|_| lock)
}
