//! What the store file contains once it is decrypted: JSON with a version.

use std::path::Path;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::files::shown;
use crate::store::{Item, StoreError};

/// The version of the contents; raised when a field changes its meaning or is added.
pub(super) const VERSION: u32 = 1;

/// What the file holds.
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
    /// For who reads it by hand.
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
    // serde_json's words may quote what they do not like, and here that is a secret.
    serde_json::from_slice(plain).map_err(|_| format!("the store file {path} contains a store that raxx cannot read"))
}

/// The contents as they are encrypted.
pub(super) fn plain(contents: &Contents) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    // Room for all of it: a buffer that grows leaves pieces of the values behind in memory.
    let text = |e: &Entry| e.service.len() + e.account.len() + e.name.len() + e.value.len();
    let room = contents.items.iter().map(|e| 6 * text(e) + 64).sum::<usize>() + 64;
    let mut plain = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *plain, contents)
        .map_err(|_| StoreError::Broken("the store cannot be written".into()))?;
    Ok(plain)
}
