//! Directories that only this user can enter.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use super::ownership::refuse_another_users;
use super::resolve::real;

/// Creates a directory (0700) and its parents, whatever the umask is.
///
/// # Errors
/// It is in another user's directory, or cannot be created.
pub(crate) fn make_directory(dir: &Path) -> io::Result<()> {
    // The usual case: it exists, and its path contains no link.
    let resolved = match fs::canonicalize(dir) {
        Ok(canonical) if canonical == dir => canonical,
        _ => real(dir)?,
    };
    refuse_another_users(&resolved)?;
    let missing: Vec<&Path> = resolved.ancestors().take_while(|dir| fs::symlink_metadata(dir).is_err()).collect();
    for dir in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Creates the parent directory of this path.
///
/// # Errors
/// As [`make_directory`].
pub(crate) fn make_directory_of(path: &Path) -> io::Result<()> {
    make_directory(path.parent().unwrap_or(Path::new("/")))
}
