//! Unlocking gnome-keyring with its password, through the interface that its own login uses, in the daemon that is
//! already running.
//!
//! The password is encrypted on the bus, although values are not: it unlocks everything that the person ever stored.
//! raxx never starts a daemon: one that receives a password at startup also accepts a wrong one, and creates a
//! keyring with it.

use std::time::Duration;

use aes::Aes128;
use cbc::cipher::{BlockEncryptMut as _, KeyIvInit as _, block_padding::Pkcs7};
use futures_util::future::join_all;
use hkdf::Hkdf;
use num_bigint::BigUint;
use sha2::Sha256;
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};
use zeroize::Zeroizing;

use super::super::thread::run_on_thread;
use super::super::{Item, Keyring, StoreError, StoreFuture};
use super::collection::{collection_name, collection_path};
use super::provider::Provider;
use super::session::{SERVICE, Session, answered, failure};
use super::{CONTENT_TYPE, SecretService, not_done};

pub(super) const INTERFACE: &str = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface";

const ALGORITHM: &str = "dh-ietf1024-sha256-aes128-cbc-pkcs7";

/// The prime of the second Oakley group (RFC 2409, 6.2), whose generator is 2.
const PRIME: [u8; 128] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc9, 0x0f, 0xda, 0xa2, 0x21, 0x68, 0xc2, 0x34, 0xc4, 0xc6, 0x62,
    0x8b, 0x80, 0xdc, 0x1c, 0xd1, 0x29, 0x02, 0x4e, 0x08, 0x8a, 0x67, 0xcc, 0x74, 0x02, 0x0b, 0xbe, 0xa6, 0x3b, 0x13,
    0x9b, 0x22, 0x51, 0x4a, 0x08, 0x79, 0x8e, 0x34, 0x04, 0xdd, 0xef, 0x95, 0x19, 0xb3, 0xcd, 0x3a, 0x43, 0x1b, 0x30,
    0x2b, 0x0a, 0x6d, 0xf2, 0x5f, 0x14, 0x37, 0x4f, 0xe1, 0x35, 0x6d, 0x6d, 0x51, 0xc2, 0x45, 0xe4, 0x85, 0xb5, 0x76,
    0x62, 0x5e, 0x7e, 0xc6, 0xf4, 0x4c, 0x42, 0xe9, 0xa6, 0x37, 0xed, 0x6b, 0x0b, 0xff, 0x5c, 0xb6, 0xf4, 0x06, 0xb7,
    0xed, 0xee, 0x38, 0x6b, 0xfb, 0x5a, 0x89, 0x9f, 0xa5, 0xae, 0x9f, 0x24, 0x11, 0x7c, 0x4b, 0x1f, 0xe6, 0x49, 0x28,
    0x66, 0x51, 0xec, 0xe6, 0x53, 0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
];

impl SecretService {
    /// The locked collections whose password `raxx unlock` can take: those of `items`, and the default one.
    pub(super) fn locked<'a>(&'a self, items: &'a [Item], limit: Duration) -> StoreFuture<'a, Vec<Keyring>> {
        let (items, hint) = (items.to_vec(), self.hint.clone());
        Box::pin(async move {
            let found = run_on_thread(limit, move || async move {
                let session = Session::begin().await?;
                let mut collections = Vec::from_iter(session.locked_default().await);
                for found in join_all(items.iter().map(|item| session.search(item))).await {
                    for item in found?.locked {
                        let collection = OwnedObjectPath::try_from(collection_path(&item)).unwrap_or_default();
                        if !collections.contains(&collection) {
                            collections.push(collection);
                        }
                    }
                }
                if collections.is_empty() {
                    return Ok(Vec::new());
                }
                let opened = session.unlock(&collections).await?;
                collections.retain(|collection| !opened.contains(collection));
                let Some(first) = collections.first() else { return Ok(Vec::new()) };
                // If the service's process is not visible, as from a container, try anyway: the service itself
                // reports an unsupported method.
                let unnamed = Provider::Unknown(String::new());
                if ![Provider::Gnome, unnamed].contains(&session.provider().await) {
                    let item = items.first().cloned().unwrap_or_else(Item::probe);
                    return Err(session.locked(first, &item, &hint).await);
                }
                let name = |path: &OwnedObjectPath| collection_name(path);
                Ok(collections.iter().map(|path| Keyring { name: name(path), path: path.to_string() }).collect())
            });
            found.await.unwrap_or_else(|error| Err(not_done(&error)))
        })
    }

    /// Sends the password to the service. Returns whether it was correct.
    pub(super) fn unlock(keyring: &Keyring, password: Zeroizing<Vec<u8>>, limit: Duration) -> StoreFuture<'_, bool> {
        let path = keyring.path.clone();
        Box::pin(async move {
            let done = run_on_thread(limit, move || async move { unlock(&path, &password).await });
            done.await.unwrap_or_else(|error| Err(not_done(&error)))
        })
    }
}

async fn unlock(collection: &str, password: &[u8]) -> Result<bool, StoreError> {
    let session = Session::begin().await?;
    let broken = |error: zbus::Error| failure(&session.bus, &error);
    let path = OwnedObjectPath::try_from(collection).map_err(|error| broken(error.into()))?;
    if !session.is_locked(&path).await {
        return Ok(true);
    }

    let mut private = Zeroizing::new([0; 128]);
    fill(&mut private[..])?;
    let private = BigUint::from_bytes_be(&private[..]);
    let prime = BigUint::from_bytes_be(&PRIME);
    let public = BigUint::from(2_u8).modpow(&private, &prime).to_bytes_be();
    let opened = session.call(SERVICE, "Service.OpenSession", &(ALGORITHM, Value::from(public))).await;
    let (theirs, encrypted_session): (OwnedValue, OwnedObjectPath) = opened.map_err(broken)?;
    let theirs = Vec::<u8>::try_from(theirs).map_err(|error| broken(error.into()))?;
    let key = session_key(&BigUint::from_bytes_be(&theirs), &private, &prime)?;

    let mut iv = [0; 16];
    fill(&mut iv)?;
    let encrypted = cbc::Encryptor::<Aes128>::new((&*key).into(), &iv.into()).encrypt_padded_vec_mut::<Pkcs7>(password);
    let secret = (encrypted_session, &iv[..], encrypted, CONTENT_TYPE);
    let method = format!("{INTERFACE}.UnlockWithMasterPassword");
    match session.call::<_, ()>(SERVICE, &method, &(&path, secret)).await {
        Ok(()) => {}
        Err(error) if answered(&error, "org.gnome.keyring.Error.Denied") => return Ok(false),
        Err(error) => return Err(broken(error)),
    }
    // The state counts, not the answer.
    if session.is_locked(&path).await { Ok(false) } else { Ok(true) }
}

fn fill(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes)
        .map_err(|error| StoreError::Broken(format!("the system returned no random numbers: {error}")))
}

/// The key that both sides derive from their own private number and the other's public one.
fn session_key(theirs: &BigUint, private: &BigUint, prime: &BigUint) -> Result<Zeroizing<[u8; 16]>, StoreError> {
    let common = Zeroizing::new(theirs.modpow(private, prime).to_bytes_be());
    // Padded to the length of the prime.
    let mut padded = Zeroizing::new([0; PRIME.len()]);
    padded[PRIME.len() - common.len()..].copy_from_slice(&common);
    let mut key = Zeroizing::new([0; 16]);
    let expanded = Hkdf::<Sha256>::new(None, &padded[..]).expand(&[], &mut key[..]);
    expanded.map_err(|_| StoreError::Broken("could not derive a session key".into()))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_derive_the_same_key() {
        let prime = BigUint::from_bytes_be(&PRIME);
        let number = |byte: u8| BigUint::from_bytes_be(&[byte; 128]);
        let public = |private: &BigUint| BigUint::from(2_u8).modpow(private, &prime);
        let (a, b) = (number(0x17), number(0x5a));
        let key = session_key(&public(&b), &a, &prime).unwrap();
        assert_eq!(key, session_key(&public(&a), &b, &prime).unwrap());
        assert_ne!(key, session_key(&public(&a), &a, &prime).unwrap());
        // A shared number with leading zeros is padded, not shortened.
        assert!(session_key(&BigUint::from(1_u8), &a, &prime).is_ok());
    }
}
