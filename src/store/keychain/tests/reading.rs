//! Reading items, in this process and through `security`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Condvar, Mutex};

use super::super::access::Readers;
use super::*;

/// A fake Mac: each item, by its service, has a script of answers.
struct FakeMac {
    /// The successive answers to whether the keychain is locked; the last one repeats.
    states: Vec<Result<bool, OsStatus>>,
    items: HashMap<&'static str, Script>,
    calls: Mutex<Vec<String>>,
    /// The time limit of each `security`.
    limits: Mutex<Vec<Duration>>,
    /// How many `security` are running.
    running: Mutex<usize>,
    another: Condvar,
}

#[derive(Clone, Copy)]
struct Script {
    search: OsStatus,
    read: OsStatus,
    access: Result<Trusts, OsStatus>,
    security: Run,
}

#[derive(Clone, Copy, PartialEq)]
enum Trusts {
    Security,
    Others,
    /// The item is in another keychain, which is locked.
    NoOne,
}

#[derive(Clone, Copy)]
enum Run {
    Exit(i32),
    Prints(&'static str),
    Hangs,
    Fails,
    /// Waits until this many are running at the same time.
    Meets(usize),
}

/// Stored by raxx itself: the value is "native".
const OURS: Script = Script { search: 0, read: 0, access: Err(-67030), security: Run::Fails };
/// Stored by `security`, as in the runbook.
const THEIRS: Script =
    Script { search: 0, read: AUTH_FAILED, access: Ok(Trusts::Security), security: Run::Prints("by security\n") };
/// Stored with `-T /bin/bash`, as in the old runbook.
const ASKS: Script = Script { access: Ok(Trusts::Others), ..THEIRS };
const HANGS: Script = Script { security: Run::Hangs, ..THEIRS };

impl FakeMac {
    fn new(items: &[(&'static str, Script)]) -> Self {
        let items = items.iter().copied().collect();
        Self {
            states: vec![Ok(false)],
            items,
            calls: Mutex::default(),
            limits: Mutex::default(),
            running: Mutex::default(),
            another: Condvar::new(),
        }
    }

    fn one(script: Script) -> Self {
        Self::new(&[("x", script)])
    }

    fn states(self, states: &[Result<bool, OsStatus>]) -> Self {
        Self { states: states.to_vec(), ..self }
    }

    fn called(&self, what: &str, item: &Item) -> Script {
        self.calls.lock().unwrap().push(format!("{what} {}", item.service));
        *self.items.get(&*item.service).unwrap_or(&Script { search: ITEM_NOT_FOUND, ..OURS })
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

fn status(code: OsStatus) -> Result<(), OsStatus> {
    if code == 0 { Ok(()) } else { Err(code) }
}

impl System for FakeMac {
    fn state(&self) -> Result<State, OsStatus> {
        let mut calls = self.calls.lock().unwrap();
        let asked = calls.iter().filter(|call| *call == "state").count();
        calls.push("state".into());
        let locked = self.states[asked.min(self.states.len() - 1)]?;
        Ok(State { name: "the login keychain".into(), locked })
    }

    fn search(&self, item: &Item) -> Result<(), OsStatus> {
        status(self.called("search", item).search)
    }

    fn access(&self, item: &Item) -> Result<Access, OsStatus> {
        let trusts = self.called("access", item).access?;
        let program: &[u8] = if trusts == Trusts::Security { b"/usr/bin/security\0" } else { b"/bin/bash\0" };
        let locked = (trusts == Trusts::NoOne).then(|| "/Volumes/my keys/work.keychain-db".into());
        Ok(Access { readers: vec![Readers::Only(vec![program.to_vec()])], locked, ..Access::default() })
    }

    fn read(&self, item: &Item) -> Result<Zeroizing<Vec<u8>>, OsStatus> {
        let script = self.called("read", item);
        if item.service == "hung" {
            thread::sleep(Duration::from_secs(10));
        }
        status(script.read).map(|()| Zeroizing::new(b"native".to_vec()))
    }

    fn security(&self, item: &Item, limit: Duration) -> Security {
        self.limits.lock().unwrap().push(limit);
        match self.called("security", item).security {
            Run::Exit(code) => Security::Exit(code, Zeroizing::default()),
            Run::Prints(output) => Security::Exit(0, Zeroizing::new(output.into())),
            Run::Hangs => {
                thread::sleep(limit);
                Security::TimedOut
            }
            Run::Fails => Security::Failed("no such file".into()),
            Run::Meets(many) => {
                let mut running = self.running.lock().unwrap();
                *running += 1;
                self.another.notify_all();
                while *running < many {
                    let (woken, waited) = self.another.wait_timeout(running, limit).unwrap();
                    if waited.timed_out() {
                        return Security::TimedOut;
                    }
                    running = woken;
                }
                Security::Exit(0, Zeroizing::new(b"with the others\n".to_vec()))
            }
        }
    }

    fn shown(&self, _: &Item, _: Duration) -> Security {
        unreachable!("only a repair uses this form")
    }

    fn add(&self, _: &[u8], _: Duration) -> Security {
        unreachable!("reading writes nothing")
    }

    fn delete(&self, _: &Item, _: Duration) -> Security {
        unreachable!("reading deletes nothing")
    }
}

const SHORT: Duration = Duration::from_millis(200);

fn look<const N: usize>(mac: &FakeMac, services: [&str; N], limit: Duration) -> [Answer; N] {
    let answers = Mutex::new(services.map(|_| Err(StoreError::TimedOut)));
    look_up(mac, &items(services), Instant::now() + limit, |at, answer| {
        answers.lock().unwrap()[at] = answer;
        true
    });
    answers.into_inner().unwrap()
}

fn look_at_one(mac: &FakeMac) -> Answer {
    let [answer] = look(mac, ["x"], Duration::from_secs(5));
    answer
}

#[test]
fn our_own_item_is_read_without_starting_security() {
    let mac = FakeMac::one(OURS);
    assert_eq!(look_at_one(&mac), found("native"));
    assert_eq!(mac.calls(), ["state", "search x", "read x"]);
}

#[test]
fn an_item_made_by_security_is_read_by_security() {
    let mac = FakeMac::one(THEIRS);
    assert_eq!(look_at_one(&mac), found("by security"));
    assert_eq!(mac.calls(), ["state", "search x", "read x", "access x", "security x"]);
    let no_desktop = FakeMac::one(Script { read: INTERACTION_NOT_ALLOWED, ..THEIRS });
    assert_eq!(look_at_one(&no_desktop), found("by security"));
}

#[test]
fn a_guarded_item_is_detected_without_starting_a_process() {
    let mac = FakeMac::one(ASKS);
    assert_eq!(kind(&look_at_one(&mac)), "consent");
    assert_eq!(mac.calls(), ["state", "search x", "read x", "access x", "state"]);
    // The same applies if the access list cannot be read.
    let mac = FakeMac::one(Script { access: Err(-25243), ..THEIRS });
    let Err(StoreError::Broken(why)) = look_at_one(&mac) else { panic!() };
    assert!(why.contains("-25243"), "{why}");
    assert!(!mac.calls().contains(&"security x".into()));
}

#[test]
fn an_item_in_another_locked_keychain_is_locked() {
    let keychain = Keychain::new(FakeMac::new(&[
        ("a", Script { access: Ok(Trusts::NoOne), ..THEIRS }),
        ("b", ASKS),
        ("c", THEIRS),
    ]));
    let wanted = items(["a", "b", "c"]);
    let (answers, _) = read(&keychain, &wanted, Duration::from_secs(5));
    assert_eq!(answers[0], Err(StoreError::Locked("the keychain /Volumes/my keys/work.keychain-db".into())));
    assert_eq!((kind(&answers[1]), &answers[2]), ("consent", &found("by security")));
    assert!(!keychain.system.calls().contains(&"security a".into()));
    assert_eq!(
        keychain.unlock_hint(&wanted[0]).to_string(),
        "type: security unlock-keychain '/Volumes/my keys/work.keychain-db'"
    );
    assert!(keychain.unlock_hint(&wanted[1]).to_string().starts_with("type: security find-generic-password -s b "));
}

#[test]
fn an_item_is_missing_only_if_the_search_agrees() {
    // In a sandbox that denies access to the Keychain, `security` says "could not be found".
    let mac = FakeMac::one(Script { security: Run::Exit(44), ..THEIRS });
    let Err(StoreError::Broken(why)) = look_at_one(&mac) else { panic!() };
    insta::assert_snapshot!("an_item_that_security_does_not_see", why);
    let mac = FakeMac::one(Script { access: Err(ITEM_NOT_FOUND), ..THEIRS });
    assert_eq!(kind(&look_at_one(&mac)), "broken");
}

#[test]
fn an_absent_item_needs_only_the_search() {
    let mac = FakeMac::new(&[]);
    assert_eq!(look_at_one(&mac), Ok(None));
    assert_eq!(mac.calls(), ["state", "search x"]);
}

#[test]
fn items_of_a_locked_keychain_are_not_read() {
    let mac = FakeMac::new(&[("a", OURS), ("b", THEIRS)]).states(&[Ok(true)]);
    let locked = || Err(StoreError::Locked("the login keychain".into()));
    assert_eq!(look(&mac, ["a", "b", "gone"], SHORT), [locked(), locked(), locked()]);
    assert_eq!(mac.calls(), ["state"]);
}

#[test]
fn each_result_code_has_one_message_in_every_call() {
    let mut all = String::new();
    for (code, wanted) in [
        (ITEM_NOT_FOUND, "absent"),
        (USER_CANCELED, "consent"),
        (MISSING_ENTITLEMENT, "broken"),
        (-25299, "broken"), // errSecDuplicateItem
        (IN_DARK_WAKE, "consent"),
        (NOT_AVAILABLE, "broken"),
        (INVALID_PARAMETER, "broken"),
        (NOT_PERMITTED, "broken"),
        (NO_DEFAULT_KEYCHAIN, "unavailable"),
        (NO_SUCH_KEYCHAIN, "broken"),
        (-67030, "broken"), // an unknown code
    ] {
        let in_search = FakeMac::one(Script { search: code, ..OURS });
        assert_eq!(kind(&look_at_one(&in_search)), wanted, "search: {code}");
        assert!(!in_search.calls().contains(&"read x".into()), "search: {code}");
        all += &format!("{code} => {}\n", words(&look_at_one(&in_search)));
        let in_read = FakeMac::one(Script { read: code, ..THEIRS });
        assert_eq!(kind(&look_at_one(&in_read)), wanted, "read: {code}");
        assert!(!in_read.calls().contains(&"security x".into()), "read: {code}");
        let in_state = FakeMac::one(OURS).states(&[Err(code)]);
        assert_eq!(kind(&look_at_one(&in_state)), wanted, "state: {code}");
    }
    for code in [AUTH_FAILED, INTERACTION_NOT_ALLOWED] {
        assert_eq!(kind(&look_at_one(&FakeMac::one(Script { search: code, ..OURS }))), "consent", "search: {code}");
        assert_eq!(kind(&look_at_one(&FakeMac::one(OURS).states(&[Err(code)]))), "consent", "state: {code}");
        let in_search = FakeMac::one(Script { search: code, ..OURS });
        all += &format!("{code} => {}\n", words(&look_at_one(&in_search)));
    }
    insta::assert_snapshot!("codes", all);
}

#[test]
fn the_message_for_an_unknown_code_contains_it() {
    let Err(StoreError::Broken(why)) = look_at_one(&FakeMac::one(Script { read: -67030, ..OURS })) else { panic!() };
    assert!(why.contains("-67030"), "{why}");
}

#[test]
fn each_exit_code_of_security_has_its_message() {
    let mut all = String::new();
    for (exit, wanted) in [
        (44, "broken"),
        (51, "consent"),
        (36, "consent"),
        (128, "consent"),
        (24, "consent"),
        (30, "broken"),
        (45, "broken"),
        (1, "broken"),
        (2, "broken"),
    ] {
        let mac = FakeMac::one(Script { security: Run::Exit(exit), ..THEIRS });
        let answer = look_at_one(&mac);
        assert_eq!(kind(&answer), wanted, "exit code {exit}");
        all += &format!("{exit} => {}\n", words(&answer));
    }
    insta::assert_snapshot!("exit_codes", all);
    assert_eq!(kind(&look_at_one(&FakeMac::one(Script { security: Run::Fails, ..THEIRS }))), "broken");
}

#[test]
fn a_refusal_because_the_keychain_was_just_locked_is_locked() {
    for script in [
        Script { security: Run::Exit(51), ..THEIRS },
        Script { security: Run::Exit(36), ..THEIRS },
        Script { security: Run::Exit(128), ..THEIRS },
        Script { read: USER_CANCELED, ..THEIRS },
        HANGS,
    ] {
        let mac = FakeMac::one(script).states(&[Ok(false), Ok(true)]);
        let answer = look(&mac, ["x"], Duration::from_secs(1));
        assert_eq!(answer, [Err(StoreError::Locked("the login keychain".into()))]);
    }
}

#[test]
fn exactly_one_newline_is_removed_from_the_output_of_security() {
    for (printed, value) in [("t\n", "t"), ("t", "t"), ("t\n\n", "t\n"), (" t \n", " t "), ("\n", ""), ("", "")] {
        let mac = FakeMac::one(Script { security: Run::Prints(printed), ..THEIRS });
        assert_eq!(look_at_one(&mac), found(value), "{printed:?}");
    }
}

#[test]
fn items_that_only_security_can_read_are_read_in_parallel() {
    let four = ["a", "b", "c", "d"];
    let mac = FakeMac::new(&four.map(|name| (name, Script { security: Run::Meets(4), ..THEIRS })));
    assert_eq!(look(&mac, four, Duration::from_secs(60)), four.map(|_| found("with the others")));
}

#[test]
fn the_number_of_parallel_processes_is_limited() {
    const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let mac = FakeMac::new(&NAMES.map(|name| (name, Script { security: Run::Meets(AT_ONCE), ..THEIRS })));
    assert_eq!(look(&mac, NAMES, Duration::from_secs(60)), NAMES.map(|_| found("with the others")));
    let mac = FakeMac::new(&NAMES.map(|name| (name, Script { security: Run::Meets(AT_ONCE + 1), ..THEIRS })));
    let answers = look(&mac, NAMES, SHORT);
    assert!(answers[..AT_ONCE].iter().all(|answer| *answer == Err(StoreError::TimedOut)), "{answers:?}");
}

#[test]
fn an_item_that_hangs_does_not_delay_the_others() {
    let mac = FakeMac::new(&[("a", HANGS), ("b", THEIRS), ("c", ASKS), ("d", OURS)]);
    let [a, b, c, d] = look(&mac, ["a", "b", "c", "d"], Duration::from_secs(2));
    assert_eq!((a, b, kind(&c), d), (Err(StoreError::TimedOut), found("by security"), "consent", found("native")));
}

#[test]
fn security_is_not_started_without_time_left() {
    let mac = FakeMac::one(THEIRS);
    assert_eq!(look(&mac, ["x"], SECURITY_LEAST / 2), [Err(StoreError::TimedOut)]);
    assert!(!mac.calls().contains(&"security x".into()));
}

#[test]
fn reading_stops_when_the_receiver_is_gone() {
    let mac = FakeMac::new(&[("a", OURS), ("b", OURS)]);
    look_up(&mac, &items(["a", "b"]), Instant::now() + Duration::from_secs(5), |_, _| false);
    assert_eq!(mac.calls(), ["state", "search a", "read a"]);
}

fn read(keychain: &Keychain<FakeMac>, items: &[Item], limit: Duration) -> (Vec<Answer>, Duration) {
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let answers = runtime.block_on(keychain.read(items, limit));
    drop(runtime);
    (answers, started.elapsed())
}

#[test]
fn a_keychain_that_hangs_ends_at_the_limit() {
    let keychain = Keychain::new(FakeMac::new(&[("a", OURS), ("hung", OURS), ("c", OURS)]));
    let (answers, took) = read(&keychain, &items(["a", "hung", "c"]), Duration::from_secs(1));
    assert_eq!(answers, [found("native"), Err(StoreError::TimedOut), Err(StoreError::TimedOut)]);
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_security_that_hangs_is_killed_within_the_limit() {
    let keychain = Keychain::new(FakeMac::new(&[("a", OURS), ("b", HANGS), ("c", OURS)]));
    let (answers, _) = read(&keychain, &items(["a", "b", "c"]), Duration::from_secs(1));
    assert_eq!(answers, [found("native"), Err(StoreError::TimedOut), found("native")]);
    let limits = keychain.system.limits.lock().unwrap().clone();
    assert!(limits.len() == 1 && limits[0] <= Duration::from_millis(950), "{limits:?}");
}

#[test]
fn security_never_runs_longer_than_its_own_limit() {
    let keychain = Keychain::new(FakeMac::one(THEIRS));
    read(&keychain, &items(["x"]), Duration::from_secs(60));
    assert_eq!(*keychain.system.limits.lock().unwrap(), [SECURITY_LIMIT]);
}

#[test]
fn answers_are_in_the_order_of_the_items() {
    let keychain = Keychain::new(FakeMac::new(&[("a", OURS), ("b", THEIRS)]));
    let (answers, _) = read(&keychain, &items(["gone", "b", "a"]), Duration::from_secs(5));
    assert_eq!(answers, [Ok(None), found("by security"), found("native")]);
    assert!(read(&keychain, &[], Duration::from_secs(5)).0.is_empty());
}

#[test]
fn the_hint_is_to_unlock_the_keychain_or_to_permit_access() {
    let item = Item { service: "raxx token".into(), account: "it's".into() };
    let consent = r"type: security find-generic-password -s 'raxx token' -a 'it'\''s' -w >/dev/null";
    let keychain = Keychain::new(FakeMac::new(&[("raxx token", ASKS)]).states(&[Ok(true), Ok(false)]));
    assert_eq!(keychain.unlock_hint(&item).to_string(), consent);
    read(&keychain, std::slice::from_ref(&item), SHORT);
    assert_eq!(keychain.unlock_hint(&item).to_string(), "type: security unlock-keychain");
    read(&keychain, std::slice::from_ref(&item), SHORT);
    assert_eq!(keychain.unlock_hint(&item).to_string(), consent);
}

#[test]
fn a_keychain_is_named_after_its_file() {
    for (path, name) in [
        ("/Users/op/Library/Keychains/login.keychain-db", "the login keychain"),
        ("/Users/op/Library/Keychains/login.keychain", "the login keychain"),
        ("/Library/Keychains/System.keychain", "the System keychain"),
        ("/tmp/a\u{1b}[31mb.keychain-db", "the a[31mb keychain"),
        ("", "the default keychain"),
    ] {
        assert_eq!(keychain_name(Path::new(path)), name);
    }
}
