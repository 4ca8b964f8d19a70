//! Files opened without following or waiting, and read up to a bound.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::ownership::{belongs_to_this_user, foreign, ours_or_roots};
use super::resolve::{link_of_another_user, real, resolve};

/// Opens a regular file of at most so many bytes for reading.
///
/// # Errors
/// It is something else or larger, another user's link leads to it, or it cannot be opened.
pub(crate) fn open(path: &Path, most: u64) -> io::Result<(File, Metadata)> {
    // Looked at first: only to open a fifo releases its writer, and 1Password, whose `.env` is one, then asks the person.
    let kind = fs::symlink_metadata(path)?.file_type();
    if !kind.is_file() && !kind.is_symlink() {
        return Err(not_regular());
    }
    // Not waiting for a fifo's writer, and no terminal becomes this process's own.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let opened = |path: &Path| OpenOptions::new().read(true).custom_flags(flags).open(path);
    let (file, another) = match opened(path) {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            let resolved = resolve(path)?;
            // Before it is opened: to open a device can do something.
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
    // A link may lead to what its owner could have put in its place.
    if another.is_some_and(|owner| owner != metadata.uid()) {
        return Err(link_of_another_user());
    }
    if metadata.len() > most {
        return Err(larger(most));
    }
    Ok((file, metadata))
}

pub(super) fn not_regular() -> io::Error {
    io::Error::other("it is not a regular file")
}

/// What the system says of a socket, or of a fifo without a reader.
fn not_regular_if_so(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) { not_regular() } else { error }
}

fn larger(most: u64) -> io::Error {
    let size = if most >= 1 << 20 { format!("{} MiB", most >> 20) } else { format!("{} KiB", most >> 10) };
    io::Error::other(format!("it is larger than {size}"))
}

/// Reads what [`open`] opened.
///
/// # Errors
/// It grew past the bound, or cannot be read.
pub(crate) fn read_opened(file: File, metadata: &Metadata, most: u64) -> io::Result<Vec<u8>> {
    // Room for all of it: a buffer that grows leaves copies of what may be secret. Some files have no length.
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(larger(most)) } else { Ok(bytes) }
}

/// Reads a regular file of at most so many bytes.
///
/// # Errors
/// As [`open`].
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (file, metadata) = open(path, most)?;
    read_opened(file, &metadata, most)
}

/// Reads a file that raxx wrote: one that another user put into its place is refused.
///
/// # Errors
/// As [`open`], or it belongs to another user.
pub(crate) fn read_own(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (file, metadata) = open(path, most)?;
    if !ours_or_roots(metadata.uid()) {
        return Err(foreign("it belongs to another user"));
    }
    read_opened(file, &metadata, most)
}

/// Opens a file of this user for appending, and makes it (0600) if it does not exist.
///
/// # Errors
/// It is something else, another user's, or cannot be opened.
pub(crate) fn append(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600).custom_flags(flags);
    let file = match options.open(path) {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            let path = real(path)?;
            if fs::symlink_metadata(&path).is_ok_and(|there| !there.is_file()) {
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
    // In a shared directory, another user can give a file of this one a second name.
    if metadata.nlink() > 1 {
        return Err(io::Error::other("it has more than one name (a hard link)"));
    }
    if metadata.mode() & 0o7777 != 0o600 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}
