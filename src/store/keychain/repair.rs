//! Makes an item that is given out only after a dialog one that is read silently.

use std::time::Instant;

use zeroize::Zeroizing;

use super::security::{Security, add_line, printable_ascii, shown_value};
use super::{
    ITEM_NOT_FOUND, InProcess, System, add, delete_if_there, exited, in_process, look_up_one, meaning, refused,
    unlocked,
};
use crate::store::{Item, Lookup};

/// Where a repair keeps the value while the item is gone.
pub(super) fn kept_by_repair(item: &Item) -> Item {
    Item { service: item.service.clone(), account: format!("{} (raxx repair)", item.account) }
}

/// Makes an item that is given out only after a dialog one that `security` reads silently. Its access list cannot be
/// mended in place without the login password, so it is read once, by the dialog that a person answers, deleted and made
/// anew. A copy keeps the value meanwhile: whenever this is broken off, doing it again goes on from there.
pub(super) fn repair(system: &impl System, name: &str, item: &Item, end: Instant) -> Result<(), Lookup> {
    unlocked(system)?;
    let copy = kept_by_repair(item);
    match system.search(item) {
        Ok(()) => {
            let value = ask(system, item, end)?;
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
            let value = ask(system, &copy, end)?;
            add(system, &add_line(name, item, &value)?, end)?;
            given_silently(system, item, &value, end)?;
        }
        Err(code) => return Err(meaning(system, code)),
    }
    delete_if_there(system, &copy, end).map(|_| ())
}

/// The value to write anew, with as much time for a dialog as there is. Not by `security -w`: that gives a value with an
/// unprintable byte as hex digits with no mark that it did, and those must not take the value's place.
fn ask(system: &impl System, item: &Item, end: Instant) -> Result<Zeroizing<Vec<u8>>, Lookup> {
    match in_process(system, item) {
        InProcess::Answer(Lookup::Found(value)) => return Ok(value),
        InProcess::Answer(why) => return Err(why),
        InProcess::Refused => {}
    }
    match system.shown(item, end.saturating_duration_since(Instant::now())) {
        Security::Exit(0, output) => shown_value(&output).filter(|value| printable_ascii(value)).ok_or_else(|| {
            Lookup::Unfit(
                "`security` cannot give it back as it is, so the item is left alone: forget it, and store anew".into(),
            )
        }),
        Security::Exit(exit, _) => Err(exited(system, item, exit)),
        Security::TimedOut => Err(refused(system, "its dialog was not answered in time")),
        Security::Failed(why) => Err(Lookup::Broken(why)),
    }
}

/// Whether the item now gives this very value without a dialog.
fn given_silently(system: &impl System, item: &Item, value: &[u8], end: Instant) -> Result<(), Lookup> {
    match look_up_one(system, item, end) {
        Lookup::Found(read) if *read == value => Ok(()),
        Lookup::Found(_) => Err(Lookup::Broken("it gave back another value than was written".into())),
        why => Err(why),
    }
}

/// A repair that went wrong after the item was deleted.
fn kept(copy: &Item, why: &Lookup) -> Lookup {
    let why = match why {
        Lookup::Locked(what) => format!("{what} is locked"),
        Lookup::Consent(why)
        | Lookup::Unavailable(why)
        | Lookup::Unreachable(why)
        | Lookup::Broken(why)
        | Lookup::Unfit(why) => why.clone(),
        Lookup::TimedOut => "no answer in time".into(),
        Lookup::Absent | Lookup::Found(_) => "it is not there".into(),
    };
    let Item { service, account } = copy;
    Lookup::Broken(format!(
        "the item could not be written again ({why}); its value is kept in the item with the service {service} and the \
         account {account}, the same command goes on from there"
    ))
}
