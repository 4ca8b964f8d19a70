//! The first write: a store file is made, in the form that the configuration or a person chooses.

use std::io;
use std::iter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use age::scrypt;

use super::contents::{Contents, VERSION};
use super::identity::{identities, make_identity};
use super::sealed::encrypt;
use super::{StoreFile, no_keyring, resolved};
use crate::files::{self, shown};
use crate::store::{FirstWrite, Form, StoreError, keyring};

/// The work that guessing one passphrase costs, as a power of two: below a second on the machines of today.
const WORK: u8 = 17;

impl StoreFile {
    /// Makes an empty store file of this form, and the identity file where it is not there. Gives the files that were
    /// made: none where another writer was first.
    pub(super) async fn create(&self, form: &Form, until: Instant) -> Result<Vec<PathBuf>, StoreError> {
        if self.exists() {
            return Ok(Vec::new());
        }
        if matches!(form, Form::Passphrase(_)) {
            // Without a keyring the file could not be used.
            self.keyring_works().map_err(StoreError::Broken)?;
        }
        let failed = |error: io::Error| StoreError::Broken(format!("{} cannot be made: {error}", shown(&self.path)));
        files::make_directory_of(&self.path).map_err(failed)?;
        let _lock = self.locked_until(until).await?;
        if self.exists() {
            return Ok(Vec::new());
        }
        let empty = Contents { version: VERSION, items: Vec::new() };
        match form {
            Form::Identity(path) => {
                let path = resolved(path);
                // It stays, whatever comes next: another store file may be encrypted to it already.
                let made = make_identity(&path)?;
                let recipient = identities(&path).map_err(StoreError::Broken)?[0].to_public();
                let (_, sealed) = encrypt(&recipient, &empty)?;
                self.replace(&sealed)?;
                Ok(iter::once(self.path.clone()).chain(made.then_some(path)).collect())
            }
            Form::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(passphrase.expose().into());
                recipient.set_work_factor(WORK);
                let (key, sealed) = encrypt(&recipient, &empty)?;
                // First the keyring: a file whose key did not get there would be there, and locked.
                keyring::put(&self.key_name(), &key).map_err(|why| StoreError::Broken(no_keyring(&why)))?;
                let written = self.replace(&sealed);
                if written.is_err() {
                    let _ = self.lock();
                }
                written.map(|()| vec![self.path.clone()])
            }
        }
    }

    /// What to do about a store file that does not exist and has no form.
    pub(super) fn unchosen(&self) -> String {
        let offered = self.offered.clone().unwrap_or_else(|| "identity.txt".into());
        format!(
            "there is no store file yet at {}: run raxx store in a terminal to choose how to protect it, or set [store] identity = \"{}\"",
            shown(&self.path),
            shown(&offered)
        )
    }
}

impl FirstWrite {
    /// Where the store file will be.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The identity file to offer.
    pub(crate) fn offered_identity(&self) -> Option<PathBuf> {
        self.file.offered.clone()
    }

    /// What to configure where nobody can be asked.
    pub(crate) fn advice(&self) -> String {
        self.file.unchosen()
    }

    /// Whether a passphrase can be its form here, told before anybody thinks of one.
    ///
    /// # Errors
    /// The keyring cannot be used.
    pub(crate) fn can_have_passphrase(&self) -> Result<(), String> {
        self.file.keyring_works()
    }

    /// Makes the store file (0600) and what it needs. Gives the files that were made: none where another writer was first.
    ///
    /// # Errors
    /// Why not; nothing is left behind then.
    pub(crate) async fn create(&self, form: &Form, limit: Duration) -> Result<Vec<PathBuf>, StoreError> {
        self.file.create(form, Instant::now() + limit).await
    }
}
