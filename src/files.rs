//! Files that other programs and other users can reach: opened without following or waiting, read up to a bound, locked,
//! and replaced whole.
//!
//! A fifo, a device or another user's link may be in any place that raxx reads or writes. This user's own links, as a
//! repository of dotfiles has them, are followed, and stay links.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{CWD, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::text::clean;

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

/// How often a process that waits for a lock tries again.
const TRY_AGAIN: Duration = Duration::from_millis(5);

/// A new file that is not renamed yet is younger: writing it takes milliseconds.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The beginning and the end of a new file's name: `.raxx.0123456789abcdef.tmp`.
const NEW: (&str, &str) = (".raxx.", ".tmp");

/// The path in an environment variable. Empty and relative ones count as unset: the current directory may be anybody's.
pub(crate) fn from_environment(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The home directory, if there is one: raxx makes none.
pub(crate) fn home() -> Option<PathBuf> {
    dirs::home_dir().filter(|home| home.is_absolute() && home.is_dir())
}

/// The home directory, if it belongs to another user, as after `sudo -E`: the sentence about it.
pub(crate) fn foreign_home() -> Option<String> {
    let home = home()?;
    let foreign = not_another_users(&home).err().filter(is_foreign)?;
    Some(format!("in the home directory, {foreign}: raxx saves nothing there"))
}

/// # Errors
/// The home directory belongs to another user: one line with what to type.
pub(crate) fn refuse_foreign_home() -> anyhow::Result<()> {
    match foreign_home() {
        None => Ok(()),
        Some(why) if this_user() == 0 => {
            anyhow::bail!("{why}. Run it without sudo; for root itself, type: sudo -H raxx")
        }
        Some(why) => anyhow::bail!("{why}. Run it as that user"),
    }
}

/// Another user's file, directory or link.
#[derive(Debug)]
struct Foreign(String);

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Foreign {}

fn foreign(what: &str) -> io::Error {
    io::Error::other(Foreign(what.into()))
}

/// Whether it failed because something belongs to another user.
pub(crate) fn is_foreign(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + std::marker::Send + std::marker::Sync + 'static>::is::<Foreign>)
}

fn this_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// # Errors
/// It does not.
pub(crate) fn belongs_to_this_user(there: &Metadata) -> io::Result<()> {
    if there.uid() == this_user() { Ok(()) } else { Err(foreign("it belongs to another user")) }
}

/// Whether this user or root owns it.
fn ours_or_roots(uid: u32) -> bool {
    /// The owner that is shown of a file whose owner is unknown in this user namespace.
    const NOBODY: u32 = 65_534;
    uid == 0 || uid == this_user() || (uid == NOBODY && root_is_unknown())
}

/// Whether this is a sandbox in whose user namespace root does not exist: there, root's files look like nobody's.
fn root_is_unknown() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.is_empty() && map.lines().all(|line| line.split_ascii_whitespace().next() != Some("0"))
}

/// A path without links.
struct Resolved {
    path: PathBuf,
    /// The other user who owns a link on the way.
    another: Option<u32>,
}

/// Follows the links of a path. The last parts of it need not exist.
fn resolve(path: &Path) -> io::Result<Resolved> {
    let reversed = |path: &Path| path.components().rev().map(|c| c.as_os_str().to_owned()).collect::<Vec<OsString>>();
    let mut left = reversed(&std::path::absolute(path)?);
    let mut resolved = Resolved { path: PathBuf::from("/"), another: None };
    let mut links = 0;
    while let Some(part) = left.pop() {
        match Path::new(&part).components().next() {
            Some(Component::Normal(name)) => {
                let next = resolved.path.join(name);
                match fs::symlink_metadata(&next) {
                    Ok(there) if there.is_symlink() => {
                        links += 1;
                        if links > MOST_LINKS {
                            return Err(Errno::LOOP.into());
                        }
                        if !ours_or_roots(there.uid()) {
                            if resolved.another.is_some_and(|before| before != there.uid()) {
                                return Err(another_users_link());
                            }
                            resolved.another = Some(there.uid());
                        }
                        left.extend(reversed(&fs::read_link(&next)?));
                    }
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => resolved.path = next,
                }
            }
            Some(Component::ParentDir) => drop(resolved.path.pop()),
            Some(Component::RootDir) => resolved.path = PathBuf::from("/"),
            _ => {}
        }
    }
    Ok(resolved)
}

fn another_users_link() -> io::Error {
    foreign("it is a link that belongs to another user")
}

/// The file that a path leads to, also if it does not exist yet: to rename over a link would replace the link.
///
/// # Errors
/// A link on the way belongs to another user, or cannot be followed.
pub(crate) fn real(path: &Path) -> io::Result<PathBuf> {
    let resolved = resolve(path)?;
    if resolved.another.is_some() { Err(another_users_link()) } else { Ok(resolved.path) }
}

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
        return Err(another_users_link());
    }
    if metadata.len() > most {
        return Err(larger(most));
    }
    Ok((file, metadata))
}

fn not_regular() -> io::Error {
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
        return Err(io::Error::other("it has a second name (a hard link)"));
    }
    if metadata.mode() & 0o7777 != 0o600 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Opens a lock file, and makes it (0600) if it does not exist.
///
/// # Errors
/// As [`append`].
pub(crate) fn lock_file(path: &Path) -> io::Result<File> {
    append(path)
}

/// Takes the lock; whether it was free.
///
/// # Errors
/// This file system has no locks.
pub(crate) fn try_lock(lock: &File) -> io::Result<bool> {
    match lock.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Waits for the lock; whether it was free in time.
///
/// # Errors
/// This file system has no locks.
pub(crate) async fn lock(lock: &File, limit: Duration) -> io::Result<bool> {
    let begun = Instant::now();
    loop {
        match try_lock(lock)? {
            false if begun.elapsed() < limit => tokio::time::sleep(TRY_AGAIN).await,
            locked => return Ok(locked),
        }
    }
}

/// The same as [`lock`], for what does not run in the async runtime.
///
/// # Errors
/// This file system has no locks.
pub(crate) fn lock_now(lock: &File, limit: Duration) -> io::Result<bool> {
    let begun = Instant::now();
    loop {
        match try_lock(lock)? {
            false if begun.elapsed() < limit => std::thread::sleep(TRY_AGAIN),
            locked => return Ok(locked),
        }
    }
}

/// Makes a directory (0700), and those that lead to it, whatever the umask is.
///
/// # Errors
/// It is in another user's directory, or cannot be made.
pub(crate) fn make_directory(dir: &Path) -> io::Result<()> {
    // The usual case: it is there, and no link leads to it.
    let resolved = match fs::canonicalize(dir) {
        Ok(there) if there == dir => there,
        _ => real(dir)?,
    };
    not_another_users(&resolved)?;
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

/// Makes the directory that this path is in.
///
/// # Errors
/// As [`make_directory`].
pub(crate) fn make_directory_of(path: &Path) -> io::Result<()> {
    make_directory(path.parent().unwrap_or(Path::new("/")))
}

/// Refuses a directory that belongs to another user, or is in one that does and can still be written to: by root, or
/// by its mode.
fn not_another_users(dir: &Path) -> io::Result<()> {
    let belongs = |dir: &Path, uid: u32| foreign(&format!("{} belongs to another user (uid {uid})", shown(dir)));
    let mut there = dir.ancestors().filter_map(|dir| Some((dir, fs::metadata(dir).ok()?.uid())));
    let wrong = match this_user() {
        // Nothing stops root, so no directory on the way may be another user's.
        0 => there.find(|(_, uid)| !ours_or_roots(*uid)),
        _ => there.next().filter(|(_, uid)| !ours_or_roots(*uid)),
    };
    wrong.map_or(Ok(()), |(dir, uid)| Err(belongs(dir, uid)))
}

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
        not_another_users(target.directory())?;
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

/// Whether a path names what a process has open: that may be the file that the report goes into.
fn leads_through_a_process(path: &Path) -> bool {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        if path.starts_with("/proc") || path.starts_with("/dev/fd") {
            return true;
        }
        let Ok(target) = fs::read_link(&path) else { return false };
        path = path.parent().unwrap_or(Path::new("/")).join(target);
    }
    false
}

/// Replaces a file of raxx's own (0600).
///
/// # Errors
/// As [`Target::own`] and [`Target::replace`].
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Target::own(path)?.replace(bytes)
}

/// Why a file could not be written.
pub(crate) fn why(error: &io::Error) -> String {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::Other, _) | (_, Some(_)) => error.to_string(),
        (kind, None) => kind.to_string(),
    }
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

/// Whether a file was last written to longer ago than this.
pub(crate) fn is_older(there: &Metadata, age: Duration) -> bool {
    let elapsed = |modified: SystemTime| SystemTime::now().duration_since(modified).ok();
    there.modified().ok().and_then(elapsed).is_some_and(|since| since > age)
}

/// `dir/name` → `dir/.name.ending`.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or(OsStr::new("")));
    name.push(ending);
    path.with_file_name(name)
}

/// A path as it is shown to a person.
pub(crate) fn shown(path: &Path) -> String {
    clean(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};
    use std::process::Command;

    use super::*;

    /// Nobody who runs these tests.
    const ANOTHER: u32 = 61_711;

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn fifo(path: &Path) {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    /// Gives a link or a file to another user, which only root can.
    fn give_away(path: &Path) -> bool {
        let mut command = Command::new("chown");
        rustix::process::geteuid().is_root()
            && command.arg("-h").arg(format!("{ANOTHER}")).arg(path).status().unwrap().success()
    }

    fn refused<T>(result: io::Result<T>) -> String {
        result.err().map_or("it was not refused".into(), |error| error.to_string())
    }

    #[test]
    fn what_is_not_a_regular_file_is_neither_waited_for_nor_read_nor_replaced() {
        let dir = directory();
        let at = |name: &str| dir.path().join(name);
        fifo(&at("fifo"));
        fs::create_dir(at("directory")).unwrap();
        symlink("/dev/zero", at("device")).unwrap();
        symlink("/dev/null", at("null")).unwrap();
        symlink("fifo", at("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for name in ["fifo", "directory", "device", "null", "link", "socket"] {
            insta::assert_snapshot!("not_a_regular_file", refused(read(&at(name), 100)));
            insta::assert_snapshot!("not_a_regular_file", refused(replace(&at(name), b"new")));
            assert!(lock_file(&at(name)).is_err(), "{name}");
        }
        symlink("loop", at("loop")).unwrap();
        for loops in [read(&at("loop"), 100).map(drop), replace(&at("loop"), b"new"), append(&at("loop")).map(drop)] {
            assert_eq!(loops.unwrap_err().raw_os_error(), Some(Errno::LOOP.raw_os_error()));
        }
    }

    #[test]
    fn nothing_larger_than_its_bound_is_read() {
        let dir = directory();
        let path = dir.path().join("file");
        fs::write(&path, [b'x'; 101]).unwrap();
        assert_eq!(read(&path, 101).unwrap().len(), 101);
        assert!(read(&path, 100).is_err());
        File::create(&path).unwrap().set_len(10 << 30).unwrap();
        insta::assert_snapshot!("too_large", refused(read(&path, 1 << 20)));
        // It says that it is empty, and is not.
        assert!(!read(Path::new("/proc/self/environ"), 1 << 20).unwrap().is_empty() || cfg!(not(target_os = "linux")));
    }

    #[test]
    fn this_users_own_links_are_followed_and_stay() {
        let dir = directory();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("dotfiles")).unwrap();
        symlink("dotfiles", at("config")).unwrap();
        symlink("../second", at("dotfiles/first")).unwrap();
        symlink(at("dotfiles/real"), at("second")).unwrap();
        let path = at("config/first");
        replace(&path, b"one").unwrap();
        assert_eq!(read(&path, 100).unwrap(), b"one");
        append(&path).unwrap().write_all(b" two").unwrap();
        assert_eq!(fs::read(at("dotfiles/real")).unwrap(), b"one two");
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    }

    #[test]
    fn another_users_link_is_not_followed() {
        let dir = directory();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("precious"), "precious").unwrap();
        symlink(at("precious"), at("link")).unwrap();
        symlink(dir.path(), at("directory")).unwrap();
        // This user's own link leads to it.
        symlink("link", at("mine")).unwrap();
        if !(give_away(&at("link")) && give_away(&at("directory"))) {
            return;
        }
        for name in ["link", "mine", "directory/precious"] {
            insta::assert_snapshot!("another_users_link", refused(replace(&at(name), b"new")));
            insta::assert_snapshot!("another_users_link", refused(Target::named(&at(name))));
            if name != "directory/precious" {
                insta::assert_snapshot!("another_users_link", refused(read(&at(name), 100)));
                insta::assert_snapshot!("another_users_link", refused(append(&at(name))));
            }
        }
        assert_eq!(fs::read(at("precious")).unwrap(), b"precious");
        // What its owner could have put there as well can be read through it.
        assert!(give_away(&at("precious")));
        assert_eq!(read(&at("link"), 100).unwrap(), b"precious");
    }

    #[test]
    fn what_belongs_to_another_user_is_not_written_to() {
        let dir = directory();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "theirs").unwrap();
        fs::create_dir(at("home")).unwrap();
        if !(give_away(&at("file")) && give_away(&at("home"))) {
            return;
        }
        for why in
            [refused(replace(&at("file"), b"mine")), refused(append(&at("file"))), refused(read_own(&at("file"), 100))]
        {
            insta::assert_snapshot!("another_users_file", why);
        }
        // Nor in a directory that an earlier run has left there.
        fs::create_dir(at("home/mine")).unwrap();
        for why in [
            refused(replace(&at("home/file"), b"mine")),
            refused(make_directory(&at("home/.local/state"))),
            refused(make_directory(&at("home/mine/state"))),
        ] {
            assert!(why.contains(&at("home").display().to_string()) && why.contains(&ANOTHER.to_string()), "{why}");
            let place = dir.path().display().to_string();
            insta::assert_snapshot!("another_users_directory", why.replace(&place, "[DIR]"));
        }
        // The directory of a file that a person named may be anybody's.
        Target::named(&at("home/file")).unwrap().replace(b"mine").unwrap();
        chown(at("home"), Some(0), None).unwrap();
    }

    #[test]
    fn a_second_name_of_a_file_is_not_written_to() {
        let dir = directory();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("precious"), "precious").unwrap();
        fs::hard_link(at("precious"), at("lock")).unwrap();
        insta::assert_snapshot!("a_hard_link", refused(lock_file(&at("lock"))));
        replace(&at("lock"), b"new").unwrap();
        assert_eq!(fs::read(at("precious")).unwrap(), b"precious");
    }

    #[test]
    fn of_many_that_create_a_file_one_does_and_nothing_is_left() {
        let dir = directory();
        let path = dir.path().join("key");
        let create = |i: u8| Target::own(&path).unwrap().create(&[i]).unwrap();
        let made = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|i| scope.spawn(move || create(i))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|made| *made).count()
        });
        assert_eq!((made, fs::read_dir(dir.path()).unwrap().count()), (1, 1));
    }

    #[test]
    fn only_abandoned_new_files_of_raxx_are_swept_away() {
        let dir = directory();
        let at = |name: &str| dir.path().join(name);
        let old = SystemTime::now() - ABANDONED * 2;
        for name in [".raxx.0123456789abcdef.tmp", ".tmpAbCdEf", "file.tmp", ".raxx.young.tmp"] {
            let file = File::create(at(name)).unwrap();
            if !name.contains("young") {
                file.set_modified(old).unwrap();
            }
        }
        sweep(dir.path());
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".raxx.young.tmp", ".tmpAbCdEf", "file.tmp"]);
    }
}
