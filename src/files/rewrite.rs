//! Rewriting a person's own file in place: its mode, owner, hard links and symbolic links are kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{Access, OFlags};

use super::{Target, belongs_to_this_user, foreign_home, real};

/// Returns why a file should not or cannot be written. This applies to root too: root can write to read-only files
/// and to the stores of package managers, but both are meant to stay as they are.
pub(crate) fn obstacle(path: &Path) -> Option<String> {
    if let Some(foreign) = foreign_home() {
        return Some(foreign);
    }
    let real = match real(path) {
        Ok(real) => real,
        Err(error) => return Some(super::why(&error)),
    };
    let can_write = |path: &Path| rustix::fs::access(path, Access::WRITE_OK).is_ok();
    if ["/nix/store", "/gnu/store"].iter().any(|store| real.starts_with(store)) {
        return Some("it is read-only, made by a package manager".into());
    }
    let Ok(metadata) = fs::metadata(&real) else {
        let directory = real.parent().unwrap_or(Path::new("/"));
        return match fs::metadata(directory) {
            Ok(_) if can_write(directory) => None,
            Ok(_) => Some("its directory is read-only".into()),
            Err(_) => Some("its directory does not exist".into()),
        };
    };
    if let Err(error) = belongs_to_this_user(&metadata) {
        return Some(super::why(&error));
    }
    (metadata.mode() & 0o222 == 0 || !can_write(&real)).then(|| "it is read-only".into())
}

/// Replaces the contents of a file, and creates it if it does not exist (`old` is `None`).
///
/// # Errors
/// It cannot be written, or no longer contains `old`; the file is unchanged.
pub(crate) fn rewrite(path: &Path, old: Option<&[u8]>, new: &[u8]) -> io::Result<()> {
    rewrite_by(path, old, new, &|mut file, bytes| file.write_all(bytes))
}

type Write<'w> = &'w dyn Fn(&File, &[u8]) -> io::Result<()>;

fn rewrite_by(path: &Path, old: Option<&[u8]>, new: &[u8], write: Write<'_>) -> io::Result<()> {
    let real = real(path)?;
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(flags);
    let Some(old) = old else {
        let file = options.create_new(true).mode(0o644).open(&real)?;
        return write_from(&file, 0, new, write).inspect_err(|_| {
            let _ = fs::remove_file(&real);
        });
    };
    let mut file = options.open(&real)?;
    let metadata = file.metadata()?;
    belongs_to_this_user(&metadata)?;
    let mut now = Vec::new();
    file.read_to_end(&mut now)?;
    if !metadata.is_file() || now != old {
        return Err(io::Error::other("another program changed it meanwhile"));
    }
    let same = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    if same == old.len().min(new.len()) {
        // Only the end changes, so the bytes before it are not rewritten.
        return write_from(&file, same, new, write).inspect_err(|_| restore(&file, same, old));
    }
    // If neither the new nor the old bytes can be written because the disk is full, the backup can still be renamed.
    let target = Target::named(path)?;
    let backup = target.write_backup(old, metadata.permissions())?;
    let written = write_from(&file, same, new, write);
    if written.is_err() && write_from(&file, same, old, write).is_err() {
        fs::rename(&backup, &real)?;
        return written;
    }
    let _ = fs::remove_file(&backup);
    written
}

/// Writes everything after the first `same` bytes, and reads the whole file back.
fn write_from(mut file: &File, same: usize, bytes: &[u8], write: Write<'_>) -> io::Result<()> {
    file.seek(SeekFrom::Start(same as u64))?;
    write(file, &bytes[same..])?;
    file.set_len(bytes.len() as u64)?;
    // Some file systems report only now that they are full.
    file.sync_all()?;
    file.rewind()?;
    let mut contents = Vec::with_capacity(bytes.len());
    file.read_to_end(&mut contents)?;
    if contents == bytes { Ok(()) } else { Err(io::Error::other("it does not contain what was written to it")) }
}

fn restore(mut file: &File, same: usize, old: &[u8]) {
    let _ = file.set_len(old.len() as u64);
    let _ = file.seek(SeekFrom::Start(same as u64)).and_then(|_| file.write_all(&old[same..]));
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn names(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn links_and_mode_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let [file, other, link] = ["file", "other", "link"].map(|name| directory.path().join(name));
        for (old, new) in [("a\n", "a\nb\n"), ("a\nb\nc\n", "a\nc\n"), ("a\n", ""), ("abc", "axyz"), ("", "a")] {
            fs::write(&file, old).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
            fs::hard_link(&file, &other).unwrap();
            symlink("file", &link).unwrap();
            rewrite(&link, Some(old.as_bytes()), new.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&other).unwrap(), new);
            assert!(link.symlink_metadata().unwrap().is_symlink());
            assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
            assert_eq!(names(directory.path()), 3);
            fs::remove_file(&other).unwrap();
            fs::remove_file(&link).unwrap();
        }
    }

    #[test]
    fn a_failed_write_keeps_the_old_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        let old = "# a line of an rc file\n".repeat(40);
        for new in [format!("{old}more\n"), format!("more\n{old}"), old.replacen("line", "row", 1), String::new()] {
            for fails in [1, 2] {
                fs::write(&file, &old).unwrap();
                fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
                let left = Cell::new(fails);
                let write = |mut file: &File, bytes: &[u8]| {
                    file.write_all(&bytes[..bytes.len() / 2])?;
                    left.set(left.get() - 1);
                    if left.get() >= 0 {
                        Err(io::ErrorKind::StorageFull.into())
                    } else {
                        file.write_all(&bytes[bytes.len() / 2..])
                    }
                };
                assert!(rewrite_by(&file, Some(old.as_bytes()), new.as_bytes(), &write).is_err());
                assert_eq!(fs::read_to_string(&file).unwrap(), old);
                assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
                assert_eq!(names(directory.path()), 1);
            }
        }
        fs::remove_file(&file).unwrap();
        assert!(rewrite_by(&file, None, b"new", &|_, _| Err(io::ErrorKind::StorageFull.into())).is_err());
        assert!(!file.exists());
    }

    #[test]
    fn a_file_changed_by_another_program_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "a\nnew\n").unwrap();
        assert!(rewrite(&file, Some(b"a\n"), b"a\nraxx\n").is_err());
        assert!(rewrite(&file, None, b"raxx\n").is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "a\nnew\n");
    }
}
