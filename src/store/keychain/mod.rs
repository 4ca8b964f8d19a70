//! What to ask the macOS Keychain and what its answers mean. No call into macOS is made here: see `keychain_macos.rs`.
//!
//! Two readers are tried. raxx itself reads first, with dialogs switched off for the whole process. An item that was made
//! by `/usr/bin/security` is refused to it, as every program but `security` is outside that item's partition; `security`
//! reads such an item silently. But `security` has no switch against dialogs, so it is started only for an item whose
//! access list, read in this process, shows that it will not ask.
//!
//! Whoever writes an item becomes the program that reads it silently. So `security` writes as well, whatever raxx was
//! built and signed with: a new build of raxx is another program to the Keychain.

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
use change::{add, delete_if_there, unlocked};
use read::look_up;
use repair::{kept_by_repair, repair};
use security::{Security, add_line};
use status::{KEYCHAIN_AT, OsStatus};

/// How long a dialog that a person asked for may wait for an answer.
const DIALOG_LIMIT: Duration = Duration::from_secs(120);

/// Less than this is not worth starting a process for.
const SECURITY_LEAST: Duration = Duration::from_millis(20);

/// The calls that need a Mac.
pub(super) trait System: Send + Sync + 'static {
    /// The default keychain's name and whether it is locked; asks nobody.
    fn state(&self) -> Result<State, OsStatus>;
    /// Is there such an item? Reads its attributes only, which are not protected.
    fn search(&self, item: &Item) -> Result<(), OsStatus>;
    /// Who may read the item's value without a dialog; asks nobody.
    fn access(&self, item: &Item) -> Result<Access, OsStatus>;
    /// Reads the value with dialogs off.
    fn read(&self, item: &Item) -> Result<Zeroizing<Vec<u8>>, OsStatus>;
    /// Has `security` print the value, and kills it at `limit`.
    fn security(&self, item: &Item, limit: Duration) -> Security;
    /// Has `security` show the value in its marked form, and kills it at `limit`.
    fn shown(&self, item: &Item, limit: Duration) -> Security;
    /// Has `security -i` do what the line says, and kills it at `limit`.
    fn add(&self, line: &[u8], limit: Duration) -> Security;
    /// Has `security` delete the item, and kills it at `limit`.
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
    /// The items whose keychain was locked when they were last asked for, and what it is called: unlocking and consenting
    /// are different commands.
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

    /// Does `work` inside `limit`. It is given the time at which it has to be through.
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
            let end = end_of_work(deadline, limit);
            // As in reading: what hangs must not hold the end of the runtime.
            let thread = thread::Builder::new().name("keychain".into());
            if let Err(error) = thread.spawn(move || send.send(work(&system, end))) {
                return Err(StoreError::Broken(format!("no thread to ask the Keychain on: {error}")));
            }
            let done = match tokio::time::timeout_at(deadline.into(), receive).await {
                Ok(Ok(done)) => done,
                Ok(Err(_)) => Err(StoreError::Broken("the thread that asks the Keychain ended early".into())),
                Err(_) => Err(StoreError::TimedOut),
            };
            self.remember_lock(item, done.as_ref().err());
            done
        })
    }
}

/// The work stops a little before the deadline, so that `security`, if it still runs, is killed and does not outlive raxx
/// with a dialog on the screen.
fn end_of_work(deadline: Instant, limit: Duration) -> Instant {
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
        // `security` then asks in its dialog; with "Always Allow" it never asks for this item again.
        let (service, account) = (quoted(&item.service), quoted(&item.account));
        Remedy::Type(format!("security find-generic-password -s {service} -a {account} -w >/dev/null"))
    }

    fn read<'a>(&'a self, items: &'a [Item], limit: Duration) -> LocalBoxFuture<'a, Vec<Answer>> {
        Box::pin(async move {
            let deadline = Instant::now() + limit;
            let mut answers: Vec<_> = items.iter().map(|_| Err(StoreError::TimedOut)).collect();
            let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
            let (system, wanted) = (self.system.clone(), items.to_vec());
            // A thread of its own, not the runtime's pool: the end of a runtime waits for its pool, and a call into the
            // Keychain that hangs cannot be broken off.
            let end = end_of_work(deadline, limit);
            let work = move || look_up(&*system, &wanted, end, |at, answer| send.send((at, answer)).is_ok());
            if let Err(error) = thread::Builder::new().name("keychain".into()).spawn(work) {
                let why = format!("no thread to ask the Keychain on: {error}");
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
                unlocked(system)?;
                add(system, &line, end)
            }),
            Err(why) => Box::pin(async { Err(why) }),
        }
    }

    fn delete<'a>(&'a self, item: &'a Item, limit: Duration) -> StoreFuture<'a, bool> {
        let doomed = item.clone();
        self.change(item, limit, move |system, end| {
            unlocked(system)?;
            let kept = kept_by_repair(&doomed);
            // The copy first: a repair must not bring back what was deleted.
            let copy = delete_if_there(system, &kept, end)?;
            let found = delete_if_there(system, &doomed, end)?;
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
