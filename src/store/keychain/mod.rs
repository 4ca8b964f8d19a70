//! The macOS Keychain: how to read and change its items, and what its result codes mean. The calls into macOS are in
//! `keychain_macos.rs`.
//!
//! raxx first reads an item itself, with dialogs turned off for the whole process. macOS refuses this for an item that
//! `/usr/bin/security` created, because only `security` is in that item's partition; `security` reads such an item
//! silently. But dialogs cannot be turned off for `security`, so raxx starts it only for an item whose access list shows
//! that there will be no dialog.
//!
//! The program that creates an item is the one that can read it silently. raxx therefore also writes through `security`:
//! to the Keychain, each new build of raxx is a different program.

use std::cell::RefCell;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;
use zeroize::Zeroizing;

use super::{Answer, Item, Remedy, Store, StoreError, StoreFuture, quoted};
use crate::secret::Secret;

pub(super) mod access;
mod change;
mod read;
mod repair;
pub(super) mod security;
pub(super) mod status;

use access::Access;
use change::{add, check_unlocked, delete_if_exists};
use read::look_up;
use repair::{repair, repair_copy};
use security::{Security, add_line};
use status::{KEYCHAIN_AT, OsStatus};

/// How long to wait for the answer to a dialog that the user's command opened.
const DIALOG_LIMIT: Duration = Duration::from_secs(120);

/// If less time than this is left, `security` is not started.
const SECURITY_LEAST: Duration = Duration::from_millis(20);

/// The calls that require macOS.
pub(super) trait System: Send + Sync + 'static {
    /// Returns the default keychain's name and whether it is locked, without a dialog.
    fn state(&self) -> Result<State, OsStatus>;
    /// Checks that the item exists. Reads only its attributes, which are not protected.
    fn search(&self, item: &Item) -> Result<(), OsStatus>;
    /// Returns which programs can read the value without a dialog. Does not open a dialog itself.
    fn access(&self, item: &Item) -> Result<Access, OsStatus>;
    /// Reads the value with dialogs turned off.
    fn read(&self, item: &Item) -> Result<Zeroizing<Vec<u8>>, OsStatus>;
    /// Runs `security` to print the value, and kills it after `limit`.
    fn security(&self, item: &Item, limit: Duration) -> Security;
    /// Runs `security` to print the value in the form that marks hex digits, and kills it after `limit`.
    fn shown(&self, item: &Item, limit: Duration) -> Security;
    /// Runs `security -i` with this command line as its input, and kills it after `limit`.
    fn add(&self, line: &[u8], limit: Duration) -> Security;
    /// Runs `security` to delete the item, and kills it after `limit`.
    fn delete(&self, item: &Item, limit: Duration) -> Security;
}

/// A keychain's state.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub name: String,
    pub locked: bool,
}

/// The Keychain as a store.
pub(super) struct Keychain<S> {
    system: Arc<S>,
    /// The items whose keychain was locked at the last access, with its name: unlocking a keychain and permitting access to
    /// an item are different commands.
    locked: RefCell<Vec<(Item, String)>>,
}

impl<S: System> Keychain<S> {
    pub(super) fn new(system: S) -> Self {
        Self { system: Arc::new(system), locked: RefCell::default() }
    }

    fn remember_lock(&self, item: &Item, error: Option<&StoreError>) {
        let mut locked = self.locked.borrow_mut();
        locked.retain(|(of, _)| of != item);
        if let Some(StoreError::Locked(what)) = error {
            locked.push((item.clone(), what.clone()));
        }
    }

    /// Runs `work` within `limit`. `work` receives the time at which it must be done.
    fn change<'a, T: Send + 'static>(
        &'a self,
        item: &'a Item,
        limit: Duration,
        work: impl FnOnce(&S, Instant) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let deadline = Instant::now() + limit;
            let (send, receive) = tokio::sync::oneshot::channel();
            let system = self.system.clone();
            let end = work_deadline(deadline, limit);
            // A separate thread, as in `read`: a call that hangs must not block the shutdown of the runtime.
            let thread = thread::Builder::new().name("keychain".into());
            if let Err(error) = thread.spawn(move || send.send(work(&system, end))) {
                return Err(StoreError::Broken(format!("could not start a thread: {error}")));
            }
            let done = match tokio::time::timeout_at(deadline.into(), receive).await {
                Ok(Ok(done)) => done,
                Ok(Err(_)) => Err(StoreError::Broken("the Keychain thread ended early".into())),
                Err(_) => Err(StoreError::TimedOut),
            };
            self.remember_lock(item, done.as_ref().err());
            done
        })
    }
}

/// Returns a time shortly before the deadline, so that a `security` that still runs is killed and does not outlive raxx with
/// a dialog on the screen.
fn work_deadline(deadline: Instant, limit: Duration) -> Instant {
    deadline.checked_sub((limit / 10).min(Duration::from_millis(50))).unwrap_or(deadline)
}

impl<S: System> Store for Keychain<S> {
    fn name(&self) -> &'static str {
        "Keychain"
    }

    fn backend_for(&self, _: &Item) -> &dyn Store {
        self
    }

    fn unlock_hint(&self, item: &Item) -> Remedy {
        if let Some((_, what)) = self.locked.borrow().iter().find(|(of, _)| of == item) {
            return Remedy::Type(match what.strip_prefix(KEYCHAIN_AT) {
                Some(path) => format!("security unlock-keychain {}", quoted(path)),
                None => "security unlock-keychain".into(),
            });
        }
        // `security` opens its dialog; after "Always Allow" there is no dialog for this item again.
        let (service, account) = (quoted(&item.service), quoted(&item.account));
        Remedy::Type(format!("security find-generic-password -s {service} -a {account} -w >/dev/null"))
    }

    fn read<'a>(&'a self, items: &'a [Item], limit: Duration) -> LocalBoxFuture<'a, Vec<Answer>> {
        Box::pin(async move {
            let deadline = Instant::now() + limit;
            let mut answers: Vec<_> = items.iter().map(|_| Err(StoreError::TimedOut)).collect();
            let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
            let (system, wanted) = (self.system.clone(), items.to_vec());
            // A separate thread instead of the runtime's pool: the runtime waits for its pool at shutdown, and a call into
            // the Keychain that hangs cannot be canceled.
            let end = work_deadline(deadline, limit);
            let work = move || look_up(&*system, &wanted, end, |at, answer| send.send((at, answer)).is_ok());
            if let Err(error) = thread::Builder::new().name("keychain".into()).spawn(work) {
                let why = format!("could not start a thread: {error}");
                answers.fill_with(|| Err(StoreError::Broken(why.clone())));
                return answers;
            }
            while let Ok(Some((at, answer))) = tokio::time::timeout_at(deadline.into(), receive.recv()).await {
                answers[at] = answer;
            }
            for (item, answer) in items.iter().zip(&answers) {
                self.remember_lock(item, answer.as_ref().err());
            }
            answers
        })
    }

    fn write<'a>(&'a self, name: &'a str, item: &'a Item, value: &'a Secret, limit: Duration) -> StoreFuture<'a, ()> {
        match add_line(name, item, value.expose().as_bytes()) {
            Ok(line) => self.change(item, limit, move |system, end| {
                check_unlocked(system)?;
                add(system, &line, end)
            }),
            Err(why) => Box::pin(async { Err(why) }),
        }
    }

    fn delete<'a>(&'a self, item: &'a Item, limit: Duration) -> StoreFuture<'a, bool> {
        let target = item.clone();
        self.change(item, limit, move |system, end| {
            check_unlocked(system)?;
            // The copy first, so that a later repair does not restore the deleted value.
            let copy = delete_if_exists(system, &repair_copy(&target), end)?;
            let found = delete_if_exists(system, &target, end)?;
            Ok(copy || found)
        })
    }

    fn repair<'a>(&'a self, name: &'a str, item: &'a Item) -> StoreFuture<'a, bool> {
        let (name, broken) = (name.to_owned(), item.clone());
        self.change(item, DIALOG_LIMIT, move |system, end| repair(system, &name, &broken, end))
    }
}

#[cfg(test)]
mod tests;
