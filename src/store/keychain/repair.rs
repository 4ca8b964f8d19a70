//! Recreates an item that macOS guards with a dialog so that it can be read silently.

use std::time::Instant;

use super::System;
use super::change::{add, delete_if_there, unlocked};
use super::read::{InProcess, exited, in_process, look_up_one};
use super::security::{Security, add_line, printable_ascii, shown_value};
use super::status::{ITEM_NOT_FOUND, meaning, refused};
use crate::store::{Answer, Item, StoreError};

/// Where a repair keeps the value while the item is gone.
pub(super) fn kept_by_repair(item: &Item) -> Item {
    Item { service: item.service.clone(), account: format!("{} (raxx repair)", item.account) }
}

/// Recreates an item that macOS guards with a dialog so that `security` reads it silently. Its access list cannot be
/// fixed in place without the login password, so it is read once, by the dialog that a person answers, deleted and made
/// anew. A copy keeps the value meanwhile: whenever this is broken off, doing it again goes on from there. Returns whether
/// there is such an item.
pub(super) fn repair(system: &impl System, name: &str, item: &Item, end: Instant) -> Result<bool, StoreError> {
    unlocked(system)?;
    let copy = kept_by_repair(item);
    match system.search(item) {
        Ok(()) => {
            let Some(value) = ask(system, item, end)? else { return Ok(false) };
            let line = add_line(name, item, &value)?;
            add(system, &add_line(name, &copy, &value)?, end)?;
            given_silently(system, &copy, &value, end)?;
            if let Err(why) = delete_if_there(system, item, end) {
                // Still there, and so the copy is of no use. If even that cannot be told, both stay.
                if system.search(item).is_ok() {
                    _ = delete_if_there(system, &copy, end);
                }
                return Err(why);
            }
            add(system, &line, end).map_err(|why| kept(&copy, &why))?;
            given_silently(system, item, &value, end).map_err(|why| kept(&copy, &why))?;
        }
        Err(ITEM_NOT_FOUND) => {
            // Broken off between deleting and writing.
            let Some(value) = ask(system, &copy, end)? else { return Ok(false) };
            add(system, &add_line(name, item, &value)?, end)?;
            given_silently(system, item, &value, end)?;
        }
        Err(code) => return Err(meaning(system, code)),
    }
    delete_if_there(system, &copy, end).map(|_| true)
}

/// The value to write anew, with as much time for a dialog as there is. Not by `security -w`: that gives a value with an
/// unprintable byte as hex digits with no mark that it did, and those must not take the value's place.
fn ask(system: &impl System, item: &Item, end: Instant) -> Answer {
    if let InProcess::Answer(answer) = in_process(system, item) {
        return answer;
    }
    match system.shown(item, end.saturating_duration_since(Instant::now())) {
        Security::Exit(0, output) => match shown_value(&output).filter(|value| printable_ascii(value)) {
            Some(value) => Ok(Some(value.into())),
            None => Err(StoreError::Unfit(
                "`security` cannot give it back as it is, so the item is left alone: forget it, and store anew".into(),
            )),
        },
        Security::Exit(exit, _) => exited(system, item, exit),
        Security::TimedOut => Err(refused(system, "its dialog was not answered in time")),
        Security::Failed(why) => Err(StoreError::Broken(why)),
    }
}

/// Whether the item now gives this very value without a dialog.
fn given_silently(system: &impl System, item: &Item, value: &[u8], end: Instant) -> Result<(), StoreError> {
    match look_up_one(system, item, end)? {
        Some(read) if *read == *value => Ok(()),
        Some(_) => Err(StoreError::Broken("it gave back another value than was written".into())),
        None => Err(meaning(system, ITEM_NOT_FOUND)),
    }
}

/// A repair that went wrong after the item was deleted.
fn kept(copy: &Item, why: &StoreError) -> StoreError {
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
        "the item could not be written again ({why}); its value is kept in the item with the service {service} and the \
         account {account}, the same command goes on from there"
    ))
}
