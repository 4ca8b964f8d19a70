//! Stores a verified value: the one that it replaces is kept until the new one is read back and is equal.

use std::fs::File;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::process::unbroken;
use crate::secret::Secret;
use crate::state::lock_store;
use crate::store::{Answer, Bytes, Item, Store, StoreError, not_there, read_one, why_not};

/// How long the store may take for a write that a person waits for.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);

/// How long to wait for another raxx that changes the store: longer than one change may take.
const WAIT: Duration = Duration::from_secs(30);

/// What is stored now; nothing where there is nothing.
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
        // An item of the old runbook: with consent for one time the next one would ask again.
        Err(StoreError::Consent(why)) if store.backend_for(item).name() == "Keychain" => {
            bail!("the Keychain needs your permission: {why}; type: raxx store --repair {name}")
        }
        Err(why) => bail!("{}", why_not(&why, item, store)),
    }
}

/// Whether there is such an item: also one that is given out only after a dialog.
///
/// # Errors
/// The store cannot be asked: one line with what to do.
pub(crate) async fn is_there(store: &dyn Store, item: &Item) -> Result<bool> {
    match one(store, item).await {
        Ok(value) => Ok(value.is_some()),
        Err(StoreError::Consent(_)) => Ok(true),
        Err(why) => bail!("{}", why_not(&why, item, store)),
    }
}

async fn one(store: &dyn Store, item: &Item) -> Answer {
    read_one(store, item, LIMIT).await
}

/// Waits until no other raxx changes the store: it would read back the other one's value and take it for its own gone wrong.
async fn alone() -> Result<Option<File>> {
    match tokio::time::timeout(WAIT, lock_store()).await {
        Ok(lock) => Ok(lock),
        Err(_) => bail!("another raxx is still changing the store; nothing is changed: try again"),
    }
}

/// Deletes the item and checks that it is gone. `look` is the command that shows a person what is stored. Once begun, it
/// is finished before a signal counts.
///
/// # Errors
/// One line that says what is stored now.
pub(crate) async fn forget(store: &dyn Store, name: &str, item: &Item, look: &str) -> Result<()> {
    let _alone = alone().await?;
    unbroken(async {
        match store.delete(item, LIMIT).await {
            Ok(true) => match one(store, item).await {
                Ok(Some(_)) => {
                    bail!("the {} still returns the deleted value", store.backend_for(item).name())
                }
                // Where it cannot be read, the store is taken at its word.
                Ok(None) | Err(_) => Ok(()),
            },
            Ok(false) => bail!("{}", not_there(item, store)),
            // It was sent, and may still be carried out.
            Err(why @ StoreError::TimedOut) => {
                let why = why_not(&why, item, store);
                match one(store, item).await {
                    Ok(None) => Ok(()),
                    _ => bail!("{why}: whether {name} is still stored is unknown; check with {look}"),
                }
            }
            Err(why) => bail!("{}", why_not(&why, item, store)),
        }
    })
    .await
}

/// Makes an item readable without a dialog. No other raxx changes the store meanwhile, however long the person takes. Once
/// begun, it is finished before a signal counts.
///
/// # Errors
/// One line; the value is kept.
pub(crate) async fn repaired(store: &dyn Store, name: &str, item: &Item) -> Result<()> {
    let _alone = alone().await?;
    match unbroken(store.repair(name, item)).await {
        Ok(true) => Ok(()),
        Ok(false) => bail!("{}", not_there(item, store)),
        Err(why) => bail!("{}", why_not(&why, item, store)),
    }
}

/// Stores the value, reads it back and compares. `look` is the command by which a person looks what is stored. From the
/// first write on it is finished before a signal counts, whatever becomes of it.
///
/// # Errors
/// One line; the old value is there as before, or the line says that it is not.
pub(crate) async fn update_verified(
    store: &dyn Store,
    name: &str,
    item: &Item,
    value: &Secret,
    look: &str,
) -> Result<()> {
    let _alone = alone().await?;
    let old = current(store, name, item).await?;
    unbroken(change(store, name, item, value, old.as_ref(), look)).await
}

async fn change(
    store: &dyn Store,
    name: &str,
    item: &Item,
    value: &Secret,
    old: Option<&Bytes>,
    look: &str,
) -> Result<()> {
    let unchanged = |now: &Answer| matches!(now, Ok(now) if now.as_ref() == old);
    let written = store.write(name, item, value, LIMIT).await;
    let why = match &written {
        Ok(()) => String::new(),
        Err(why) => why_not(why, item, store),
    };
    // Also after a failure: of two places one may hold the new value by now.
    let now = one(store, item).await;
    match written {
        Ok(()) if matches!(&now, Ok(Some(bytes)) if value.is(bytes)) => return Ok(()),
        // It was sent, and may still be carried out.
        Err(StoreError::TimedOut) if unchanged(&now) || now.is_err() => {
            bail!("{why}: whether {name} is stored is unknown; check with {look}")
        }
        Err(_) if unchanged(&now) => bail!("{why}; nothing is changed"),
        Err(_) if now.is_err() => bail!("{why}; what is stored now is unknown; check with {look}"),
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
        _ => bail!("{why}; what is stored now is unknown; check with {look}"),
    }
}

/// Puts back what was there. Whether that went well is told by reading alone.
async fn undo(store: &dyn Store, name: &str, item: &Item, old: Option<&Bytes>) {
    let _ = match old.map(|bytes| Secret::parse(bytes)) {
        Some(Ok(old)) => store.write(name, item, &old, LIMIT).await,
        Some(Err(_)) => return, // it was no token, and no store takes it
        None => store.delete(item, LIMIT).await.map(drop),
    };
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_util::future::{FutureExt as _, LocalBoxFuture, ready};

    use super::*;
    use crate::store::{Remedy, StoreFuture};

    /// A store that goes wrong in the ways of its script: one step for each change, the last one for all that follow.
    struct Scripted {
        held: RefCell<Option<Vec<u8>>>,
        script: RefCell<Vec<Step>>,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Step {
        Works,
        /// It says that it succeeded, and has not changed anything.
        Ignores,
        /// It keeps something else than it was given.
        Garbles,
        /// It says that it failed, and has not changed anything.
        Fails,
        /// It says that it failed, and has changed it.
        FailsAfter,
        /// It gives no answer, and has not changed anything.
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
                self.held.replace(to);
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
            let held = self.held.borrow().clone();
            ready(vec![Ok(held.map(Bytes::from))]).boxed_local()
        }
    }

    /// What is said, and what is stored then.
    fn kept(before: Option<&str>, script: &[Step]) -> (String, Option<String>) {
        let store = Scripted { held: RefCell::new(before.map(Into::into)), script: RefCell::new(script.to_vec()) };
        let item = Item { service: "s".into(), account: "a".into() };
        let value = Secret::parse(b"new").unwrap();
        let done = crate::process::block_on(update_verified(&store, "NAME", &item, &value, "raxx check NAME")).unwrap();
        let said = done.err().map_or_else(String::new, |error| error.to_string());
        (said, store.held.into_inner().map(|held| String::from_utf8(held).unwrap()))
    }

    #[test]
    fn after_every_failure_the_line_says_what_is_stored() {
        use Step::{Fails, FailsAfter, Garbles, Ignores, Silent, Works};
        let old = || Some("old".to_string());
        let new = || Some("new".to_string());
        let mut all = String::new();
        for (what, script, held, known) in [
            ("not written", &[Ignores][..], old(), true),
            ("garbled, undone", &[Garbles, Works], old(), true),
            ("garbled, cannot be undone", &[Garbles, Fails], Some("new!".into()), false),
            ("garbled, the old value too", &[Garbles, Garbles], Some("old!".into()), false),
            ("fails", &[Fails], old(), true),
            ("fails after the change, undone", &[FailsAfter, Works], old(), true),
            // It is put back, whatever is said of that.
            ("fails after the change, and after it is undone", &[FailsAfter, FailsAfter], old(), true),
            ("fails after the change, cannot be undone", &[FailsAfter, Fails], new(), true),
            ("does not answer", &[Silent], old(), false),
        ] {
            let (said, now) = kept(Some("old"), script);
            assert_eq!(now, held, "{what}");
            assert_eq!(said.contains("raxx check NAME"), !known, "{what}: {said}");
            all += &format!("{what} => {said}\n");
            // The same where nothing was stored before. There, no old value can be garbled.
            if script != [Garbles, Garbles] {
                assert_eq!(kept(None, script), (said, held.filter(|held| held != "old")), "{what}");
            }
        }
        insta::assert_snapshot!("failures", all);
        for old in [Some("old"), None] {
            assert_eq!(kept(old, &[Works]), (String::new(), new()));
        }
    }

    #[test]
    fn a_value_that_is_not_deleted_is_reported() {
        use Step::{Fails, FailsAfter, Ignores, Silent, Works};
        let item = Item { service: "s".into(), account: "a".into() };
        let forgotten = |step| {
            let store = Scripted { held: RefCell::new(Some(b"old".into())), script: RefCell::new(vec![step]) };
            let done = crate::process::block_on(forget(&store, "NAME", &item, "raxx check NAME")).unwrap();
            (done.err().map(|error| error.to_string()), store.held.into_inner().is_some())
        };
        let mut all = String::new();
        for (what, step, held) in [
            ("not deleted", Ignores, true),
            ("fails", Fails, true),
            ("fails after it was deleted", FailsAfter, false),
            ("does not answer", Silent, true),
        ] {
            let (said, now) = forgotten(step);
            assert_eq!(now, held, "{what}");
            all += &format!("{what} => {}\n", said.unwrap());
        }
        insta::assert_snapshot!("not_deleted", all);
        assert_eq!(forgotten(Works), (None, false));
    }
}
