//! Opening files without following foreign links or blocking, and reading them up to a size limit.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::ownership::{belongs_to_this_user, foreign, ours_or_roots};
use super::resolve::{link_of_another_user, real, resolve};

/// Opens a regular file of at most `max` bytes for reading.
///
/// # Errors
/// It is not a regular file, is larger, is reached through another user's link, or cannot be opened.
pub(crate) fn open(path: &Path, max: u64) -> io::Result<(File, Metadata)> {
    // Checked before opening: opening a fifo unblocks its writer, and 1Password, whose `.env` is a fifo, then prompts
    // the person.
    let kind = fs::symlink_metadata(path)?.file_type();
    if !kind.is_file() && !kind.is_symlink() {
        return Err(not_regular());
    }
    // Opening must not wait for a fifo's writer, nor make a terminal the controlling terminal of this process.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let opened = |path: &Path| OpenOptions::new().read(true).custom_flags(flags).open(path);
    let (file, another) = match opened(path) {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            let resolved = resolve(path)?;
            // Checked before opening: opening a device can have side effects.
            if !fs::symlink_metadata(&resolved.path)?.is_file() {
                return Err(not_regular());
            }
            (opened(&resolved.path)?, resolved.another)
        }
        other => (other.map_err(not_regular_if_so)?, None),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(not_regular());
    }
    // Another user's link is followed only to that user's own file, which could just as well be there without the
    // link.
    if another.is_some_and(|owner| owner != metadata.uid()) {
        return Err(link_of_another_user());
    }
    if metadata.len() > max {
        return Err(larger(max));
    }
    Ok((file, metadata))
}

pub(super) fn not_regular() -> io::Error {
    io::Error::other("it is not a regular file")
}

/// The system's error for a socket, or for a fifo without a reader.
fn not_regular_if_so(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) { not_regular() } else { error }
}

fn larger(max: u64) -> io::Error {
    let size = if max >= 1 << 20 { format!("{} MiB", max >> 20) } else { format!("{} KiB", max >> 10) };
    io::Error::other(format!("it is larger than {size}"))
}

/// Reads what [`open`] opened.
///
/// # Errors
/// It grew past the limit, or cannot be read.
pub(crate) fn read_opened(file: File, metadata: &Metadata, max: u64) -> io::Result<Vec<u8>> {
    // Allocate everything at once: a growing buffer leaves copies of possible secrets in memory. Some files report
    // length 0.
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max { Err(larger(max)) } else { Ok(bytes) }
}

/// Reads a regular file of at most `max` bytes.
///
/// # Errors
/// As [`open`].
pub(crate) fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let (file, metadata) = open(path, max)?;
    read_opened(file, &metadata, max)
}

/// Reads a file that raxx wrote, and refuses one that another user put in its place.
///
/// # Errors
/// As [`open`], or it belongs to another user.
pub(crate) fn read_own(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let (file, metadata) = open(path, max)?;
    if !ours_or_roots(metadata.uid()) {
        return Err(foreign("it belongs to another user"));
    }
    read_opened(file, &metadata, max)
}

/// Opens a file of this user for appending, and creates it (0600) if it does not exist.
///
/// # Errors
/// It is not a regular file, belongs to another user, or cannot be opened.
pub(crate) fn append(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600).custom_flags(flags);
    let file = match options.open(path) {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            let path = real(path)?;
            if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
                return Err(not_regular());
            }
            options.open(path)
        }
        other => other,
    };
    let file = file.map_err(not_regular_if_so)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(not_regular());
    }
    belongs_to_this_user(&metadata)?;
    // In a shared directory, another user can hard-link a file of this user.
    if metadata.nlink() > 1 {
        return Err(io::Error::other("it has more than one name (a hard link)"));
    }
    if metadata.mode() & 0o7777 != 0o600 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}
