//! Writing, deleting and repairing items.

use std::collections::HashMap;
use std::sync::Mutex;

use super::super::access::Readers;
use super::super::repair::repair;
use super::super::security::{LINE_MAX, add_line};
use super::*;

/// A fake keychain with items that `security` reads silently or only after a dialog.
#[derive(Default)]
struct FakeKeychain {
    items: Mutex<HashMap<String, Entry>>,
    locked: bool,
    /// What goes wrong in the n-th run of `security` that changes something.
    accident: Option<(usize, Accident)>,
    /// How many runs changed something.
    changes: Mutex<usize>,
    lines: Mutex<Vec<String>>,
    /// Whether a person answers the dialog and allows the access.
    person: bool,
    dialogs: Mutex<usize>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    value: String,
    silent: bool,
}

#[derive(Clone, Copy, Debug)]
enum Accident {
    Exit(i32),
    Hangs,
    Fails,
    /// raxx is killed before this run changes anything.
    Killed,
    /// raxx is killed right after this run.
    KilledAfter,
}

const OURS_NOW: &str = "raxx token/claude-bootstrap";
const COPY: &str = "raxx token/claude-bootstrap (raxx repair)";

fn entry(value: &str, silent: bool) -> Entry {
    Entry { value: value.into(), silent }
}

impl FakeKeychain {
    fn with_items(items: &[(&str, &str, bool)]) -> Self {
        let items = items.iter().map(|(at, value, silent)| ((*at).to_owned(), entry(value, *silent))).collect();
        Self { items: Mutex::new(items), person: true, ..Self::default() }
    }

    fn items(&self) -> Vec<(String, Entry)> {
        let mut items = Vec::from_iter(self.items.lock().unwrap().clone());
        items.sort_by(|a, b| a.0.cmp(&b.0));
        items
    }

    /// Returns what `security` prints for an item. `form` receives the value and whether it is printable.
    fn printed(&self, item: &Item, limit: Duration, form: impl FnOnce(&str, bool) -> String) -> Security {
        let Some(entry) = self.items.lock().unwrap().get(&at(item)).cloned() else {
            return Security::Exit(44, Zeroizing::default());
        };
        if !entry.silent {
            *self.dialogs.lock().unwrap() += 1;
            if !self.person || limit < Duration::from_secs(2) {
                return Security::TimedOut;
            }
        }
        let plain = entry.value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        Security::Exit(0, Zeroizing::new(form(&entry.value, plain).into()))
    }

    fn changed(&self, change: impl FnOnce(&mut HashMap<String, Entry>) -> i32) -> Security {
        let mut changes = self.changes.lock().unwrap();
        *changes += 1;
        let accident = self.accident.filter(|(at, _)| at == &*changes).map(|(_, accident)| accident);
        drop(changes);
        match accident {
            Some(Accident::Exit(code)) => return Security::Exit(code, Zeroizing::default()),
            Some(Accident::Hangs) => return Security::TimedOut,
            Some(Accident::Fails) => return Security::Failed("no such file".into()),
            Some(Accident::Killed) => std::panic::panic_any("killed"),
            Some(Accident::KilledAfter) | None => {}
        }
        let code = change(&mut self.items.lock().unwrap());
        if matches!(accident, Some(Accident::KilledAfter)) {
            std::panic::panic_any("killed");
        }
        Security::Exit(code, Zeroizing::default())
    }
}

fn at(item: &Item) -> String {
    format!("{}/{}", item.service, item.account)
}

impl System for FakeKeychain {
    fn state(&self) -> Result<State, OsStatus> {
        Ok(State { name: "the login keychain".into(), locked: self.locked })
    }

    fn search(&self, item: &Item) -> Result<(), OsStatus> {
        self.items.lock().unwrap().get(&at(item)).map(|_| ()).ok_or(ITEM_NOT_FOUND)
    }

    fn access(&self, item: &Item) -> Result<Access, OsStatus> {
        self.search(item)?;
        let silent = self.items.lock().unwrap()[&at(item)].silent;
        let program: &[u8] = if silent { b"/usr/bin/security\0" } else { b"/bin/bash\0" };
        Ok(Access { readers: vec![Readers::Only(vec![program.to_vec()])], ..Access::default() })
    }

    /// Fails as on every Mac on which raxx is not signed with a developer certificate.
    fn read(&self, item: &Item) -> Result<Zeroizing<Vec<u8>>, OsStatus> {
        self.search(item).and(Err(AUTH_FAILED))
    }

    fn security(&self, item: &Item, limit: Duration) -> Security {
        self.printed(item, limit, |value, plain| {
            if plain {
                format!("{value}\n")
            } else {
                value.bytes().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n"
            }
        })
    }

    fn shown(&self, item: &Item, limit: Duration) -> Security {
        self.printed(item, limit, |value, plain| {
            if plain && !value.contains('\\') {
                format!("password: \"{value}\"\n")
            } else {
                let hex: String = value.bytes().map(|byte| format!("{byte:02X}")).collect();
                format!("password: 0x{hex}  \"made up\"\n")
            }
        })
    }

    /// Accepts only the exact form that raxx writes.
    fn add(&self, line: &[u8], _: Duration) -> Security {
        let line = std::str::from_utf8(line).unwrap();
        self.lines.lock().unwrap().push(line.into());
        let parts: Vec<_> = line.split('"').collect();
        let &["add-generic-password -U -s ", service, " -a ", account, " -l ", _, value] = &parts[..] else {
            panic!("{line:?}")
        };
        let value = value.strip_prefix(" -X ").and_then(|hex| hex.strip_suffix('\n')).unwrap();
        let value = (0..value.len()).step_by(2).map(|at| u8::from_str_radix(&value[at..at + 2], 16).unwrap());
        let value = String::from_utf8(value.collect()).unwrap();
        self.changed(|items| {
            // An item keeps its access list when it is changed; a new item trusts the program that created it.
            let silent = items.get(&format!("{service}/{account}")).is_none_or(|entry| entry.silent);
            items.insert(format!("{service}/{account}"), Entry { value, silent });
            0
        })
    }

    fn delete(&self, item: &Item, _: Duration) -> Security {
        self.changed(|items| if items.remove(&at(item)).is_some() { 0 } else { 44 })
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

fn token() -> Item {
    item("raxx token")
}

fn write(keychain: &Keychain<FakeKeychain>, value: &str) -> Result<(), StoreError> {
    let value = Secret::parse(value.as_bytes()).unwrap();
    block_on(keychain.write("TOKEN", &token(), &value, Duration::from_secs(20)))
}

fn delete(keychain: &Keychain<FakeKeychain>) -> Result<bool, StoreError> {
    block_on(keychain.delete(&token(), Duration::from_secs(20)))
}

#[test]
fn a_value_is_written_with_one_input_line() {
    let keychain = Keychain::new(FakeKeychain::default());
    assert_eq!(write(&keychain, "to\"k'e\\n $x"), Ok(()));
    let line = "add-generic-password -U -s \"raxx token\" -a \"claude-bootstrap\" -l \"TOKEN\" \
                -X 746f226b27655c6e202478\n";
    assert_eq!(*keychain.system.lines.lock().unwrap(), [line]);
    assert_eq!(keychain.system.items(), [(OURS_NOW.into(), entry("to\"k'e\\n $x", true))]);
    assert_eq!(write(&keychain, "another"), Ok(()));
    assert_eq!(keychain.system.items(), [(OURS_NOW.into(), entry("another", true))]);
}

#[test]
fn values_that_do_not_fit_the_line_are_rejected_before_security_runs() {
    let line = |name: &str, service: &str, account: &str, value: &str| {
        let item = Item { service: service.into(), account: account.into() };
        add_line(name, &item, value.as_bytes()).map(|line| line.to_vec())
    };
    for bad in ["", "a\"b", "it's", "a\\b", "a\nb", "a\rb", "a\tb", "a\0b", "a\u{85}b"] {
        for (what, line) in [
            ("name", line(bad, "s", "a", "v")),
            ("service", line("N", bad, "a", "v")),
            ("account", line("N", "s", bad, "v")),
        ] {
            let Err(StoreError::Broken(why)) = line else { panic!("{bad:?}") };
            insta::assert_snapshot!(format!("a_{what}_that_security_does_not_take"), why);
        }
    }
    assert!(line("N", "a service; with $signs & (all)", "ä@b", "v").is_ok());

    for value in ["tökén", "a\tb", "a\u{7f}b"] {
        let Err(StoreError::Unfit(why)) = line("N", "s", "a", value) else { panic!("{value:?}") };
        insta::assert_snapshot!("a_value_that_is_not_ascii", why);
    }

    let head = "add-generic-password -U -s \"s\" -a \"a\" -l \"N\" -X ".len();
    let most = (LINE_MAX - 1 - head) / 2;
    let longest = line("N", "s", "a", &"v".repeat(most)).unwrap();
    assert!(longest.len() < 4096 && longest.ends_with(b"76\n"), "{}", longest.len());
    let Err(StoreError::Unfit(why)) = line("N", "s", "a", &"v".repeat(most + 1)) else { panic!() };
    assert!(why.contains(&most.to_string()) && why.contains(&(most + 1).to_string()), "{why}");
    insta::assert_snapshot!("a_value_that_is_too_long", why);
    assert!(line("N", &"s".repeat(5000), "a", "v").is_err());

    let keychain = Keychain::new(FakeKeychain::default());
    assert!(matches!(write(&keychain, &"v".repeat(most)), Err(StoreError::Unfit(_))));
    assert!(keychain.system.lines.lock().unwrap().is_empty());
}

#[test]
fn the_line_is_never_reallocated() {
    // A `Vec` that grows leaves unwiped copies.
    let line = add_line("N", &item("s"), &[b'v'; 1900]).unwrap();
    assert_eq!(line.capacity(), LINE_MAX + 2);
}

#[test]
fn each_exit_code_of_a_change_has_its_message_and_nothing_changes() {
    let mut all = String::new();
    for (exit, wanted) in [
        (51, "consent"),
        (36, "consent"),
        (128, "consent"),
        (24, "consent"),
        (53, "broken"),
        (37, "unavailable"),
        (50, "broken"),
        (45, "broken"),
        (52, "broken"),
        (222, "broken"),
        (30, "broken"),
        (1, "broken"),
        (2, "broken"),
        (99, "broken"),
    ] {
        let chain = || FakeKeychain {
            accident: Some((1, Accident::Exit(exit))),
            ..FakeKeychain::with_items(&[(OURS_NOW, "old", true)])
        };
        for (what, change) in [
            ("write", (|keychain| write(keychain, "new")) as fn(&_) -> _),
            ("delete", |keychain| delete(keychain).map(drop)),
        ] {
            let keychain = Keychain::new(chain());
            let refused = change(&keychain).unwrap_err();
            assert_eq!(error_kind(&refused), wanted, "{what}, exit code {exit}");
            all += &format!("{exit}, {what} => {}\n", error_words(&refused));
            assert_eq!(keychain.system.items(), [(OURS_NOW.into(), entry("old", true))], "{what}");
        }
    }
    insta::assert_snapshot!("exit_codes_of_a_change", all);
}

#[test]
fn a_security_that_hangs_or_fails_is_an_error() {
    let chain = |accident| Keychain::new(FakeKeychain { accident: Some((1, accident)), ..FakeKeychain::default() });
    assert_eq!(write(&chain(Accident::Hangs), "v"), Err(StoreError::TimedOut));
    assert_eq!(write(&chain(Accident::Fails), "v"), Err(StoreError::Broken("no such file".into())));
}

#[test]
fn a_locked_keychain_is_not_changed_and_shows_no_dialog() {
    let keychain = Keychain::new(FakeKeychain { locked: true, ..FakeKeychain::with_items(&[(OURS_NOW, "old", true)]) });
    let locked = StoreError::Locked("the login keychain".into());
    assert_eq!(write(&keychain, "new"), Err(locked.clone()));
    assert_eq!(keychain.unlock_hint(&token()).to_string(), "type: security unlock-keychain");
    assert_eq!(delete(&keychain), Err(locked.clone()));
    assert_eq!(block_on(keychain.repair("TOKEN", &token())), Err(locked));
    assert_eq!((*keychain.system.changes.lock().unwrap(), *keychain.system.dialogs.lock().unwrap()), (0, 0));
}

#[test]
fn a_guarded_item_opens_no_dialog_whatever_the_limit() {
    for limit in [300, 1_500, 60_000].map(Duration::from_millis) {
        let keychain = Keychain::new(FakeKeychain::with_items(&[(OURS_NOW, "old", false)]));
        let [answer] = &block_on(keychain.read(&[token()], limit))[..] else { panic!() };
        assert_eq!(kind(answer), "consent", "{limit:?}");
        assert_eq!(*keychain.system.dialogs.lock().unwrap(), 0, "{limit:?}");
    }
}

#[test]
fn deleting_also_removes_the_copy_of_a_repair() {
    let keychain = Keychain::new(FakeKeychain::with_items(&[
        (OURS_NOW, "a", true),
        (COPY, "b", true),
        ("raxx token/another", "stays", true),
    ]));
    assert_eq!(delete(&keychain), Ok(true));
    assert_eq!(keychain.system.items(), [("raxx token/another".into(), entry("stays", true))]);
    assert_eq!(delete(&keychain), Ok(false));
}

#[test]
fn after_a_repair_there_is_no_dialog() {
    let keychain = Keychain::new(FakeKeychain::with_items(&[(OURS_NOW, "old", false)]));
    assert_eq!(block_on(keychain.repair("TOKEN", &token())), Ok(true));
    assert_eq!(keychain.system.items(), [(OURS_NOW.into(), entry("old", true))]);
    let read = block_on(keychain.read(&[token()], Duration::from_secs(5)));
    assert_eq!(read, [found("old")]);
    assert_eq!(*keychain.system.dialogs.lock().unwrap(), 1);

    let gone = Keychain::new(FakeKeychain::default());
    assert_eq!(block_on(gone.repair("TOKEN", &token())), Ok(false));
}

#[test]
fn a_repair_writes_the_value_and_never_its_hex_digits() {
    for value in ["0123456789abcdef", "74c3b66bc3a96e", "plain \"quoted\" 'text'", "back\\slash", "\\\\"] {
        let keychain = Keychain::new(FakeKeychain::with_items(&[(OURS_NOW, value, false)]));
        assert_eq!(block_on(keychain.repair("TOKEN", &token())), Ok(true), "{value}");
        assert_eq!(keychain.system.items(), [(OURS_NOW.into(), entry(value, true))]);
    }
    // Values that cannot be read exactly, or cannot be written, stay unchanged.
    let mut all = String::new();
    for value in ["t\u{f6}k\u{e9}n", "two\nlines", "a\\ and\ta tab"] {
        let keychain = Keychain::new(FakeKeychain::with_items(&[(OURS_NOW, value, false)]));
        let Err(StoreError::Unfit(why)) = block_on(keychain.repair("TOKEN", &token())) else { panic!("{value}") };
        all += &format!("{value:?} => {why}\n");
        assert_eq!(keychain.system.items(), [(OURS_NOW.into(), entry(value, false))]);
        assert_eq!(*keychain.system.changes.lock().unwrap(), 0);
    }
    insta::assert_snapshot!("values_that_cannot_be_repaired", all);
}

#[test]
fn a_guarded_item_exists_and_its_hint_is_the_repair() {
    let keychain =
        Keychain::new(FakeKeychain { person: false, ..FakeKeychain::with_items(&[(OURS_NOW, "old", false)]) });
    let result = async {
        let exists = crate::store::update::exists(&keychain, &token()).await.unwrap();
        (exists, crate::store::update::current(&keychain, "TOKEN", &token()).await.err().unwrap().to_string())
    };
    let (exists, why) = block_on(result);
    assert!(exists && why.ends_with("type: raxx store --repair TOKEN"), "{why}");
    insta::assert_snapshot!("an_item_that_wants_consent", why);
    assert_eq!(delete(&keychain), Ok(true));
    assert_eq!(keychain.system.items(), []);
}

#[test]
fn the_error_for_an_unsuitable_value_names_the_value() {
    let keychain = Keychain::new(FakeKeychain::default());
    let why = write(&keychain, "t\u{f6}k\u{e9}n").unwrap_err();
    let said = crate::store::why_not(&why, &token(), &keychain);
    insta::assert_snapshot!("a_value_that_the_keychain_cannot_keep", said);
}

#[test]
fn a_repair_without_permission_changes_nothing() {
    let chain = FakeKeychain { person: false, ..FakeKeychain::with_items(&[(OURS_NOW, "old", false)]) };
    let end = Instant::now() + Duration::from_secs(20);
    let Err(StoreError::Consent(why)) = repair(&chain, "TOKEN", &token(), end) else { panic!() };
    insta::assert_snapshot!("a_repair_without_an_answer", why);
    assert_eq!((chain.items(), *chain.changes.lock().unwrap()), (vec![(OURS_NOW.into(), entry("old", false))], 0));
}

/// Copy, delete, write, delete the copy: whichever step fails, and however, the value still exists and the same command
/// restores it.
#[test]
fn a_repair_that_fails_at_any_step_loses_nothing() {
    let mut all = String::new();
    for step in 1..=4 {
        for accident in [
            Accident::Exit(51),
            Accident::Exit(1),
            Accident::Hangs,
            Accident::Fails,
            Accident::Killed,
            Accident::KilledAfter,
        ] {
            let chain = FakeKeychain::with_items(&[(OURS_NOW, "old", false), ("raxx token/another", "stays", true)]);
            let mut chain = FakeKeychain { accident: Some((step, accident)), ..chain };
            let end = Instant::now() + Duration::from_secs(20);
            let went =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| repair(&chain, "TOKEN", &token(), end)));
            assert!(!matches!(went, Ok(Ok(_))), "step {step} succeeded");
            let items = chain.items();
            assert!(items.iter().any(|(at, item)| [OURS_NOW, COPY].contains(&&**at) && item.value == "old"));
            if let Ok(Err(StoreError::Broken(why))) = &went
                && step == 3
            {
                assert!(why.contains("(raxx repair)"), "{why}");
            }

            if let Ok(Err(refused)) = &went {
                all += &format!("step {step}, {accident:?} => {}\n", error_words(refused));
            }
            chain.accident = None;
            assert_eq!(repair(&chain, "TOKEN", &token(), end), Ok(true), "step {step}");
            let whole = [("raxx token/another".into(), entry("stays", true)), (OURS_NOW.into(), entry("old", true))];
            assert_eq!(chain.items(), whole, "step {step}");
        }
    }
    insta::assert_snapshot!("repairs_that_go_wrong", all);
}

#[test]
fn a_change_that_hangs_ends_at_the_limit() {
    let keychain = Keychain::new(FakeKeychain::default());
    let started = Instant::now();
    let work = |_: &FakeKeychain, _| {
        thread::sleep(Duration::from_secs(10));
        Ok(())
    };
    assert_eq!(block_on(keychain.change(&token(), Duration::from_millis(150), work)), Err(StoreError::TimedOut));
    assert!(started.elapsed() < Duration::from_secs(5));
}
