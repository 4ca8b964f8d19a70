//! Resolving links: links of this user and of root are followed, links of another user are not.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;

use super::ownership::{foreign, ours_or_roots};

/// The number of links that the kernel follows.
const MAX_LINKS: usize = 40;

/// A path with all links resolved.
pub(super) struct Resolved {
    pub(super) path: PathBuf,
    /// The uid of the other user who owns a link on the path.
    pub(super) another: Option<u32>,
}

/// Resolves the links in a path. Its last components need not exist.
pub(super) fn resolve(path: &Path) -> io::Result<Resolved> {
    let reversed = |path: &Path| path.components().rev().map(|c| c.as_os_str().to_owned()).collect::<Vec<OsString>>();
    let mut left = reversed(&std::path::absolute(path)?);
    let mut resolved = Resolved { path: PathBuf::from("/"), another: None };
    let mut links = 0;
    while let Some(part) = left.pop() {
        match Path::new(&part).components().next() {
            Some(Component::Normal(name)) => {
                let next = resolved.path.join(name);
                match fs::symlink_metadata(&next) {
                    Ok(metadata) if metadata.is_symlink() => {
                        links += 1;
                        if links > MAX_LINKS {
                            return Err(Errno::LOOP.into());
                        }
                        if !ours_or_roots(metadata.uid()) {
                            if resolved.another.is_some_and(|before| before != metadata.uid()) {
                                return Err(link_of_another_user());
                            }
                            resolved.another = Some(metadata.uid());
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

pub(super) fn link_of_another_user() -> io::Error {
    foreign("it is a link that belongs to another user")
}

/// The target of a path, even if it does not exist yet. Renaming over the path itself would replace a link.
///
/// # Errors
/// A link on the path belongs to another user, or cannot be followed.
pub(crate) fn real(path: &Path) -> io::Result<PathBuf> {
    let resolved = resolve(path)?;
    if resolved.another.is_some() { Err(link_of_another_user()) } else { Ok(resolved.path) }
}

/// Whether a path refers to an open file of a process, which can be the file that receives the report.
pub(super) fn leads_through_a_process(path: &Path) -> bool {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        if path.starts_with("/proc") || path.starts_with("/dev/fd") {
            return true;
        }
        let Ok(target) = fs::read_link(&path) else { return false };
        path = path.parent().unwrap_or(Path::new("/")).join(target);
    }
    false
}
