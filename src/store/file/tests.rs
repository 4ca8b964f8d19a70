use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use age::secrecy::ExposeSecret as _;
use age::{Encryptor, Recipient, x25519};

use super::identity::create_identity;
use super::sealed::{CHUNK, encrypt};
use super::*;

const LIMIT: Duration = Duration::from_secs(10);

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn item(service: &str) -> Item {
    Item { service: service.into(), account: "a".into() }
}

fn secret(text: &str) -> Secret {
    Secret::parse(text.as_bytes()).unwrap()
}

fn write(file: &StoreFile, service: &str, value: &str) -> Result<(), StoreError> {
    run(file.write("NAME", &item(service), &secret(value), LIMIT))
}

fn read(file: &StoreFile, service: &str) -> Answer {
    run(file.read(&[item(service)], LIMIT)).pop().unwrap()
}

#[allow(clippy::unnecessary_wraps)] // it is compared with answers
fn found(value: &str) -> Answer {
    Ok(Some(value.as_bytes().to_vec().into()))
}

fn broken<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Broken(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// A directory, and a store file with an identity file in it, neither of which exists yet.
fn place() -> (tempfile::TempDir, StoreFile) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data/store.age");
    let file = StoreFile::new(&path, Some(directory.path().join("config/identity.txt")));
    (directory, file)
}

/// An error message without the path of the test's directory.
fn redacted(directory: &tempfile::TempDir, why: &str) -> String {
    let real = directory.path().canonicalize().unwrap();
    why.replace(&real.display().to_string(), "[DIR]").replace(&directory.path().display().to_string(), "[DIR]")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn files(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn the_first_write_creates_both_files_for_this_user_only() {
    let (directory, file) = place();
    assert_eq!(read(&file, "s"), Ok(None));
    assert_eq!(files(directory.path()), Vec::<String>::new());
    write(&file, "s", "value").unwrap();
    assert_eq!(read(&file, "s"), found("value"));
    for (path, wanted) in
        [("data", 0o700), ("data/store.age", 0o600), ("config", 0o700), ("config/identity.txt", 0o600)]
    {
        assert_eq!(mode(&directory.path().join(path)), wanted, "{path}");
    }
}

#[test]
fn only_one_of_many_creates_the_identity_file() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config/identity.txt");
        let barrier = std::sync::Barrier::new(8);
        let made = || {
            barrier.wait();
            let made = create_identity(&path).unwrap();
            (made, identities(&path).unwrap()[0].to_public().to_string())
        };
        let all: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(made)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(all.iter().filter(|(made, _)| *made).count(), 1);
        assert!(all.iter().all(|(_, key)| *key == all[0].1), "two keys in one file");
        assert_eq!(files(path.parent().unwrap()), ["identity.txt"]);
    }
}

#[test]
fn replacing_and_deleting_a_value_keeps_the_others() {
    let (_directory, file) = place();
    for (service, value) in [("one", "1"), ("two", "2"), ("one", "1 again")] {
        write(&file, service, value).unwrap();
    }
    assert_eq!(file.open().unwrap().unwrap().contents.items.len(), 2);
    assert_eq!(
        run(file.read(&[item("two"), item("no"), item("one")], LIMIT)),
        [found("2"), Ok(None), found("1 again")]
    );
    assert_eq!(run(file.delete(&item("one"), LIMIT)), Ok(true));
    assert_eq!(run(file.delete(&item("one"), LIMIT)), Ok(false));
    assert_eq!((read(&file, "one"), read(&file, "two")), (Ok(None), found("2")));
}

#[test]
fn nothing_is_created_if_no_protection_is_configured() {
    let directory = tempfile::tempdir().unwrap();
    let file = StoreFile::new(&directory.path().join("data/store.age"), None);
    let Err(StoreError::Unavailable(why)) = write(&file, "s", "value") else { panic!() };
    // The default path is in the home directory of the user who runs the test.
    let filters = vec![(r#"= "[^"]*identity"#, r#"= "[CONFIG]/identity"#)];
    insta::with_settings!({ filters => filters }, {
        insta::assert_snapshot!("no_identity_is_named", redacted(&directory, &why));
    });
    assert_eq!(run(file.delete(&item("s"), LIMIT)), Ok(false));
    assert_eq!(files(directory.path()), Vec::<String>::new());
}

#[test]
fn each_write_has_a_new_nonce_and_age_can_decrypt_it() {
    let (directory, file) = place();
    write(&file, "s", "value").unwrap();
    let first = fs::read(&file.path).unwrap();
    write(&file, "s", "value").unwrap();
    let second = fs::read(&file.path).unwrap();
    let length = header(&first).len();
    assert_eq!(header(&first), header(&second));
    assert_ne!(first[length..length + 16], second[length..length + 16]);
    assert_ne!(first[length + 16..], second[length + 16..]);
    let identity = identities(&directory.path().join("config/identity.txt")).unwrap().remove(0);
    let plain = age::decrypt(&identity, &second).unwrap();
    assert_eq!(
        String::from_utf8(plain).unwrap(),
        r#"{"version":1,"items":[{"service":"s","account":"a","name":"NAME","value":"value"}]}"#
    );
}

#[test]
fn age_decrypts_contents_of_any_length_around_a_chunk() {
    let identity = x25519::Identity::generate();
    let (key, small) = encrypt(&identity.to_public(), &Contents::default()).unwrap();
    for length in [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
        let plain: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let sealed = seal(header(&small), &key, &plain).unwrap();
        assert!(age::decrypt(&identity, &sealed).unwrap() == plain, "{length}");
    }
}

#[test]
fn recipients_added_by_hand_are_kept() {
    let (directory, file) = place();
    write(&file, "s", "value").unwrap();
    let own = identities(&directory.path().join("config/identity.txt")).unwrap().remove(0);
    let backup = x25519::Identity::generate();
    let plain = age::decrypt(&own, &fs::read(&file.path).unwrap()).unwrap();
    let both: [&dyn Recipient; 2] = [&backup.to_public(), &own.to_public()];
    let mut sealed = Vec::new();
    let mut writer = Encryptor::with_recipients(both.into_iter()).unwrap().wrap_output(&mut sealed).unwrap();
    writer.write_all(&plain).unwrap();
    writer.finish().unwrap();
    fs::write(&file.path, &sealed).unwrap();
    write(&file, "t", "another").unwrap();
    assert_eq!((read(&file, "s"), read(&file, "t")), (found("value"), found("another")));
    let plain = age::decrypt(&backup, &fs::read(&file.path).unwrap()).unwrap();
    assert!(String::from_utf8(plain).unwrap().contains("another"));
}

#[test]
fn an_identity_file_readable_by_others_is_rejected() {
    let (directory, file) = place();
    write(&file, "s", "value").unwrap();
    let identity = directory.path().join("config/identity.txt");
    let before = fs::read(&file.path).unwrap();
    let mut all = String::new();
    for wrong in [0o644, 0o640, 0o660, 0o700, 0o604, 0o4600] {
        fs::set_permissions(&identity, fs::Permissions::from_mode(wrong)).unwrap();
        let why = broken(read(&file, "s"));
        let next = format!("chmod 600 {}", identity.display());
        assert!(why.contains(&format!("{wrong:04o}")) && why.ends_with(&next), "{why}");
        assert_eq!(broken(write(&file, "s", "new")), why);
        all += &format!("{}\n", redacted(&directory, &why));
    }
    insta::assert_snapshot!("identity_files_with_another_mode", all);
    assert_eq!(fs::read(&file.path).unwrap(), before);
    for right in [0o400, 0o600] {
        fs::set_permissions(&identity, fs::Permissions::from_mode(right)).unwrap();
        assert_eq!(read(&file, "s"), found("value"), "{right:o}");
    }
    // Only root can give a file away.
    if rustix::process::geteuid().is_root() {
        // As containers mount secrets.
        for right in [0o444, 0o440] {
            fs::set_permissions(&identity, fs::Permissions::from_mode(right)).unwrap();
            assert_eq!(read(&file, "s"), found("value"), "{right:o}");
        }
        std::os::unix::fs::chown(&identity, Some(65_534), None).unwrap();
        let why = redacted(&directory, &broken(read(&file, "s")));
        insta::assert_snapshot!("an_identity_file_of_another_user", why);
    }
}

#[test]
fn each_invalid_identity_file_has_its_own_message() {
    let (directory, file) = place();
    write(&file, "s", "value").unwrap();
    let identity = directory.path().join("config/identity.txt");
    let put = |text: &str| fs::write(&identity, text).unwrap();
    let mut all = String::new();
    let mut add = |what: &str| {
        let why = broken(read(&file, "s"));
        assert!(why.contains(&identity.display().to_string()), "{why}");
        all += &format!("{what} => {}\n", redacted(&directory, &why));
    };
    put("# nothing\n");
    add("no identity in it");
    put("AGE-SECRET-KEY-1NONSENSE\n");
    add("a line that is not an identity");
    put("age-encryption.org/v1\n-> scrypt x 18\n");
    add("encrypted");
    put(x25519::Identity::generate().to_string().expose_secret());
    add("another identity");
    fs::remove_file(&identity).unwrap();
    add("gone");
    assert!(!all.contains("NONSENSE"));
    insta::assert_snapshot!("identity_files_that_are_none", all);
    // The identity for this store file is lost: a new one could not open it.
    broken(write(&file, "s", "new"));
    assert!(!identity.exists());
}

#[test]
fn a_damaged_file_is_reported_and_kept() {
    let (_directory, file) = place();
    write(&file, "s", "hunter2-hunter2").unwrap();
    let good = fs::read(&file.path).unwrap();
    for at in (0..good.len()).step_by(7).chain([good.len() - 1]) {
        let mut changed = good.clone();
        changed[at] ^= 1;
        for bad in [changed, good[..at].to_vec()] {
            fs::write(&file.path, &bad).unwrap();
            let why = broken(read(&file, "s"));
            assert!(!why.contains("hunter2") && why.lines().count() == 1, "{why}");
            assert_eq!(broken(write(&file, "s", "new")), why);
            assert_eq!(fs::read(&file.path).unwrap(), bad);
        }
    }
    fs::write(&file.path, &good).unwrap();
    assert_eq!(read(&file, "s"), found("hunter2-hunter2"));
}

#[test]
fn unknown_contents_are_neither_read_nor_rewritten() {
    let (directory, file) = place();
    write(&file, "s", "value").unwrap();
    let identity = identities(&directory.path().join("config/identity.txt")).unwrap().remove(0);
    let mut all = String::new();
    for text in [r#"{"version":2,"items":{}}"#, r#"{"version":1,"items":[{"hunter2":1}]}"#, "hunter2", r#"["hunter2"]"#]
    {
        let sealed = age::encrypt(&identity.to_public(), text.as_bytes()).unwrap();
        fs::write(&file.path, &sealed).unwrap();
        let why = broken(read(&file, "s"));
        assert!(why.contains(&file.path.display().to_string()) && !why.contains("hunter2"), "{why}");
        assert_eq!(broken(write(&file, "s", "new")), why);
        assert_eq!(fs::read(&file.path).unwrap(), sealed);
        all += &format!("{text} => {}\n", redacted(&directory, &why));
    }
    insta::assert_snapshot!("contents_that_are_not_read", all);
}

#[test]
fn each_unreadable_store_file_has_its_own_message() {
    let (directory, file) = place();
    write(&file, "s", "value").unwrap();
    let good = fs::read(&file.path).unwrap();
    let mut all = String::new();
    let newer = [b"age-encryption.org/v2".as_slice(), &good["age-encryption.org/v1".len()..]].concat();
    for (what, bytes) in [("newer", &newer[..]), ("not age", b"hunter2"), ("cut short", &good[..good.len() - 1])] {
        fs::write(&file.path, bytes).unwrap();
        let why = broken(read(&file, "s"));
        assert!(!why.contains("hunter2"), "{why}");
        all += &format!("{what} => {}\n", redacted(&directory, &why));
    }
    insta::assert_snapshot!("store_files_that_cannot_be_opened", all);
}

#[test]
fn a_write_follows_links_to_the_file() {
    let (directory, file) = place();
    write(&file, "s", "value").unwrap();
    let link = directory.path().join("link.age");
    symlink("data/store.age", &link).unwrap();
    let linked = StoreFile::new(&link, file.identity.clone());
    write(&linked, "s", "new").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(read(&file, "s"), found("new"));
    // The same for a link to a file that does not exist yet.
    let ahead = directory.path().join("ahead.age");
    symlink("data/second.age", &ahead).unwrap();
    write(&StoreFile::new(&ahead, file.identity.clone()), "s", "second").unwrap();
    assert!(fs::symlink_metadata(&ahead).unwrap().is_symlink());
    assert!(directory.path().join("data/second.age").is_file());
}

#[test]
fn reading_does_not_block_on_a_fifo() {
    let (directory, file) = place();
    fs::create_dir(directory.path().join("data")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file.path).status().unwrap().success());
    insta::assert_snapshot!("a_pipe_in_its_place", redacted(&directory, &broken(read(&file, "s"))));
}

#[test]
fn a_writer_waits_for_another_one_only_up_to_its_limit() {
    let (_directory, file) = place();
    write(&file, "s", "value").unwrap();
    let lock = run(file.lock_until(Instant::now())).unwrap();
    let begun = Instant::now();
    let written = run(file.write("NAME", &item("s"), &secret("new"), Duration::from_millis(60)));
    assert_eq!(written, Err(StoreError::TimedOut));
    assert!(begun.elapsed() >= Duration::from_millis(60) && begun.elapsed() < LIMIT);
    assert_eq!(read(&file, "s"), found("value"));
    drop(lock);
    write(&file, "s", "new").unwrap();
}

#[test]
fn a_leftover_file_of_a_killed_writer_is_overwritten() {
    let (directory, file) = place();
    write(&file, "s", "value").unwrap();
    fs::write(sibling(&file.path, ".new"), "half").unwrap();
    write(&file, "s", "new").unwrap();
    assert_eq!(read(&file, "s"), found("new"));
    assert_eq!(files(&directory.path().join("data")), [".store.age.lock", "store.age"]);
}

#[test]
fn unlocking_fails_without_a_file_or_with_an_identity_file() {
    let (directory, file) = place();
    let Err(UnlockError::Nothing(no_file)) = file.unlock(&secret("x")) else { panic!() };
    write(&file, "s", "value").unwrap();
    let Err(UnlockError::Nothing(no_passphrase)) = file.unlock(&secret("x")) else { panic!() };
    insta::assert_snapshot!("nothing_to_unlock", redacted(&directory, &format!("{no_file}\n{no_passphrase}")));
}
