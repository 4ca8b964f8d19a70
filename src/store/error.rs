//! The answers of a store: a value, no value, or the reason why it cannot tell.

use std::fmt;
use std::ops::Deref;

use futures_util::future::LocalBoxFuture;
use zeroize::Zeroizing;

/// Why a store failed. The text completes a sentence, starts in lower case and contains no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreError {
    /// What is locked, e.g. "the login keychain".
    Locked(String),
    /// The store would have to ask the person for permission, and why.
    Consent(String),
    /// This machine has no such store, and why.
    Unavailable(String),
    /// A store is configured but does not answer at its address, and why.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))] // only a bus has an address
    Unreachable(String),
    /// The store exists but does not work, and why.
    Broken(String),
    /// The store works but cannot keep this value, and why.
    Unfit(String),
    /// No answer before the deadline.
    TimedOut,
}

/// A stored value, unmodified. It is wiped from memory when dropped, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bytes(Zeroizing<Vec<u8>>);

impl From<Zeroizing<Vec<u8>>> for Bytes {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Bytes {
        Bytes(bytes)
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes(Zeroizing::new(bytes))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bytes(redacted)")
    }
}

/// A store's answer for one item; `None` if it has no such item.
pub(crate) type Answer = Result<Option<Bytes>, StoreError>;

/// A store's asynchronous operation.
pub(crate) type StoreFuture<'a, T> = LocalBoxFuture<'a, Result<T, StoreError>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_value_is_not_printed() {
        let answer: Answer = Ok(Some(b"hunter2-hunter2".to_vec().into()));
        assert_eq!(format!("{answer:?}"), "Ok(Some(Bytes(redacted)))");
        assert!(!format!("{answer:#?}").contains("hunter2"));
    }
}
