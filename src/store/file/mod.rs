//! The store file, where the machine has no store of its own: one encrypted file in the age format, so that
//! `age -d` recovers it by hand.
//!
//! Its header tells how it is opened: by a passphrase, whose result `raxx unlock` leaves in the kernel's keyring, or by
//! an identity file. A write keeps the header with its file key and encrypts the contents anew under a fresh nonce, from
//! which age derives the key of the contents: so no write needs the passphrase, and recipients added by hand stay.

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
    /// The file itself, no link to it.
    path: PathBuf,
    /// The identity file of the configuration.
    identity: Option<PathBuf>,
    /// The identity file that is offered, and looked for where none is configured.
    offered: Option<PathBuf>,
}

/// The file, opened.
struct Open {
    header: Vec<u8>,
    key: FileKey,
    contents: Contents,
}

impl StoreFile {
    pub(super) fn new(path: &Path, identity: Option<PathBuf>) -> StoreFile {
        StoreFile { path: resolved(path), identity, offered: None }
    }

    /// Where it is, or will be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The same with an identity file to offer.
    pub(super) fn offering(self, offered: Option<PathBuf>) -> StoreFile {
        StoreFile { offered, ..self }
    }

    /// Whether it is there.
    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// The identity file: the configured one, or else the one that is offered where none is.
    fn identity(&self) -> Option<PathBuf> {
        self.identity.clone().or_else(|| self.offered.clone())
    }

    /// The name of its key in the keyring: no two files of this user share one.
    fn key_name(&self) -> String {
        // The directories on the way may have been made, and be links, since the path was taken. The kernel takes no name
        // that is as long as a path may be.
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

    /// age's own words come from a table of translations and do not name the file.
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

    /// Opens it with what is at hand; none where there is no file.
    fn open(&self) -> Result<Option<Open>, StoreError> {
        let Some(bytes) = self.bytes().map_err(StoreError::Broken)? else { return Ok(None) };
        let decryptor = self.decryptor(&bytes).map_err(StoreError::Broken)?;
        let (key, plain) = if decryptor.is_scrypt() {
            let known = keyring::get(&self.key_name()).map_err(|why| StoreError::Broken(no_keyring(&why)))?;
            let locked = || StoreError::Locked("the store file".into());
            let known = Known(known.ok_or_else(locked)?);
            // A file that was encrypted anew, with another passphrase, has another key.
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

    /// Changes the contents, with every other writer kept out. `change` returns whether it changed anything. Returns the
    /// same; false as well if there is no file.
    async fn change(
        &self,
        limit: Duration,
        make: Option<&Form>,
        change: impl FnOnce(&mut Contents) -> bool,
    ) -> Result<bool, StoreError> {
        let until = Instant::now() + limit;
        if let Some(form) = make {
            self.create(form, until).await?;
        }
        if !self.exists() {
            return Ok(false);
        }
        let _lock = self.locked_until(until).await?;
        let Some(mut open) = self.open()? else { return Ok(false) };
        if !change(&mut open.contents) {
            return Ok(false);
        }
        let sealed = seal(&open.header, &open.key, &plain(&open.contents)?)?;
        // A file that could not be opened again would cost every value: better to find out before the old one goes.
        let again = self.decryptor(&sealed).ok().and_then(|d| decrypt(&sealed, d, &Known(open.key)).ok());
        if again.is_none() {
            return Err(StoreError::Broken("the new store file could not be opened again: the old one is kept".into()));
        }
        self.replace(&sealed)?;
        Ok(true)
    }

    /// Replaces the file; its caller has the lock.
    fn replace(&self, sealed: &[u8]) -> Result<(), StoreError> {
        let target = files::Target::own(&self.path).map(|target| target.synced().by(sibling(&self.path, ".new")));
        target.and_then(|target| target.replace(sealed)).map_err(|error| self.not_written(&error))
    }

    fn not_written(&self, error: &io::Error) -> StoreError {
        StoreError::Broken(format!("{} cannot be written: {error}", shown(&self.path)))
    }

    /// Keeps every other writer out until the guard is dropped.
    async fn locked_until(&self, until: Instant) -> Result<File, StoreError> {
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
                Err(StoreError::Unavailable(self.unchosen()))
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
        // Writers rename: a reader needs no lock, and has nothing to wait for.
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

/// The file that a path leads to. Another user's link is not followed, and refused when the file is opened.
fn resolved(path: &Path) -> PathBuf {
    files::real(path).unwrap_or_else(|_| path.into())
}

fn no_keyring(why: &str) -> String {
    format!("{why}. Without it, a store file can only be opened with an identity file ([store] identity)")
}

#[cfg(test)]
mod tests;
