//! The decrypted contents of the store file: JSON with a version.

use std::path::Path;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::files::shown;
use crate::store::{Item, StoreError};

/// The version of the contents; raised when a field is added or changes its meaning.
pub(super) const VERSION: u32 = 1;

/// The contents of the file.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contents {
    pub(super) version: u32,
    pub(super) items: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) service: String,
    pub(super) account: String,
    /// For a person who reads the file by hand.
    pub(super) name: String,
    pub(super) value: Zeroizing<String>,
}

impl Entry {
    pub(super) fn is(&self, item: &Item) -> bool {
        self.service == item.service && self.account == item.account
    }
}

/// Reads the decrypted contents of the store file at `path`.
pub(super) fn parse(path: &Path, plain: &[u8]) -> Result<Contents, String> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let path = shown(path);
    match serde_json::from_slice(plain) {
        Ok(Versioned { version: VERSION }) => {}
        Ok(Versioned { version }) => {
            return Err(format!("the store file {path} was written by a newer raxx (version {version})"));
        }
        Err(_) => return Err(format!("the store file {path} does not contain a raxx store")),
    }
    // serde_json's message can quote the invalid input, which here is a secret.
    serde_json::from_slice(plain).map_err(|_| format!("the store file {path} contains a store that raxx cannot read"))
}

/// The contents in the form to encrypt.
pub(super) fn plain(contents: &Contents) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    // Allocate everything at once: a growing buffer leaves pieces of the values in memory.
    let text = |e: &Entry| e.service.len() + e.account.len() + e.name.len() + e.value.len();
    let room = contents.items.iter().map(|e| 6 * text(e) + 64).sum::<usize>() + 64;
    let mut plain = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *plain, contents)
        .map_err(|_| StoreError::Broken("the store cannot be written".into()))?;
    Ok(plain)
}
