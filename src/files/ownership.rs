//! The owner of a file or directory: raxx neither trusts nor writes to what belongs to another user.

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{home, shown};

/// The message about a home directory that belongs to another user, as after `sudo -E`.
pub(crate) fn foreign_home() -> Option<String> {
    let home = home()?;
    let foreign = refuse_another_users(&home).err().filter(is_foreign)?;
    Some(format!("in the home directory, {foreign}: raxx saves nothing there"))
}

/// # Errors
/// The home directory belongs to another user: one line with the command to type.
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

pub(super) fn foreign(what: &str) -> io::Error {
    io::Error::other(Foreign(what.into()))
}

/// Whether the error is about something that belongs to another user.
pub(super) fn is_foreign(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + std::marker::Send + std::marker::Sync + 'static>::is::<Foreign>)
}

pub(super) fn this_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// # Errors
/// It belongs to another user.
pub(crate) fn belongs_to_this_user(metadata: &Metadata) -> io::Result<()> {
    if metadata.uid() == this_user() { Ok(()) } else { Err(foreign("it belongs to another user")) }
}

/// Whether this user or root owns it.
pub(super) fn ours_or_roots(uid: u32) -> bool {
    /// The uid that the kernel reports for a file whose owner does not exist in this user namespace.
    const NOBODY: u32 = 65_534;
    uid == 0 || uid == this_user() || (uid == NOBODY && root_is_unknown())
}

/// Whether this is a sandbox whose user namespace has no root: there, root's files appear to belong to `nobody`.
fn root_is_unknown() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.is_empty() && map.lines().all(|line| line.split_ascii_whitespace().next() != Some("0"))
}

/// Refuses a directory that belongs to another user, or that is inside another user's directory and yet writable: for
/// root, or because of its mode.
pub(super) fn refuse_another_users(dir: &Path) -> io::Result<()> {
    let belongs = |dir: &Path, uid: u32| foreign(&format!("{} belongs to another user (uid {uid})", shown(dir)));
    let mut owners = dir.ancestors().filter_map(|dir| Some((dir, fs::metadata(dir).ok()?.uid())));
    let wrong = match this_user() {
        // Permissions do not stop root, so every parent directory is checked.
        0 => owners.find(|(_, uid)| !ours_or_roots(*uid)),
        _ => owners.next().filter(|(_, uid)| !ours_or_roots(*uid)),
    };
    wrong.map_or(Ok(()), |(dir, uid)| Err(belongs(dir, uid)))
}
