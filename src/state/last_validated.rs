//! The last-validated stamp: a file with the time of the last run without FAIL.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::files::{self, shown};

/// The file with the time of the last run without FAIL: `~/.raxx-session-bootstrap-last-validated`, or
/// `$RAXX_BOOTSTRAP_STATE_FILE`.
pub(crate) fn stamp_file() -> Option<PathBuf> {
    let set = files::from_environment("RAXX_BOOTSTRAP_STATE_FILE");
    set.or_else(|| files::home().map(|home| home.join(".raxx-session-bootstrap-last-validated")))
}

/// Records the UTC time of a run without FAIL.
///
/// # Errors
/// One line: which file, and why it could not be written.
pub(crate) fn stamp(at: Timestamp) -> Result<(), String> {
    let path = stamp_file().ok_or("there is no home directory to save the time of this run in")?;
    // Setting the path to the null device turns the stamp off.
    if is_null_device(&path) {
        return Ok(());
    }
    let time = at.strftime("%Y-%m-%dT%H:%M:%SZ\n").to_string();
    files::replace(&path, time.as_bytes()).map_err(|e| format!("{}: {}", shown(&path), files::why(&e)))
}

fn is_null_device(path: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).ok().filter(|metadata| metadata.file_type().is_char_device());
    device(path)
        .is_some_and(|metadata| device(Path::new("/dev/null")).is_some_and(|null| null.rdev() == metadata.rdev()))
}
