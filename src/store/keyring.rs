//! The kernel's keyring: keeps the key of an unlocked store file in memory for all sessions of this user, until it is
//! removed, expires, or the machine restarts.

use zeroize::Zeroizing;

/// The key of a store file.
pub(super) type FileKey = Zeroizing<[u8; 16]>;

/// How long a key stays in the keyring.
pub(crate) const KEPT_HOURS: u32 = 12;

#[cfg(target_os = "linux")]
pub(super) use linux::{get, put, remove};
#[cfg(not(target_os = "linux"))]
pub(super) use none::{get, put, remove};

#[cfg(target_os = "linux")]
mod linux {
    use super::{FileKey, KEPT_HOURS};
    use linux_keyutils::{Key, KeyError, KeyPermissions, KeyRing, KeyRingIdentifier};

    /// All rights for the possessor and for the user. By default, the kernel lets the user only see that the key
    /// exists, so a terminal with its own session keyring could not read it.
    const RIGHTS: u32 = 0x3f3f_0000;

    /// The key with this name; `None` if it was never added, was removed, or has expired.
    pub(crate) fn get(name: &str) -> Result<Option<FileKey>, String> {
        let Some(key) = find(name)? else { return Ok(None) };
        let mut bytes = FileKey::default();
        match key.read(&mut *bytes) {
            Ok(16) => Ok(Some(bytes)),
            // A key of another length was not written by raxx.
            Ok(_) => Ok(None),
            Err(error) => absent(error).map(|()| None),
        }
    }

    /// Adds the key, replacing an existing one.
    pub(crate) fn put(name: &str, key: &FileKey) -> Result<(), String> {
        let put = || {
            // Created in this process's own keyring first: only there can its rights be changed for certain, and
            // other sessions then never see it without its rights and its time limit.
            let own = KeyRing::from_special_id(KeyRingIdentifier::Process, true)?;
            let key = own.add_key(name, key.as_slice())?;
            key.set_perms(KeyPermissions::from_u32(RIGHTS))?;
            key.set_timeout(KEPT_HOURS as usize * 3600)?;
            user()?.link_key(key)
        };
        put().map_err(words)
    }

    /// Removes the key; returns whether there was one.
    pub(crate) fn remove(name: &str) -> Result<bool, String> {
        match find(name)? {
            Some(key) => key.invalidate().map(|()| true).map_err(words),
            None => Ok(false),
        }
    }

    fn user() -> Result<KeyRing, KeyError> {
        KeyRing::from_special_id(KeyRingIdentifier::User, false)
    }

    fn find(name: &str) -> Result<Option<Key>, String> {
        match user().and_then(|keyring| keyring.search(name)) {
            Ok(key) => Ok(Some(key)),
            Err(error) => absent(error).map(|()| None),
        }
    }

    /// Succeeds if the error only means that the key does not exist.
    fn absent(error: KeyError) -> Result<(), String> {
        match error {
            KeyError::KeyDoesNotExist | KeyError::KeyExpired | KeyError::KeyRevoked => Ok(()),
            error => Err(words(error)),
        }
    }

    fn words(error: KeyError) -> String {
        const NO_SYSTEM_CALL: i32 = 38;
        let why = match error {
            KeyError::PermissionDenied => "it is forbidden here, as in many containers".into(),
            KeyError::Unknown(NO_SYSTEM_CALL) | KeyError::OperationNotSupported => "this kernel has none".into(),
            KeyError::AccessDenied => "access was denied".into(),
            KeyError::QuotaExceeded => "this user's quota of keys is full".into(),
            KeyError::Unknown(code) => std::io::Error::from_raw_os_error(code).to_string(),
            error => format!("{error:?}"),
        };
        format!("the kernel's keyring cannot be used: {why}")
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn each_error_has_its_own_message() {
            let said = [
                KeyError::PermissionDenied,
                KeyError::Unknown(38),
                KeyError::AccessDenied,
                KeyError::QuotaExceeded,
                KeyError::Unknown(5),
            ];
            insta::assert_snapshot!("refusals", said.map(words).join("\n"));
            for gone in [KeyError::KeyDoesNotExist, KeyError::KeyExpired, KeyError::KeyRevoked] {
                assert_eq!(absent(gone), Ok(()));
            }
            assert!(absent(KeyError::PermissionDenied).is_err());
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod none {
    use super::FileKey;

    const WHY: &str = "this system has no kernel keyring";

    pub(crate) fn get(_: &str) -> Result<Option<FileKey>, String> {
        Err(WHY.into())
    }

    pub(crate) fn put(_: &str, _: &FileKey) -> Result<(), String> {
        Err(WHY.into())
    }

    pub(crate) fn remove(_: &str) -> Result<bool, String> {
        Err(WHY.into())
    }
}
