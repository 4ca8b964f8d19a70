//! The machine's secret store behind one trait: the macOS Keychain, the Linux Secret Service, an encrypted file.
//!
//! Reading never opens a dialog, never unlocks anything and never takes longer than it was given. Every way in which a
//! store can fail to give a value has its own [`StoreError`], because each needs another next step from a person.

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

#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
mod apart;
#[cfg(target_os = "linux")]
mod auto;
mod error;
mod file;
// The decisions are plain code and are tested on every system; only macOS has a keychain to use them on.
#[cfg_attr(not(any(target_os = "macos", test)), allow(dead_code))]
mod keychain;
#[cfg(target_os = "macos")]
mod keychain_macos;
mod keyring;
#[cfg(target_os = "linux")]
mod secret_service;
mod settings;

/// Where a store keeps one value: the attributes of `security -s … -a …` and of `secret-tool store service … account …`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "ItemForm")]
pub(crate) struct Item {
    pub service: String,
    pub account: String,
}

impl Item {
    /// An item that does not exist: the answer about it tells whether the store can be asked.
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
        // A NUL would make D-Bus close the connection, and with it every other item's.
        if [&form.service, &form.account].iter().all(|t| !t.is_empty() && !t.chars().any(char::is_control)) {
            Ok(Item { service: form.service, account: form.account })
        } else {
            Err("service and account must not be empty or contain control characters")
        }
    }
}

/// What a person does so that a store gives an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// A command to type.
    Type(String),
    /// Words, where no command does it.
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

/// A part of a store that is locked by a password of its own.
pub(crate) struct Keyring {
    /// For a person: "the login collection".
    pub name: String,
    /// Where the store keeps it.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    path: String,
}

/// A place on this machine that keeps secrets.
pub(crate) trait Store {
    /// The name a person knows it by, as in `not in env or Keychain`.
    fn name(&self) -> &'static str;

    /// The store that the last answer about this item came from: of two stores that complement each other, each has its own
    /// name and its own way to be unlocked.
    fn backend_for(&self, item: &Item) -> &dyn Store;

    /// What to do to unlock the store, or to let it ask for consent to read this item.
    fn unlock_hint(&self, item: &Item) -> Remedy;

    /// Puts a value there, in place of the one that is there. Never opens a dialog and never unlocks.
    ///
    /// # Errors
    /// Why not; nothing is changed then.
    fn write<'a>(&'a self, name: &'a str, item: &'a Item, value: &'a Secret, limit: Duration) -> StoreFuture<'a, ()>;

    /// Deletes the item and returns whether there was one.
    ///
    /// # Errors
    /// Why not; nothing is changed then.
    fn delete<'a>(&'a self, item: &'a Item, limit: Duration) -> StoreFuture<'a, bool>;

    /// Recreates an item that the store guards with a dialog so that it can be read silently: reads it once, through the
    /// dialog that a person answers, and writes it again. Returns whether there is such an item.
    ///
    /// # Errors
    /// Why not; the value is kept then.
    fn repair<'a>(&'a self, _name: &'a str, item: &'a Item) -> StoreFuture<'a, bool> {
        // Only the Keychain has such items. Elsewhere, what can be read is read silently.
        Box::pin(async move { Ok(read_one(self, item, Duration::from_secs(5)).await?.is_some()) })
    }

    /// Whether the store can take a value for an item that it does not have: told before a person types the value.
    ///
    /// # Errors
    /// Why not.
    fn accepts_new<'a>(&'a self, _item: &'a Item, _limit: Duration) -> StoreFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// What of this store is locked by a password that [`Store::unlock_keyring`] takes; nothing where nothing is locked.
    ///
    /// # Errors
    /// Why that is not known, or who unlocks it otherwise.
    fn locked_keyrings<'a>(&'a self, _items: &'a [Item], _limit: Duration) -> StoreFuture<'a, Vec<Keyring>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Whether it has keyrings at all, which raxx can unlock.
    fn keeps_keyrings(&self) -> bool {
        false
    }

    /// Unlocks it, and returns whether the password was the right one.
    ///
    /// # Errors
    /// Why it could not be tried.
    fn unlock_keyring<'a>(
        &'a self,
        keyring: &'a Keyring,
        _password: Zeroizing<Vec<u8>>,
        _limit: Duration,
    ) -> StoreFuture<'a, bool> {
        let why = format!("{} is not unlocked by a password", keyring.name);
        Box::pin(std::future::ready(Err(StoreError::Unfit(why))))
    }

    /// What must be made before the first write; none where there is nothing to make. Told within `limit`.
    fn first_write(&self, _limit: Duration) -> LocalBoxFuture<'_, Option<FirstWrite>> {
        Box::pin(std::future::ready(None))
    }

    /// Reads the items and gives the answers in the same order. What came before `limit` stays, the rest is
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

/// How a new store file is to be opened.
pub(crate) enum Form {
    /// By an identity file, which is made where it does not exist: for machines that nobody unlocks.
    Identity(PathBuf),
    /// By a passphrase, typed once after each start of the machine.
    Passphrase(Secret),
}

/// What is needed before the first write: a store file must be made.
pub(crate) struct FirstWrite {
    file: StoreFile,
    /// The identity file of the configuration: then nobody needs to be asked for the form.
    pub identity: Option<PathBuf>,
}

/// The store that the settings name. Nothing is connected, started or read before the first question.
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

/// The store file that the settings name, where it may have one.
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

/// Why a store gave or took nothing, in a line with what to type next.
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

/// What is said of an item that a store does not have.
pub(crate) fn not_there(item: &Item, store: &dyn Store) -> String {
    format!("it is not in the {}", store.backend_for(item).name())
}

/// No place to keep a store file in.
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

/// Quoted for a command line that a person will copy into a shell.
fn quoted(text: &str) -> std::borrow::Cow<'_, str> {
    shell_escape::unix::escape(text.into())
}
