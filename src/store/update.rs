//! Storing a verified value: the old value is kept until the new one has been read back and compared.

use std::fs::File;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::process::unbroken;
use crate::secret::Secret;
use crate::state::lock_store;
use crate::store::{Answer, Bytes, Item, Store, StoreError, not_there, read_one, why_not};

/// The time limit for a store operation while a person waits.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);

/// How long to wait for another raxx that is changing the store: longer than one change can take.
const WAIT: Duration = Duration::from_secs(30);

/// The value that is stored now, if any.
///
/// # Errors
/// The store cannot be read: one line with what to do.
pub(crate) async fn current(store: &dyn Store, name: &str, item: &Item) -> Result<Option<Bytes>> {
    match one(store, item).await {
        Ok(None) => match store.accepts_new(item, LIMIT).await {
            Ok(()) => Ok(None),
            Err(why) => bail!("{}", why_not(&why, item, store)),
        },
        Ok(value) => Ok(value),
        // An item created without raxx: allowing access once would not prevent the next prompt.
        Err(StoreError::Consent(why)) if store.backend_for(item).name() == "Keychain" => {
            bail!("the Keychain needs your permission: {why}; type: raxx store --repair {name}")
        }
        Err(why) => bail!("{}", why_not(&why, item, store)),
    }
}

/// Whether the item exists, even if it can be read only through a dialog.
///
/// # Errors
/// The store cannot be read: one line with what to do.
pub(crate) async fn exists(store: &dyn Store, item: &Item) -> Result<bool> {
    match one(store, item).await {
        Ok(value) => Ok(value.is_some()),
        Err(StoreError::Consent(_)) => Ok(true),
        Err(why) => bail!("{}", why_not(&why, item, store)),
    }
}

async fn one(store: &dyn Store, item: &Item) -> Answer {
    read_one(store, item, LIMIT).await
}

/// Waits until no other raxx is changing the store. Otherwise, a change by the other one would look like a failed
/// write.
async fn lock() -> Result<Option<File>> {
    match tokio::time::timeout(WAIT, lock_store()).await {
        Ok(lock) => Ok(lock),
        Err(_) => bail!("another raxx is still changing the store; nothing was changed: try again"),
    }
}

/// Deletes the item and checks that it is gone. `recheck` is the command that shows what is stored. Once started,
/// this completes before a signal is handled.
///
/// # Errors
/// One line that says what is stored now.
pub(crate) async fn forget(store: &dyn Store, name: &str, item: &Item, recheck: &str) -> Result<()> {
    let _lock = lock().await?;
    unbroken(async {
        match store.delete(item, LIMIT).await {
            Ok(true) => match one(store, item).await {
                Ok(Some(_)) => {
                    bail!("the {} still returns the deleted value", store.backend_for(item).name())
                }
                // If it cannot be read, trust the store's answer.
                Ok(None) | Err(_) => Ok(()),
            },
            Ok(false) => bail!("{}", not_there(item, store)),
            // The request was sent and can still take effect.
            Err(why @ StoreError::TimedOut) => {
                let why = why_not(&why, item, store);
                match one(store, item).await {
                    Ok(None) => Ok(()),
                    _ => bail!("{why}: whether {name} is still stored is unknown; check with {recheck}"),
                }
            }
            Err(why) => bail!("{}", why_not(&why, item, store)),
        }
    })
    .await
}

/// Makes an item readable without a dialog. No other raxx can change the store in the meantime, however long the
/// person takes. Once started, this completes before a signal is handled.
///
/// # Errors
/// One line; the value is kept.
pub(crate) async fn repaired(store: &dyn Store, name: &str, item: &Item) -> Result<()> {
    let _lock = lock().await?;
    match unbroken(store.repair(name, item)).await {
        Ok(true) => Ok(()),
        Ok(false) => bail!("{}", not_there(item, store)),
        Err(why) => bail!("{}", why_not(&why, item, store)),
    }
}

/// Stores the value, reads it back and compares. `recheck` is the command that shows what is stored. From the first
/// write on, this completes before a signal is handled, even on failure.
///
/// # Errors
/// One line; the old value is still stored unless the line says otherwise.
pub(crate) async fn update_verified(
    store: &dyn Store,
    name: &str,
    item: &Item,
    value: &Secret,
    recheck: &str,
) -> Result<()> {
    let _lock = lock().await?;
    let old = current(store, name, item).await?;
    unbroken(change(store, name, item, value, old.as_ref(), recheck)).await
}

async fn change(
    store: &dyn Store,
    name: &str,
    item: &Item,
    value: &Secret,
    old: Option<&Bytes>,
    recheck: &str,
) -> Result<()> {
    let unchanged = |now: &Answer| matches!(now, Ok(now) if now.as_ref() == old);
    let written = store.write(name, item, value, LIMIT).await;
    let why = match &written {
        Ok(()) => String::new(),
        Err(why) => why_not(why, item, store),
    };
    // Also after a failure: one of two stores can already have the new value.
    let now = one(store, item).await;
    match written {
        Ok(()) if matches!(&now, Ok(Some(bytes)) if value.is(bytes)) => return Ok(()),
        // The request was sent and can still take effect.
        Err(StoreError::TimedOut) if unchanged(&now) || now.is_err() => {
            bail!("{why}: whether {name} is stored is unknown; check with {recheck}")
        }
        Err(_) if unchanged(&now) => bail!("{why}; nothing was changed"),
        Err(_) if now.is_err() => bail!("{why}; what is stored now is unknown; check with {recheck}"),
        _ => {}
    }
    let why = if why.is_empty() {
        format!("the {} returned a different value than the one that was stored", store.backend_for(item).name())
    } else {
        why
    };
    undo(store, name, item, old).await;
    match one(store, item).await {
        now if unchanged(&now) => bail!("{why}; its contents are unchanged"),
        Ok(Some(bytes)) if value.is(&bytes) => bail!("{why}; the new value is stored anyway"),
        _ => bail!("{why}; what is stored now is unknown; check with {recheck}"),
    }
}

/// Restores the old value. Only reading it back shows whether that worked.
async fn undo(store: &dyn Store, name: &str, item: &Item, old: Option<&Bytes>) {
    let _ = match old.map(|bytes| Secret::parse(bytes)) {
        Some(Ok(old)) => store.write(name, item, &old, LIMIT).await,
        Some(Err(_)) => return, // it was not a token, and no store accepts it
        None => store.delete(item, LIMIT).await.map(drop),
    };
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_util::future::{FutureExt as _, LocalBoxFuture, ready};

    use super::*;
    use crate::store::{Remedy, StoreFuture};

    /// A store that follows a script: one step for each change, and the last step for all further ones.
    struct Scripted {
        stored: RefCell<Option<Vec<u8>>>,
        script: RefCell<Vec<Step>>,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Step {
        Works,
        /// Reports success but changes nothing.
        Ignores,
        /// Stores a different value.
        Garbles,
        /// Reports failure and changes nothing.
        Fails,
        /// Reports failure but makes the change.
        FailsAfter,
        /// Does not answer and changes nothing.
        Silent,
    }

    impl Scripted {
        fn change(&self, mut to: Option<Vec<u8>>) -> Result<(), StoreError> {
            let mut script = self.script.borrow_mut();
            let step = if script.len() > 1 { script.remove(0) } else { script[0] };
            if step == Step::Garbles
                && let Some(bytes) = &mut to
            {
                bytes.push(b'!');
            }
            if !matches!(step, Step::Ignores | Step::Fails | Step::Silent) {
                self.stored.replace(to);
            }
            match step {
                Step::Works | Step::Ignores | Step::Garbles => Ok(()),
                Step::Fails | Step::FailsAfter => Err(StoreError::Broken("full".into())),
                Step::Silent => Err(StoreError::TimedOut),
            }
        }
    }

    impl Store for Scripted {
        fn name(&self) -> &'static str {
            "test store"
        }

        fn backend_for(&self, _: &Item) -> &dyn Store {
            self
        }

        fn unlock_hint(&self, _: &Item) -> Remedy {
            Remedy::Do(String::new())
        }

        fn write<'a>(&'a self, _: &'a str, _: &'a Item, value: &'a Secret, _: Duration) -> StoreFuture<'a, ()> {
            ready(self.change(Some(value.expose().as_bytes().to_vec()))).boxed_local()
        }

        fn delete<'a>(&'a self, _: &'a Item, _: Duration) -> StoreFuture<'a, bool> {
            ready(self.change(None).map(|()| true)).boxed_local()
        }

        fn read<'a>(&'a self, _: &'a [Item], _: Duration) -> LocalBoxFuture<'a, Vec<Answer>> {
            let stored = self.stored.borrow().clone();
            ready(vec![Ok(stored.map(Bytes::from))]).boxed_local()
        }
    }

    /// The error message, and the value that is stored afterwards.
    fn update(before: Option<&str>, script: &[Step]) -> (String, Option<String>) {
        let store = Scripted { stored: RefCell::new(before.map(Into::into)), script: RefCell::new(script.to_vec()) };
        let item = Item { service: "s".into(), account: "a".into() };
        let value = Secret::parse(b"new").unwrap();
        let done = crate::process::block_on(update_verified(&store, "NAME", &item, &value, "raxx check NAME")).unwrap();
        let said = done.err().map_or_else(String::new, |error| error.to_string());
        (said, store.stored.into_inner().map(|stored| String::from_utf8(stored).unwrap()))
    }

    #[test]
    fn every_failure_says_what_is_stored() {
        use Step::{Fails, FailsAfter, Garbles, Ignores, Silent, Works};
        let old = || Some("old".to_string());
        let new = || Some("new".to_string());
        let mut all = String::new();
        for (what, script, stored, known) in [
            ("not written", &[Ignores][..], old(), true),
            ("garbled, undone", &[Garbles, Works], old(), true),
            ("garbled, cannot be undone", &[Garbles, Fails], Some("new!".into()), false),
            ("garbled, the old value too", &[Garbles, Garbles], Some("old!".into()), false),
            ("fails", &[Fails], old(), true),
            ("fails after the change, undone", &[FailsAfter, Works], old(), true),
            // The old value is restored, although the store reports failure.
            ("fails after the change, and after it is undone", &[FailsAfter, FailsAfter], old(), true),
            ("fails after the change, cannot be undone", &[FailsAfter, Fails], new(), true),
            ("does not answer", &[Silent], old(), false),
        ] {
            let (said, now) = update(Some("old"), script);
            assert_eq!(now, stored, "{what}");
            assert_eq!(said.contains("raxx check NAME"), !known, "{what}: {said}");
            all += &format!("{what} => {said}\n");
            // The same if nothing was stored before. In that case, there is no old value to garble.
            if script != [Garbles, Garbles] {
                assert_eq!(update(None, script), (said, stored.filter(|stored| stored != "old")), "{what}");
            }
        }
        insta::assert_snapshot!("failures", all);
        for old in [Some("old"), None] {
            assert_eq!(update(old, &[Works]), (String::new(), new()));
        }
    }

    #[test]
    fn a_failed_deletion_is_reported() {
        use Step::{Fails, FailsAfter, Ignores, Silent, Works};
        let item = Item { service: "s".into(), account: "a".into() };
        let forgotten = |step| {
            let store = Scripted { stored: RefCell::new(Some(b"old".into())), script: RefCell::new(vec![step]) };
            let done = crate::process::block_on(forget(&store, "NAME", &item, "raxx check NAME")).unwrap();
            (done.err().map(|error| error.to_string()), store.stored.into_inner().is_some())
        };
        let mut all = String::new();
        for (what, step, stored) in [
            ("not deleted", Ignores, true),
            ("fails", Fails, true),
            ("fails after it was deleted", FailsAfter, false),
            ("does not answer", Silent, true),
        ] {
            let (said, now) = forgotten(step);
            assert_eq!(now, stored, "{what}");
            all += &format!("{what} => {}\n", said.unwrap());
        }
        insta::assert_snapshot!("not_deleted", all);
        assert_eq!(forgotten(Works), (None, false));
    }
}
