//! Recreates an item that macOS guards with a dialog so that it can be read silently.

use std::time::Instant;

use super::System;
use super::change::{add, check_unlocked, delete_if_exists};
use super::read::{InProcess, exit_answer, in_process, look_up_one};
use super::security::{Security, add_line, printable_ascii, shown_value};
use super::status::{ITEM_NOT_FOUND, meaning, refused};
use crate::store::{Answer, Item, StoreError};

/// Returns the item in which a repair keeps a copy of the value while the original does not exist.
pub(super) fn repair_copy(item: &Item) -> Item {
    Item { service: item.service.clone(), account: format!("{} (raxx repair)", item.account) }
}

/// Recreates an item that macOS guards with a dialog so that `security` can read it silently. Changing its access list would
/// require the login password. Instead, the item is read once, through a dialog that the user answers, then deleted and
/// created again. A copy keeps the value meanwhile: after an interruption, running the repair again finishes it. Returns
/// whether the item exists.
pub(super) fn repair(system: &impl System, name: &str, item: &Item, end: Instant) -> Result<bool, StoreError> {
    check_unlocked(system)?;
    let copy = repair_copy(item);
    match system.search(item) {
        Ok(()) => {
            let Some(value) = read_with_dialog(system, item, end)? else { return Ok(false) };
            let line = add_line(name, item, &value)?;
            add(system, &add_line(name, &copy, &value)?, end)?;
            verify_silent(system, &copy, &value, end)?;
            if let Err(why) = delete_if_exists(system, item, end) {
                // If the original still exists, the copy is not needed. If that is unknown, both stay.
                if system.search(item).is_ok() {
                    _ = delete_if_exists(system, &copy, end);
                }
                return Err(why);
            }
            add(system, &line, end).map_err(|why| value_in_copy(&copy, &why))?;
            verify_silent(system, item, &value, end).map_err(|why| value_in_copy(&copy, &why))?;
        }
        Err(ITEM_NOT_FOUND) => {
            // An earlier repair was interrupted between deleting and creating the item.
            let Some(value) = read_with_dialog(system, &copy, end)? else { return Ok(false) };
            add(system, &add_line(name, item, &value)?, end)?;
            verify_silent(system, item, &value, end)?;
        }
        Err(code) => return Err(meaning(system, code)),
    }
    delete_if_exists(system, &copy, end).map(|_| true)
}

/// Reads the value to write again, with all remaining time for the dialog. This does not use `security -w`, which prints a
/// value with an unprintable byte as unmarked hex digits: those must not replace the value.
fn read_with_dialog(system: &impl System, item: &Item, end: Instant) -> Answer {
    if let InProcess::Answer(answer) = in_process(system, item) {
        return answer;
    }
    match system.shown(item, end.saturating_duration_since(Instant::now())) {
        Security::Exit(0, output) => match shown_value(&output).filter(|value| printable_ascii(value)) {
            Some(value) => Ok(Some(value.into())),
            None => Err(StoreError::Unfit(
                "`security` cannot return it unchanged, so the item was left alone; use raxx forget, then raxx store"
                    .into(),
            )),
        },
        Security::Exit(exit, _) => exit_answer(system, item, exit),
        Security::TimedOut => Err(refused(system, "the dialog was not answered in time")),
        Security::Failed(why) => Err(StoreError::Broken(why)),
    }
}

/// Checks that the item can now be read without a dialog and has this value.
fn verify_silent(system: &impl System, item: &Item, value: &[u8], end: Instant) -> Result<(), StoreError> {
    match look_up_one(system, item, end)? {
        Some(read) if *read == *value => Ok(()),
        Some(_) => Err(StoreError::Broken("it returned a different value than the one that was written".into())),
        None => Err(meaning(system, ITEM_NOT_FOUND)),
    }
}

/// Returns the error of a repair that failed after the item was deleted.
fn value_in_copy(copy: &Item, why: &StoreError) -> StoreError {
    let why = match why {
        StoreError::Locked(what) => format!("{what} is locked"),
        StoreError::Consent(why)
        | StoreError::Unavailable(why)
        | StoreError::Unreachable(why)
        | StoreError::Broken(why)
        | StoreError::Unfit(why) => why.clone(),
        StoreError::TimedOut => "no answer in time".into(),
    };
    let Item { service, account } = copy;
    StoreError::Broken(format!(
        "could not recreate the item ({why}); its value is saved in the item with service {service} and account \
         {account}; run the same command again to finish the repair"
    ))
}
