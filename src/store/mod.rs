//! The machine's secret store behind one trait: the macOS Keychain, the Linux Secret Service, an encrypted file.
//!
//! Reading never opens a dialog, never unlocks anything and never takes longer than its time limit. Each reason why a
//! store cannot return a value has its own [`StoreError`], because each needs a different next step from a person.

pub(crate) mod update;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use zeroize::Zeroizing;

use crate::secret::Secret;

pub(crate) use error::{Answer, Bytes, StoreError, StoreFuture};
pub(crate) use file::{StoreFile, UnlockError};
pub(crate) use keyring::KEPT_HOURS;
pub(crate) use settings::{Backend, StoreSettings};

#[cfg(target_os = "linux")]
mod auto;
mod error;
mod file;
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
mod thread;
// This logic is tested on every system; only macOS has a keychain to use it on.
#[cfg_attr(not(any(target_os = "macos", test)), allow(dead_code))]
mod keychain;
#[cfg(target_os = "macos")]
mod keychain_macos;
mod keyring;
#[cfg(target_os = "linux")]
mod secret_service;
mod settings;

/// The attributes that identify a value in a store: those of `security -s … -a …` and of `secret-tool store service …
/// account …`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "ItemForm")]
pub(crate) struct Item {
    pub service: String,
    pub account: String,
}

impl Item {
    /// An item that does not exist: reading it tells whether the store works.
    pub(crate) fn probe() -> Item {
        Item { service: "raxx".into(), account: "raxx".into() }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, expecting = "{ service = \"…\", account = \"…\" }")]
struct ItemForm {
    service: String,
    account: String,
}

impl TryFrom<ItemForm> for Item {
    type Error = &'static str;

    fn try_from(form: ItemForm) -> Result<Item, &'static str> {
        // A NUL would make D-Bus close the connection, which would also fail every other item.
        if [&form.service, &form.account].iter().all(|t| !t.is_empty() && !t.chars().any(char::is_control)) {
            Ok(Item { service: form.service, account: form.account })
        } else {
            Err("service and account must not be empty or contain control characters")
        }
    }
}

/// What a person must do before a store returns an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// A command to type.
    Type(String),
    /// Instructions, if no command does it.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))] // the Keychain has a command for everything
    Do(String),
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(command) => write!(f, "type: {command}"),
            Self::Do(words) => f.write_str(words),
        }
    }
}

/// A part of a store that is locked with its own password.
pub(crate) struct Keyring {
    /// The name in messages: "the login collection".
    pub name: String,
    /// Its path in the store.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    path: String,
}

/// A place on this machine that keeps secrets.
pub(crate) trait Store {
    /// The name in messages, as in `not in env or Keychain`.
    fn name(&self) -> &'static str;

    /// The store that gave the last answer about this item. Two combined stores have different names and are unlocked
    /// in different ways.
    fn backend_for(&self, item: &Item) -> &dyn Store;

    /// How to unlock the store, or to grant permission to read this item.
    fn unlock_hint(&self, item: &Item) -> Remedy;

    /// Stores a value, replacing an existing one. Never opens a dialog and never unlocks.
    ///
    /// # Errors
    /// Why not; nothing is changed.
    fn write<'a>(&'a self, name: &'a str, item: &'a Item, value: &'a Secret, limit: Duration) -> StoreFuture<'a, ()>;

    /// Deletes the item and returns whether there was one.
    ///
    /// # Errors
    /// Why not; nothing is changed.
    fn delete<'a>(&'a self, item: &'a Item, limit: Duration) -> StoreFuture<'a, bool>;

    /// Recreates an item that the store guards with a dialog so that it can be read silently: reads it once, through
    /// the dialog that a person answers, and writes it again. Returns whether the item exists.
    ///
    /// # Errors
    /// Why not; the value is kept.
    fn repair<'a>(&'a self, _name: &'a str, item: &'a Item) -> StoreFuture<'a, bool> {
        // Only the Keychain has such items. Other stores read silently whatever they can read.
        Box::pin(async move { Ok(read_one(self, item, Duration::from_secs(5)).await?.is_some()) })
    }

    /// Checks whether the store can accept a new item, before a person types its value.
    ///
    /// # Errors
    /// Why not.
    fn accepts_new<'a>(&'a self, _item: &'a Item, _limit: Duration) -> StoreFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// The locked parts of this store that [`Store::unlock_keyring`] can unlock with a password; empty if nothing is
    /// locked.
    ///
    /// # Errors
    /// Why this is unknown, or how to unlock it instead.
    fn locked_keyrings<'a>(&'a self, _items: &'a [Item], _limit: Duration) -> StoreFuture<'a, Vec<Keyring>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Whether it has keyrings that raxx can unlock.
    fn keeps_keyrings(&self) -> bool {
        false
    }

    /// Unlocks the keyring, and returns whether the password was correct.
    ///
    /// # Errors
    /// Why the password could not be tried.
    fn unlock_keyring<'a>(
        &'a self,
        keyring: &'a Keyring,
        _password: Zeroizing<Vec<u8>>,
        _limit: Duration,
    ) -> StoreFuture<'a, bool> {
        let why = format!("{} is not unlocked by a password", keyring.name);
        Box::pin(std::future::ready(Err(StoreError::Unfit(why))))
    }

    /// What must be created before the first write; `None` if nothing. Answers within `limit`.
    fn first_write(&self, _limit: Duration) -> LocalBoxFuture<'_, Option<FirstWrite>> {
        Box::pin(std::future::ready(None))
    }

    /// Reads the items and returns the answers in the same order. Answers that do not arrive within `limit` are
    /// [`StoreError::TimedOut`].
    fn read<'a>(&'a self, items: &'a [Item], limit: Duration) -> LocalBoxFuture<'a, Vec<Answer>>;
}

/// Reads one item.
///
/// # Errors
/// Why not.
pub(crate) async fn read_one<S: Store + ?Sized>(store: &S, item: &Item, limit: Duration) -> Answer {
    store.read(std::slice::from_ref(item), limit).await.pop().unwrap_or(Err(StoreError::TimedOut))
}

/// How a new store file is protected.
pub(crate) enum Form {
    /// With an identity file, which is created if it does not exist: for unattended machines.
    Identity(PathBuf),
    /// With a passphrase, typed once after each restart of the machine.
    Passphrase(Secret),
}

/// What the first write needs: a new store file.
pub(crate) struct FirstWrite {
    file: StoreFile,
    /// The configured identity file. If set, the person is not asked how to protect the file.
    pub identity: Option<PathBuf>,
}

/// Returns the configured store. It does not connect to, start or read anything until it is first used.
pub(crate) fn open(settings: &StoreSettings) -> Box<dyn Store> {
    let file = store_file(settings);
    match (settings.backend, file) {
        #[cfg(target_os = "macos")]
        (Backend::Auto | Backend::Keychain, _) => Box::new(keychain::Keychain::new(keychain_macos::System)),
        #[cfg(target_os = "linux")]
        (Backend::Auto, Some(file)) => Box::new(auto::Auto::new(secret_service::SecretService::default(), file)),
        #[cfg(target_os = "linux")]
        (Backend::Auto | Backend::SecretService, _) => Box::new(secret_service::SecretService::default()),
        (_, Some(file)) => Box::new(file),
        (_, None) => Box::new(Nowhere),
    }
}

/// The store file, if the configured backend can use one.
pub(crate) fn store_file(settings: &StoreSettings) -> Option<StoreFile> {
    let wanted = match settings.backend {
        Backend::Auto => !cfg!(target_os = "macos"),
        Backend::File => true,
        Backend::Keychain | Backend::SecretService => false,
    };
    settings
        .path
        .as_ref()
        .filter(|_| wanted)
        .map(|path| StoreFile::new(path, settings.identity.clone()).offering(settings.offered_identity.clone()))
}

/// The message about a failed store operation, in one line with what to type next.
pub(crate) fn why_not(error: &StoreError, item: &Item, store: &dyn Store) -> String {
    let store = store.backend_for(item);
    let name = store.name();
    match error {
        StoreError::Locked(what) => format!("{what} is locked; {}", store.unlock_hint(item)),
        StoreError::Consent(why) => format!("the {name} needs your permission: {why}; {}", store.unlock_hint(item)),
        StoreError::Unavailable(why) => format!("there is no {name} here: {why}"),
        StoreError::Unreachable(why) | StoreError::Broken(why) => format!("the {name} does not work: {why}"),
        StoreError::Unfit(why) => format!("the {name} cannot keep this value: {why}"),
        StoreError::TimedOut => format!("the {name} did not answer in time"),
    }
}

/// The message about an item that is not in the store.
pub(crate) fn not_there(item: &Item, store: &dyn Store) -> String {
    format!("it is not in the {}", store.backend_for(item).name())
}

/// The store of a user without a home directory to keep a store file in.
struct Nowhere;

impl Nowhere {
    fn why() -> StoreError {
        StoreError::Unavailable("there is no home directory to keep it in".into())
    }
}

impl Store for Nowhere {
    fn name(&self) -> &'static str {
        "store file"
    }

    fn backend_for(&self, _: &Item) -> &dyn Store {
        self
    }

    fn unlock_hint(&self, _: &Item) -> Remedy {
        Remedy::Type("raxx unlock".into())
    }

    fn write<'a>(&'a self, _: &'a str, _: &'a Item, _: &'a Secret, _: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async { Err(Nowhere::why()) })
    }

    fn delete<'a>(&'a self, _: &'a Item, _: Duration) -> StoreFuture<'a, bool> {
        Box::pin(async { Err(Nowhere::why()) })
    }

    fn read<'a>(&'a self, items: &'a [Item], _: Duration) -> LocalBoxFuture<'a, Vec<Answer>> {
        Box::pin(async move { items.iter().map(|_| Err(Nowhere::why())).collect() })
    }
}

/// Quotes text for a command line that a person will copy into a shell.
fn quoted(text: &str) -> std::borrow::Cow<'_, str> {
    shell_escape::unix::escape(text.into())
}
