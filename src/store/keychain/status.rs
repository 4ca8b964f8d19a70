//! The result codes of the Keychain, and their messages.

use std::path::Path;

use super::System;
use crate::store::{Answer, StoreError};
use crate::text::clean;

/// A result code of Security.framework. The exit code of `security` is its lowest eight bits.
pub(in crate::store) type OsStatus = i32;

pub(super) const ITEM_NOT_FOUND: OsStatus = -25300;
pub(super) const AUTH_FAILED: OsStatus = -25293;
pub(super) const INTERACTION_NOT_ALLOWED: OsStatus = -25308;
pub(super) const USER_CANCELED: OsStatus = -128;
pub(super) const MISSING_ENTITLEMENT: OsStatus = -34018;
pub(super) const IN_DARK_WAKE: OsStatus = -25320;
pub(in crate::store) const NOT_AVAILABLE: OsStatus = -25291;
pub(super) const NO_SUCH_KEYCHAIN: OsStatus = -25294;
pub(super) const NO_DEFAULT_KEYCHAIN: OsStatus = -25307;
pub(super) const DUPLICATE_ITEM: OsStatus = -25299;
pub(super) const READ_ONLY: OsStatus = -25292;
pub(super) const DISK_FULL: OsStatus = -34;
pub(in crate::store) const INVALID_PARAMETER: OsStatus = -50;
/// `EPERM`, as Security.framework reports it.
pub(super) const NOT_PERMITTED: OsStatus = 100_001;

/// Returns the answer to a read that failed with this code.
pub(super) fn answer(system: &impl System, code: OsStatus) -> Answer {
    if code == ITEM_NOT_FOUND { Ok(None) } else { Err(meaning(system, code)) }
}

/// Translates a result code.
pub(super) fn meaning(system: &impl System, code: OsStatus) -> StoreError {
    match code {
        ITEM_NOT_FOUND => StoreError::Broken("the item was not found".into()),
        AUTH_FAILED => refused(system, "macOS shows a dialog before it releases this item"),
        INTERACTION_NOT_ALLOWED => refused(system, "this session cannot show the dialog (ssh, cron, background agent)"),
        USER_CANCELED => refused(system, "the dialog was canceled"),
        IN_DARK_WAKE => refused(system, "the Mac is asleep and cannot show the dialog (dark wake)"),
        // The result in a sandbox that denies access to the Keychain. The item can still exist, so it is not "missing".
        NOT_AVAILABLE | INVALID_PARAMETER | NOT_PERMITTED => StoreError::Broken(format!(
            "this process is not allowed to use it (a sandbox, or no login session; error {code})"
        )),
        NO_DEFAULT_KEYCHAIN => StoreError::Unavailable("this user has no default keychain".into()),
        NO_SUCH_KEYCHAIN => StoreError::Broken("the default keychain's file is missing".into()),
        // `security` failed to change the item, tried to create it instead, and found that it exists.
        DUPLICATE_ITEM => StoreError::Broken("the item exists but could not be changed (error -25299)".into()),
        READ_ONLY => StoreError::Broken("the keychain is read-only".into()),
        DISK_FULL => StoreError::Broken("the disk is full".into()),
        MISSING_ENTITLEMENT => {
            StoreError::Broken(format!("it requires an entitlement that raxx does not have (error {code})"))
        }
        _ => StoreError::Broken(format!("error {code}")),
    }
}

/// Returns the error of a refusal. A keychain that was just locked refuses with the same code, so its state is read again.
pub(super) fn refused(system: &impl System, why: &str) -> StoreError {
    locked_or(system, StoreError::Consent(why.into()))
}

pub(super) fn locked_or(system: &impl System, answer: StoreError) -> StoreError {
    match system.state() {
        Ok(state) if state.locked => StoreError::Locked(state.name),
        _ => answer,
    }
}

/// The prefix of the name of a keychain other than the default one, before its path: `security` unlocks it by its path.
pub(super) const KEYCHAIN_AT: &str = "the keychain ";

/// Returns a keychain's name, such as "the login keychain", from the path of its file.
pub(in crate::store) fn keychain_name(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let name = file.strip_suffix("-db").unwrap_or(&file);
    let name = clean(name.strip_suffix(".keychain").unwrap_or(name));
    if name.is_empty() { "the default keychain".into() } else { format!("the {name} keychain") }
}
