//! Files and directories that are this user's alone, read with care and replaced whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::store::Lookup;
use crate::text::clean;

/// No store is larger: what is, is another file, and is not read into memory.
const LARGEST: u64 = 16 << 20;

/// For this user alone, and for this user whatever the umask is.
pub fn ours_alone(file: &File) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(0o600))
}

/// Makes the directory that this path is in, and those that lead there.
pub fn make_directory(of: &Path) -> Result<(), Lookup> {
    let dir = of.parent().unwrap_or(Path::new("/"));
    let missing = dir.ancestors().take_while(|dir| !dir.exists());
    for dir in missing.collect::<Vec<_>>().into_iter().rev() {
        let made = match DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => fs::set_permissions(dir, fs::Permissions::from_mode(0o700)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        };
        made.map_err(|error| Lookup::Broken(format!("{} cannot be made: {error}", shown(dir))))?;
    }
    Ok(())
}

/// Has the disk take a rename; some file systems know no such call for a directory, and the file is there already.
pub fn sync_directory(of: &Path) {
    let _ = of.parent().map(File::open).map(|dir| dir.and_then(|dir| dir.sync_all()));
}

pub enum Unread {
    Io(io::Error),
    Refused(String),
}

/// Reads a regular file, after a look at what was opened.
pub fn read_checked(path: &Path, look: &dyn Fn(&fs::Metadata) -> Result<(), String>) -> Result<Vec<u8>, Unread> {
    // A pipe in its place would keep the open waiting for ever.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(Unread::Io)?;
    let metadata = file.metadata().map_err(Unread::Io)?;
    if !metadata.is_file() {
        return Err(Unread::Io(io::Error::other("it is no regular file")));
    }
    if metadata.len() > LARGEST {
        return Err(Unread::Io(io::Error::other("it is too large")));
    }
    look(&metadata).map_err(Unread::Refused)?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    (&mut file).take(LARGEST).read_to_end(&mut bytes).map_err(Unread::Io)?;
    Ok(bytes)
}

pub fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    read_checked(path, &|_| Ok(())).map_err(|error| match error {
        Unread::Io(error) => error,
        Unread::Refused(why) => io::Error::other(why),
    })
}

/// Writes a new file (0600) beside it, has the disk take it, and renames it over the old one. The caller keeps other
/// writers out, so the new file has one name, and what a killed writer left there is overwritten.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = beside(path, ".new");
    let _ = fs::remove_file(&new);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        ours_alone(&file)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })?;
    sync_directory(path);
    Ok(())
}

/// `dir/name` → `dir/.name.new`.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(ending);
    path.with_file_name(name)
}

/// The file that a path leads to, also where the last link leads to no file yet: renaming over a link would cut it.
pub fn real(path: &Path) -> PathBuf {
    const MOST_LINKS: usize = 40;
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            Err(_) => break,
        }
    }
    match (path.parent().map(fs::canonicalize), path.file_name()) {
        (Some(Ok(dir)), Some(name)) => dir.join(name),
        _ => path,
    }
}

/// A path on its way to a terminal.
pub fn shown(path: &Path) -> String {
    clean(&path.display().to_string())
}
