//! The first write: creating a store file, protected in the way that the configuration or a person chooses.

use std::io;
use std::iter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use age::scrypt;

use super::contents::{Contents, VERSION};
use super::identity::{create_identity, identities};
use super::sealed::encrypt;
use super::{StoreFile, no_keyring, resolved};
use crate::files::{self, shown};
use crate::store::{FirstWrite, Form, StoreError, keyring};

/// The scrypt work factor, as a power of two: less than a second on current machines.
const WORK: u8 = 17;

impl StoreFile {
    /// Creates an empty store file with this protection, and the identity file if it does not exist. Returns the
    /// files that were created; empty if another process was first.
    pub(super) async fn create(&self, form: &Form, until: Instant) -> Result<Vec<PathBuf>, StoreError> {
        if self.exists() {
            return Ok(Vec::new());
        }
        if matches!(form, Form::Passphrase(_)) {
            // Without a keyring the file could not be used.
            self.keyring_works().map_err(StoreError::Broken)?;
        }
        let failed = |error: io::Error| StoreError::Broken(format!("{} cannot be created: {error}", shown(&self.path)));
        files::make_directory_of(&self.path).map_err(failed)?;
        let _lock = self.lock_until(until).await?;
        if self.exists() {
            return Ok(Vec::new());
        }
        let empty = Contents { version: VERSION, items: Vec::new() };
        match form {
            Form::Identity(path) => {
                let path = resolved(path);
                // It is kept even if the next step fails: another store file can already be encrypted to it.
                let made = create_identity(&path)?;
                let recipient = identities(&path).map_err(StoreError::Broken)?[0].to_public();
                let (_, sealed) = encrypt(&recipient, &empty)?;
                self.replace(&sealed)?;
                Ok(iter::once(self.path.clone()).chain(made.then_some(path)).collect())
            }
            Form::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(passphrase.expose().into());
                recipient.set_work_factor(WORK);
                let (key, sealed) = encrypt(&recipient, &empty)?;
                // The keyring first: if the key could not be saved, the file would exist but be locked.
                keyring::put(&self.key_name(), &key).map_err(|why| StoreError::Broken(no_keyring(&why)))?;
                let written = self.replace(&sealed);
                if written.is_err() {
                    let _ = self.lock();
                }
                written.map(|()| vec![self.path.clone()])
            }
        }
    }

    /// The message about a store file that does not exist and for which no protection is configured.
    pub(super) fn not_configured(&self) -> String {
        let offered = self.offered.clone().unwrap_or_else(|| "identity.txt".into());
        format!(
            "there is no store file yet at {}: run raxx store in a terminal to choose how to protect it, or set [store] identity = \"{}\"",
            shown(&self.path),
            shown(&offered)
        )
    }
}

impl FirstWrite {
    /// The path of the future store file.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The identity file to offer.
    pub(crate) fn offered_identity(&self) -> Option<PathBuf> {
        self.file.offered.clone()
    }

    /// What to configure if there is no one to ask.
    pub(crate) fn advice(&self) -> String {
        self.file.not_configured()
    }

    /// Checks that a passphrase can protect it on this machine, before a person has to choose one.
    ///
    /// # Errors
    /// The keyring cannot be used.
    pub(crate) fn can_have_passphrase(&self) -> Result<(), String> {
        self.file.keyring_works()
    }

    /// Creates the store file (0600) and what it needs. Returns the files that were created; empty if another process
    /// was first.
    ///
    /// # Errors
    /// Why not; nothing is left behind.
    pub(crate) async fn create(&self, form: &Form, limit: Duration) -> Result<Vec<PathBuf>, StoreError> {
        self.file.create(form, Instant::now() + limit).await
    }
}
