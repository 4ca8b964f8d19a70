//! The store file, where the machine has no store of its own: one encrypted file in the age format, so that
//! `age -d` recovers it by hand.
//!
//! Its header tells how it is opened: by a passphrase, whose result `raxx unlock` leaves in the kernel's keyring, or by
//! an identity file. A write keeps the header with its file key and encrypts the contents anew under a fresh nonce, from
//! which age derives the key of the contents: so no write needs the passphrase, and recipients added by hand stay.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::iter;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use age::secrecy::ExposeSecret as _;
use age::{DecryptError, Decryptor, Encryptor, Identity, Recipient, scrypt, x25519};
use age_core::format::Stanza;
use age_core::primitives::hkdf;
use chacha20poly1305::aead::Aead as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use futures_util::future::{LocalBoxFuture, ready};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::keyring::{self, FileKey};
use super::{FirstWrite, Form, Item, Lookup, Store, Written};
use crate::secret::Secret;

/// The version of the contents; raised when a field changes its meaning or is added.
const VERSION: u32 = 1;

/// The work that guessing one passphrase costs, as a power of two: below a second on the machines of today.
const WORK: u8 = 17;

/// The most that a file may ask for: half a minute and a gigabyte of memory.
const MOST_WORK: u8 = 20;

/// No store is larger: what is, is another file, and is not read into memory.
const LARGEST: u64 = 16 << 20;

/// age encrypts in chunks of this size.
const CHUNK: usize = 64 << 10;

/// How often a writer that waits for another one looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The store file of this configuration.
#[derive(Debug, Clone)]
pub struct StoreFile {
    /// The file itself, no link to it.
    path: PathBuf,
    /// The identity file of the configuration.
    identity: Option<PathBuf>,
}

/// Why a passphrase did not unlock it.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    WrongPassphrase,
    /// There is no file, or it is opened by an identity file: there is nothing to unlock.
    Nothing(String),
    Broken(String),
}

/// What the file holds.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    items: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    service: String,
    account: String,
    /// For who reads it by hand.
    name: String,
    value: Zeroizing<String>,
}

impl Entry {
    fn is(&self, item: &Item) -> bool {
        self.service == item.service && self.account == item.account
    }
}

/// The file, opened.
struct Open {
    header: Vec<u8>,
    key: FileKey,
    contents: Contents,
}

impl StoreFile {
    pub(super) fn new(path: &Path, identity: Option<PathBuf>) -> StoreFile {
        StoreFile { path: real(path), identity }
    }

    /// Where it is, or will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is there.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Whether there is something to unlock, told before anybody types a passphrase.
    ///
    /// # Errors
    /// Why not.
    pub fn can_be_unlocked(&self) -> Result<(), Refused> {
        let bytes = self.to_unlock()?;
        let decryptor = self.decryptor(&bytes).map_err(Refused::Broken)?;
        if !decryptor.is_scrypt() {
            let why = "opens by an identity file, not by a passphrase: there is nothing to unlock";
            return Err(Refused::Nothing(format!("the store file {} {why}", shown(&self.path))));
        }
        self.keyring_works().map_err(Refused::Broken)
    }

    fn keyring_works(&self) -> Result<(), String> {
        keyring::get(&self.key_name()).map(drop).map_err(|why| no_keyring(&why))
    }

    fn to_unlock(&self) -> Result<Vec<u8>, Refused> {
        let none = || Refused::Nothing(format!("there is no store file at {} to unlock", shown(&self.path)));
        self.bytes().map_err(Refused::Broken)?.ok_or_else(none)
    }

    /// Opens it with the passphrase and leaves its key in the kernel's keyring.
    ///
    /// # Errors
    /// Why not; nothing is changed then.
    pub fn unlock(&self, passphrase: &Secret) -> Result<(), Refused> {
        self.can_be_unlocked()?;
        let bytes = self.to_unlock()?;
        let decryptor = self.decryptor(&bytes).map_err(Refused::Broken)?;
        let mut identity = scrypt::Identity::new(passphrase.expose().into());
        identity.set_max_work_factor(MOST_WORK);
        let (key, _) = decrypt(&bytes, decryptor, &identity).map_err(|error| match error {
            DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => Refused::WrongPassphrase,
            error => Refused::Broken(self.unusable(&error)),
        })?;
        keyring::put(&self.key_name(), &key).map_err(|why| Refused::Broken(no_keyring(&why)))
    }

    /// Drops its key from the kernel's keyring; tells whether it was there.
    ///
    /// # Errors
    /// The keyring cannot be used.
    pub fn lock(&self) -> Result<bool, String> {
        keyring::remove(&self.key_name())
    }

    /// The identity file: the configured one, or else the one that is offered where none is.
    fn identity(&self) -> Option<PathBuf> {
        self.identity.clone().or_else(super::offered_identity)
    }

    /// The name of its key in the keyring: no two files of this user share one.
    fn key_name(&self) -> String {
        // The directories on the way may have been made, and be links, since the path was taken. The kernel takes no name
        // that is as long as a path may be.
        format!("raxx:{}", &blake3::hash(real(&self.path).as_os_str().as_encoded_bytes()).to_hex()[..32])
    }

    fn bytes(&self) -> Result<Option<Vec<u8>>, String> {
        let failed = |error: io::Error| format!("the store file {} cannot be read: {error}", shown(&self.path));
        match read_regular(&self.path) {
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
            DecryptError::ExcessiveWork { .. } => format!("the store file {path} asks for too much work to open"),
            DecryptError::UnknownFormat => format!("the store file {path} is in a newer age format"),
            DecryptError::InvalidHeader => format!("the store file {path} is damaged, or is no age file"),
            _ => format!("the store file {path} is damaged"),
        }
    }

    /// Opens it with what is at hand; none where there is no file.
    fn open(&self) -> Result<Option<Open>, Lookup> {
        let Some(bytes) = self.bytes().map_err(Lookup::Broken)? else { return Ok(None) };
        let decryptor = self.decryptor(&bytes).map_err(Lookup::Broken)?;
        let (key, plain) = if decryptor.is_scrypt() {
            let known = keyring::get(&self.key_name()).map_err(|why| Lookup::Broken(no_keyring(&why)))?;
            let locked = || Lookup::Locked("the store file".into());
            let known = Known(known.ok_or_else(locked)?);
            // A file that was encrypted anew, with another passphrase, has another key.
            let opened = decrypt(&bytes, decryptor, &known);
            opened.map_err(|error| match error {
                DecryptError::InvalidMac => locked(),
                error => Lookup::Broken(self.unusable(&error)),
            })?
        } else {
            let path = self.identity().ok_or_else(|| Lookup::Broken("no identity file is configured".into()))?;
            if !path.exists() {
                let (identity, store) = (shown(&path), shown(&self.path));
                return Err(Lookup::Broken(format!(
                    "the identity file {identity} does not exist: put it back, or move {store} away and store anew"
                )));
            }
            let identities = identities(&path).map_err(Lookup::Broken)?;
            decrypt(&bytes, decryptor, &Any(identities)).map_err(|error| match error {
                DecryptError::NoMatchingKeys => Lookup::Broken(format!(
                    "the identity file {} does not open the store file {}",
                    shown(&path),
                    shown(&self.path)
                )),
                error => Lookup::Broken(self.unusable(&error)),
            })?
        };
        let contents = self.parse(&plain).map_err(Lookup::Broken)?;
        Ok(Some(Open { header: header(&bytes).to_vec(), key, contents }))
    }

    fn parse(&self, plain: &[u8]) -> Result<Contents, String> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let path = shown(&self.path);
        match serde_json::from_slice(plain) {
            Ok(Versioned { version: VERSION }) => {}
            Ok(Versioned { version }) => {
                return Err(format!("the store file {path} was written by a newer raxx (version {version})"));
            }
            Err(_) => return Err(format!("the store file {path} holds something else than a store")),
        }
        // serde_json's words may quote what they do not like, and here that is a secret.
        serde_json::from_slice(plain).map_err(|_| format!("the store file {path} holds a store that raxx cannot read"))
    }

    /// Changes the contents, with every other writer kept out.
    async fn change(
        &self,
        limit: Duration,
        make: Option<&Form>,
        change: impl FnOnce(&mut Contents) -> Result<(), Lookup>,
    ) -> Result<(), Lookup> {
        let until = Instant::now() + limit;
        if let Some(form) = make {
            self.create(form, until).await?;
        }
        if !self.exists() {
            return Err(Lookup::Absent);
        }
        let _lock = self.locked_until(until).await?;
        let Some(mut open) = self.open()? else { return Err(Lookup::Absent) };
        change(&mut open.contents)?;
        let sealed = seal(&open.header, &open.key, &plain(&open.contents)?)?;
        // A file that could not be opened again would cost every value: better to find out before the old one goes.
        let again = self.decryptor(&sealed).ok().and_then(|d| decrypt(&sealed, d, &Known(open.key)).ok());
        if again.is_none() {
            return Err(Lookup::Broken("the new store file could not be opened again: the old one is kept".into()));
        }
        replace(&self.path, &sealed).map_err(|error| self.not_written(&error))
    }

    fn not_written(&self, error: &io::Error) -> Lookup {
        Lookup::Broken(format!("{} cannot be written: {error}", shown(&self.path)))
    }

    /// Keeps every other writer out until the guard is dropped.
    async fn locked_until(&self, until: Instant) -> Result<File, Lookup> {
        let path = beside(&self.path, ".lock");
        let failed = |error: io::Error| Lookup::Broken(format!("{} cannot be written: {error}", shown(&path)));
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(failed)?;
        // Another raxx may have set it; what matters is that it can be locked.
        let _ = ours_alone(&lock);
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => return Err(Lookup::TimedOut),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK_AGAIN).await,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }

    /// Makes an empty store file of this form, and the identity file where it is not there. Gives the files that were
    /// made: none where another writer was first.
    async fn create(&self, form: &Form, until: Instant) -> Result<Vec<PathBuf>, Lookup> {
        if self.exists() {
            return Ok(Vec::new());
        }
        if matches!(form, Form::Passphrase(_)) {
            // Without a keyring the file could not be used.
            self.keyring_works().map_err(Lookup::Broken)?;
        }
        make_directory(&self.path)?;
        let _lock = self.locked_until(until).await?;
        if self.exists() {
            return Ok(Vec::new());
        }
        let empty = Contents { version: VERSION, items: Vec::new() };
        match form {
            Form::Identity(path) => {
                let path = real(path);
                // It stays, whatever comes next: another store file may be encrypted to it already.
                let made = make_identity(&path)?;
                let recipient = identities(&path).map_err(Lookup::Broken)?[0].to_public();
                let (_, sealed) = encrypt(&recipient, &empty)?;
                replace(&self.path, &sealed).map_err(|error| self.not_written(&error))?;
                Ok(iter::once(self.path.clone()).chain(made.then_some(path)).collect())
            }
            Form::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(passphrase.expose().into());
                recipient.set_work_factor(WORK);
                let (key, sealed) = encrypt(&recipient, &empty)?;
                // First the keyring: a file whose key did not get there would be there, and locked.
                keyring::put(&self.key_name(), &key).map_err(|why| Lookup::Broken(no_keyring(&why)))?;
                let written = replace(&self.path, &sealed).map_err(|error| self.not_written(&error));
                if written.is_err() {
                    let _ = self.lock();
                }
                written.map(|()| vec![self.path.clone()])
            }
        }
    }
}

impl Store for StoreFile {
    fn name(&self) -> &'static str {
        "store file"
    }

    fn speaker(&self, _: &Item) -> &dyn Store {
        self
    }

    fn unlock_hint(&self, _: &Item) -> String {
        "raxx unlock".into()
    }

    fn first_write(&self, _: Duration) -> LocalBoxFuture<'_, Option<FirstWrite>> {
        let first = || FirstWrite { file: self.clone(), identity: self.identity.clone() };
        Box::pin(ready((!self.exists()).then(first)))
    }

    fn write<'a>(&'a self, name: &'a str, item: &'a Item, value: &'a Secret, limit: Duration) -> Written<'a> {
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
                Ok(())
            };
            match self.change(limit, form.as_ref(), put).await {
                Err(Lookup::Absent) => Err(Lookup::Unavailable(self.unchosen())),
                other => other,
            }
        })
    }

    fn delete<'a>(&'a self, item: &'a Item, limit: Duration) -> Written<'a> {
        Box::pin(self.change(limit, None, |contents| {
            let before = contents.items.len();
            contents.items.retain(|entry| !entry.is(item));
            if contents.items.len() == before { Err(Lookup::Absent) } else { Ok(()) }
        }))
    }

    fn read<'a>(&'a self, items: &'a [Item], _: Duration) -> LocalBoxFuture<'a, Vec<Lookup>> {
        // Writers rename: a reader needs no lock, and has nothing to wait for.
        Box::pin(async move {
            let open = match self.open() {
                Ok(Some(open)) => open,
                Ok(None) => return items.iter().map(|_| Lookup::Absent).collect(),
                Err(lookup) => return items.iter().map(|_| again(&lookup)).collect(),
            };
            let one = |item: &Item| match open.contents.items.iter().find(|entry| entry.is(item)) {
                Some(entry) => Lookup::Found(Zeroizing::new(entry.value.as_bytes().to_vec())),
                None => Lookup::Absent,
            };
            items.iter().map(one).collect()
        })
    }
}

impl StoreFile {
    /// What to do about a store file that does not exist and has no form.
    pub(super) fn unchosen(&self) -> String {
        let offered = super::offered_identity().unwrap_or_else(|| "identity.txt".into());
        format!(
            "there is no store file yet at {}: store on a terminal, which asks how it is to be opened, or set [store] identity = \"{}\"",
            shown(&self.path),
            shown(&offered)
        )
    }
}

impl FirstWrite {
    /// Where the store file will be.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// What to configure where nobody can be asked.
    pub fn advice(&self) -> String {
        self.file.unchosen()
    }

    /// Whether a passphrase can be its form here, told before anybody thinks of one.
    ///
    /// # Errors
    /// The keyring cannot be used.
    pub fn can_have_passphrase(&self) -> Result<(), String> {
        self.file.keyring_works()
    }

    /// Makes the store file (0600) and what it needs. Gives the files that were made: none where another writer was first.
    ///
    /// # Errors
    /// A [`Lookup`] that says why not; nothing is left behind then.
    pub async fn create(&self, form: &Form, limit: Duration) -> Result<Vec<PathBuf>, Lookup> {
        self.file.create(form, Instant::now() + limit).await
    }
}

fn no_keyring(why: &str) -> String {
    format!("{why}. Without it a store file opens by an identity file alone ([store] identity)")
}

/// The same failure for the next item.
fn again(failure: &Lookup) -> Lookup {
    match failure {
        Lookup::Locked(what) => Lookup::Locked(what.clone()),
        Lookup::Broken(why) => Lookup::Broken(why.clone()),
        other => unreachable!("opening a file does not end with {other:?}"),
    }
}

/// A file key that is known already.
struct Known(FileKey);

impl Identity for Known {
    fn unwrap_stanza(&self, _: &Stanza) -> Option<Result<age_core::format::FileKey, DecryptError>> {
        Some(Ok(age_core::format::FileKey::init_with_mut(|key| key.copy_from_slice(&*self.0))))
    }
}

/// The first of several identities that fits.
struct Any(Vec<x25519::Identity>);

impl Identity for Any {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<age_core::format::FileKey, DecryptError>> {
        self.0.iter().find_map(|identity| identity.unwrap_stanza(stanza))
    }
}

/// Hands on what another identity or recipient does, and keeps the file key that goes by.
struct Watch<'a, T: ?Sized> {
    inner: &'a T,
    seen: std::cell::RefCell<Option<FileKey>>,
}

impl<'a, T: ?Sized> Watch<'a, T> {
    fn new(inner: &'a T) -> Self {
        Watch { inner, seen: Default::default() }
    }

    fn see(&self, key: &age_core::format::FileKey) {
        *self.seen.borrow_mut() = Some(Zeroizing::new(*key.expose_secret()));
    }

    fn key(self) -> FileKey {
        self.seen.into_inner().expect("age used the key")
    }
}

impl<T: Identity + ?Sized> Identity for Watch<'_, T> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<age_core::format::FileKey, DecryptError>> {
        let unwrapped = self.inner.unwrap_stanza(stanza)?;
        if let Ok(key) = &unwrapped {
            self.see(key);
        }
        Some(unwrapped)
    }
}

impl<T: Recipient + ?Sized> Recipient for Watch<'_, T> {
    fn wrap_file_key(
        &self,
        key: &age_core::format::FileKey,
    ) -> Result<(Vec<Stanza>, std::collections::HashSet<String>), age::EncryptError> {
        self.see(key);
        self.inner.wrap_file_key(key)
    }
}

/// The file key and the contents. The header and every chunk are authenticated.
fn decrypt(
    sealed: &[u8],
    decryptor: Decryptor<&[u8]>,
    identity: &dyn Identity,
) -> Result<(FileKey, Zeroizing<Vec<u8>>), DecryptError> {
    let watch = Watch::new(identity);
    let mut reader = decryptor.decrypt(iter::once(&watch as &dyn Identity))?;
    // Room for all of it: a buffer that grows leaves pieces of the values behind in memory.
    let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
    reader.read_to_end(&mut plain).map_err(DecryptError::Io)?;
    Ok((watch.key(), plain))
}

/// A new file for this recipient alone.
fn encrypt(recipient: &dyn Recipient, contents: &Contents) -> Result<(FileKey, Vec<u8>), Lookup> {
    let failed = |why: &str| Lookup::Broken(format!("the store file cannot be encrypted: {why}"));
    let watch = Watch::new(recipient);
    let encryptor = Encryptor::with_recipients(iter::once(&watch as &dyn Recipient));
    let encryptor = encryptor.map_err(|_| failed("age refused the recipient"))?;
    let mut sealed = Vec::new();
    let write = || {
        let mut writer = encryptor.wrap_output(&mut sealed)?;
        writer.write_all(&plain(contents).map_err(|_| io::ErrorKind::InvalidData)?)?;
        writer.finish().map(drop)
    };
    write().map_err(|error: io::Error| failed(&error.to_string()))?;
    Ok((watch.key(), sealed))
}

/// The contents under a header that is there already: age's own form, with a nonce that was never used before.
fn seal(header: &[u8], key: &FileKey, plain: &[u8]) -> Result<Vec<u8>, Lookup> {
    let mut fresh = [0; 16];
    getrandom::fill(&mut fresh).map_err(|error| Lookup::Broken(format!("the system has no random bytes: {error}")))?;
    let payload_key = Zeroizing::new(hkdf(&fresh, b"payload", &**key));
    let cipher = ChaCha20Poly1305::new((&*payload_key).into());
    let mut sealed = [header, &fresh].concat();
    let last = plain.len().div_ceil(CHUNK) - 1;
    for (count, chunk) in plain.chunks(CHUNK).enumerate() {
        // Eleven bytes of counter, and one that says whether it is the last chunk.
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&(count as u64).to_be_bytes());
        nonce[11] = u8::from(count == last);
        let encrypted = cipher.encrypt((&nonce).into(), chunk);
        sealed.extend(encrypted.map_err(|_| Lookup::Broken("the store file cannot be encrypted".into()))?);
    }
    Ok(sealed)
}

/// An age file up to the end of the line with the header's authentication.
fn header(bytes: &[u8]) -> &[u8] {
    let last_line = bytes.windows(5).position(|w| w == b"\n--- ").map_or(0, |at| at + 1);
    let end = bytes[last_line..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| last_line + at + 1);
    &bytes[..end]
}

fn plain(contents: &Contents) -> Result<Zeroizing<Vec<u8>>, Lookup> {
    // Room for all of it: a buffer that grows leaves pieces of the values behind in memory.
    let text = |e: &Entry| e.service.len() + e.account.len() + e.name.len() + e.value.len();
    let room = contents.items.iter().map(|e| 6 * text(e) + 64).sum::<usize>() + 64;
    let mut plain = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *plain, contents).map_err(|_| Lookup::Broken("the store cannot be written".into()))?;
    Ok(plain)
}

/// The identities of a file that is this user's alone.
fn identities(path: &Path) -> Result<Vec<x25519::Identity>, String> {
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
fn make_identity(path: &Path) -> Result<bool, Lookup> {
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

/// For this user alone, and for this user whatever the umask is.
fn ours_alone(file: &File) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(0o600))
}

/// Makes the directory that this path is in, and those that lead there.
fn make_directory(of: &Path) -> Result<(), Lookup> {
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
fn sync_directory(of: &Path) {
    let _ = of.parent().map(File::open).map(|dir| dir.and_then(|dir| dir.sync_all()));
}

enum Unread {
    Io(io::Error),
    Refused(String),
}

/// Reads a regular file, after a look at what was opened.
fn read_checked(path: &Path, look: &dyn Fn(&fs::Metadata) -> Result<(), String>) -> Result<Vec<u8>, Unread> {
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

fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    read_checked(path, &|_| Ok(())).map_err(|error| match error {
        Unread::Io(error) => error,
        Unread::Refused(why) => io::Error::other(why),
    })
}

/// Writes a new file (0600) beside it, has the disk take it, and renames it over the old one. The caller keeps other
/// writers out, so the new file has one name, and what a killed writer left there is overwritten.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
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
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(ending);
    path.with_file_name(name)
}

/// The file that a path leads to, also where the last link leads to no file yet: renaming over a link would cut it.
fn real(path: &Path) -> PathBuf {
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
fn shown(path: &Path) -> String {
    path.display().to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    fn item(service: &str) -> Item {
        Item { service: service.into(), account: "a".into() }
    }

    fn secret(text: &str) -> Secret {
        Secret::parse(text.as_bytes()).unwrap()
    }

    fn write(file: &StoreFile, service: &str, value: &str) -> Result<(), Lookup> {
        run(file.write("NAME", &item(service), &secret(value), LIMIT))
    }

    fn read(file: &StoreFile, service: &str) -> Lookup {
        run(file.read(&[item(service)], LIMIT)).pop().unwrap()
    }

    fn found(value: &str) -> Lookup {
        Lookup::Found(Zeroizing::new(value.into()))
    }

    fn broken(lookup: Lookup) -> String {
        match lookup {
            Lookup::Broken(why) => why,
            other => panic!("{other:?}"),
        }
    }

    /// A directory, and a store file with an identity in it, neither of which exists yet.
    fn place() -> (tempfile::TempDir, StoreFile) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/store.age");
        let file = StoreFile::new(&path, Some(directory.path().join("config/identity.txt")));
        (directory, file)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn files(directory: &Path) -> Vec<String> {
        let names = fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn the_first_write_makes_both_files_for_this_user_alone() {
        let (directory, file) = place();
        assert_eq!(read(&file, "s"), Lookup::Absent);
        assert_eq!(files(directory.path()), Vec::<String>::new());
        write(&file, "s", "value").unwrap();
        assert_eq!(read(&file, "s"), found("value"));
        for (path, wanted) in
            [("data", 0o700), ("data/store.age", 0o600), ("config", 0o700), ("config/identity.txt", 0o600)]
        {
            assert_eq!(mode(&directory.path().join(path)), wanted, "{path}");
        }
    }

    #[test]
    fn of_many_that_make_one_identity_file_one_makes_it() {
        for _ in 0..20 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("config/identity.txt");
            let barrier = std::sync::Barrier::new(8);
            let made = || {
                barrier.wait();
                let made = make_identity(&path).unwrap();
                (made, identities(&path).unwrap()[0].to_public().to_string())
            };
            let all: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(made)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(all.iter().filter(|(made, _)| *made).count(), 1);
            assert!(all.iter().all(|(_, key)| *key == all[0].1), "two keys in one file");
            assert_eq!(files(path.parent().unwrap()), ["identity.txt"]);
        }
    }

    #[test]
    fn a_value_is_replaced_and_taken_away_and_the_others_stay() {
        let (_directory, file) = place();
        for (service, value) in [("one", "1"), ("two", "2"), ("one", "1 again")] {
            write(&file, service, value).unwrap();
        }
        assert_eq!(file.open().unwrap().unwrap().contents.items.len(), 2);
        assert_eq!(
            run(file.read(&[item("two"), item("no"), item("one")], LIMIT)),
            [found("2"), Lookup::Absent, found("1 again")]
        );
        assert_eq!(run(file.delete(&item("one"), LIMIT)), Ok(()));
        assert_eq!(run(file.delete(&item("one"), LIMIT)), Err(Lookup::Absent));
        assert_eq!((read(&file, "one"), read(&file, "two")), (Lookup::Absent, found("2")));
    }

    #[test]
    fn nothing_is_made_where_nobody_said_how_it_is_to_be_opened() {
        let directory = tempfile::tempdir().unwrap();
        let file = StoreFile::new(&directory.path().join("data/store.age"), None);
        let Err(Lookup::Unavailable(why)) = write(&file, "s", "value") else { panic!() };
        assert!(why.contains("[store] identity"), "{why}");
        assert_eq!(run(file.delete(&item("s"), LIMIT)), Err(Lookup::Absent));
        assert_eq!(files(directory.path()), Vec::<String>::new());
    }

    #[test]
    fn each_write_has_another_nonce_and_age_itself_opens_it() {
        let (directory, file) = place();
        write(&file, "s", "value").unwrap();
        let first = fs::read(&file.path).unwrap();
        write(&file, "s", "value").unwrap();
        let second = fs::read(&file.path).unwrap();
        let length = header(&first).len();
        assert_eq!(header(&first), header(&second));
        assert_ne!(first[length..length + 16], second[length..length + 16]);
        assert_ne!(first[length + 16..], second[length + 16..]);
        let identity = identities(&directory.path().join("config/identity.txt")).unwrap().remove(0);
        let plain = age::decrypt(&identity, &second).unwrap();
        assert_eq!(
            String::from_utf8(plain).unwrap(),
            r#"{"version":1,"items":[{"service":"s","account":"a","name":"NAME","value":"value"}]}"#
        );
    }

    #[test]
    fn contents_of_every_length_around_a_chunk_are_opened_by_age() {
        let identity = x25519::Identity::generate();
        let (key, small) = encrypt(&identity.to_public(), &Contents::default()).unwrap();
        for length in [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
            let plain: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let sealed = seal(header(&small), &key, &plain).unwrap();
            assert!(age::decrypt(&identity, &sealed).unwrap() == plain, "{length}");
        }
    }

    #[test]
    fn recipients_that_somebody_added_by_hand_stay() {
        let (directory, file) = place();
        write(&file, "s", "value").unwrap();
        let own = identities(&directory.path().join("config/identity.txt")).unwrap().remove(0);
        let backup = x25519::Identity::generate();
        let plain = age::decrypt(&own, &fs::read(&file.path).unwrap()).unwrap();
        let both: [&dyn Recipient; 2] = [&backup.to_public(), &own.to_public()];
        let mut sealed = Vec::new();
        let mut writer = Encryptor::with_recipients(both.into_iter()).unwrap().wrap_output(&mut sealed).unwrap();
        writer.write_all(&plain).unwrap();
        writer.finish().unwrap();
        fs::write(&file.path, &sealed).unwrap();
        write(&file, "t", "another").unwrap();
        assert_eq!((read(&file, "s"), read(&file, "t")), (found("value"), found("another")));
        let plain = age::decrypt(&backup, &fs::read(&file.path).unwrap()).unwrap();
        assert!(String::from_utf8(plain).unwrap().contains("another"));
    }

    #[test]
    fn an_identity_that_others_may_read_is_not_read() {
        let (directory, file) = place();
        write(&file, "s", "value").unwrap();
        let identity = directory.path().join("config/identity.txt");
        let before = fs::read(&file.path).unwrap();
        for wrong in [0o644, 0o640, 0o660, 0o700, 0o604, 0o4600] {
            fs::set_permissions(&identity, fs::Permissions::from_mode(wrong)).unwrap();
            let why = broken(read(&file, "s"));
            let shown = identity.display();
            let wanted = format!("the identity file {shown} has mode {wrong:04o}, must have 0600: chmod 600 {shown}");
            assert_eq!(why, wanted);
            assert_eq!(broken(write(&file, "s", "new").unwrap_err()), wanted);
        }
        assert_eq!(fs::read(&file.path).unwrap(), before);
        fs::set_permissions(&identity, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&file, "s"), found("value"));
        // Only root can give a file away.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&identity, Some(65_534), None).unwrap();
            assert!(broken(read(&file, "s")).ends_with(" belongs to another user"));
        }
    }

    #[test]
    fn every_identity_file_that_is_none_has_its_own_words() {
        let (directory, file) = place();
        write(&file, "s", "value").unwrap();
        let identity = directory.path().join("config/identity.txt");
        let put = |text: &str| fs::write(&identity, text).unwrap();
        put("# nothing\n");
        assert!(broken(read(&file, "s")).ends_with(" holds no identity"));
        put("AGE-SECRET-KEY-1NONSENSE\n");
        let why = broken(read(&file, "s"));
        assert!(why.ends_with(" holds a line that is no age identity (AGE-SECRET-KEY-1…)"), "{why}");
        assert!(!why.contains("NONSENSE"));
        put("age-encryption.org/v1\n-> scrypt x 18\n");
        assert!(broken(read(&file, "s")).contains(" is encrypted itself"));
        put(x25519::Identity::generate().to_string().expose_secret());
        assert!(broken(read(&file, "s")).contains(" does not open the store file "));
        fs::remove_file(&identity).unwrap();
        let why = broken(read(&file, "s"));
        let next = format!(" does not exist: put it back, or move {} away and store anew", file.path.display());
        assert!(why.ends_with(&next), "{why}");
        // The identity that the file was made with is lost: a new one would not help.
        broken(write(&file, "s", "new").unwrap_err());
        assert!(!identity.exists());
    }

    #[test]
    fn a_file_that_lost_one_byte_or_has_one_changed_is_told_and_kept() {
        let (_directory, file) = place();
        write(&file, "s", "hunter2-hunter2").unwrap();
        let good = fs::read(&file.path).unwrap();
        for at in (0..good.len()).step_by(7).chain([good.len() - 1]) {
            let mut changed = good.clone();
            changed[at] ^= 1;
            for bad in [changed, good[..at].to_vec()] {
                fs::write(&file.path, &bad).unwrap();
                let why = broken(read(&file, "s"));
                assert!(!why.contains("hunter2") && why.lines().count() == 1, "{why}");
                assert_eq!(broken(write(&file, "s", "new").unwrap_err()), why);
                assert_eq!(fs::read(&file.path).unwrap(), bad);
            }
        }
        fs::write(&file.path, &good).unwrap();
        assert_eq!(read(&file, "s"), found("hunter2-hunter2"));
    }

    #[test]
    fn contents_that_this_raxx_does_not_know_are_neither_read_nor_rewritten() {
        let (directory, file) = place();
        write(&file, "s", "value").unwrap();
        let identity = identities(&directory.path().join("config/identity.txt")).unwrap().remove(0);
        for (text, words) in [
            (r#"{"version":2,"items":{}}"#, "was written by a newer raxx (version 2)"),
            (r#"{"version":1,"items":[{"hunter2":1}]}"#, "holds a store that raxx cannot read"),
            ("hunter2", "holds something else than a store"),
            (r#"["hunter2"]"#, "holds something else than a store"),
        ] {
            let sealed = age::encrypt(&identity.to_public(), text.as_bytes()).unwrap();
            fs::write(&file.path, &sealed).unwrap();
            let why = broken(read(&file, "s"));
            assert!(why.ends_with(words) && !why.contains("hunter2"), "{why}");
            assert_eq!(broken(write(&file, "s", "new").unwrap_err()), why);
            assert_eq!(fs::read(&file.path).unwrap(), sealed);
        }
    }

    #[test]
    fn a_write_goes_through_links_to_the_file_itself() {
        let (directory, file) = place();
        write(&file, "s", "value").unwrap();
        let link = directory.path().join("link.age");
        symlink("data/store.age", &link).unwrap();
        let linked = StoreFile::new(&link, file.identity.clone());
        write(&linked, "s", "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(read(&file, "s"), found("new"));
        // A link to what does not exist yet, too.
        let ahead = directory.path().join("ahead.age");
        symlink("data/second.age", &ahead).unwrap();
        write(&StoreFile::new(&ahead, file.identity.clone()), "s", "second").unwrap();
        assert!(fs::symlink_metadata(&ahead).unwrap().is_symlink());
        assert!(directory.path().join("data/second.age").is_file());
    }

    #[test]
    fn a_pipe_in_its_place_is_not_waited_for() {
        let (directory, file) = place();
        fs::create_dir(directory.path().join("data")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&file.path).status().unwrap().success());
        assert!(broken(read(&file, "s")).ends_with(" cannot be read: it is no regular file"));
    }

    #[test]
    fn a_writer_waits_for_the_other_one_no_longer_than_it_was_given() {
        let (_directory, file) = place();
        write(&file, "s", "value").unwrap();
        let lock = run(file.locked_until(Instant::now())).unwrap();
        let begun = Instant::now();
        let written = run(file.write("NAME", &item("s"), &secret("new"), Duration::from_millis(60)));
        assert_eq!(written, Err(Lookup::TimedOut));
        assert!(begun.elapsed() >= Duration::from_millis(60) && begun.elapsed() < LIMIT);
        assert_eq!(read(&file, "s"), found("value"));
        drop(lock);
        write(&file, "s", "new").unwrap();
    }

    #[test]
    fn what_a_killed_writer_left_is_no_hindrance() {
        let (directory, file) = place();
        write(&file, "s", "value").unwrap();
        fs::write(beside(&file.path, ".new"), "half").unwrap();
        write(&file, "s", "new").unwrap();
        assert_eq!(read(&file, "s"), found("new"));
        assert_eq!(files(&directory.path().join("data")), [".store.age.lock", "store.age"]);
    }

    #[test]
    fn a_passphrase_is_refused_where_it_is_none_or_opens_nothing() {
        let (_directory, file) = place();
        let Err(Refused::Nothing(why)) = file.unlock(&secret("x")) else { panic!() };
        assert!(why.starts_with("there is no store file at "), "{why}");
        write(&file, "s", "value").unwrap();
        let Err(Refused::Nothing(why)) = file.unlock(&secret("x")) else { panic!() };
        assert!(why.ends_with("there is nothing to unlock"), "{why}");
    }
}
