//! The age format: decrypting with a known key or an identity, and encrypting again under the same header.

use std::io::{self, Read as _, Write as _};
use std::iter;

use age::secrecy::ExposeSecret as _;
use age::{DecryptError, Decryptor, Encryptor, Identity, Recipient, x25519};
use age_core::format::Stanza;
use age_core::primitives::hkdf;
use chacha20poly1305::aead::Aead as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use zeroize::Zeroizing;

use super::contents::{Contents, plain};
use crate::store::StoreError;
use crate::store::keyring::FileKey;

/// age encrypts in chunks of this size.
pub(super) const CHUNK: usize = 64 << 10;

/// A known file key, used as an identity.
pub(super) struct Known(pub FileKey);

impl Identity for Known {
    fn unwrap_stanza(&self, _: &Stanza) -> Option<Result<age_core::format::FileKey, DecryptError>> {
        Some(Ok(age_core::format::FileKey::init_with_mut(|key| key.copy_from_slice(&*self.0))))
    }
}

/// Several identities, of which the first that matches is used.
pub(super) struct Any(pub Vec<x25519::Identity>);

impl Identity for Any {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<age_core::format::FileKey, DecryptError>> {
        self.0.iter().find_map(|identity| identity.unwrap_stanza(stanza))
    }
}

/// Wraps an identity or recipient and records the file key that passes through it.
struct KeyCapture<'a, T: ?Sized> {
    inner: &'a T,
    key: std::cell::RefCell<Option<FileKey>>,
}

impl<'a, T: ?Sized> KeyCapture<'a, T> {
    fn new(inner: &'a T) -> Self {
        KeyCapture { inner, key: std::cell::RefCell::default() }
    }

    fn record(&self, key: &age_core::format::FileKey) {
        *self.key.borrow_mut() = Some(Zeroizing::new(*key.expose_secret()));
    }

    fn key(self) -> FileKey {
        self.key.into_inner().expect("age used the key")
    }
}

impl<T: Identity + ?Sized> Identity for KeyCapture<'_, T> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<age_core::format::FileKey, DecryptError>> {
        let unwrapped = self.inner.unwrap_stanza(stanza)?;
        if let Ok(key) = &unwrapped {
            self.record(key);
        }
        Some(unwrapped)
    }
}

impl<T: Recipient + ?Sized> Recipient for KeyCapture<'_, T> {
    fn wrap_file_key(
        &self,
        key: &age_core::format::FileKey,
    ) -> Result<(Vec<Stanza>, std::collections::HashSet<String>), age::EncryptError> {
        self.record(key);
        self.inner.wrap_file_key(key)
    }
}

/// Returns the file key and the contents. The header and every chunk are authenticated.
pub(super) fn decrypt(
    sealed: &[u8],
    decryptor: Decryptor<&[u8]>,
    identity: &dyn Identity,
) -> Result<(FileKey, Zeroizing<Vec<u8>>), DecryptError> {
    let capture = KeyCapture::new(identity);
    let mut reader = decryptor.decrypt(iter::once(&capture as &dyn Identity))?;
    // Allocate everything at once: a growing buffer leaves pieces of the values in memory.
    let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
    reader.read_to_end(&mut plain).map_err(DecryptError::Io)?;
    Ok((capture.key(), plain))
}

/// Encrypts the contents into a new file for this recipient only.
pub(super) fn encrypt(recipient: &dyn Recipient, contents: &Contents) -> Result<(FileKey, Vec<u8>), StoreError> {
    let failed = |why: &str| StoreError::Broken(format!("the store file cannot be encrypted: {why}"));
    let capture = KeyCapture::new(recipient);
    let encryptor = Encryptor::with_recipients(iter::once(&capture as &dyn Recipient));
    let encryptor = encryptor.map_err(|_| failed("age refused the recipient"))?;
    let mut sealed = Vec::new();
    let write = || {
        let mut writer = encryptor.wrap_output(&mut sealed)?;
        writer.write_all(&plain(contents).map_err(|_| io::ErrorKind::InvalidData)?)?;
        writer.finish().map(drop)
    };
    write().map_err(|error: io::Error| failed(&error.to_string()))?;
    Ok((capture.key(), sealed))
}

/// Encrypts the contents under an existing header, in age's own format with a nonce that was never used before.
pub(super) fn seal(header: &[u8], key: &FileKey, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut fresh = [0; 16];
    getrandom::fill(&mut fresh)
        .map_err(|error| StoreError::Broken(format!("the system has no random bytes: {error}")))?;
    let payload_key = Zeroizing::new(hkdf(&fresh, b"payload", &**key));
    let cipher = ChaCha20Poly1305::new((&*payload_key).into());
    let mut sealed = [header, &fresh].concat();
    let last = plain.len().div_ceil(CHUNK) - 1;
    for (count, chunk) in plain.chunks(CHUNK).enumerate() {
        // Eleven bytes of counter, and one byte that marks the last chunk.
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&(count as u64).to_be_bytes());
        nonce[11] = u8::from(count == last);
        let encrypted = cipher.encrypt((&nonce).into(), chunk);
        sealed.extend(encrypted.map_err(|_| StoreError::Broken("the store file cannot be encrypted".into()))?);
    }
    Ok(sealed)
}

/// The header of an age file, including the line with its MAC.
pub(super) fn header(bytes: &[u8]) -> &[u8] {
    let last_line = bytes.windows(5).position(|w| w == b"\n--- ").map_or(0, |at| at + 1);
    let end = bytes[last_line..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| last_line + at + 1);
    &bytes[..end]
}
