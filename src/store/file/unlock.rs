//! Unlocking with a passphrase: it decrypts the store file once, and the key stays in the kernel's keyring.

use age::{DecryptError, scrypt};

use super::sealed::decrypt;
use super::{StoreFile, no_keyring};
use crate::files::shown;
use crate::secret::Secret;
use crate::store::keyring;

/// The highest accepted work factor: half a minute and a gigabyte of memory.
const MAX_WORK: u8 = 20;

/// Why a passphrase did not unlock it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UnlockError {
    WrongPassphrase,
    /// There is nothing to unlock: the file does not exist, or it is opened with an identity file.
    Nothing(String),
    Broken(String),
}

impl StoreFile {
    /// Checks that there is something to unlock, before a person types a passphrase.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn can_be_unlocked(&self) -> Result<(), UnlockError> {
        let bytes = self.to_unlock()?;
        let decryptor = self.decryptor(&bytes).map_err(UnlockError::Broken)?;
        if !decryptor.is_scrypt() {
            let why = "is opened with an identity file, not a passphrase: there is nothing to unlock";
            return Err(UnlockError::Nothing(format!("the store file {} {why}", shown(&self.path))));
        }
        self.keyring_works().map_err(UnlockError::Broken)
    }

    pub(super) fn keyring_works(&self) -> Result<(), String> {
        keyring::get(&self.key_name()).map(drop).map_err(|why| no_keyring(&why))
    }

    fn to_unlock(&self) -> Result<Vec<u8>, UnlockError> {
        let none = || UnlockError::Nothing(format!("there is no store file at {} to unlock", shown(&self.path)));
        self.bytes().map_err(UnlockError::Broken)?.ok_or_else(none)
    }

    /// Decrypts the file with the passphrase and saves its key in the kernel's keyring.
    ///
    /// # Errors
    /// Why not; nothing is changed.
    pub(crate) fn unlock(&self, passphrase: &Secret) -> Result<(), UnlockError> {
        self.can_be_unlocked()?;
        let bytes = self.to_unlock()?;
        let decryptor = self.decryptor(&bytes).map_err(UnlockError::Broken)?;
        let mut identity = scrypt::Identity::new(passphrase.expose().into());
        identity.set_max_work_factor(MAX_WORK);
        let (key, _) = decrypt(&bytes, decryptor, &identity).map_err(|error| match error {
            DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => UnlockError::WrongPassphrase,
            error => UnlockError::Broken(self.unusable(&error)),
        })?;
        keyring::put(&self.key_name(), &key).map_err(|why| UnlockError::Broken(no_keyring(&why)))
    }

    /// Removes its key from the kernel's keyring; returns whether it was there.
    ///
    /// # Errors
    /// The keyring cannot be used.
    pub(crate) fn lock(&self) -> Result<bool, String> {
        keyring::remove(&self.key_name())
    }
}
