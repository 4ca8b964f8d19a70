//! Puts a proven value into the store: the one that it replaces is kept until the new one is read back and equal.

use std::fs::File;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::config::Credential;
use crate::secret::Secret;
use crate::source::why_not;
use crate::state::alone_with_the_store;
use crate::store::{Item, Lookup, Store};

/// How long the store may take for a write that a person waits for.
pub const LIMIT: Duration = Duration::from_secs(5);

/// How long to wait for another raxx that changes the store: longer than one change may take.
const WAIT: Duration = Duration::from_secs(30);

/// Where a credential's value is kept.
///
/// # Errors
/// The configuration gives it no place.
pub fn place(credential: &Credential) -> Result<&Item> {
    let Some(item) = &credential.store else {
        let name = &credential.name;
        bail!(
            "{name} has no place in the store: add store = {{ service = \"…\", account = \"…\" }} to its [[credential]]"
        );
    };
    Ok(item)
}

/// What is stored now; nothing where there is nothing.
///
/// # Errors
/// The store cannot be read: one line with what to do.
pub async fn current(store: &dyn Store, item: &Item) -> Result<Option<Lookup>> {
    match one(store, item).await {
        found @ Lookup::Found(_) => Ok(Some(found)),
        Lookup::Absent => Ok(None),
        other => bail!("{}", why_not(&other, item, store)),
    }
}

async fn one(store: &dyn Store, item: &Item) -> Lookup {
    let mut answers = store.read(std::slice::from_ref(item), LIMIT).await;
    answers.pop().unwrap_or(Lookup::TimedOut)
}

/// Waits until no other raxx changes the store: it would read back the other one's value and take it for its own gone wrong.
async fn alone() -> Result<Option<File>> {
    match tokio::time::timeout(WAIT, alone_with_the_store()).await {
        Ok(lock) => Ok(lock),
        Err(_) => bail!("another raxx has been changing the store for some time; nothing is changed: try again"),
    }
}

/// Takes the item out of the store.
///
/// # Errors
/// One line.
pub async fn forget(store: &dyn Store, item: &Item) -> Result<()> {
    let _alone = alone().await?;
    match store.delete(item, LIMIT).await {
        Ok(()) => Ok(()),
        Err(why) => bail!("{}", why_not(&why, item, store)),
    }
}

/// Makes an item readable without a question; nobody else changes the store meanwhile, however long the dialog stands.
///
/// # Errors
/// One line; the value is kept.
pub async fn repaired(store: &dyn Store, name: &str, item: &Item) -> Result<()> {
    let _alone = alone().await?;
    match store.repair(name, item).await {
        Ok(()) => Ok(()),
        Err(why) => bail!("{}", why_not(&why, item, store)),
    }
}

/// Stores the value, reads it back and compares.
///
/// # Errors
/// One line; the old value is there as before, or the line says that it is not.
pub async fn keep(store: &dyn Store, name: &str, item: &Item, value: &Secret) -> Result<()> {
    let _alone = alone().await?;
    let old = current(store, item).await?;
    match store.write(name, item, value, LIMIT).await {
        Ok(()) => {}
        // It was sent, and may still be carried out.
        Err(Lookup::TimedOut) => {
            bail!(
                "the {} did not answer in time: whether {name} is stored is not known; look with raxx check",
                store.name()
            )
        }
        Err(why) => bail!("{}; nothing is changed", why_not(&why, item, store)),
    }
    let is_value = |lookup: &Lookup| matches!(lookup, Lookup::Found(bytes) if value.is(bytes));
    if is_value(&one(store, item).await) {
        return Ok(());
    }
    // What was written is not what is read: the old value goes back.
    let undone = match old {
        Some(Lookup::Found(bytes)) => match Secret::parse(&bytes) {
            Ok(old) => store.write(name, item, &old, LIMIT).await,
            // What was there was no token; the person is told what is there now.
            Err(_) => Err(Lookup::Absent),
        },
        _ => store.delete(item, LIMIT).await,
    };
    let now = if undone.is_ok() {
        "it holds what it held before"
    } else {
        "what it holds now is not known: look with raxx check"
    };
    bail!("the {} does not give back what was stored in it; {now}", store.name())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_util::future::{FutureExt as _, LocalBoxFuture, ready};
    use zeroize::Zeroizing;

    use super::*;
    use crate::store::Written;

    /// A store that keeps something else than it was given, as long as it is `garbling`.
    struct Garbling {
        held: RefCell<Option<Vec<u8>>>,
        garbling: RefCell<bool>,
    }

    impl Store for Garbling {
        fn name(&self) -> &'static str {
            "test store"
        }

        fn unlock_hint(&self, _: &Item) -> String {
            String::new()
        }

        fn write<'a>(&'a self, _: &'a str, _: &'a Item, value: &'a Secret, _: Duration) -> Written<'a> {
            let mut bytes = value.expose().as_bytes().to_vec();
            if self.garbling.replace(false) {
                bytes.push(b'!');
            }
            self.held.replace(Some(bytes));
            ready(Ok(())).boxed_local()
        }

        fn delete<'a>(&'a self, _: &'a Item, _: Duration) -> Written<'a> {
            self.held.replace(None);
            ready(Ok(())).boxed_local()
        }

        fn read<'a>(&'a self, _: &'a [Item], _: Duration) -> LocalBoxFuture<'a, Vec<Lookup>> {
            let held = self.held.borrow().clone();
            ready(vec![held.map_or(Lookup::Absent, |bytes| Lookup::Found(Zeroizing::new(bytes)))]).boxed_local()
        }
    }

    fn kept(before: Option<&[u8]>) -> (String, Option<Vec<u8>>) {
        let store = Garbling { held: RefCell::new(before.map(<[u8]>::to_vec)), garbling: RefCell::new(true) };
        let item = Item { service: "s".into(), account: "a".into() };
        let value = Secret::parse(b"the-new-value").unwrap();
        let said = crate::process::block_on(keep(&store, "NAME", &item, &value)).unwrap().unwrap_err().to_string();
        (said, store.held.into_inner())
    }

    #[test]
    fn what_is_not_read_back_as_it_was_written_is_undone() {
        let line = "the test store does not give back what was stored in it; it holds what it held before";
        assert_eq!(kept(Some(b"the-old-value")), (line.into(), Some(b"the-old-value".to_vec())));
        assert_eq!(kept(None), (line.into(), None));
    }
}
