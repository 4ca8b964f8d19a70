//! Writing and deleting, with a time limit for the service's own dialog.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use zbus::zvariant::{OwnedObjectPath, Value};

use super::search::attributes;
use super::session::{Session, gone};
use super::{CONTENT_TYPE, not_done};
use crate::secret::Secret;
use crate::store::thread::run_on_thread;
use crate::store::{Item, Remedy, StoreError, StoreFuture};
use crate::terminal::Terminal;

/// How long a person has to answer the service's own dialog about a change.
const DIALOG: Duration = Duration::from_secs(30);

/// The time limits of a change.
pub(super) struct Limits {
    /// For the service itself.
    service: Duration,
    /// For a person to answer the service's dialog.
    dialog: Duration,
}

/// Makes a change on a separate thread. The time for a dialog is added to the service's limit.
pub(super) fn changed<'a, T, F>(limit: Duration, work: impl FnOnce(Limits) -> F + Send + 'static) -> StoreFuture<'a, T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, StoreError>>,
{
    Box::pin(async move {
        // Without a terminal, no person can answer.
        let dialog = if Terminal::new().exists() { DIALOG } else { limit };
        let limits = Limits { service: limit, dialog };
        run_on_thread(limit + dialog, move || work(limits)).await.unwrap_or_else(|error| Err(not_done(&error)))
    })
}

/// Writes the value. Each change is one message, which the bus delivers completely or not at all: a process that is
/// killed here leaves either the old value or the new one.
pub(super) async fn write_one(
    name: &str,
    item: &Item,
    value: &Secret,
    limits: &Limits,
    hint: &Mutex<Option<Remedy>>,
) -> Result<(), StoreError> {
    let create = async {
        let session = Session::begin().await?;
        let found = session.unlocked(session.search(item).await?).await?;
        // The item that reading returns, whichever collection it is in and whatever other attributes it has.
        if let Some(existing) = session.by_age(found.unlocked).await.pop() {
            let secret = (&session.path, &[] as &[u8], value.expose().as_bytes(), CONTENT_TYPE);
            match session.change::<_, ()>(&existing, "Item.SetSecret", &(secret,)).await {
                Ok(None) => {} // another process just deleted it
                done => return done.map(|_| None),
            }
        } else if let Some(locked) = found.locked.first() {
            // A second item would be a duplicate once the locked one is unlocked.
            return Err(session.locked(locked, item, hint).await);
        }
        create(&session, name, item, value, hint).await.map(|prompt| Some((session, prompt)))
    };
    match in_time(limits.service, create).await? {
        Some((session, prompt)) => session.run_prompt(&prompt, limits.dialog).await,
        None => Ok(()),
    }
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(StoreError::TimedOut))
}

/// Creates the item, or returns the prompt that creates it.
async fn create(
    session: &Session,
    name: &str,
    item: &Item,
    value: &Secret,
    hint: &Mutex<Option<Remedy>>,
) -> Result<OwnedObjectPath, StoreError> {
    let collection = session.collection_for_new(item, hint).await?;
    let secret = (&session.path, &[] as &[u8], value.expose().as_bytes(), CONTENT_TYPE);
    let properties = HashMap::from([
        ("org.freedesktop.Secret.Item.Label", Value::from(name)),
        ("org.freedesktop.Secret.Item.Attributes", Value::from(attributes(item))),
    ]);
    // With `true`, it replaces an item that another program created in the meantime.
    let (made, prompt): (OwnedObjectPath, OwnedObjectPath) =
        session.change(&collection, "Collection.CreateItem", &(properties, secret, true)).await?.ok_or_else(gone)?;
    match (made.as_str(), prompt.as_str()) {
        ("/", "/") => Err(StoreError::Broken("it did not create the item and gave no reason".into())),
        _ => Ok(prompt),
    }
}

pub(super) async fn delete_one(item: &Item, limits: &Limits, hint: &Mutex<Option<Remedy>>) -> Result<bool, StoreError> {
    let begin = async {
        let session = Session::begin().await?;
        let found = session.unlocked(session.search(item).await?).await?;
        // An item that remains would reappear once it is unlocked.
        if let Some(locked) = found.locked.first() {
            return Err(session.locked(locked, item, hint).await);
        }
        if found.unlocked.is_empty() {
            // As when reading: a locked KeePassXC answers that the item does not exist.
            return match session.locked_away(item, hint).await {
                Some(what) => Err(StoreError::Locked(what)),
                None => Ok((session, Vec::new())),
            };
        }
        let items = session.by_age(found.unlocked).await;
        Ok((session, items))
    };
    let (session, items) = in_time(limits.service, begin).await?;
    let found = !items.is_empty();
    // The item that reading returns is deleted last: if interrupted, the current value is still stored.
    for item in items {
        // `None` means that another process deleted it first.
        if let Some(prompt) = in_time(limits.service, session.change(&item, "Item.Delete", &())).await? {
            session.run_prompt(&prompt, limits.dialog).await?;
        }
    }
    Ok(found)
}
