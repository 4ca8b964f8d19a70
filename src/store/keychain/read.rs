//! Reading: first raxx itself with dialogs switched off, then `security` for what only it may read silently.

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

/// The codes that `security find-generic-password` is known to end with.
const EXITS: [OsStatus; 6] =
    [ITEM_NOT_FOUND, AUTH_FAILED, INTERACTION_NOT_ALLOWED, USER_CANCELED, MISSING_ENTITLEMENT, IN_DARK_WAKE];

/// How long `security` may take to read a value. It needs tens of milliseconds, more while many terminals ask at once.
pub(super) const SECURITY_LIMIT: Duration = Duration::from_secs(5);

/// How many `security` processes may run at once.
pub(super) const AT_ONCE: usize = 8;

/// Looks the items up and tells each answer as it comes: first what raxx may read itself, then, all at once, what only
/// `security` may. Stops when nobody listens any more; an item that is not told about was not answered in time.
pub(super) fn look_up(system: &impl System, items: &[Item], end: Instant, tell: impl Fn(usize, Answer) -> bool + Sync) {
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
pub(super) enum InProcess {
    Answer(Answer),
    /// raxx may not read it without a dialog; `security` perhaps may.
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

/// Why `security` can be started for an item, or need not be.
pub(super) enum Silent {
    /// It will read the item without a dialog.
    Yes,
    /// The item was deleted a moment ago.
    NoItem,
}

/// Checks that `security` will read the item without a dialog; if not, says why.
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

/// Checks that an item is missing that was found a moment ago. A sandbox that denies the Keychain also makes `security` say
/// that it is missing, so this counts only if the search agrees.
pub(super) fn confirm_missing(system: &impl System, item: &Item) -> Result<(), StoreError> {
    match system.search(item) {
        Ok(()) => Err(StoreError::Broken("the item is there, but this process may not use it (a sandbox?)".into())),
        Err(ITEM_NOT_FOUND) => Ok(()),
        Err(code) => Err(meaning(system, code)),
    }
}

/// What the exit code of a reading `security` means.
pub(super) fn exited(system: &impl System, item: &Item, exit: i32) -> Answer {
    match EXITS.iter().find(|code| *code & 0xff == exit) {
        Some(&ITEM_NOT_FOUND) => confirm_missing(system, item).map(|()| None),
        Some(code) => Err(meaning(system, *code)),
        None => Err(StoreError::Broken(format!("`security` ended with exit code {exit}"))),
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

/// The value, from `security`. Only for an item that is [`silent`].
pub(super) fn by_security(system: &impl System, item: &Item, end: Instant) -> Answer {
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
