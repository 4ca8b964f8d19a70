use super::*;

/// A service that always gives the same answer.
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

/// Writes a value and reads it back, with this service and a store file that does not exist yet.
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
fn the_file_is_used_if_there_is_no_service() {
    assert_eq!(written_and_read(none), (Ok(()), found("value"), "store file", true));
}

#[test]
fn a_failing_service_is_not_skipped() {
    for answer in [|| StoreError::Locked("the login collection".into()), || StoreError::Broken("dead".into())] {
        assert_eq!(written_and_read(answer), (Err(answer()), Err(answer()), "Secret Service", false));
    }
}

#[test]
fn the_file_is_used_if_the_bus_is_gone() {
    let gone = || StoreError::Unreachable("the bus does not exist".into());
    assert_eq!(written_and_read(gone), (Ok(()), found("value"), "store file", true));
}

/// Reads an item that is in the file and one that is not, with this service; returns the answers and the names of the
/// backends.
fn read_with_file(service: fn() -> StoreError) -> [(Answer, &'static str); 2] {
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
fn a_failing_service_does_not_hide_values_in_the_file() {
    for answer in [|| StoreError::Broken("garbage".into()), || StoreError::TimedOut] {
        assert_eq!(read_with_file(answer), [(found("kept"), "store file"), (Err(answer()), "Secret Service")]);
    }
    for answer in [none, || StoreError::Unreachable("gone".into())] {
        assert_eq!(read_with_file(answer), [(found("kept"), "store file"), (Ok(None), "store file")]);
    }
    // A locked service can have a newer value, so the copy in the file is not used.
    for answer in [|| StoreError::Locked("the keyring".into()), || StoreError::Consent("it asks".into())] {
        assert_eq!(read_with_file(answer), [(Err(answer()), "Secret Service"), (Err(answer()), "Secret Service")]);
    }
}

#[test]
fn without_a_service_and_a_file_the_service_says_why() {
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

/// A service that stores one value.
#[derive(Default)]
struct OneValue(RefCell<Option<Vec<u8>>>);

impl Store for OneValue {
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
        let value = self.0.take();
        Box::pin(async move { Ok(value.is_some()) })
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

#[allow(clippy::unnecessary_wraps)] // it is compared with answers
fn found(text: &str) -> Answer {
    Ok(Some(text.as_bytes().to_vec().into()))
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// A service, and a store file that contains the old value.
fn both(directory: &std::path::Path) -> Auto<OneValue> {
    let file = StoreFile::new(&directory.join("store.age"), Some(directory.join("identity")));
    run(file.write("NAME", &token(), &secret("old"), LIMIT)).unwrap();
    Auto::new(OneValue::default(), file)
}

/// Replaces the store file with one that cannot be opened.
fn lock_file(directory: &std::path::Path) {
    let mut recipient = age::scrypt::Recipient::new("test".to_string().into());
    recipient.set_work_factor(2);
    std::fs::write(directory.join("store.age"), age::encrypt(&recipient, b"{}").unwrap()).unwrap();
}

#[test]
fn a_write_is_undone_if_the_copy_in_the_file_cannot_be_updated() {
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
fn a_value_is_deleted_from_both_stores_or_neither() {
    let directory = tempfile::tempdir().unwrap();
    let auto = both(directory.path());
    auto.service.0.replace(Some(b"old".to_vec()));
    let closed = std::fs::read(directory.path().join("store.age")).unwrap();
    lock_file(directory.path());
    let why = run(crate::store::update::forget(&auto, "NAME", &token(), "raxx check NAME")).unwrap_err().to_string();
    assert!(why.contains("store file") || why.contains("keyring"), "{why}");
    assert!(!why.contains("unlock the service"), "{why}");
    assert_eq!(run(auto.service.read(&[token()], LIMIT)), [found("old")]);

    std::fs::write(directory.path().join("store.age"), closed).unwrap();
    assert_eq!(run(auto.delete(&token(), LIMIT)), Ok(true));
    assert_eq!(run(auto.read(&[token()], LIMIT)), [Ok(None)]);
    assert_eq!(run(auto.delete(&token(), LIMIT)), Ok(false));
}

#[test]
fn an_item_in_a_locked_file_is_not_reported_as_missing() {
    let directory = tempfile::tempdir().unwrap();
    let auto = both(directory.path());
    assert_eq!(run(auto.read(&[token()], LIMIT)), [found("old")]);
    assert_eq!(auto.backend_for(&token()).name(), "store file");
    lock_file(directory.path());
    let answer = run(auto.read(&[token()], LIMIT)).pop().unwrap();
    // In a container without a kernel keyring, that is the answer instead.
    assert!(matches!(answer, Err(StoreError::Locked(_) | StoreError::Broken(_))), "{answer:?}");
    assert_eq!(auto.unlock_hint(&token()), Remedy::Type("raxx unlock".into()));
    // If the service has the item, the file is not needed.
    auto.service.0.replace(Some(b"new".to_vec()));
    assert_eq!(run(auto.read(&[token()], LIMIT)), [found("new")]);
    assert_eq!(auto.unlock_hint(&token()), Remedy::Do("unlock the service".into()));
}
