//! The identity file, which opens the store file without a passphrase.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use age::secrecy::ExposeSecret as _;
use age::x25519;
use zeroize::Zeroizing;

use crate::files::{self, Target, shown};
use crate::store::StoreError;

/// The largest identity file that raxx reads.
const LARGEST: u64 = 1 << 20;

/// Reads the identities from a file that other users cannot read, or that is mounted for this user.
pub(super) fn identities(path: &Path) -> Result<Vec<x25519::Identity>, String> {
    let failed = |why: String| format!("the identity file {} {why}", shown(path));
    let unread = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => failed("does not exist".into()),
        _ => failed(format!("cannot be read: {error}")),
    };
    let (file, metadata) = files::open(path, LARGEST).map_err(unread)?;
    trusted(path, &metadata).map_err(failed)?;
    let bytes = files::read_opened(file, &metadata, LARGEST).map_err(unread)?;
    let bytes = Zeroizing::new(bytes);
    let text = std::str::from_utf8(&bytes).map_err(|_| failed("is not an age identity file".into()))?;
    if text.starts_with("age-encryption.org/") || text.starts_with("-----BEGIN AGE") {
        return Err(failed("is itself encrypted, which raxx does not support".into()));
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let parsed: Result<Vec<_>, _> = lines.map(str::parse::<x25519::Identity>).collect();
    match parsed {
        Ok(identities) if !identities.is_empty() => Ok(identities),
        Ok(_) => Err(failed("contains no identity".into())),
        Err(_) => Err(failed("contains a line that is not an age identity (AGE-SECRET-KEY-1…)".into())),
    }
}

/// Checks the mode and owner of an identity file: it must be readable by this user only, or belong to root and be
/// writable by no one else, as containers mount secrets.
fn trusted(path: &Path, metadata: &Metadata) -> Result<(), String> {
    let mode = metadata.mode() & 0o7777;
    let is_this_users = files::belongs_to_this_user(metadata).is_ok();
    let private = is_this_users && matches!(mode, 0o600 | 0o400);
    let others = if is_this_users { 0o7333 } else { 0o7133 };
    let mounted = metadata.uid() == 0 && mode & others == 0;
    if private || mounted {
        return Ok(());
    }
    if metadata.uid() != 0 && !is_this_users {
        return Err("belongs to another user".into());
    }
    let path = shell_escape::unix::escape(path.to_string_lossy());
    Err(format!("has mode {mode:04o} but must have 0600: chmod 600 {path}"))
}

/// Creates the identity file if it does not exist; returns whether it did. If several processes try, the first one
/// creates it, because two store files can share one.
pub(super) fn create_identity(path: &Path) -> Result<bool, StoreError> {
    if path.exists() {
        return Ok(false);
    }
    let failed = |error: io::Error| StoreError::Broken(format!("{} cannot be written: {error}", shown(path)));
    files::make_directory_of(path).map_err(failed)?;
    let identity = x25519::Identity::generate();
    let key = identity.to_string();
    let text = Zeroizing::new(format!("# public key: {}\n{}\n", identity.to_public(), key.expose_secret()));
    Target::own(path).and_then(|target| target.synced().create(text.as_bytes())).map_err(failed)
}
