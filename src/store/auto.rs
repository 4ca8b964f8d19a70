//! Linux with nothing configured: the Secret Service, and the store file where there is none to ask.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;
use zeroize::Zeroizing;

use super::secret_service::SecretService;
use super::{Answer, FirstWrite, Item, Keyring, Remedy, Store, StoreError, StoreFile, StoreFuture, read_one};
use crate::secret::Secret;

/// How long the file may take where the service has used up all the time: it takes a few milliseconds.
const FILE: Duration = Duration::from_millis(100);

/// The Secret Service, then the file.
pub(super) struct Auto<S = SecretService> {
    service: S,
    file: StoreFile,
    /// Whether the service was asked and does not exist.
    no_service: Cell<bool>,
    /// Items that were served by the file although a Secret Service exists.
    of_file: RefCell<Vec<Item>>,
}

/// Whether the error says that there is no service, or that it cannot be reached.
fn is_absent(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_) | StoreError::Unreachable(_))
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

impl<S: Store> Auto<S> {
    pub(super) fn new(service: S, file: StoreFile) -> Self {
        Auto { service, file, no_service: Cell::new(false), of_file: RefCell::default() }
    }

    /// The backend of an item that neither has answered for. Where there is neither, the service says why.
    fn default_backend(&self) -> &dyn Store {
        if self.no_service.get() && self.file.exists() { &self.file } else { &self.service }
    }

    /// Records whether there is a service, from its answer, and returns the answer.
    fn noted<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        self.no_service.set(answer.as_ref().err().is_some_and(is_absent));
        answer
    }

    /// Records which of the two answered for an item.
    fn set_served_by_file(&self, item: &Item, by_file: bool) {
        let mut of_file = self.of_file.borrow_mut();
        of_file.retain(|other| other != item);
        if by_file {
            of_file.push(item.clone());
        }
    }

    /// Renews the file's copy of an item that was written to the service: it would be stale where there is no service. A
    /// locked file keeps its copy.
    async fn renew_copy(&self, name: &str, item: &Item, value: &Secret, until: Instant) -> Result<(), StoreError> {
        if !self.file.exists() || !matches!(read_one(&self.file, item, left(until)).await, Ok(Some(_))) {
            return Ok(());
        }
        let renewed = self.file.write(name, item, value, left(until)).await;
        self.set_served_by_file(item, renewed.is_err());
        renewed
    }
}

impl<S: Store> Store for Auto<S> {
    fn name(&self) -> &'static str {
        self.default_backend().name()
    }

    fn backend_for(&self, item: &Item) -> &dyn Store {
        if self.of_file.borrow().contains(item) { &self.file } else { self.default_backend() }
    }

    fn unlock_hint(&self, item: &Item) -> Remedy {
        self.backend_for(item).unlock_hint(item)
    }

    fn first_write(&self, limit: Duration) -> LocalBoxFuture<'_, Option<FirstWrite>> {
        Box::pin(async move {
            if self.file.exists() {
                return None;
            }
            // Any question tells whether there is a service.
            match self.noted(read_one(&self.service, &Item::nobodys(), limit).await) {
                Err(why) if is_absent(&why) => self.file.first_write(limit).await,
                _ => None,
            }
        })
    }

    fn write<'a>(&'a self, name: &'a str, item: &'a Item, value: &'a Secret, limit: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let until = Instant::now() + limit;
            self.set_served_by_file(item, false);
            let written = self.service.write(name, item, value, limit).await;
            if let Err(why) = written {
                return match self.noted(Err(why)) {
                    Err(why) if is_absent(&why) => self.file.write(name, item, value, left(until)).await,
                    other => other,
                };
            }
            self.renew_copy(name, item, value, until).await
        })
    }

    fn delete<'a>(&'a self, item: &'a Item, limit: Duration) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let until = Instant::now() + limit;
            self.set_served_by_file(item, false);
            // A locked service stops it before anything is deleted.
            let in_service = match self.noted(read_one(&self.service, item, left(until)).await) {
                Ok(value) => value.is_some(),
                Err(why) if is_absent(&why) && self.file.exists() => false,
                Err(why) => return Err(why),
            };
            // The file first: otherwise a copy in it would come back.
            let deleted = self.file.delete(item, left(until)).await;
            self.set_served_by_file(item, deleted.is_err());
            let in_file = deleted?;
            if in_service { self.service.delete(item, left(until)).await } else { Ok(in_file) }
        })
    }

    fn takes_new<'a>(&'a self, item: &'a Item, limit: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            match self.service.takes_new(item, limit).await {
                Ok(()) => Ok(()),
                Err(why) => match self.noted(Err(why)) {
                    // The file takes everything.
                    Err(why) if is_absent(&why) => Ok(()),
                    other => other,
                },
            }
        })
    }

    fn keeps_keyrings(&self) -> bool {
        !self.no_service.get()
    }

    fn locked_keyrings<'a>(&'a self, items: &'a [Item], limit: Duration) -> StoreFuture<'a, Vec<Keyring>> {
        Box::pin(async move { self.noted(self.service.locked_keyrings(items, limit).await) })
    }

    fn unlock_keyring<'a>(
        &'a self,
        keyring: &'a Keyring,
        password: Zeroizing<Vec<u8>>,
        limit: Duration,
    ) -> StoreFuture<'a, bool> {
        self.service.unlock_keyring(keyring, password, limit)
    }

    fn read<'a>(&'a self, items: &'a [Item], limit: Duration) -> LocalBoxFuture<'a, Vec<Answer>> {
        Box::pin(async move {
            let until = Instant::now() + limit;
            let mut answers = self.service.read(items, limit).await;
            self.no_service.set(matches!(answers.first(), Some(Err(why)) if is_absent(why)));
            items.iter().for_each(|item| self.set_served_by_file(item, false));
            if !self.file.exists() {
                return answers;
            }
            let limit = left(until).max(FILE);
            if self.no_service.get() {
                return self.file.read(items, limit).await;
            }
            // What was stored while there was no service (over ssh, say) is not lost now that there is one, nor while it
            // does not work; and an item that a locked file may have is not reported as missing.
            let undecided =
                |answer: &Answer| matches!(answer, Ok(None) | Err(StoreError::Broken(_) | StoreError::TimedOut));
            let wanted: Vec<usize> = (0..items.len()).filter(|at| undecided(&answers[*at])).collect();
            if wanted.is_empty() {
                return answers;
            }
            let of_file: Vec<Item> = wanted.iter().map(|at| items[*at].clone()).collect();
            for (at, answer) in wanted.into_iter().zip(self.file.read(&of_file, limit).await) {
                let counts = match answers[at] {
                    Ok(_) => answer != Ok(None),
                    Err(_) => matches!(answer, Ok(Some(_))),
                };
                if counts {
                    self.set_served_by_file(&items[at], true);
                    answers[at] = answer;
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
    struct Answers(fn() -> StoreError);

    impl Store for Answers {
        fn name(&self) -> &'static str {
            "Secret Service"
        }

        fn backend_for(&self, _: &Item) -> &dyn Store {
            self
        }

        fn unlock_hint(&self, _: &Item) -> Remedy {
            Remedy::Do("unlock the service".into())
        }

        fn write<'a>(&'a self, _: &'a str, _: &'a Item, _: &'a Secret, _: Duration) -> StoreFuture<'a, ()> {
            Box::pin(async { Err(self.0()) })
        }

        fn delete<'a>(&'a self, _: &'a Item, _: Duration) -> StoreFuture<'a, bool> {
            Box::pin(async { Err(self.0()) })
        }

        fn read<'a>(&'a self, items: &'a [Item], _: Duration) -> LocalBoxFuture<'a, Vec<Answer>> {
            Box::pin(async { items.iter().map(|_| Err(self.0())).collect() })
        }
    }

    const LIMIT: Duration = Duration::from_secs(10);

    fn none() -> StoreError {
        StoreError::Unavailable("no D-Bus session bus".into())
    }

    /// What a store with this service and a file that is made on the first write does with one value.
    fn written_and_read(service: fn() -> StoreError) -> (Result<(), StoreError>, Answer, &'static str, bool) {
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
        assert_eq!(written_and_read(none), (Ok(()), found("value"), "store file", true));
    }

    #[test]
    fn a_service_that_does_not_work_is_not_passed_over() {
        for answer in [|| StoreError::Locked("the login collection".into()), || StoreError::Broken("dead".into())] {
            assert_eq!(written_and_read(answer), (Err(answer()), Err(answer()), "Secret Service", false));
        }
    }

    #[test]
    fn the_file_stands_in_where_the_address_of_the_bus_leads_nowhere() {
        let gone = || StoreError::Unreachable("the bus does not exist".into());
        assert_eq!(written_and_read(gone), (Ok(()), found("value"), "store file", true));
    }

    /// What is read of a file with one value, by this service in front of it, and who is named.
    fn read_behind(service: fn() -> StoreError) -> [(Answer, &'static str); 2] {
        let directory = tempfile::tempdir().unwrap();
        let file = StoreFile::new(&directory.path().join("store.age"), Some(directory.path().join("identity")));
        run(file.write("NAME", &token(), &secret("kept"), LIMIT)).unwrap();
        let auto = Auto::new(Answers(service), file);
        let other = Item { service: "other".into(), account: "a".into() };
        let answers = run(auto.read(&[token(), other.clone()], LIMIT)).try_into();
        let [first, second]: [Answer; 2] = answers.unwrap();
        [(first, auto.backend_for(&token()).name()), (second, auto.backend_for(&other).name())]
    }

    #[test]
    fn a_service_that_does_not_work_hides_no_value_of_the_file() {
        for answer in [|| StoreError::Broken("garbage".into()), || StoreError::TimedOut] {
            assert_eq!(read_behind(answer), [(found("kept"), "store file"), (Err(answer()), "Secret Service")]);
        }
        for answer in [none, || StoreError::Unreachable("gone".into())] {
            assert_eq!(read_behind(answer), [(found("kept"), "store file"), (Ok(None), "store file")]);
        }
        // What is known to be in the service is not read from an older copy.
        for answer in [|| StoreError::Locked("the keyring".into()), || StoreError::Consent("it asks".into())] {
            assert_eq!(read_behind(answer), [(Err(answer()), "Secret Service"), (Err(answer()), "Secret Service")]);
        }
    }

    #[test]
    fn where_there_is_neither_the_service_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let auto = Auto::new(Answers(none), StoreFile::new(&directory.path().join("store.age"), None));
        let item = [Item { service: "s".into(), account: "a".into() }];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            assert_eq!(auto.read(&item, LIMIT).await, [Err(none())]);
            assert_eq!(auto.name(), "Secret Service");
            assert_eq!(auto.delete(&item[0], LIMIT).await, Err(none()));
            assert!(auto.first_write(LIMIT).await.is_some());
        });
    }

    /// A service that holds one value.
    #[derive(Default)]
    struct Holds(RefCell<Option<Vec<u8>>>);

    impl Store for Holds {
        fn name(&self) -> &'static str {
            "Secret Service"
        }

        fn backend_for(&self, _: &Item) -> &dyn Store {
            self
        }

        fn unlock_hint(&self, _: &Item) -> Remedy {
            Remedy::Do("unlock the service".into())
        }

        fn write<'a>(&'a self, _: &'a str, _: &'a Item, value: &'a Secret, _: Duration) -> StoreFuture<'a, ()> {
            self.0.replace(Some(value.expose().into()));
            Box::pin(async { Ok(()) })
        }

        fn delete<'a>(&'a self, _: &'a Item, _: Duration) -> StoreFuture<'a, bool> {
            let held = self.0.take();
            Box::pin(async move { Ok(held.is_some()) })
        }

        fn read<'a>(&'a self, items: &'a [Item], _: Duration) -> LocalBoxFuture<'a, Vec<Answer>> {
            let one = || Ok(self.0.borrow().clone().map(Into::into));
            Box::pin(async move { items.iter().map(|_| one()).collect() })
        }
    }

    fn token() -> Item {
        Item { service: "s".into(), account: "a".into() }
    }

    fn secret(text: &str) -> Secret {
        Secret::parse(text.as_bytes()).unwrap()
    }

    fn found(text: &str) -> Answer {
        Ok(Some(text.as_bytes().to_vec().into()))
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    /// A service, and a store file with the old value in it.
    fn both(directory: &std::path::Path) -> Auto<Holds> {
        let file = StoreFile::new(&directory.join("store.age"), Some(directory.join("identity")));
        run(file.write("NAME", &token(), &secret("old"), LIMIT)).unwrap();
        Auto::new(Holds::default(), file)
    }

    /// Puts a file in its place that nobody here can open.
    fn close(directory: &std::path::Path) {
        let mut recipient = age::scrypt::Recipient::new("made up".to_string().into());
        recipient.set_work_factor(2);
        std::fs::write(directory.join("store.age"), age::encrypt(&recipient, b"{}").unwrap()).unwrap();
    }

    #[test]
    fn a_copy_in_the_file_that_cannot_be_renewed_undoes_the_write() {
        let directory = tempfile::tempdir().unwrap();
        let auto = both(directory.path());
        auto.service.0.replace(Some(b"old".to_vec()));
        std::fs::create_dir(directory.path().join(".store.age.new")).unwrap();
        let update = async {
            crate::store::update::update_verified(&auto, "NAME", &token(), &secret("new"), "raxx check NAME").await
        };
        let why = run(update).unwrap_err().to_string();
        let place = directory.path().display().to_string();
        insta::assert_snapshot!("a_copy_that_cannot_be_renewed", why.replace(&place, "[DIR]"));
        assert_eq!(run(auto.service.read(&[token()], LIMIT)), [found("old")]);
        assert_eq!(run(auto.file.read(&[token()], LIMIT)), [found("old")]);
    }

    #[test]
    fn what_is_forgotten_is_gone_from_both_or_from_neither() {
        let directory = tempfile::tempdir().unwrap();
        let auto = both(directory.path());
        auto.service.0.replace(Some(b"old".to_vec()));
        let closed = std::fs::read(directory.path().join("store.age")).unwrap();
        close(directory.path());
        let why =
            run(crate::store::update::forget(&auto, "NAME", &token(), "raxx check NAME")).unwrap_err().to_string();
        assert!(why.contains("store file") || why.contains("keyring"), "{why}");
        assert!(!why.contains("unlock the service"), "{why}");
        assert_eq!(run(auto.service.read(&[token()], LIMIT)), [found("old")]);

        std::fs::write(directory.path().join("store.age"), closed).unwrap();
        assert_eq!(run(auto.delete(&token(), LIMIT)), Ok(true));
        assert_eq!(run(auto.read(&[token()], LIMIT)), [Ok(None)]);
        assert_eq!(run(auto.delete(&token(), LIMIT)), Ok(false));
    }

    #[test]
    fn what_a_closed_file_may_hold_is_not_called_missing() {
        let directory = tempfile::tempdir().unwrap();
        let auto = both(directory.path());
        assert_eq!(run(auto.read(&[token()], LIMIT)), [found("old")]);
        assert_eq!(auto.backend_for(&token()).name(), "store file");
        close(directory.path());
        let answer = run(auto.read(&[token()], LIMIT)).pop().unwrap();
        // A container whose kernel has no keyring for it says that instead.
        assert!(matches!(answer, Err(StoreError::Locked(_) | StoreError::Broken(_))), "{answer:?}");
        assert_eq!(auto.unlock_hint(&token()), Remedy::Type("raxx unlock".into()));
        // What the service has needs no file.
        auto.service.0.replace(Some(b"new".to_vec()));
        assert_eq!(run(auto.read(&[token()], LIMIT)), [found("new")]);
        assert_eq!(auto.unlock_hint(&token()), Remedy::Do("unlock the service".into()));
    }
}
