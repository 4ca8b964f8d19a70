//! Collections: which one receives new items, which are locked, and which open without a password.

use std::sync::{Mutex, PoisonError};

use zbus::zvariant::OwnedObjectPath;

use super::bus;
use super::provider::{Display, Guard, Provider};
use super::search::Found;
use super::session::{SERVICE, Session, failure};
use crate::store::{Item, Remedy, StoreError};
use crate::text::plain;

impl Session {
    /// Unlocks the objects that open without a password, as on a machine with automatic login, and returns those that
    /// are unlocked. A service that needs the person's answer returns a prompt instead, which is dismissed without
    /// opening it.
    pub(super) async fn unlock(&self, objects: &[OwnedObjectPath]) -> Result<Vec<OwnedObjectPath>, StoreError> {
        let answer = self.call(SERVICE, "Service.Unlock", &(objects,)).await;
        let (unlocked, prompt): (Vec<OwnedObjectPath>, OwnedObjectPath) =
            answer.map_err(|error| failure(&self.bus, &error))?;
        self.dismiss(&prompt).await;
        Ok(unlocked)
    }

    /// Unlocks the items that open without a password, and returns the result.
    pub(super) async fn unlocked(&self, found: Found) -> Result<Found, StoreError> {
        if found.locked.is_empty() {
            return Ok(found);
        }
        let opened = self.unlock(&found.locked).await?;
        let Found { mut unlocked, mut locked } = found;
        locked.retain(|item| !opened.contains(item));
        unlocked.extend(opened);
        Ok(Found { unlocked, locked })
    }

    /// The reason why a locked item cannot be read. Also sets the hint about how to unlock it.
    pub(super) async fn locked(&self, path: &str, item: &Item, hint: &Mutex<Option<Remedy>>) -> StoreError {
        let provider = self.provider().await;
        // KeePassXC also reports an item of an unlocked database as locked if it is going to ask the person before
        // releasing it.
        let collection = collection_path(path);
        let asks = path != collection && provider == Provider::KeePassXc && !self.is_locked(collection).await;
        let guard = if asks { Guard::Question } else { Guard::Lock };
        let remedy = provider.hint(item, Display::from_environment(), guard);
        hint.lock().unwrap_or_else(PoisonError::into_inner).replace(remedy);
        match guard {
            Guard::Question => StoreError::Consent("KeePassXC asks before it releases the item".into()),
            Guard::Lock => StoreError::Locked(collection_name(path)),
        }
    }

    pub(super) async fn default_collection(&self) -> zbus::Result<Option<OwnedObjectPath>> {
        let path: OwnedObjectPath = self.call(SERVICE, "Service.ReadAlias", &"default").await?;
        Ok(Some(path).filter(|path| path.as_str() != "/"))
    }

    /// The default collection, if it is locked.
    pub(super) async fn locked_default(&self) -> Option<OwnedObjectPath> {
        let collection = self.default_collection().await.ok()??;
        self.is_locked(&collection).await.then_some(collection)
    }

    /// The locked collection that can contain an item that was not found.
    pub(super) async fn locked_away(&self, item: &Item, hint: &Mutex<Option<Remedy>>) -> Option<String> {
        let collection = self.locked_default().await?;
        // A collection without a password opens, and its items were searched already.
        if self.unlock(std::slice::from_ref(&collection)).await.is_ok_and(|opened| opened.contains(&collection)) {
            return None;
        }
        match self.locked(&collection, item, hint).await {
            StoreError::Locked(what) => Some(what),
            _ => None,
        }
    }

    /// The collection for new items. If it has no password, it is unlocked.
    pub(super) async fn collection_for_new(
        &self,
        item: &Item,
        hint: &Mutex<Option<Remedy>>,
    ) -> Result<OwnedObjectPath, StoreError> {
        let collection = self.default_collection().await.map_err(|error| failure(&self.bus, &error))?;
        let Some(collection) = collection else {
            return Err(StoreError::Unfit(self.provider().await.no_collection(Display::from_environment())));
        };
        if self.is_locked(&collection).await && self.unlock(std::slice::from_ref(&collection)).await?.is_empty() {
            return Err(self.locked(&collection, item, hint).await);
        }
        Ok(collection)
    }
}

/// The collection, from its path or the path of an item in it.
pub(super) fn collection_path(path: &str) -> &str {
    let Some((start, rest)) = path.split_once("/collection/") else { return path };
    let name = rest.split('/').next().unwrap_or_default();
    &path[..start.len() + "/collection/".len() + name.len()]
}

/// The name for messages, such as "the login collection", from the path of the collection or of an item in it.
pub(super) fn collection_name(path: &str) -> String {
    let path = path.split("/collection/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if path.is_empty() {
        return "the secret collection".into();
    }
    // gnome-keyring escapes characters other than letters and digits as `_xx`; not every provider does.
    let unescaped = bus::unescaped(&path.replace('_', "%"));
    let name = String::from_utf8(unescaped).ok().filter(|name| !name.contains('%'));
    format!("the {} collection", plain(&name.unwrap_or_else(|| path.to_owned())))
}
