//! The store file, for machines without another store: one encrypted file in the age format, so that `age -d` can
//! decrypt it by hand.
//!
//! Its header determines how it is opened: with a passphrase, after which `raxx unlock` leaves the file key in the
//! kernel's keyring, or with an identity file. A write keeps the header and its file key, and encrypts the contents
//! again with a new nonce, from which age derives the payload key. So no write needs the passphrase, and recipients
//! added by hand are kept.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use age::{DecryptError, Decryptor};
use futures_util::future::{LocalBoxFuture, ready};
use zeroize::Zeroizing;

use super::keyring::{self, FileKey};
use super::{Answer, FirstWrite, Form, Item, Remedy, Store, StoreError, StoreFuture};
use crate::files::{self, shown, sibling};
use crate::secret::Secret;

mod contents;
mod create;
mod identity;
mod sealed;
mod unlock;

use contents::{Contents, Entry, parse, plain};
use identity::identities;
use sealed::{Any, Known, decrypt, header, seal};
pub(crate) use unlock::UnlockError;

/// The largest store file that raxx reads into memory.
const LARGEST: u64 = 16 << 20;

/// The store file of this configuration.
#[derive(Debug, Clone)]
pub(crate) struct StoreFile {
    /// The path of the file itself, with links resolved.
    path: PathBuf,
    /// The configured identity file.
    identity: Option<PathBuf>,
    /// The default identity file: offered to the person, and used if none is configured.
    offered: Option<PathBuf>,
}

/// The decrypted file.
struct Open {
    header: Vec<u8>,
    key: FileKey,
    contents: Contents,
}

impl StoreFile {
    pub(super) fn new(path: &Path, identity: Option<PathBuf>) -> StoreFile {
        StoreFile { path: resolved(path), identity, offered: None }
    }

    /// Its path, whether or not it exists.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Sets the default identity file.
    pub(super) fn offering(self, offered: Option<PathBuf>) -> StoreFile {
        StoreFile { offered, ..self }
    }

    /// Whether the file exists.
    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// The identity file: the configured one, otherwise the default one.
    fn identity(&self) -> Option<PathBuf> {
        self.identity.clone().or_else(|| self.offered.clone())
    }

    /// The name of its key in the keyring, unique among this user's store files.
    fn key_name(&self) -> String {
        // Resolved again, because parent directories can have been created as links since then. Hashed, because the
        // kernel does not accept names as long as a path can be.
        format!("raxx:{}", &blake3::hash(resolved(&self.path).as_os_str().as_encoded_bytes()).to_hex()[..32])
    }

    fn bytes(&self) -> Result<Option<Vec<u8>>, String> {
        let failed = |error: io::Error| format!("the store file {} cannot be read: {error}", shown(&self.path));
        match files::read(&self.path, LARGEST) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    fn decryptor<'a>(&self, bytes: &'a [u8]) -> Result<Decryptor<&'a [u8]>, String> {
        Decryptor::new_buffered(bytes).map_err(|error| self.unusable(&error))
    }

    /// age's own messages are translated and do not name the file.
    fn unusable(&self, error: &DecryptError) -> String {
        let path = shown(&self.path);
        match error {
            DecryptError::ExcessiveWork { .. } => format!("the store file {path} needs too much work to open"),
            DecryptError::UnknownFormat => format!("the store file {path} is in a newer age format"),
            DecryptError::InvalidHeader => {
                format!("the store file {path} is damaged or is not an age file: restore it from a backup")
            }
            _ => format!("the store file {path} is damaged: restore it from a backup"),
        }
    }

    /// Decrypts it with the key in the keyring or the identity file; `None` if the file does not exist.
    fn open(&self) -> Result<Option<Open>, StoreError> {
        let Some(bytes) = self.bytes().map_err(StoreError::Broken)? else { return Ok(None) };
        let decryptor = self.decryptor(&bytes).map_err(StoreError::Broken)?;
        let (key, plain) = if decryptor.is_scrypt() {
            let known = keyring::get(&self.key_name()).map_err(|why| StoreError::Broken(no_keyring(&why)))?;
            let locked = || StoreError::Locked("the store file".into());
            let known = Known(known.ok_or_else(locked)?);
            // A file that was re-encrypted with another passphrase has another key.
            let opened = decrypt(&bytes, decryptor, &known);
            opened.map_err(|error| match error {
                DecryptError::InvalidMac => locked(),
                error => StoreError::Broken(self.unusable(&error)),
            })?
        } else {
            let path = self.identity().ok_or_else(|| StoreError::Broken("no identity file is configured".into()))?;
            if !path.exists() {
                let (identity, store) = (shown(&path), shown(&self.path));
                return Err(StoreError::Broken(format!(
                    "the identity file {identity} does not exist: restore it, or move {store} away and store the values again"
                )));
            }
            let identities = identities(&path).map_err(StoreError::Broken)?;
            decrypt(&bytes, decryptor, &Any(identities)).map_err(|error| match error {
                DecryptError::NoMatchingKeys => StoreError::Broken(format!(
                    "the identity file {} does not open the store file {}: restore the right one",
                    shown(&path),
                    shown(&self.path)
                )),
                error => StoreError::Broken(self.unusable(&error)),
            })?
        };
        let contents = parse(&self.path, &plain).map_err(StoreError::Broken)?;
        Ok(Some(Open { header: header(&bytes).to_vec(), key, contents }))
    }

    /// Changes the contents while holding the lock against other writers. `change` returns whether it changed
    /// anything, and so does this function; it returns false if there is no file.
    async fn change(
        &self,
        limit: Duration,
        form: Option<&Form>,
        change: impl FnOnce(&mut Contents) -> bool,
    ) -> Result<bool, StoreError> {
        let until = Instant::now() + limit;
        if let Some(form) = form {
            self.create(form, until).await?;
        }
        if !self.exists() {
            return Ok(false);
        }
        let _lock = self.lock_until(until).await?;
        let Some(mut open) = self.open()? else { return Ok(false) };
        if !change(&mut open.contents) {
            return Ok(false);
        }
        let sealed = seal(&open.header, &open.key, &plain(&open.contents)?)?;
        // If the new file could not be opened again, every value would be lost, so check before replacing the old
        // one.
        let again = self.decryptor(&sealed).ok().and_then(|d| decrypt(&sealed, d, &Known(open.key)).ok());
        if again.is_none() {
            return Err(StoreError::Broken("the new store file could not be opened again: the old one is kept".into()));
        }
        self.replace(&sealed)?;
        Ok(true)
    }

    /// Replaces the file. The caller has the lock.
    fn replace(&self, sealed: &[u8]) -> Result<(), StoreError> {
        let target = files::Target::own(&self.path).map(|target| target.synced().by(sibling(&self.path, ".new")));
        target.and_then(|target| target.replace(sealed)).map_err(|error| self.not_written(&error))
    }

    fn not_written(&self, error: &io::Error) -> StoreError {
        StoreError::Broken(format!("{} cannot be written: {error}", shown(&self.path)))
    }

    /// Locks out other writers until the guard is dropped.
    async fn lock_until(&self, until: Instant) -> Result<File, StoreError> {
        let path = sibling(&self.path, ".lock");
        let failed = |error: io::Error| StoreError::Broken(format!("{} cannot be written: {error}", shown(&path)));
        let lock = files::lock_file(&path).map_err(failed)?;
        match files::lock(&lock, until.saturating_duration_since(Instant::now())).await {
            Ok(true) => Ok(lock),
            Ok(false) => Err(StoreError::TimedOut),
            Err(error) => Err(failed(error)),
        }
    }
}

impl Store for StoreFile {
    fn name(&self) -> &'static str {
        "store file"
    }

    fn backend_for(&self, _: &Item) -> &dyn Store {
        self
    }

    fn unlock_hint(&self, _: &Item) -> Remedy {
        Remedy::Type("raxx unlock".into())
    }

    fn first_write(&self, _: Duration) -> LocalBoxFuture<'_, Option<FirstWrite>> {
        let first = || FirstWrite { file: self.clone(), identity: self.identity.clone() };
        Box::pin(ready((!self.exists()).then(first)))
    }

    fn write<'a>(&'a self, name: &'a str, item: &'a Item, value: &'a Secret, limit: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let form = self.identity.clone().map(Form::Identity);
            let put = |contents: &mut Contents| {
                let entry = Entry {
                    service: item.service.clone(),
                    account: item.account.clone(),
                    name: name.into(),
                    value: Zeroizing::new(value.expose().into()),
                };
                match contents.items.iter_mut().find(|e| e.is(item)) {
                    Some(old) => *old = entry,
                    None => contents.items.push(entry),
                }
                true
            };
            if self.change(limit, form.as_ref(), put).await? {
                Ok(())
            } else {
                Err(StoreError::Unavailable(self.not_configured()))
            }
        })
    }

    fn delete<'a>(&'a self, item: &'a Item, limit: Duration) -> StoreFuture<'a, bool> {
        Box::pin(self.change(limit, None, |contents| {
            let before = contents.items.len();
            contents.items.retain(|entry| !entry.is(item));
            contents.items.len() < before
        }))
    }

    fn read<'a>(&'a self, items: &'a [Item], _: Duration) -> LocalBoxFuture<'a, Vec<Answer>> {
        // Writers replace the file atomically, so a reader needs no lock and never waits.
        Box::pin(async move {
            let open = match self.open() {
                Ok(Some(open)) => open,
                Ok(None) => return items.iter().map(|_| Ok(None)).collect(),
                Err(why) => return items.iter().map(|_| Err(why.clone())).collect(),
            };
            let one = |item: &Item| {
                let entry = open.contents.items.iter().find(|entry| entry.is(item));
                entry.map(|entry| entry.value.as_bytes().to_vec().into())
            };
            items.iter().map(|item| Ok(one(item))).collect()
        })
    }
}

/// The target of a path. Another user's link is not followed; opening it fails later.
fn resolved(path: &Path) -> PathBuf {
    files::real(path).unwrap_or_else(|_| path.into())
}

fn no_keyring(why: &str) -> String {
    format!("{why}. Without it, a store file can only be opened with an identity file ([store] identity)")
}

#[cfg(test)]
mod tests;
