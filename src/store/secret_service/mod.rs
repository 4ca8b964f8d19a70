//! The Linux Secret Service (gnome-keyring, `KWallet`, `KeePassXC`) over D-Bus.
//!
//! Reading never opens a dialog. raxx asks the service to unlock locked items, which it does at once if no password
//! is needed; any prompt is dismissed. One connection serves all items. The session is not encrypted: a process that
//! can read this user's bus can also request the secrets itself, and the key exchange would triple the time of a
//! lookup. Everything runs on a separate thread, so that the deadline does not depend on a library.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use zeroize::Zeroizing;

use super::thread::run_on_thread;
use super::{Answer, Item, Keyring, Remedy, Store, StoreError, StoreFuture};
use crate::secret::Secret;
use provider::{Display, Guard, Provider};
use read::{Answers, read_all};
use session::Session;
use write::{changed, delete_one, write_one};

mod bus;
mod collection;
mod provider;
mod read;
mod search;
mod session;
mod unlock;
mod write;

/// The content type of every value that raxx stores, the same as `secret-tool` uses.
const CONTENT_TYPE: &str = "text/plain";

/// The Secret Service as a store.
#[derive(Default)]
pub(super) struct SecretService {
    /// How to unlock the item that was last found locked.
    hint: Arc<Mutex<Option<Remedy>>>,
}

impl Store for SecretService {
    fn name(&self) -> &'static str {
        "Secret Service"
    }

    fn backend_for(&self, _: &Item) -> &dyn Store {
        self
    }

    fn unlock_hint(&self, item: &Item) -> Remedy {
        let noted = self.hint.lock().unwrap_or_else(PoisonError::into_inner).clone();
        noted.unwrap_or_else(|| Provider::Unknown(String::new()).hint(item, Display::from_environment(), Guard::Lock))
    }

    fn read<'a>(&'a self, items: &'a [Item], limit: Duration) -> LocalBoxFuture<'a, Vec<Answer>> {
        Box::pin(async move {
            let answers = Arc::new(Answers::none(items.len()));
            let (wanted, shared, hint) = (items.to_vec(), answers.clone(), self.hint.clone());
            let done = run_on_thread(limit, move || async move {
                if let Err(why) = read_all(&wanted, &shared, &hint).await {
                    shared.fill(&why);
                }
            });
            if let Err(error) = done.await {
                // Answers that arrived earlier are kept.
                answers.fill(&not_done(&error));
            }
            answers.take()
        })
    }

    /// Only for commands that a person typed: a service that makes each change through a prompt (`KeePassXC`) can
    /// show a dialog here.
    fn write<'a>(&'a self, name: &'a str, item: &'a Item, value: &'a Secret, limit: Duration) -> StoreFuture<'a, ()> {
        let (name, item, value) = (name.to_owned(), item.clone(), value.clone());
        let hint = self.hint.clone();
        changed(limit, move |limits| async move { write_one(&name, &item, &value, &limits, &hint).await })
    }

    /// As [`SecretService::write`].
    fn delete<'a>(&'a self, item: &'a Item, limit: Duration) -> StoreFuture<'a, bool> {
        let (item, hint) = (item.clone(), self.hint.clone());
        changed(limit, move |limits| async move { delete_one(&item, &limits, &hint).await })
    }

    fn accepts_new<'a>(&'a self, item: &'a Item, limit: Duration) -> StoreFuture<'a, ()> {
        let (item, hint) = (item.clone(), self.hint.clone());
        Box::pin(async move {
            let asked = run_on_thread(limit, move || async move {
                let session = Session::begin().await?;
                session.collection_for_new(&item, &hint).await.map(drop)
            });
            asked.await.unwrap_or_else(|error| Err(not_done(&error)))
        })
    }

    fn keeps_keyrings(&self) -> bool {
        true
    }

    fn locked_keyrings<'a>(&'a self, items: &'a [Item], limit: Duration) -> StoreFuture<'a, Vec<Keyring>> {
        self.locked(items, limit)
    }

    fn unlock_keyring<'a>(
        &'a self,
        keyring: &'a Keyring,
        password: Zeroizing<Vec<u8>>,
        limit: Duration,
    ) -> StoreFuture<'a, bool> {
        SecretService::unlock(keyring, password, limit)
    }
}

/// Why there is no answer.
fn not_done(error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::TimedOut => StoreError::TimedOut,
        _ => StoreError::Broken(format!("could not contact it: {error}")),
    }
}

#[cfg(test)]
mod tests;
