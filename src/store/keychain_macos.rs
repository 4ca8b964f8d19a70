//! The calls into macOS, without any decisions: those are made in `keychain/`.

#![allow(unsafe_code)] // for calls into C

use std::ffi::{OsStr, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use core_foundation::array::{CFArray, CFArrayRef};
use core_foundation::base::{CFType, CFTypeRef, TCFType};
use core_foundation::data::{CFData, CFDataRef};
use core_foundation::string::{CFString, CFStringRef};
use security_framework::base::Error;
use security_framework::item::{ItemClass, ItemSearchOptions};
use security_framework::os::macos::keychain::{KeychainUserInteractionLock, SecKeychain};
use security_framework::passwords::{PasswordOptions, generic_password};
use zeroize::Zeroizing;

use super::Item;
use super::keychain::access::{Access, Readers};
use super::keychain::security::{self, Security};
use super::keychain::status::{self, OsStatus};
use super::keychain::{self, State};

// Stable since macOS 10.2, still exported, and not in a crate that raxx uses.
#[link(name = "Security", kind = "framework")]
unsafe extern "C" {
    fn SecKeychainGetStatus(keychain: CFTypeRef, status: *mut u32) -> OsStatus;
    fn SecKeychainGetPath(keychain: CFTypeRef, length: *mut u32, path: *mut c_char) -> OsStatus;
    fn SecKeychainFindGenericPassword(
        keychain_or_array: CFTypeRef,
        service_length: u32,
        service: *const c_char,
        account_length: u32,
        account: *const c_char,
        password_length: *mut u32,
        password: *mut *mut c_void,
        item: *mut CFTypeRef,
    ) -> OsStatus;
    fn SecKeychainItemCopyKeychain(item: CFTypeRef, keychain: *mut CFTypeRef) -> OsStatus;
    fn SecKeychainItemCopyAccess(item: CFTypeRef, access: *mut CFTypeRef) -> OsStatus;
    fn SecAccessCopyMatchingACLList(access: CFTypeRef, authorization: CFStringRef) -> CFArrayRef;
    fn SecACLCopyContents(
        acl: CFTypeRef,
        applications: *mut CFArrayRef,
        description: *mut CFStringRef,
        prompt: *mut u16,
    ) -> OsStatus;
    fn SecTrustedApplicationCopyData(application: CFTypeRef, data: *mut CFDataRef) -> OsStatus;
    static kSecACLAuthorizationDecrypt: CFStringRef;
    static kSecACLAuthorizationPartitionID: CFStringRef;
}

/// `kSecUnlockStateStatus`.
const UNLOCKED: u32 = 1;

const SECURITY: &str = "/usr/bin/security";

/// This Mac.
pub(super) struct System;

/// Turns the Keychain's dialogs off for this process. A static is never dropped, so they stay off.
fn dialogs_off() -> Result<(), OsStatus> {
    static OFF: OnceLock<Result<KeychainUserInteractionLock, OsStatus>> = OnceLock::new();
    let off = OFF.get_or_init(|| SecKeychain::disable_user_interaction().map_err(Error::code));
    off.as_ref().map(|_| ()).map_err(|code| *code)
}

impl keychain::System for System {
    fn state(&self) -> Result<State, OsStatus> {
        dialogs_off()?;
        Ok(State { name: status::keychain_name(&keychain_path(None)), locked: is_locked(None)? })
    }

    fn search(&self, item: &Item) -> Result<(), OsStatus> {
        dialogs_off()?;
        let mut search = ItemSearchOptions::new();
        search.class(ItemClass::generic_password()).service(&item.service).account(&item.account).load_attributes(true);
        search.search().map(|_| ()).map_err(Error::code)
    }

    fn access(&self, item: &Item) -> Result<Access, OsStatus> {
        dialogs_off()?;
        let item = find(item)?;
        // SAFETY: `item` is a keychain item, and the pointer is where the object is put.
        let keychain = unsafe { copied(|keychain| SecKeychainItemCopyKeychain(item.as_CFTypeRef(), keychain)) }?;
        // SAFETY: As above.
        let access = unsafe { copied(|access| SecKeychainItemCopyAccess(item.as_CFTypeRef(), access)) }?;
        let locked = is_locked(Some(&keychain))?.then(|| keychain_path(Some(&keychain)));
        // SAFETY: Constants of the framework.
        let (decrypt, partition) = unsafe { (kSecACLAuthorizationDecrypt, kSecACLAuthorizationPartitionID) };
        let readers = entries(&access, decrypt)?.into_iter().map(|(readers, _)| readers).collect();
        let partitions = entries(&access, partition)?.into_iter().map(|(_, description)| description).collect();
        Ok(Access { readers, partitions, locked })
    }

    fn read(&self, item: &Item) -> Result<Zeroizing<Vec<u8>>, OsStatus> {
        dialogs_off()?;
        generic_password(PasswordOptions::new_generic_password(&item.service, &item.account))
            .map(Zeroizing::new)
            .map_err(Error::code)
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

/// Returns the object that a "Copy" function of Core Foundation stores through its pointer.
///
/// # Safety
/// If `copy` returns 0, it must have stored NULL or a Core Foundation object that belongs to the caller.
unsafe fn copied(copy: impl FnOnce(*mut CFTypeRef) -> OsStatus) -> Result<CFType, OsStatus> {
    let mut object: CFTypeRef = ptr::null();
    match copy(&raw mut object) {
        0 if object.is_null() => Err(status::NOT_AVAILABLE),
        // SAFETY: By the contract of this function; NULL is excluded above.
        0 => Ok(unsafe { CFType::wrap_under_create_rule(object) }),
        code => Err(code),
    }
}

/// Returns the first matching item in the search list, as `security` finds it, without its value.
fn find(item: &Item) -> Result<CFType, OsStatus> {
    let length = |text: &str| u32::try_from(text.len()).map_err(|_| status::INVALID_PARAMETER);
    let (service, account) = (length(&item.service)?, length(&item.account)?);
    // SAFETY: The lengths are those of the texts; without pointers for the password, only the item is returned.
    unsafe {
        copied(|found| {
            SecKeychainFindGenericPassword(
                ptr::null(),
                service,
                item.service.as_ptr().cast(),
                account,
                item.account.as_ptr().cast(),
                ptr::null_mut(),
                ptr::null_mut(),
                found,
            )
        })
    }
}

/// Returns the entries of an access list for this authorization: the programs that each trusts, and its description.
fn entries(access: &CFType, authorization: CFStringRef) -> Result<Vec<(Readers, String)>, OsStatus> {
    // SAFETY: `access` is an access list and `authorization` a constant of the framework; the array belongs to the caller.
    let list = unsafe { SecAccessCopyMatchingACLList(access.as_CFTypeRef(), authorization) };
    if list.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: Not NULL, and an array of objects.
    let list: CFArray<CFType> = unsafe { CFArray::wrap_under_create_rule(list) };
    list.iter().map(|acl| contents(&acl)).collect()
}

fn contents(acl: &CFType) -> Result<(Readers, String), OsStatus> {
    let (mut applications, mut description, mut prompt) = (ptr::null(), ptr::null(), 0);
    // SAFETY: `acl` is an entry of an access list, and the others outlive the call.
    let code =
        unsafe { SecACLCopyContents(acl.as_CFTypeRef(), &raw mut applications, &raw mut description, &raw mut prompt) };
    if code != 0 {
        return Err(code);
    }
    let description = if description.is_null() {
        String::new()
    } else {
        // SAFETY: A string that belongs to the caller.
        unsafe { CFString::wrap_under_create_rule(description) }.to_string()
    };
    // A missing list, unlike an empty one, means that every program is trusted.
    let readers = if applications.is_null() {
        Readers::Everyone
    } else {
        // SAFETY: An array of trusted applications that belongs to the caller.
        let applications: CFArray<CFType> = unsafe { CFArray::wrap_under_create_rule(applications) };
        Readers::Only(applications.iter().map(|application| path_data(&application)).collect::<Result<_, _>>()?)
    };
    Ok((readers, description))
}

fn path_data(application: &CFType) -> Result<Vec<u8>, OsStatus> {
    let mut data: CFDataRef = ptr::null();
    // SAFETY: `application` is a trusted application, and `data` outlives the call.
    match unsafe { SecTrustedApplicationCopyData(application.as_CFTypeRef(), &raw mut data) } {
        0 if data.is_null() => Ok(Vec::new()),
        // SAFETY: Data that belongs to the caller.
        0 => Ok(unsafe { CFData::wrap_under_create_rule(data) }.bytes().to_vec()),
        code => Err(code),
    }
}

/// Returns the given keychain, or NULL for the default one.
fn reference(keychain: Option<&CFType>) -> CFTypeRef {
    keychain.map_or(ptr::null(), TCFType::as_CFTypeRef)
}

fn is_locked(keychain: Option<&CFType>) -> Result<bool, OsStatus> {
    let mut status = 0;
    // SAFETY: NULL or a keychain, and `status` outlives the call.
    match unsafe { SecKeychainGetStatus(reference(keychain), &raw mut status) } {
        0 => Ok(status & UNLOCKED == 0),
        code => Err(code),
    }
}

fn keychain_path(keychain: Option<&CFType>) -> PathBuf {
    let mut path = [0_u8; 1024];
    let mut length = path.len() as u32;
    // SAFETY: NULL or a keychain, and no more than `length` bytes are written to `path`.
    let code = unsafe { SecKeychainGetPath(reference(keychain), &raw mut length, path.as_mut_ptr().cast()) };
    let path = if code == 0 { path.get(..length as usize).unwrap_or_default() } else { &[] };
    PathBuf::from(OsStr::from_bytes(path))
}
