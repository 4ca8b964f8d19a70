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
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;
use zeroize::Zeroizing;

use super::{Answer, Item, Remedy, Store, StoreError, StoreFuture, quoted};
use crate::secret::Secret;
use crate::text::clean;

pub(super) mod access;
mod repair;
pub(super) mod security;

use access::Access;
use repair::{kept_by_repair, repair};
use security::{Security, add_line};

/// Security.framework's result code. `security` ends with its lowest eight bits.
pub(super) type OsStatus = i32;

const ITEM_NOT_FOUND: OsStatus = -25300;
const AUTH_FAILED: OsStatus = -25293;
const INTERACTION_NOT_ALLOWED: OsStatus = -25308;
const USER_CANCELED: OsStatus = -128;
const MISSING_ENTITLEMENT: OsStatus = -34018;
const IN_DARK_WAKE: OsStatus = -25320;
pub(super) const NOT_AVAILABLE: OsStatus = -25291;
const NO_SUCH_KEYCHAIN: OsStatus = -25294;
const NO_DEFAULT_KEYCHAIN: OsStatus = -25307;
const DUPLICATE_ITEM: OsStatus = -25299;
const READ_ONLY: OsStatus = -25292;
const DISK_FULL: OsStatus = -34;
pub(super) const INVALID_PARAMETER: OsStatus = -50;
/// `errno` 1, not permitted, as Security.framework reports it.
const NOT_PERMITTED: OsStatus = 100_001;

/// The codes that `security find-generic-password` is known to end with.
const EXITS: [OsStatus; 6] =
    [ITEM_NOT_FOUND, AUTH_FAILED, INTERACTION_NOT_ALLOWED, USER_CANCELED, MISSING_ENTITLEMENT, IN_DARK_WAKE];

/// The codes that `security add-generic-password` and `delete-generic-password` are known to end with.
const CHANGE_EXITS: [OsStatus; 12] = [
    ITEM_NOT_FOUND,
    AUTH_FAILED,
    INTERACTION_NOT_ALLOWED,
    USER_CANCELED,
    MISSING_ENTITLEMENT,
    IN_DARK_WAKE,
    NOT_AVAILABLE,
    NO_SUCH_KEYCHAIN,
    NO_DEFAULT_KEYCHAIN,
    DUPLICATE_ITEM,
    READ_ONLY,
    DISK_FULL,
];

/// How long `security` may take to read a value. It needs tens of milliseconds, more while many terminals ask at once.
const SECURITY_LIMIT: Duration = Duration::from_secs(5);

/// How many `security` processes may run at once.
const AT_ONCE: usize = 8;

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

/// Nothing is started on a locked keychain: `security` would ask for its password.
fn unlocked(system: &impl System) -> Result<(), StoreError> {
    match system.state() {
        Ok(state) if state.locked => Err(StoreError::Locked(state.name)),
        Ok(_) => Ok(()),
        Err(code) => Err(meaning(system, code)),
    }
}

fn add(system: &impl System, line: &[u8], end: Instant) -> Result<(), StoreError> {
    match run_change(system, end, |limit| system.add(line, limit))? {
        Change::Done => Ok(()),
        Change::NoItem => Err(meaning(system, ITEM_NOT_FOUND)),
    }
}

/// Deletes the item and returns whether there was one.
fn delete_if_there(system: &impl System, item: &Item, end: Instant) -> Result<bool, StoreError> {
    match system.search(item) {
        Ok(()) => match run_change(system, end, |limit| system.delete(item, limit))? {
            Change::Done => Ok(true),
            Change::NoItem => confirm_missing(system, item).map(|()| false),
        },
        Err(ITEM_NOT_FOUND) => Ok(false),
        Err(code) => Err(meaning(system, code)),
    }
}

/// What `security` says after a change.
enum Change {
    Done,
    /// It did not find the item.
    NoItem,
}

fn run_change(
    system: &impl System,
    end: Instant,
    run: impl FnOnce(Duration) -> Security,
) -> Result<Change, StoreError> {
    let left = end.saturating_duration_since(Instant::now());
    if left < SECURITY_LEAST {
        return Err(StoreError::TimedOut);
    }
    match run(left) {
        Security::Exit(0, _) => Ok(Change::Done),
        Security::Exit(exit, _) => match CHANGE_EXITS.iter().find(|code| *code & 0xff == exit) {
            Some(&ITEM_NOT_FOUND) => Ok(Change::NoItem),
            Some(code) => Err(meaning(system, *code)),
            None => Err(StoreError::Broken(format!("`security` ended with exit code {exit}"))),
        },
        Security::TimedOut => Err(locked_or(system, StoreError::TimedOut)),
        Security::Failed(why) => Err(StoreError::Broken(why)),
    }
}

/// Looks the items up and tells each answer as it comes: first what raxx may read itself, then, all at once, what only
/// `security` may. Stops when nobody listens any more; an item that is not told about was not answered in time.
fn look_up(system: &impl System, items: &[Item], end: Instant, tell: impl Fn(usize, Answer) -> bool + Sync) {
    // The lock first: while it is on, every other answer is about the lock and not about the item.
    let problem = match system.state() {
        Ok(state) if state.locked => Some(Err(state.name)),
        Ok(_) => None,
        Err(code) => Some(Ok(code)),
    };
    let mut for_security = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let answer = match &problem {
            Some(Err(name)) => Err(StoreError::Locked(name.clone())),
            Some(Ok(code)) => answer(system, *code),
            None if Instant::now() >= end => break,
            None => match in_process(system, item) {
                InProcess::Answer(answer) => answer,
                InProcess::Refused => match silent(system, item) {
                    Ok(Silent::Yes) => {
                        for_security.push(at);
                        continue;
                    }
                    Ok(Silent::NoItem) => Ok(None),
                    Err(why) => Err(why),
                },
            },
        };
        if !tell(at, answer) {
            return;
        }
    }
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(&at) = for_security.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !tell(at, by_security(system, &items[at], end)) {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..for_security.len().min(AT_ONCE) {
            // This thread works too, so without another one it only takes longer.
            _ = thread::Builder::new().name("keychain".into()).spawn_scoped(scope, work);
        }
        work();
    });
}

/// What raxx itself learns about an item.
enum InProcess {
    Answer(Answer),
    /// raxx may not read it without a dialog; `security` perhaps may.
    Refused,
}

fn in_process(system: &impl System, item: &Item) -> InProcess {
    if let Err(code) = system.search(item) {
        return InProcess::Answer(answer(system, code));
    }
    match system.read(item) {
        Ok(value) => InProcess::Answer(Ok(Some(value.into()))),
        Err(AUTH_FAILED | INTERACTION_NOT_ALLOWED) => InProcess::Refused,
        Err(code) => InProcess::Answer(answer(system, code)),
    }
}

/// Why `security` can be started for an item, or need not be.
enum Silent {
    /// It will read the item without a dialog.
    Yes,
    /// The item was deleted a moment ago.
    NoItem,
}

/// Checks that `security` will read the item without a dialog; if not, says why.
fn silent(system: &impl System, item: &Item) -> Result<Silent, StoreError> {
    match system.access(item) {
        Ok(Access { locked: Some(path), .. }) => {
            Err(StoreError::Locked(format!("{KEYCHAIN_AT}{}", clean(&path.to_string_lossy()))))
        }
        Ok(access) if access.silent() => Ok(Silent::Yes),
        Ok(_) => Err(meaning(system, AUTH_FAILED)),
        Err(ITEM_NOT_FOUND) => confirm_missing(system, item).map(|()| Silent::NoItem),
        Err(code) => Err(meaning(system, code)),
    }
}

/// Checks that an item is missing that was found a moment ago. A sandbox that denies the Keychain also makes `security` say
/// that it is missing, so this counts only if the search agrees.
fn confirm_missing(system: &impl System, item: &Item) -> Result<(), StoreError> {
    match system.search(item) {
        Ok(()) => Err(StoreError::Broken("the item is there, but this process may not use it (a sandbox?)".into())),
        Err(ITEM_NOT_FOUND) => Ok(()),
        Err(code) => Err(meaning(system, code)),
    }
}

/// What the exit code of a reading `security` means.
fn exited(system: &impl System, item: &Item, exit: i32) -> Answer {
    match EXITS.iter().find(|code| *code & 0xff == exit) {
        Some(&ITEM_NOT_FOUND) => confirm_missing(system, item).map(|()| None),
        Some(code) => Err(meaning(system, *code)),
        None => Err(StoreError::Broken(format!("`security` ended with exit code {exit}"))),
    }
}

fn look_up_one(system: &impl System, item: &Item, end: Instant) -> Answer {
    match in_process(system, item) {
        InProcess::Answer(answer) => answer,
        InProcess::Refused => match silent(system, item)? {
            Silent::Yes => by_security(system, item, end),
            Silent::NoItem => Ok(None),
        },
    }
}

/// The value, from `security`. Only for an item that is [`silent`].
fn by_security(system: &impl System, item: &Item, end: Instant) -> Answer {
    let left = end.saturating_duration_since(Instant::now());
    if left < SECURITY_LEAST {
        return Err(StoreError::TimedOut);
    }
    match system.security(item, left.min(SECURITY_LIMIT)) {
        Security::Exit(0, mut value) => {
            // It adds one newline of its own. Any other belongs to the value.
            if value.last() == Some(&b'\n') {
                value.pop();
            }
            Ok(Some(value.into()))
        }
        Security::Exit(exit, _) => exited(system, item, exit),
        Security::TimedOut => Err(locked_or(system, StoreError::TimedOut)),
        Security::Failed(why) => Err(StoreError::Broken(why)),
    }
}

/// The answer to a read that ended with this code.
fn answer(system: &impl System, code: OsStatus) -> Answer {
    if code == ITEM_NOT_FOUND { Ok(None) } else { Err(meaning(system, code)) }
}

/// What a code means for the person.
fn meaning(system: &impl System, code: OsStatus) -> StoreError {
    match code {
        ITEM_NOT_FOUND => StoreError::Broken("it is not there".into()),
        AUTH_FAILED => refused(system, "it is given out only after a dialog"),
        INTERACTION_NOT_ALLOWED => refused(system, "this session cannot show the dialog (ssh, cron, background agent)"),
        USER_CANCELED => refused(system, "the dialog was cancelled"),
        IN_DARK_WAKE => refused(system, "the Mac is asleep and shows no dialog (dark wake)"),
        // What a sandbox that denies the Keychain gives. The item may still exist, so it is not missing.
        NOT_AVAILABLE | INVALID_PARAMETER | NOT_PERMITTED => {
            StoreError::Broken(format!("this process may not use it (a sandbox, or no session; error {code})"))
        }
        NO_DEFAULT_KEYCHAIN => StoreError::Unavailable("this user has no default keychain".into()),
        NO_SUCH_KEYCHAIN => StoreError::Broken("the file of the default keychain is missing".into()),
        // `security` could not change the item, took it for missing and then found that it is there.
        DUPLICATE_ITEM => StoreError::Broken("the item is there and could not be changed (error -25299)".into()),
        READ_ONLY => StoreError::Broken("the keychain is read-only".into()),
        DISK_FULL => StoreError::Broken("the disk is full".into()),
        MISSING_ENTITLEMENT => {
            StoreError::Broken(format!("error {code}, it wants an entitlement that raxx does not have"))
        }
        _ => StoreError::Broken(format!("error {code}")),
    }
}

/// A refusal. A keychain that was locked since it was asked refuses in the same words, so its state is asked again.
fn refused(system: &impl System, why: &str) -> StoreError {
    locked_or(system, StoreError::Consent(why.into()))
}

fn locked_or(system: &impl System, answer: StoreError) -> StoreError {
    match system.state() {
        Ok(state) if state.locked => StoreError::Locked(state.name),
        _ => answer,
    }
}

/// How a keychain that is not the default one is called: `security` unlocks it by its path.
const KEYCHAIN_AT: &str = "the keychain ";

/// "the login keychain", from the path of its file.
pub(super) fn keychain_name(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let name = file.strip_suffix("-db").unwrap_or(&file);
    let name = clean(name.strip_suffix(".keychain").unwrap_or(name));
    if name.is_empty() { "the default keychain".into() } else { format!("the {name} keychain") }
}

#[cfg(test)]
mod tests;
