//! Reads items: first in this process with dialogs turned off, then through `security` for the items that only it can read
//! silently.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::access::Access;
use super::security::Security;
use super::status::{
    AUTH_FAILED, IN_DARK_WAKE, INTERACTION_NOT_ALLOWED, ITEM_NOT_FOUND, KEYCHAIN_AT, MISSING_ENTITLEMENT, OsStatus,
    USER_CANCELED, answer, locked_or, meaning,
};
use super::{SECURITY_LEAST, System};
use crate::store::{Answer, Item, StoreError};
use crate::text::clean;

/// The known result codes of `security find-generic-password`.
const EXITS: [OsStatus; 6] =
    [ITEM_NOT_FOUND, AUTH_FAILED, INTERACTION_NOT_ALLOWED, USER_CANCELED, MISSING_ENTITLEMENT, IN_DARK_WAKE];

/// The time limit for `security` to read a value. It needs tens of milliseconds, and more while many terminals start.
pub(super) const SECURITY_LIMIT: Duration = Duration::from_secs(5);

/// The maximum number of `security` processes that run at once.
pub(super) const AT_ONCE: usize = 8;

/// Reads the items and reports each answer as it arrives: first the items that raxx can read itself, then, in parallel, those
/// that only `security` can read. Stops when `report` returns false. An item without a report was not answered in time.
pub(super) fn look_up(
    system: &impl System,
    items: &[Item],
    end: Instant,
    report: impl Fn(usize, Answer) -> bool + Sync,
) {
    // The lock first: in a locked keychain, every other answer is about the lock and not about the item.
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
        if !report(at, answer) {
            return;
        }
    }
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(&at) = for_security.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !report(at, by_security(system, &items[at], end)) {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..for_security.len().min(AT_ONCE) {
            // This thread works too, so if no other thread starts, the work only takes longer.
            _ = thread::Builder::new().name("keychain".into()).spawn_scoped(scope, work);
        }
        work();
    });
}

/// The result of reading an item in this process.
pub(super) enum InProcess {
    Answer(Answer),
    /// raxx cannot read it without a dialog, but perhaps `security` can.
    Refused,
}

pub(super) fn in_process(system: &impl System, item: &Item) -> InProcess {
    if let Err(code) = system.search(item) {
        return InProcess::Answer(answer(system, code));
    }
    match system.read(item) {
        Ok(value) => InProcess::Answer(Ok(Some(value.into()))),
        Err(AUTH_FAILED | INTERACTION_NOT_ALLOWED) => InProcess::Refused,
        Err(code) => InProcess::Answer(answer(system, code)),
    }
}

/// Whether to start `security` for an item.
pub(super) enum Silent {
    /// `security` will read the item without a dialog.
    Yes,
    /// The item was deleted a moment ago.
    NoItem,
}

/// Checks whether `security` will read the item without a dialog. The error says why not.
pub(super) fn silent(system: &impl System, item: &Item) -> Result<Silent, StoreError> {
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

/// Confirms that an item found a moment ago is now missing. In a sandbox that denies access to the Keychain, `security` also
/// reports the item as missing, so a search must agree.
pub(super) fn confirm_missing(system: &impl System, item: &Item) -> Result<(), StoreError> {
    match system.search(item) {
        Ok(()) => {
            Err(StoreError::Broken("the item exists, but this process is not allowed to use it (a sandbox?)".into()))
        }
        Err(ITEM_NOT_FOUND) => Ok(()),
        Err(code) => Err(meaning(system, code)),
    }
}

/// Translates the exit code of a `security` that was to read an item.
pub(super) fn exit_answer(system: &impl System, item: &Item, exit: i32) -> Answer {
    match EXITS.iter().find(|code| *code & 0xff == exit) {
        Some(&ITEM_NOT_FOUND) => confirm_missing(system, item).map(|()| None),
        Some(code) => Err(meaning(system, *code)),
        None => Err(StoreError::Broken(format!("`security` failed with exit code {exit}"))),
    }
}

pub(super) fn look_up_one(system: &impl System, item: &Item, end: Instant) -> Answer {
    match in_process(system, item) {
        InProcess::Answer(answer) => answer,
        InProcess::Refused => match silent(system, item)? {
            Silent::Yes => by_security(system, item, end),
            Silent::NoItem => Ok(None),
        },
    }
}

/// Reads the value through `security`. Only for an item that is [`silent`].
pub(super) fn by_security(system: &impl System, item: &Item, end: Instant) -> Answer {
    let left = end.saturating_duration_since(Instant::now());
    if left < SECURITY_LEAST {
        return Err(StoreError::TimedOut);
    }
    match system.security(item, left.min(SECURITY_LIMIT)) {
        Security::Exit(0, mut value) => {
            // `security` adds one newline. Any other belongs to the value.
            if value.last() == Some(&b'\n') {
                value.pop();
            }
            Ok(Some(value.into()))
        }
        Security::Exit(exit, _) => exit_answer(system, item, exit),
        Security::TimedOut => Err(locked_or(system, StoreError::TimedOut)),
        Security::Failed(why) => Err(StoreError::Broken(why)),
    }
}
