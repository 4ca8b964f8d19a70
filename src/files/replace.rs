//! Files that are replaced whole: a new file is written in the same directory and renamed over the old one.

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

/// A new file that is not renamed yet is younger: writing it takes milliseconds.
pub(super) const ABANDONED: Duration = Duration::from_secs(3600);

/// The beginning and the end of a new file's name: `.raxx.0123456789abcdef.tmp`.
const NEW: (&str, &str) = (".raxx.", ".tmp");

/// A file that is to be replaced, or made.
#[derive(Debug)]
pub(crate) struct Target {
    real: PathBuf,
    mode: u32,
    synced: bool,
    new: Option<PathBuf>,
}

impl Target {
    /// A file (0600) in a directory of this user.
    ///
    /// # Errors
    /// It is not a regular file, or it, its directory or a link that leads to it belongs to another user.
    pub(crate) fn own(path: &Path) -> io::Result<Target> {
        let target = Target::named(path)?;
        refuse_another_users(target.directory())?;
        Ok(target)
    }

    /// A file (0600) that a person named: its directory may be another user's.
    ///
    /// # Errors
    /// It is not a regular file, or it or a link that leads to it belongs to another user.
    pub(crate) fn named(path: &Path) -> io::Result<Target> {
        let real = real(path)?;
        // What is in there is not on a disk, whatever it looks like.
        let device = real.starts_with("/dev") && !real.starts_with("/dev/shm");
        if device || real.starts_with("/proc") || leads_through_a_process(path) {
            return Err(not_regular());
        }
        match fs::symlink_metadata(&real) {
            Ok(there) if !there.is_file() => return Err(not_regular()),
            Ok(there) => belongs_to_this_user(&there)?,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Target { real, mode: 0o600, synced: false, new: None })
    }

    /// Makes it readable by everybody.
    pub(crate) fn public(mut self) -> Target {
        self.mode = 0o644;
        self
    }

    /// Syncs it to the disk before it replaces the old file.
    pub(crate) fn synced(mut self) -> Target {
        self.synced = true;
        self
    }

    /// Gives the new file this name until it is renamed. Its caller has locked out all others, so that what a killed
    /// writer left there is overwritten.
    pub(crate) fn by(mut self, new: PathBuf) -> Target {
        self.new = Some(new);
        self
    }

    /// Where it is.
    pub(crate) fn directory(&self) -> &Path {
        self.real.parent().unwrap_or(Path::new("/"))
    }

    /// Checks that a file can be made in the same directory.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn try_out(&self) -> io::Result<()> {
        let (_, path) = self.open_new()?;
        fs::remove_file(path)
    }

    /// Writes a new file and renames it over the old one, which is whole until then.
    ///
    /// # Errors
    /// It cannot be written: the old one stays.
    pub(crate) fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        self.put(bytes, |new| fs::rename(new, &self.real))
    }

    /// Writes a new file and gives it its name, unless there is one already; whether it did.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn create(&self, bytes: &[u8]) -> io::Result<bool> {
        let taken = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
        let name_it = |new: &Path| match rustix::fs::renameat_with(CWD, new, CWD, &self.real, RenameFlags::NOREPLACE) {
            // A file system that cannot do this may have hard links.
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
            // Some file systems have no such call for a directory, and the file is there already.
            let _ = File::open(self.directory()).and_then(|dir| dir.sync_all());
        }
        Ok(())
    }

    /// Writes a copy of the file's bytes beside it.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn copy_of(&self, bytes: &[u8], mode: fs::Permissions) -> io::Result<PathBuf> {
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

/// Replaces a file of raxx's own (0600).
///
/// # Errors
/// As [`Target::own`] and [`Target::replace`].
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Target::own(path)?.replace(bytes)
}

/// Deletes the new files that a killed raxx left in this directory.
pub(crate) fn sweep(dir: &Path) {
    sweep_named(dir, |name| name.starts_with(NEW.0) && name.ends_with(NEW.1));
}

/// Deletes files of this user in this directory that nobody has written to for an hour, if their name says that raxx left
/// them.
pub(crate) fn sweep_named(dir: &Path, left: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if !entry.file_name().to_str().is_some_and(&left) {
            continue;
        }
        let path = entry.path();
        let abandoned = |there: Metadata| there.is_file() && there.uid() == this_user() && is_older(&there, ABANDONED);
        if fs::symlink_metadata(&path).is_ok_and(abandoned) {
            let _ = fs::remove_file(path);
        }
    }
}
