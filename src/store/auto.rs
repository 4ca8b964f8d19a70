//! Linux with nothing configured: the Secret Service, and the store file where there is none to ask.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;
use zeroize::Zeroizing;

use super::secret_service::SecretService;
use super::{FirstWrite, Item, Keyring, Lookup, Remedy, Store, StoreFile, Unlocking, Written};
use crate::secret::Secret;

/// How long the file may take where the service has used up all the time: it takes a few milliseconds.
const FILE: Duration = Duration::from_millis(100);

/// The Secret Service, then the file.
pub(super) struct Auto<S = SecretService> {
    service: S,
    file: StoreFile,
    /// Known as soon as the service was asked: that there is none.
    no_service: Cell<bool>,
    /// The items about which the file has said the last word, although there is a service.
    of_file: RefCell<Vec<Item>>,
}

impl<S: Store> Auto<S> {
    pub(super) fn new(service: S, file: StoreFile) -> Self {
        Auto { service, file, no_service: Cell::new(false), of_file: RefCell::default() }
    }

    /// The one that speaks for both. Where there is neither, the service says why.
    fn both(&self) -> &dyn Store {
        if self.no_service.get() && self.file.exists() { &self.file } else { &self.service }
    }

    fn note(&self, answer: &Lookup) -> bool {
        let none = matches!(answer, Lookup::Unavailable(_) | Lookup::Unreachable(_));
        self.no_service.set(none);
        none
    }

    /// Notes who has said the last word about an item.
    fn said_by_file(&self, item: &Item, file: bool) {
        let mut of_file = self.of_file.borrow_mut();
        of_file.retain(|other| other != item);
        if file {
            of_file.push(item.clone());
        }
    }

    async fn one(&self, store: &dyn Store, item: &Item, until: Instant) -> Lookup {
        let left = until.saturating_duration_since(Instant::now());
        store.read(std::slice::from_ref(item), left).await.pop().unwrap_or(Lookup::TimedOut)
    }
}

impl<S: Store> Store for Auto<S> {
    fn name(&self) -> &'static str {
        self.both().name()
    }

    fn speaker(&self, item: &Item) -> &dyn Store {
        if self.of_file.borrow().contains(item) { &self.file } else { self.both() }
    }

    fn unlock_hint(&self, item: &Item) -> Remedy {
        self.speaker(item).unlock_hint(item)
    }

    fn first_write(&self, limit: Duration) -> LocalBoxFuture<'_, Option<FirstWrite>> {
        Box::pin(async move {
            if self.file.exists() {
                return None;
            }
            // Whether there is a service is told by any question.
            let question = [Item::nobodys()];
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
            self.said_by_file(item, false);
            match self.service.write(name, item, value, limit).await {
                Err(why) if self.note(&why) => {
                    self.file.write(name, item, value, until.saturating_duration_since(Instant::now())).await
                }
                Ok(()) if self.file.exists() => {
                    // A second copy in the file would be stale where there is no service. A locked file keeps it.
                    if !matches!(self.one(&self.file, item, until).await, Lookup::Found(_)) {
                        return Ok(());
                    }
                    let left = until.saturating_duration_since(Instant::now());
                    let renewed = self.file.write(name, item, value, left).await;
                    self.said_by_file(item, renewed.is_err());
                    renewed
                }
                other => other,
            }
        })
    }

    fn delete<'a>(&'a self, item: &'a Item, limit: Duration) -> Written<'a> {
        Box::pin(async move {
            let until = Instant::now() + limit;
            self.said_by_file(item, false);
            // What is locked stops it before anything is taken away.
            let in_service = match self.one(&self.service, item, until).await {
                Lookup::Found(_) => true,
                Lookup::Absent => false,
                why if self.note(&why) && !self.file.exists() => return Err(why),
                Lookup::Unavailable(_) | Lookup::Unreachable(_) => false,
                why => return Err(why),
            };
            // The file first: a copy in it would come back.
            let left = || until.saturating_duration_since(Instant::now());
            let in_file = match self.file.delete(item, left()).await {
                Ok(()) => true,
                Err(Lookup::Absent) => false,
                Err(why) => {
                    self.said_by_file(item, true);
                    return Err(why);
                }
            };
            match in_service {
                true => self.service.delete(item, left()).await,
                false if in_file => Ok(()),
                false => Err(Lookup::Absent),
            }
        })
    }

    fn takes_new<'a>(&'a self, item: &'a Item, limit: Duration) -> Written<'a> {
        Box::pin(async move {
            match self.service.takes_new(item, limit).await {
                // The file takes everything.
                Err(why) if self.note(&why) => Ok(()),
                other => other,
            }
        })
    }

    fn keeps_keyrings(&self) -> bool {
        !self.no_service.get()
    }

    fn locked_keyrings<'a>(&'a self, items: &'a [Item], limit: Duration) -> Unlocking<'a, Vec<Keyring>> {
        Box::pin(async move {
            let found = self.service.locked_keyrings(items, limit).await;
            self.no_service.set(false);
            if let Err(why) = &found {
                self.note(why);
            }
            found
        })
    }

    fn unlock_keyring<'a>(
        &'a self,
        keyring: &'a Keyring,
        password: Zeroizing<Vec<u8>>,
        limit: Duration,
    ) -> Unlocking<'a, bool> {
        self.service.unlock_keyring(keyring, password, limit)
    }

    fn read<'a>(&'a self, items: &'a [Item], limit: Duration) -> LocalBoxFuture<'a, Vec<Lookup>> {
        Box::pin(async move {
            let until = Instant::now() + limit;
            let mut answers = self.service.read(items, limit).await;
            let none = answers.first().is_some_and(|answer| self.note(answer));
            items.iter().for_each(|item| self.said_by_file(item, false));
            if !self.file.exists() {
                return answers;
            }
            let left = until.saturating_duration_since(Instant::now()).max(FILE);
            if none {
                return self.file.read(items, left).await;
            }
            // What was stored while there was no service (over ssh, say) is not lost now that there is one, nor while it
            // does not work; and what a file that cannot be opened may hold is not called missing.
            let not_told = |answer: &Lookup| matches!(answer, Lookup::Absent | Lookup::Broken(_) | Lookup::TimedOut);
            let wanted: Vec<usize> = (0..items.len()).filter(|at| not_told(&answers[*at])).collect();
            if wanted.is_empty() {
                return answers;
            }
            let of_file: Vec<Item> = wanted.iter().map(|at| items[*at].clone()).collect();
            for (at, answer) in wanted.into_iter().zip(self.file.read(&of_file, left).await) {
                let counts = match answers[at] {
                    Lookup::Absent => answer != Lookup::Absent,
                    _ => matches!(answer, Lookup::Found(_)),
                };
                if counts {
                    self.said_by_file(&items[at], true);
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
    struct Answers(fn() -> Lookup);

    impl Store for Answers {
        fn name(&self) -> &'static str {
            "Secret Service"
        }

        fn speaker(&self, _: &Item) -> &dyn Store {
            self
        }

        fn unlock_hint(&self, _: &Item) -> Remedy {
            Remedy::Do("unlock the service".into())
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
    fn the_file_stands_in_where_the_address_of_the_bus_leads_nowhere() {
        let found = Lookup::Found(zeroize::Zeroizing::new(b"value".to_vec()));
        let gone = || Lookup::Unreachable("the bus does not exist".into());
        assert_eq!(written_and_read(gone), (Ok(()), found, "store file", true));
    }

    /// What is read of a file with one value, by this service in front of it, and who is named.
    fn read_behind(service: fn() -> Lookup) -> [(Lookup, &'static str); 2] {
        let directory = tempfile::tempdir().unwrap();
        let file = StoreFile::new(&directory.path().join("store.age"), Some(directory.path().join("identity")));
        run(file.write("NAME", &token(), &secret("kept"), LIMIT)).unwrap();
        let auto = Auto::new(Answers(service), file);
        let other = Item { service: "other".into(), account: "a".into() };
        let answers = run(auto.read(&[token(), other.clone()], LIMIT)).try_into();
        let [first, second]: [Lookup; 2] = answers.unwrap();
        [(first, auto.speaker(&token()).name()), (second, auto.speaker(&other).name())]
    }

    #[test]
    fn a_service_that_does_not_work_hides_no_value_of_the_file() {
        for answer in [|| Lookup::Broken("garbage".into()), || Lookup::TimedOut] {
            assert_eq!(read_behind(answer), [(found("kept"), "store file"), (answer(), "Secret Service")]);
        }
        for answer in [none, || Lookup::Unreachable("gone".into())] {
            assert_eq!(read_behind(answer), [(found("kept"), "store file"), (Lookup::Absent, "store file")]);
        }
        // What is known to be in the service is not read from an older copy.
        for answer in [|| Lookup::Locked("the keyring".into()), || Lookup::Consent("it asks".into())] {
            assert_eq!(read_behind(answer), [(answer(), "Secret Service"), (answer(), "Secret Service")]);
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

    /// A service that holds one value.
    #[derive(Default)]
    struct Holds(RefCell<Option<Vec<u8>>>);

    impl Store for Holds {
        fn name(&self) -> &'static str {
            "Secret Service"
        }

        fn speaker(&self, _: &Item) -> &dyn Store {
            self
        }

        fn unlock_hint(&self, _: &Item) -> Remedy {
            Remedy::Do("unlock the service".into())
        }

        fn write<'a>(&'a self, _: &'a str, _: &'a Item, value: &'a Secret, _: Duration) -> Written<'a> {
            self.0.replace(Some(value.expose().into()));
            Box::pin(async { Ok(()) })
        }

        fn delete<'a>(&'a self, _: &'a Item, _: Duration) -> Written<'a> {
            let held = self.0.take();
            Box::pin(async move { held.map(drop).ok_or(Lookup::Absent) })
        }

        fn read<'a>(&'a self, items: &'a [Item], _: Duration) -> LocalBoxFuture<'a, Vec<Lookup>> {
            let one = || self.0.borrow().clone().map_or(Lookup::Absent, |held| Lookup::Found(Zeroizing::new(held)));
            Box::pin(async move { items.iter().map(|_| one()).collect() })
        }
    }

    fn token() -> Item {
        Item { service: "s".into(), account: "a".into() }
    }

    fn secret(text: &str) -> Secret {
        Secret::parse(text.as_bytes()).unwrap()
    }

    fn found(text: &str) -> Lookup {
        Lookup::Found(Zeroizing::new(text.into()))
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
        let keep =
            async { crate::store::update::keep(&auto, "NAME", &token(), &secret("new"), "raxx check NAME").await };
        let why = run(keep).unwrap_err().to_string();
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
        assert_eq!(run(auto.delete(&token(), LIMIT)), Ok(()));
        assert_eq!(run(auto.read(&[token()], LIMIT)), [Lookup::Absent]);
        assert_eq!(run(auto.delete(&token(), LIMIT)), Err(Lookup::Absent));
    }

    #[test]
    fn what_a_closed_file_may_hold_is_not_called_missing() {
        let directory = tempfile::tempdir().unwrap();
        let auto = both(directory.path());
        assert_eq!(run(auto.read(&[token()], LIMIT)), [found("old")]);
        assert_eq!(auto.speaker(&token()).name(), "store file");
        close(directory.path());
        let answer = run(auto.read(&[token()], LIMIT)).pop().unwrap();
        // A container whose kernel has no keyring for it says that instead.
        assert!(matches!(answer, Lookup::Locked(_) | Lookup::Broken(_)), "{answer:?}");
        assert_eq!(auto.unlock_hint(&token()), Remedy::Type("raxx unlock".into()));
        // What the service has needs no file.
        auto.service.0.replace(Some(b"new".to_vec()));
        assert_eq!(run(auto.read(&[token()], LIMIT)), [found("new")]);
        assert_eq!(auto.unlock_hint(&token()), Remedy::Do("unlock the service".into()));
    }
}
