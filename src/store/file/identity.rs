//! The identity file: who may open the store file where nobody types a passphrase.

use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use age::secrecy::ExposeSecret as _;
use age::x25519;
use zeroize::Zeroizing;

use super::disk::{Unread, make_directory, ours_alone, read_checked, shown, sync_directory};
use crate::store::Lookup;

/// The identities of a file that is this user's alone.
pub fn identities(path: &Path) -> Result<Vec<x25519::Identity>, String> {
    let failed = |why: String| format!("the identity file {} {why}", shown(path));
    let bytes = read_checked(path, &|metadata| {
        let mode = metadata.mode() & 0o7777;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err("belongs to another user".into());
        }
        if mode != 0o600 {
            let path = shell_escape::unix::escape(path.to_string_lossy());
            return Err(format!("has mode {mode:04o}, must have 0600: chmod 600 {path}"));
        }
        Ok(())
    })
    .map_err(|error| match error {
        Unread::Io(error) if error.kind() == io::ErrorKind::NotFound => failed("does not exist".into()),
        Unread::Io(error) => failed(format!("cannot be read: {error}")),
        Unread::Refused(why) => failed(why),
    })?;
    let bytes = Zeroizing::new(bytes);
    let text = std::str::from_utf8(&bytes).map_err(|_| failed("is no age identity file".into()))?;
    if text.starts_with("age-encryption.org/") || text.starts_with("-----BEGIN AGE") {
        return Err(failed("is encrypted itself: raxx would have to ask for its passphrase".into()));
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let parsed: Result<Vec<_>, _> = lines.map(str::parse::<x25519::Identity>).collect();
    match parsed {
        Ok(identities) if !identities.is_empty() => Ok(identities),
        Ok(_) => Err(failed("holds no identity".into())),
        Err(_) => Err(failed("holds a line that is no age identity (AGE-SECRET-KEY-1…)".into())),
    }
}

/// Makes the identity file, where there is none; tells whether it did. Whoever is first makes it: two store files may
/// share one.
pub fn make_identity(path: &Path) -> Result<bool, Lookup> {
    if path.exists() {
        return Ok(false);
    }
    make_directory(path)?;
    let identity = x25519::Identity::generate();
    let key = identity.to_string();
    let text = Zeroizing::new(format!("# public key: {}\n{}\n", identity.to_public(), key.expose_secret()));
    let make = || {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new("/")))?;
        ours_alone(file.as_file())?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(path) {
            Ok(_) => Ok(true),
            Err(taken) if taken.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(failed) => Err(failed.error),
        }
    };
    let made = make().map_err(|error| Lookup::Broken(format!("{} cannot be written: {error}", shown(path))))?;
    sync_directory(path);
    Ok(made)
}
