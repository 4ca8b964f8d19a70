//! The default on Linux: the Secret Service, with the store file as fallback.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;
use zeroize::Zeroizing;

use super::secret_service::SecretService;
use super::{Answer, FirstWrite, Item, Keyring, Remedy, Store, StoreError, StoreFile, StoreFuture, read_one};
use crate::secret::Secret;

/// Time reserved for the file after the service has used up the limit: it takes a few milliseconds.
const FILE: Duration = Duration::from_millis(100);

/// The Secret Service, then the file.
pub(super) struct Auto<S = SecretService> {
    service: S,
    file: StoreFile,
    /// Whether the last answer of the service was that it does not exist.
    no_service: Cell<bool>,
    /// Items that the file served although a Secret Service exists.
    of_file: RefCell<Vec<Item>>,
}

/// Whether the error means that the service does not exist or cannot be reached.
fn is_absent(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_) | StoreError::Unreachable(_))
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

impl<S: Store> Auto<S> {
    pub(super) fn new(service: S, file: StoreFile) -> Self {
        Auto { service, file, no_service: Cell::new(false), of_file: RefCell::default() }
    }

    /// The backend of an item that neither store has answered for. If neither exists, the service explains why.
    fn default_backend(&self) -> &dyn Store {
        if self.no_service.get() && self.file.exists() { &self.file } else { &self.service }
    }

    /// Records from the service's answer whether it exists, and returns the answer.
    fn note_service<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        self.no_service.set(answer.as_ref().err().is_some_and(is_absent));
        answer
    }

    /// Records which of the two stores answered for an item.
    fn set_served_by_file(&self, item: &Item, by_file: bool) {
        let mut of_file = self.of_file.borrow_mut();
        of_file.retain(|other| other != item);
        if by_file {
            of_file.push(item.clone());
        }
    }

    /// Updates the file's copy of an item that was written to the service. Otherwise, it would be stale in sessions
    /// without a service. A locked file keeps its old copy.
    async fn update_copy(&self, name: &str, item: &Item, value: &Secret, until: Instant) -> Result<(), StoreError> {
        if !self.file.exists() || !matches!(read_one(&self.file, item, left(until)).await, Ok(Some(_))) {
            return Ok(());
        }
        let updated = self.file.write(name, item, value, left(until)).await;
        self.set_served_by_file(item, updated.is_err());
        updated
    }
}

impl<S: Store> Store for Auto<S> {
    fn name(&self) -> &'static str {
        self.default_backend().name()
    }

    fn backend_for(&self, item: &Item) -> &dyn Store {
        if self.of_file.borrow().contains(item) { &self.file } else { self.default_backend() }
    }

    fn unlock_hint(&self, item: &Item) -> Remedy {
        self.backend_for(item).unlock_hint(item)
    }

    fn first_write(&self, limit: Duration) -> LocalBoxFuture<'_, Option<FirstWrite>> {
        Box::pin(async move {
            if self.file.exists() {
                return None;
            }
            // Reading any item tells whether there is a service.
            match self.note_service(read_one(&self.service, &Item::probe(), limit).await) {
                Err(why) if is_absent(&why) => self.file.first_write(limit).await,
                _ => None,
            }
        })
    }

    fn write<'a>(&'a self, name: &'a str, item: &'a Item, value: &'a Secret, limit: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let until = Instant::now() + limit;
            self.set_served_by_file(item, false);
            let written = self.service.write(name, item, value, limit).await;
            if let Err(why) = written {
                return match self.note_service(Err(why)) {
                    Err(why) if is_absent(&why) => self.file.write(name, item, value, left(until)).await,
                    other => other,
                };
            }
            self.update_copy(name, item, value, until).await
        })
    }

    fn delete<'a>(&'a self, item: &'a Item, limit: Duration) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let until = Instant::now() + limit;
            self.set_served_by_file(item, false);
            // If the service is locked, stop before anything is deleted.
            let in_service = match self.note_service(read_one(&self.service, item, left(until)).await) {
                Ok(value) => value.is_some(),
                Err(why) if is_absent(&why) && self.file.exists() => false,
                Err(why) => return Err(why),
            };
            // The file first: otherwise, a copy left in it would come back.
            let deleted = self.file.delete(item, left(until)).await;
            self.set_served_by_file(item, deleted.is_err());
            let in_file = deleted?;
            if in_service { self.service.delete(item, left(until)).await } else { Ok(in_file) }
        })
    }

    fn accepts_new<'a>(&'a self, item: &'a Item, limit: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            match self.service.accepts_new(item, limit).await {
                Ok(()) => Ok(()),
                Err(why) => match self.note_service(Err(why)) {
                    // The file accepts any item.
                    Err(why) if is_absent(&why) => Ok(()),
                    other => other,
                },
            }
        })
    }

    fn keeps_keyrings(&self) -> bool {
        !self.no_service.get()
    }

    fn locked_keyrings<'a>(&'a self, items: &'a [Item], limit: Duration) -> StoreFuture<'a, Vec<Keyring>> {
        Box::pin(async move { self.note_service(self.service.locked_keyrings(items, limit).await) })
    }

    fn unlock_keyring<'a>(
        &'a self,
        keyring: &'a Keyring,
        password: Zeroizing<Vec<u8>>,
        limit: Duration,
    ) -> StoreFuture<'a, bool> {
        self.service.unlock_keyring(keyring, password, limit)
    }

    fn read<'a>(&'a self, items: &'a [Item], limit: Duration) -> LocalBoxFuture<'a, Vec<Answer>> {
        Box::pin(async move {
            let until = Instant::now() + limit;
            let mut answers = self.service.read(items, limit).await;
            self.no_service.set(matches!(answers.first(), Some(Err(why)) if is_absent(why)));
            items.iter().for_each(|item| self.set_served_by_file(item, false));
            if !self.file.exists() {
                return answers;
            }
            let limit = left(until).max(FILE);
            if self.no_service.get() {
                return self.file.read(items, limit).await;
            }
            // A value stored while there was no service (over ssh, for example) is still found once there is one, and
            // while it does not work. An item that can be in a locked file is not reported as missing.
            let undecided =
                |answer: &Answer| matches!(answer, Ok(None) | Err(StoreError::Broken(_) | StoreError::TimedOut));
            let wanted: Vec<usize> = (0..items.len()).filter(|at| undecided(&answers[*at])).collect();
            if wanted.is_empty() {
                return answers;
            }
            let of_file: Vec<Item> = wanted.iter().map(|at| items[*at].clone()).collect();
            for (at, answer) in wanted.into_iter().zip(self.file.read(&of_file, limit).await) {
                let counts = match answers[at] {
                    Ok(_) => answer != Ok(None),
                    Err(_) => matches!(answer, Ok(Some(_))),
                };
                if counts {
                    self.set_served_by_file(&items[at], true);
                    answers[at] = answer;
                }
            }
            answers
        })
    }
}

#[cfg(test)]
mod tests;
