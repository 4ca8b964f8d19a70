//! The machine's secret store behind one trait: the macOS Keychain, the Linux Secret Service.
//!
//! Reading never opens a dialog, never unlocks anything and never takes longer than it was given. Every way in which a
//! store can fail to give a value has its own [`Lookup`], because each needs another next step from a person.

use std::fmt;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use zeroize::Zeroizing;

// The decisions are plain code and are tested on every system; only macOS has a keychain to use them on.
#[cfg_attr(not(any(target_os = "macos", test)), allow(dead_code))]
mod keychain;
#[cfg(target_os = "macos")]
mod keychain_macos;
#[cfg(target_os = "linux")]
mod secret_service;

/// Where a store keeps one value: the attributes of `security -s … -a …` and of `secret-tool store service … account …`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "ItemForm")]
pub struct Item {
    pub service: String,
    pub account: String,
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
        match [&form.service, &form.account].iter().all(|t| !t.is_empty() && !t.chars().any(char::is_control)) {
            true => Ok(Item { service: form.service, account: form.account }),
            false => Err("service and account may be neither empty nor hold a control character"),
        }
    }
}

/// A store's answer for one item. The words complete a sentence, start in lower case and hold no secret.
#[derive(PartialEq, Eq)]
pub enum Lookup {
    /// The stored bytes, as they are.
    Found(Zeroizing<Vec<u8>>),
    /// The store answered: no such item.
    Absent,
    /// What is locked, e.g. "the login keychain".
    Locked(String),
    /// The store would have to ask the person, and why.
    Consent(String),
    /// There is no store to ask here, and why.
    Unavailable(String),
    /// A store should be there but does not work, and why.
    Broken(String),
    /// No answer before the deadline.
    TimedOut,
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found(_) => f.write_str("Found(redacted)"),
            Self::Absent => f.write_str("Absent"),
            Self::Locked(what) => f.debug_tuple("Locked").field(what).finish(),
            Self::Consent(why) => f.debug_tuple("Consent").field(why).finish(),
            Self::Unavailable(why) => f.debug_tuple("Unavailable").field(why).finish(),
            Self::Broken(why) => f.debug_tuple("Broken").field(why).finish(),
            Self::TimedOut => f.write_str("TimedOut"),
        }
    }
}

/// A place on this machine that keeps secrets.
pub trait Store {
    /// The name a person knows it by, as in `not in env or Keychain`.
    fn name(&self) -> &'static str;

    /// One command that unlocks the store or lets it ask for consent to read this item.
    fn unlock_hint(&self, item: &Item) -> String;

    /// The command that stores a value there by hidden input, so that it reaches neither argv nor the shell's history;
    /// none where there is no such command.
    fn store_command(&self, _name: &str, _item: &Item) -> Option<String> {
        None
    }

    /// Reads the items and gives the answers in the same order. What came before `limit` stays, the rest is
    /// [`Lookup::TimedOut`].
    fn read<'a>(&'a self, items: &'a [Item], limit: Duration) -> LocalBoxFuture<'a, Vec<Lookup>>;
}

/// The machine's own store. Nothing is connected or started before the first read.
pub fn open() -> Box<dyn Store> {
    #[cfg(target_os = "macos")]
    return Box::new(keychain::Keychain::new(keychain_macos::System));
    #[cfg(target_os = "linux")]
    return Box::new(secret_service::SecretService);
    #[cfg(not(any(target_os = "macos", target_os = "linux")))]
    return Box::new(Nowhere);
}

/// A system whose store raxx does not know.
#[cfg(not(any(target_os = "macos", target_os = "linux")))]
struct Nowhere;

#[cfg(not(any(target_os = "macos", target_os = "linux")))]
impl Store for Nowhere {
    fn name(&self) -> &'static str {
        "secret store"
    }

    fn unlock_hint(&self, _: &Item) -> String {
        "set the variable in the environment".into()
    }

    fn read<'a>(&'a self, items: &'a [Item], _: Duration) -> LocalBoxFuture<'a, Vec<Lookup>> {
        let why = || Lookup::Unavailable(format!("raxx knows no secret store on {}", std::env::consts::OS));
        Box::pin(async move { items.iter().map(|_| why()).collect() })
    }
}

/// Quoted for a command line that a person will copy into a shell.
fn quoted(text: &str) -> std::borrow::Cow<'_, str> {
    shell_escape::unix::escape(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_found_value_is_not_printed() {
        let found = Lookup::Found(Zeroizing::new(b"hunter2-hunter2".to_vec()));
        assert_eq!(format!("{found:?} {found:#?}"), "Found(redacted) Found(redacted)");
    }
}
