//! Reading all items over one connection and without a dialog.

use std::sync::{Mutex, PoisonError};

use futures_util::future::join_all;
use zbus::zvariant::OwnedObjectPath;

use super::collection::collection_name;
use super::session::{NO_SUCH_OBJECT, Session, answered};
use crate::store::{Answer, Item, Remedy, StoreError};

const READ_DENIED: &str = "reading it requires confirmation in a dialog";

/// The answers so far, which outlive the thread that collects them.
pub(super) struct Answers(Mutex<Vec<Option<Answer>>>);

impl Answers {
    /// Starts without an answer for any of the items.
    pub(super) fn none(items: usize) -> Answers {
        Answers(Mutex::new(vec![None; items]))
    }

    fn with<T>(&self, access: impl FnOnce(&mut Vec<Option<Answer>>) -> T) -> T {
        access(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, at: usize, answer: Answer) {
        self.with(|answers| answers[at] = Some(answer));
    }

    /// Sets the answer of every item that has none.
    pub(super) fn fill(&self, why: &StoreError) {
        self.with(|answers| {
            for answer in answers.iter_mut().filter(|answer| answer.is_none()) {
                *answer = Some(Err(why.clone()));
            }
        });
    }

    pub(super) fn take(&self) -> Vec<Answer> {
        self.with(std::mem::take).into_iter().map(|answer| answer.unwrap_or(Err(StoreError::TimedOut))).collect()
    }
}

/// The session, its parameters, the value and its content type.
type SecretStruct = (OwnedObjectPath, Vec<u8>, Vec<u8>, String);

impl Session {
    /// The value of the most recently written item.
    async fn value(&self, items: Vec<OwnedObjectPath>) -> Answer {
        let Some(item) = self.by_age(items).await.pop() else { return Ok(None) };
        let secret = self.call::<_, (SecretStruct,)>(&item, "Item.GetSecret", &(&self.path,)).await;
        match secret {
            Ok(((_, _, value, _),)) => Ok(Some(value.into())),
            Err(error) if answered(&error, NO_SUCH_OBJECT) => Ok(None),
            Err(error) => Err(self.refusal(&error, &item, READ_DENIED)),
        }
    }
}

pub(super) async fn read_all(
    items: &[Item],
    answers: &Answers,
    hint: &Mutex<Option<Remedy>>,
) -> Result<(), StoreError> {
    let session = Session::begin().await?;
    let locked = Mutex::new(Vec::new());
    join_all(items.iter().enumerate().map(|(at, item)| {
        let (session, locked) = (&session, &locked);
        async move {
            match session.search(item).await {
                Ok(found) if found.unlocked.is_empty() && !found.locked.is_empty() => {
                    locked.lock().unwrap_or_else(PoisonError::into_inner).push((at, found));
                }
                Ok(found) => answers.put(at, session.value(found.unlocked).await),
                Err(why) => answers.put(at, Err(why)),
            }
        }
    }))
    .await;

    // Unlock all in one call, so that there is at most one prompt to dismiss.
    let locked = locked.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some((first, found)) = locked.first() {
        let all = Vec::from_iter(locked.iter().flat_map(|(_, found)| found.locked.iter().cloned()));
        let opened = session.unlock(&all).await.unwrap_or_default();
        let why = session.locked(&found.locked[0], &items[*first], hint).await;
        for (at, found) in &locked {
            let opened = Vec::from_iter(found.locked.iter().filter(|path| opened.contains(path)).cloned());
            let answer = match (opened.is_empty(), &why) {
                (false, _) => session.value(opened).await,
                (true, StoreError::Consent(_)) => Err(why.clone()),
                (true, _) => Err(StoreError::Locked(collection_name(&found.locked[0]))),
            };
            answers.put(*at, answer);
        }
        return Ok(());
    }

    // KeePassXC does not search a locked database and answers that the item does not exist. Reporting it as missing
    // would send a person to create a new token. A provider that found a locked item does search locked collections.
    let absent = answers.with(|answers| answers.iter().position(|answer| *answer == Some(Ok(None))));
    if let Some(at) = absent
        && let Some(why) = session.locked_away(&items[at], hint).await
    {
        answers.with(|answers| {
            for answer in answers.iter_mut().filter(|answer| **answer == Some(Ok(None))) {
                *answer = Some(Err(StoreError::Locked(why.clone())));
            }
        });
    }
    Ok(())
}
