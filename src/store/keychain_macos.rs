//! The calls into macOS that `keychain.rs` decides on. Nothing is decided here.

use std::ffi::{OsStr, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use security_framework::item::{ItemClass, ItemSearchOptions};
use security_framework::os::macos::keychain::{KeychainUserInteractionLock, SecKeychain};
use security_framework::passwords::{PasswordOptions, generic_password};
use zeroize::Zeroizing;

use super::Item;
use super::keychain::security::{self, Security};
use super::keychain::{self, OsStatus, State};

// Stable since 10.2, exported to this day, and in no crate that raxx uses.
#[link(name = "Security", kind = "framework")]
unsafe extern "C" {
    fn SecKeychainGetStatus(keychain: *mut c_void, status: *mut u32) -> OsStatus;
    fn SecKeychainGetPath(keychain: *mut c_void, length: *mut u32, path: *mut c_char) -> OsStatus;
}

/// `kSecUnlockStateStatus`.
const UNLOCKED: u32 = 1;

const SECURITY: &str = "/usr/bin/security";

/// This Mac.
pub(super) struct System;

/// Switches the Keychain's dialogs off for this process. A static is never dropped, so they stay off.
fn dialogs_off() -> Result<(), OsStatus> {
    static OFF: OnceLock<Result<KeychainUserInteractionLock, OsStatus>> = OnceLock::new();
    let off = OFF.get_or_init(|| SecKeychain::disable_user_interaction().map_err(|error| error.code()));
    off.as_ref().map(|_| ()).map_err(|code| *code)
}

impl keychain::System for System {
    fn state(&self) -> Result<State, OsStatus> {
        dialogs_off()?;
        let mut status = 0;
        // SAFETY: NULL stands for the default keychain, and `status` outlives the call.
        match unsafe { SecKeychainGetStatus(ptr::null_mut(), &mut status) } {
            0 => Ok(State { name: default_keychain_name(), locked: status & UNLOCKED == 0 }),
            code => Err(code),
        }
    }

    fn search(&self, item: &Item) -> Result<(), OsStatus> {
        dialogs_off()?;
        let mut search = ItemSearchOptions::new();
        search.class(ItemClass::generic_password()).service(&item.service).account(&item.account).load_attributes(true);
        search.search().map(|_| ()).map_err(|error| error.code())
    }

    fn read(&self, item: &Item) -> Result<Zeroizing<Vec<u8>>, OsStatus> {
        dialogs_off()?;
        generic_password(PasswordOptions::new_generic_password(&item.service, &item.account))
            .map(Zeroizing::new)
            .map_err(|error| error.code())
    }

    fn security(&self, item: &Item, limit: Duration) -> Security {
        security::run_security(Path::new(SECURITY), item, limit)
    }

    fn shown(&self, item: &Item, limit: Duration) -> Security {
        security::run_security_shown(Path::new(SECURITY), item, limit)
    }

    fn add(&self, line: &[u8], limit: Duration) -> Security {
        security::run_security_add(Path::new(SECURITY), line, limit)
    }

    fn delete(&self, item: &Item, limit: Duration) -> Security {
        security::run_security_delete(Path::new(SECURITY), item, limit)
    }
}

fn default_keychain_name() -> String {
    let mut path = [0_u8; 1024];
    let mut length = path.len() as u32;
    // SAFETY: NULL stands for the default keychain, and no more than `length` bytes are written to `path`.
    let code = unsafe { SecKeychainGetPath(ptr::null_mut(), &mut length, path.as_mut_ptr().cast()) };
    let path = if code == 0 { path.get(..length as usize).unwrap_or_default() } else { &[] };
    keychain::keychain_name(Path::new(OsStr::from_bytes(path)))
}
