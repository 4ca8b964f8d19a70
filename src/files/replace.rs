//! Replacing files atomically: a new file is written in the same directory and renamed over the old one.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::is_older;
use super::ownership::{belongs_to_this_user, refuse_another_users, this_user};
use super::read::not_regular;
use super::resolve::{leads_through_a_process, real};

/// A temporary file older than this was left by a killed process: writing one takes milliseconds.
pub(super) const ABANDONED: Duration = Duration::from_secs(3600);

/// The prefix and suffix of a temporary file's name: `.raxx.0123456789abcdef.tmp`.
const NEW: (&str, &str) = (".raxx.", ".tmp");

/// A file to replace or create.
#[derive(Debug)]
pub(crate) struct Target {
    real: PathBuf,
    mode: u32,
    synced: bool,
    new: Option<PathBuf>,
}

impl Target {
    /// A file (0600) in a directory that belongs to this user.
    ///
    /// # Errors
    /// It is not a regular file, or it, its directory or a link on its path belongs to another user.
    pub(crate) fn own(path: &Path) -> io::Result<Target> {
        let target = Target::named(path)?;
        refuse_another_users(target.directory())?;
        Ok(target)
    }

    /// A file (0600) that a person named; its directory can belong to another user.
    ///
    /// # Errors
    /// It is not a regular file, or it or a link on its path belongs to another user.
    pub(crate) fn named(path: &Path) -> io::Result<Target> {
        let real = real(path)?;
        // These paths are not on a disk, even if they look like regular files.
        let device = real.starts_with("/dev") && !real.starts_with("/dev/shm");
        if device || real.starts_with("/proc") || leads_through_a_process(path) {
            return Err(not_regular());
        }
        match fs::symlink_metadata(&real) {
            Ok(metadata) if !metadata.is_file() => return Err(not_regular()),
            Ok(metadata) => belongs_to_this_user(&metadata)?,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Target { real, mode: 0o600, synced: false, new: None })
    }

    /// Makes it readable by everyone.
    pub(crate) fn public(mut self) -> Target {
        self.mode = 0o644;
        self
    }

    /// Syncs it to the disk before it replaces the old file.
    pub(crate) fn synced(mut self) -> Target {
        self.synced = true;
        self
    }

    /// Uses this name for the temporary file. The caller has the lock, so a file that a killed writer left there can
    /// be overwritten.
    pub(crate) fn by(mut self, new: PathBuf) -> Target {
        self.new = Some(new);
        self
    }

    /// The directory that contains it.
    pub(crate) fn directory(&self) -> &Path {
        self.real.parent().unwrap_or(Path::new("/"))
    }

    /// Checks that a file can be created in the same directory.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn try_out(&self) -> io::Result<()> {
        let (_, path) = self.open_new()?;
        fs::remove_file(path)
    }

    /// Writes a temporary file and renames it over the old one, which stays intact until then.
    ///
    /// # Errors
    /// It cannot be written; the old file is kept.
    pub(crate) fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        self.put(bytes, |new| fs::rename(new, &self.real))
    }

    /// Creates the file, unless it already exists; returns whether it was created.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn create(&self, bytes: &[u8]) -> io::Result<bool> {
        let taken = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
        let name_it = |new: &Path| match rustix::fs::renameat_with(CWD, new, CWD, &self.real, RenameFlags::NOREPLACE) {
            // For file systems that do not support this flag but do support hard links.
            Err(Errno::NOSYS | Errno::INVAL | Errno::NOTSUP) => {
                fs::hard_link(new, &self.real).and_then(|()| fs::remove_file(new))
            }
            other => Ok(other?),
        };
        match self.put(bytes, name_it) {
            Err(error) if taken(&error) => Ok(false),
            other => other.map(|()| true),
        }
    }

    fn put(&self, bytes: &[u8], name_it: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let (mut file, new) = self.open_new()?;
        let write = || {
            file.set_permissions(fs::Permissions::from_mode(self.mode))?;
            file.write_all(bytes)?;
            if self.synced {
                file.sync_all()?;
            }
            name_it(&new)
        };
        write().inspect_err(|_| {
            let _ = fs::remove_file(&new);
        })?;
        if self.synced {
            // Some file systems cannot sync a directory, and the file is already in place.
            let _ = File::open(self.directory()).and_then(|dir| dir.sync_all());
        }
        Ok(())
    }

    /// Writes a copy of the file's bytes to a temporary file in the same directory.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write_backup(&self, bytes: &[u8], mode: fs::Permissions) -> io::Result<PathBuf> {
        let (mut file, path) = self.open_new()?;
        let written = file.write_all(bytes).and_then(|()| file.set_permissions(mode)).and_then(|()| file.sync_all());
        written.map(|()| path.clone()).inspect_err(|_| {
            let _ = fs::remove_file(&path);
        })
    }

    fn open_new(&self) -> io::Result<(File, PathBuf)> {
        let path = if let Some(path) = &self.new {
            let _ = fs::remove_file(path);
            path.clone()
        } else {
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(io::Error::other)?;
            self.directory().join(format!("{}{:016x}{}", NEW.0, u64::from_ne_bytes(random), NEW.1))
        };
        Ok((OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?, path))
    }
}

/// Replaces one of raxx's own files (0600).
///
/// # Errors
/// As [`Target::own`] and [`Target::replace`].
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Target::own(path)?.replace(bytes)
}

/// Deletes the temporary files that a killed raxx left in this directory.
pub(crate) fn sweep(dir: &Path) {
    sweep_named(dir, |name| name.starts_with(NEW.0) && name.ends_with(NEW.1));
}

/// Deletes this user's files in this directory whose name says that raxx left them and that have not been modified
/// for an hour.
pub(crate) fn sweep_named(dir: &Path, left: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if !entry.file_name().to_str().is_some_and(&left) {
            continue;
        }
        let path = entry.path();
        let abandoned =
            |metadata: Metadata| metadata.is_file() && metadata.uid() == this_user() && is_older(&metadata, ABANDONED);
        if fs::symlink_metadata(&path).is_ok_and(abandoned) {
            let _ = fs::remove_file(path);
        }
    }
}
