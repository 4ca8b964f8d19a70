//! Writes and deletes items through `security`, which works however raxx was built and signed.

use std::time::{Duration, Instant};

use super::read::confirm_missing;
use super::security::Security;
use super::status::{
    AUTH_FAILED, DISK_FULL, DUPLICATE_ITEM, IN_DARK_WAKE, INTERACTION_NOT_ALLOWED, ITEM_NOT_FOUND, MISSING_ENTITLEMENT,
    NO_DEFAULT_KEYCHAIN, NO_SUCH_KEYCHAIN, NOT_AVAILABLE, OsStatus, READ_ONLY, USER_CANCELED, locked_or, meaning,
};
use super::{SECURITY_LEAST, System};
use crate::store::{Item, StoreError};

/// The known result codes of `security add-generic-password` and `delete-generic-password`.
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

/// Fails if the keychain is locked: `security` would then prompt for its password.
pub(super) fn check_unlocked(system: &impl System) -> Result<(), StoreError> {
    match system.state() {
        Ok(state) if state.locked => Err(StoreError::Locked(state.name)),
        Ok(_) => Ok(()),
        Err(code) => Err(meaning(system, code)),
    }
}

pub(super) fn add(system: &impl System, line: &[u8], end: Instant) -> Result<(), StoreError> {
    match run_change(system, end, |limit| system.add(line, limit))? {
        Change::Done => Ok(()),
        Change::NoItem => Err(meaning(system, ITEM_NOT_FOUND)),
    }
}

/// Deletes the item and returns whether it existed.
pub(super) fn delete_if_exists(system: &impl System, item: &Item, end: Instant) -> Result<bool, StoreError> {
    match system.search(item) {
        Ok(()) => match run_change(system, end, |limit| system.delete(item, limit))? {
            Change::Done => Ok(true),
            Change::NoItem => confirm_missing(system, item).map(|()| false),
        },
        Err(ITEM_NOT_FOUND) => Ok(false),
        Err(code) => Err(meaning(system, code)),
    }
}

/// The outcome of a change through `security`.
enum Change {
    Done,
    /// `security` did not find the item.
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
            None => Err(StoreError::Broken(format!("`security` failed with exit code {exit}"))),
        },
        Security::TimedOut => Err(locked_or(system, StoreError::TimedOut)),
        Security::Failed(why) => Err(StoreError::Broken(why)),
    }
}
