//! Writing and deleting, and how long a person may take for the service's own dialog about it.

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

/// How long a person may take for the service's own dialog about a change.
const DIALOG: Duration = Duration::from_secs(30);

/// How long a change may take.
pub(super) struct Limits {
    /// The service itself.
    service: Duration,
    /// A person who is asked by the service.
    dialog: Duration,
}

/// Makes a change apart. The deadline for a dialog is on top of the one for the service.
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

/// Each change is one message, which the bus passes on whole or not at all: whoever is killed here leaves the old value
/// or the new one.
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
        // The one that reading gives, wherever it is and whatever else is noted on it.
        if let Some(there) = session.by_age(found.unlocked).await.pop() {
            let secret = (&session.path, &[] as &[u8], value.expose().as_bytes(), CONTENT_TYPE);
            match session.change::<_, ()>(&there, "Item.SetSecret", &(secret,)).await {
                Ok(None) => {} // somebody deleted it just now
                done => return done.map(|_| None),
            }
        } else if let Some(locked) = found.locked.first() {
            // A second item would be a duplicate as soon as the locked one is unlocked.
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

/// Makes the item, or gives the prompt in which it is made.
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
    // With `true` it takes the place of one that another program has made meanwhile.
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
        // One that stays behind would be back as soon as it is unlocked.
        if let Some(locked) = found.locked.first() {
            return Err(session.locked(locked, item, hint).await);
        }
        if found.unlocked.is_empty() {
            // As in reading: a locked KeePassXC says that there is no such item.
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
    // The one that reading gives goes last: broken off, this leaves the value that was there.
    for item in items {
        // Without a prompt, somebody else was faster.
        if let Some(prompt) = in_time(limits.service, session.change(&item, "Item.Delete", &())).await? {
            session.run_prompt(&prompt, limits.dialog).await?;
        }
    }
    Ok(found)
}
