//! Linux with nothing configured: the Secret Service, and the store file where there is none to ask.

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;

use super::secret_service::SecretService;
use super::{FirstWrite, Item, Lookup, Store, StoreFile, Written};
use crate::secret::Secret;

/// The Secret Service, then the file.
pub(super) struct Auto<S = SecretService> {
    service: S,
    file: StoreFile,
    /// Known as soon as the service was asked: that there is none.
    no_service: Cell<bool>,
}

impl<S: Store> Auto<S> {
    pub(super) fn new(service: S, file: StoreFile) -> Self {
        Auto { service, file, no_service: Cell::new(false) }
    }

    /// The one that speaks for both. Where there is neither, the service says why.
    fn speaker(&self) -> &dyn Store {
        if self.no_service.get() && self.file.exists() { &self.file } else { &self.service }
    }

    fn note(&self, answer: &Lookup) -> bool {
        let none = matches!(answer, Lookup::Unavailable(_));
        self.no_service.set(none);
        none
    }
}

impl<S: Store> Store for Auto<S> {
    fn name(&self) -> &'static str {
        self.speaker().name()
    }

    fn unlock_hint(&self, item: &Item) -> String {
        self.speaker().unlock_hint(item)
    }

    fn first_write(&self, limit: Duration) -> LocalBoxFuture<'_, Option<FirstWrite>> {
        Box::pin(async move {
            if self.file.exists() {
                return None;
            }
            // Whether there is a service is told by any question.
            let question = [Item { service: "raxx".into(), account: "raxx".into() }];
            let answers = self.service.read(&question, limit).await;
            if answers.first().is_some_and(|answer| self.note(answer)) {
                return self.file.first_write(limit).await;
            }
            None
        })
    }

    fn write<'a>(&'a self, name: &'a str, item: &'a Item, value: &'a Secret, limit: Duration) -> Written<'a> {
        Box::pin(async move {
            let until = Instant::now() + limit;
            match self.service.write(name, item, value, limit).await {
                Err(why) if self.note(&why) => {
                    self.file.write(name, item, value, until.saturating_duration_since(Instant::now())).await
                }
                Ok(()) if self.file.exists() => {
                    // A second copy in the file would be stale where there is no service. A locked file keeps it.
                    let left = until.saturating_duration_since(Instant::now());
                    let copies = self.file.read(std::slice::from_ref(item), left).await;
                    if matches!(copies.first(), Some(Lookup::Found(_))) {
                        return self.file.write(name, item, value, left).await;
                    }
                    Ok(())
                }
                other => other,
            }
        })
    }

    fn delete<'a>(&'a self, item: &'a Item, limit: Duration) -> Written<'a> {
        Box::pin(async move {
            let until = Instant::now() + limit;
            let gone = self.service.delete(item, limit).await;
            let left = until.saturating_duration_since(Instant::now());
            match gone {
                Err(why) if (why == Lookup::Absent || self.note(&why)) && self.file.exists() => {
                    self.file.delete(item, left).await
                }
                // A copy in the file would come back.
                Ok(()) if self.file.exists() => match self.file.delete(item, left).await {
                    Err(Lookup::Absent) => Ok(()),
                    other => other,
                },
                other => other,
            }
        })
    }

    fn read<'a>(&'a self, items: &'a [Item], limit: Duration) -> LocalBoxFuture<'a, Vec<Lookup>> {
        Box::pin(async move {
            let mut answers = self.service.read(items, limit).await;
            let none = answers.first().is_some_and(|answer| self.note(answer));
            if !self.file.exists() {
                return answers;
            }
            if none {
                return self.file.read(items, limit).await;
            }
            // What was stored while there was no service (over ssh, say) is not lost now that there is one.
            for (item, answer) in items.iter().zip(&mut answers).filter(|(_, answer)| **answer == Lookup::Absent) {
                let in_file = self.file.read(std::slice::from_ref(item), limit).await.pop();
                if let Some(found @ Lookup::Found(_)) = in_file {
                    *answer = found;
                }
            }
            answers
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service that answers always the same.
    struct Answers(fn() -> Lookup);

    impl Store for Answers {
        fn name(&self) -> &'static str {
            "Secret Service"
        }

        fn unlock_hint(&self, _: &Item) -> String {
            "unlock the service".into()
        }

        fn write<'a>(&'a self, _: &'a str, _: &'a Item, _: &'a Secret, _: Duration) -> Written<'a> {
            Box::pin(async { Err(self.0()) })
        }

        fn delete<'a>(&'a self, _: &'a Item, _: Duration) -> Written<'a> {
            Box::pin(async { Err(self.0()) })
        }

        fn read<'a>(&'a self, items: &'a [Item], _: Duration) -> LocalBoxFuture<'a, Vec<Lookup>> {
            Box::pin(async { items.iter().map(|_| self.0()).collect() })
        }
    }

    const LIMIT: Duration = Duration::from_secs(10);

    fn none() -> Lookup {
        Lookup::Unavailable("no D-Bus session bus".into())
    }

    /// What a store with this service and a file that is made on the first write does with one value.
    fn written_and_read(service: fn() -> Lookup) -> (Result<(), Lookup>, Lookup, &'static str, bool) {
        let directory = tempfile::tempdir().unwrap();
        let file = StoreFile::new(&directory.path().join("store.age"), Some(directory.path().join("identity")));
        let auto = Auto::new(Answers(service), file.clone());
        let item = [Item { service: "s".into(), account: "a".into() }];
        let value = Secret::parse(b"value").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let written = auto.write("NAME", &item[0], &value, LIMIT).await;
            let read = auto.read(&item, LIMIT).await.pop().unwrap();
            (written, read, auto.name(), file.exists())
        })
    }

    #[test]
    fn the_file_stands_in_where_there_is_no_service() {
        let found = Lookup::Found(zeroize::Zeroizing::new(b"value".to_vec()));
        assert_eq!(written_and_read(none), (Ok(()), found, "store file", true));
    }

    #[test]
    fn a_service_that_does_not_work_is_not_passed_over() {
        for answer in [|| Lookup::Locked("the login collection".into()), || Lookup::Broken("dead".into())] {
            assert_eq!(written_and_read(answer), (Err(answer()), answer(), "Secret Service", false));
        }
    }

    #[test]
    fn where_there_is_neither_the_service_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let auto = Auto::new(Answers(none), StoreFile::new(&directory.path().join("store.age"), None));
        let item = [Item { service: "s".into(), account: "a".into() }];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            assert_eq!(auto.read(&item, LIMIT).await, [none()]);
            assert_eq!(auto.name(), "Secret Service");
            assert_eq!(auto.delete(&item[0], LIMIT).await, Err(none()));
            assert!(auto.first_write(LIMIT).await.is_some());
        });
    }
}
