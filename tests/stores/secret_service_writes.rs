//! Storing in the Secret Service and deleting from it: with a real gnome-keyring and `secret-tool`, and with services that
//! misbehave.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::keyring::{Behavior, Bus, Keyring, Service, StandIn, Stored, std_command};
use crate::snapshot::{ran, snapshot};
use crate::support::{RAXX, Sandbox, text};

const VALUE: &str = "HRKU-it's-a-$(made)-up-tökén";

/// The names `TOKEN_0` to `TOKEN_7`, stored only in the Secret Service.
fn sandbox() -> Sandbox {
    let mut config = String::from("[store]\nbackend = \"secret-service\"\n");
    for at in 0..8 {
        config += &format!(
            "[[credential]]\nname = \"TOKEN_{at}\"\nprovider = \"heroku\"\n\
             store = {{ service = \"raxx-token-{at}\", account = \"claude-bootstrap\" }}\nrotate_via = \"docs/a.md\"\n"
        );
    }
    config += "[provider.heroku]\nbase_url = \"http://127.0.0.1:1\"\n";
    let mut sandbox = Sandbox::new();
    sandbox.config(&config);
    sandbox
}

/// Runs `raxx ARGUMENTS`, which prints nothing to stdout. Returns its exit code and its stderr.
fn raxx(sandbox: &Sandbox, arguments: &[&str], input: &str) -> (i32, String) {
    let output = sandbox.raxx().args(arguments).write_stdin(input).output().unwrap();
    assert_eq!(text(&output.stdout), "");
    (output.status.code().unwrap(), text(&output.stderr))
}

fn store(sandbox: &Sandbox, name: &str, value: &str) -> (i32, String) {
    raxx(sandbox, &["store", name, "--stdin", "--no-check"], value)
}

fn forget(sandbox: &Sandbox, name: &str) -> (i32, String) {
    raxx(sandbox, &["forget", name, "--yes"], "")
}

#[track_caller]
fn stored(sandbox: &Sandbox, name: &str, value: &str) {
    let (code, said) = store(sandbox, name, value);
    assert_eq!(code, 0, "{said}");
}

/// The stderr and exit code of a command that must fail.
#[track_caller]
fn refused((code, said): (i32, String)) -> String {
    assert_ne!(code, 0, "{said}");
    assert!(!said.contains(VALUE), "{said}");
    format!("{said}exit: {code}\n")
}

/// The failures of a `raxx store` and then of a `raxx forget` of TOKEN_0.
#[track_caller]
fn both_refused(sandbox: &Sandbox) -> String {
    format!("store: {}forget: {}", refused(store(sandbox, "TOKEN_0", VALUE)), refused(forget(sandbox, "TOKEN_0")))
}

/// The value that `secret-tool` finds with these attributes.
fn look_up(sandbox: &Sandbox, attributes: &[&str]) -> Option<String> {
    let output = sandbox.command("secret-tool").arg("lookup").args(attributes).output().unwrap();
    output.status.success().then(|| text(&output.stdout))
}

fn value(sandbox: &Sandbox, at: usize) -> Option<String> {
    look_up(sandbox, &["service", &format!("raxx-token-{at}"), "account", "claude-bootstrap"])
}

/// How many items match, whatever other attributes they have, and the output of `secret-tool`.
fn items(sandbox: &Sandbox, at: usize) -> (usize, String) {
    let service = format!("raxx-token-{at}");
    let arguments = ["search", "--all", "service", &service, "account", "claude-bootstrap"];
    let output = sandbox.command("secret-tool").args(arguments).output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    (said.lines().filter(|line| line.starts_with("[/")).count(), said)
}

/// The value that `raxx export` prints for the name.
fn exported(sandbox: &Sandbox, name: &str) -> String {
    let script = format!("eval \"$(raxx export bash {name} 2>/dev/null)\"; printf %s \"${{{name}-}}\"");
    let output = sandbox.command("bash").args(["--norc", "-c", &script]).output().unwrap();
    text(&output.stdout)
}

#[test]
fn raxx_and_secret_tool_write_the_same_item() {
    let mut sandbox = sandbox();
    let keyring = Keyring::start(&mut sandbox);
    assert_eq!((value(&sandbox, 0), exported(&sandbox, "TOKEN_0")), (None, String::new()));

    stored(&sandbox, "TOKEN_0", VALUE);
    assert_eq!(value(&sandbox, 0).as_deref(), Some(VALUE));
    assert_eq!(exported(&sandbox, "TOKEN_0"), VALUE);
    let (count, said) = items(&sandbox, 0);
    assert_eq!(count, 1, "{said}");
    assert!(said.contains("label = TOKEN_0\n"), "{said}");

    keyring.store(&sandbox, "raxx-token-0", "claude-bootstrap", "by secret-tool");
    assert_eq!(exported(&sandbox, "TOKEN_0"), "by secret-tool");
    assert_eq!(items(&sandbox, 0).0, 1);

    stored(&sandbox, "TOKEN_0", "by raxx again\n");
    assert_eq!(value(&sandbox, 0).as_deref(), Some("by raxx again"));
    assert_eq!(items(&sandbox, 0).0, 1);

    keyring.store(&sandbox, "raxx-token-1", "claude-bootstrap", "secret-tool first");
    stored(&sandbox, "TOKEN_1", "then raxx");
    assert_eq!(value(&sandbox, 1).as_deref(), Some("then raxx"));
    assert_eq!((items(&sandbox, 1).0, value(&sandbox, 0).as_deref()), (1, Some("by raxx again")));
}

#[test]
fn stored_values_survive_a_daemon_restart() {
    let mut sandbox = sandbox();
    let keyring = Keyring::start(&mut sandbox);
    stored(&sandbox, "TOKEN_0", "created");
    stored(&sandbox, "TOKEN_1", "created");
    stored(&sandbox, "TOKEN_1", "replaced");
    stored(&sandbox, "TOKEN_2", "forgotten");
    assert_eq!(forget(&sandbox, "TOKEN_2").0, 0);
    drop(keyring); // SIGKILL, without a clean shutdown
    let _keyring = Keyring::start(&mut sandbox);
    let values = [0, 1, 2].map(|at| value(&sandbox, at));
    assert_eq!(values, [Some("created".into()), Some("replaced".into()), None]);
}

/// A write changes the item that a read would find, and keeps its other attributes.
#[test]
fn an_item_with_more_attributes_is_changed_in_place() {
    let mut sandbox = sandbox();
    let _keyring = Keyring::start(&mut sandbox);
    let attributes = ["service", "raxx-token-0", "account", "claude-bootstrap", "team", "ops"];
    let store = ["store", "--label=of the team"];
    sandbox.command("secret-tool").args(store).args(attributes).write_stdin("old").assert().success();
    stored(&sandbox, "TOKEN_0", "new");
    let (count, said) = items(&sandbox, 0);
    assert_eq!(count, 1, "{said}");
    assert_eq!(look_up(&sandbox, &attributes).as_deref(), Some("new"));
}

#[test]
fn forget_deletes_every_matching_item() {
    let mut sandbox = sandbox();
    let keyring = Keyring::start(&mut sandbox);
    stored(&sandbox, "TOKEN_0", VALUE);
    let attributes = ["service", "raxx-token-0", "account", "claude-bootstrap", "team", "ops"];
    let store = ["store", "--label=of the team"];
    sandbox.command("secret-tool").args(store).args(attributes).write_stdin("second").assert().success();
    keyring.store(&sandbox, "raxx-token-0", "somebody-else", "stays");
    stored(&sandbox, "TOKEN_1", "stays");
    assert_eq!(items(&sandbox, 0).0, 2);

    let (code, said) = forget(&sandbox, "TOKEN_0");
    assert_eq!(code, 0, "{said}");
    assert_eq!((items(&sandbox, 0).0, exported(&sandbox, "TOKEN_0")), (0, String::new()));
    assert_eq!(value(&sandbox, 1).as_deref(), Some("stays"));
    assert_eq!(look_up(&sandbox, &["service", "raxx-token-0", "account", "somebody-else"]).as_deref(), Some("stays"));
}

#[test]
fn a_locked_keyring_is_one_line_and_nothing_changes() {
    let mut sandbox = sandbox();
    let keyring = Keyring::start(&mut sandbox);
    stored(&sandbox, "TOKEN_0", "old");
    keyring.lock(&sandbox);
    let said = both_refused(&sandbox);
    assert_eq!(said.matches("      type: raxx unlock\n").count(), 2, "{said}");
    snapshot!(sandbox, said);
    refused(store(&sandbox, "TOKEN_1", VALUE)); // an item that does not exist
    drop(keyring);
    let _keyring = Keyring::start(&mut sandbox);
    assert_eq!([0, 1].map(|at| value(&sandbox, at)), [Some("old".into()), None]);
}

#[test]
fn a_keyring_that_does_not_answer_is_one_line_and_nothing_changes() {
    let mut sandbox = sandbox();
    let keyring = Keyring::start(&mut sandbox);
    stored(&sandbox, "TOKEN_0", "old");
    keyring.freeze(&sandbox);
    snapshot!(sandbox, both_refused(&sandbox) + &ran(&sandbox, &["unlock"]));
    keyring.thaw(&sandbox);
    assert_eq!(value(&sandbox, 0).as_deref(), Some("old"));
}

#[test]
fn without_a_secret_service_store_and_forget_fail() {
    let mut sandbox = sandbox();
    let said = both_refused(&sandbox);
    assert_eq!(said.matches("unix:path=/nonexistent").count(), 2, "{said}");
    snapshot!(sandbox, "without_a_bus", said);
    let _bus = Bus::bare(&mut sandbox);
    snapshot!(sandbox, "a_bus_without_a_secret_service", both_refused(&sandbox) + &ran(&sandbox, &["unlock"]));
}

/// Starts `raxx store` and sends it the value.
fn started(sandbox: &Sandbox, name: &str, value: &str) -> Child {
    let mut command = std_command(sandbox, RAXX);
    command.args(["store", name, "--stdin", "--no-check"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
    child
}

/// Kills `raxx store` at fifty random moments. Returns how many were killed, replaced the value and kept the old one.
fn kill(sandbox: &Sandbox, at: usize) -> [usize; 3] {
    let name = format!("TOKEN_{at}");
    // Long enough that a partial write would be noticed.
    let made_up = |turn: usize| format!("HRKU-{at}-{turn:03}-").repeat(120);
    let mut usual = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        stored(sandbox, &name, &made_up(0));
        usual.push(begun.elapsed());
    }
    usual.sort();
    let mut most = usual[2].as_micros() as u64 * 6 / 5;
    let mut random = RandomState::new().build_hasher();

    let (mut old, [mut killed, mut replaced, mut kept]) = (made_up(0), [0; 3]);
    for turn in 1..=50 {
        let new = made_up(turn);
        random.write_usize(turn);
        let begun = Instant::now();
        let mut child = started(sandbox, &name, &new);
        let moment = Duration::from_micros(random.finish() % most);
        thread::sleep(moment.saturating_sub(begun.elapsed()));
        child.kill().unwrap();
        killed += usize::from(child.wait().unwrap().signal() == Some(9));

        // Not with secret-tool: many of those at once sometimes make gnome-keyring abort, see `warm_up`.
        let now = exported(sandbox, &name);
        assert!(now == old || now == new, "{turn}: after {moment:?} the value is {now:?}");
        // About half of the kills come too late, even if the load of the machine changes.
        if now == new {
            replaced += 1;
            most = most * 97 / 100;
        } else {
            kept += 1;
            most = most * 103 / 100;
        }
        old = now;
    }
    [killed, replaced, kept]
}

#[test]
fn killed_at_any_moment_store_leaves_the_old_or_the_new_value() {
    let mut sandbox = sandbox();
    let _keyring = Keyring::start(&mut sandbox);
    let sandbox = &sandbox;
    let [killed, replaced, kept] = thread::scope(|scope| {
        let lanes: Vec<_> = (0..4).map(|at| scope.spawn(move || kill(sandbox, at))).collect();
        let counts = lanes.into_iter().map(|lane| lane.join().unwrap());
        counts.fold([0; 3], |all, of_one| std::array::from_fn(|at| all[at] + of_one[at]))
    });
    for at in 0..4 {
        assert_eq!(items(sandbox, at).0, 1);
        assert_eq!(value(sandbox, at), Some(exported(sandbox, &format!("TOKEN_{at}"))));
    }
    // Otherwise the moments did not cover the whole run.
    assert!(killed >= 50 && replaced >= 10 && kept >= 10, "{killed} killed, {replaced} replaced, {kept} kept");
}

#[test]
fn eight_concurrent_stores_are_all_saved() {
    let mut sandbox = sandbox();
    let _keyring = Keyring::start(&mut sandbox);
    for round in 0..3 {
        let value_of = |at: usize| format!("HRKU-{round}-{at}");
        let all: Vec<_> = (0..8).map(|at| started(&sandbox, &format!("TOKEN_{at}"), &value_of(at))).collect();
        for mut one in all {
            assert!(one.wait().unwrap().success());
        }
        for at in 0..8 {
            assert_eq!(value(&sandbox, at), Some(value_of(at)));
            assert_eq!(items(&sandbox, at).0, 1);
        }
    }
}

#[test]
fn eight_concurrent_stores_of_one_name_are_one_item() {
    let mut sandbox = sandbox();
    let _keyring = Keyring::start(&mut sandbox);
    let all: Vec<_> = (0..8).map(|at| started(&sandbox, "TOKEN_0", &format!("HRKU-{at}"))).collect();
    for mut one in all {
        assert!(one.wait().unwrap().success());
    }
    let (count, said) = items(&sandbox, 0);
    assert_eq!(count, 1, "{said}");
    let value = value(&sandbox, 0).unwrap();
    assert!((0..8).any(|at| value == format!("HRKU-{at}")), "{value}");
}

/// Reads try the Secret Service first, then the store file.
#[test]
fn with_a_store_file_both_stores_stay_consistent() {
    let mut sandbox = Sandbox::new();
    sandbox.config(
        "[store]\nidentity = \"~/identity.txt\"\n[vault.infisical]\nenabled = false\n\
         [[credential]]\nname = \"TOKEN_0\"\nprovider = \"heroku\"\n\
         store = { service = \"raxx-token-0\", account = \"claude-bootstrap\" }\nrotate_via = \"docs/a.md\"\n",
    );
    sandbox.env("DBUS_SESSION_BUS_ADDRESS", "");
    let (code, said) = store(&sandbox, "TOKEN_0", "over ssh");
    assert!(code == 0 && said.lines().last().unwrap().contains("store file"), "{said}");

    let _keyring = Keyring::start(&mut sandbox);
    assert_eq!(exported(&sandbox, "TOKEN_0"), "over ssh", "a value stored without the service is still found");
    let (code, said) = store(&sandbox, "TOKEN_0", "at the desk");
    assert!(code == 0 && said.lines().last().unwrap().contains("Secret Service"), "{said}");
    assert_eq!(value(&sandbox, 0).as_deref(), Some("at the desk"));

    let data = sandbox.home().join(".local/share/raxx");
    let in_the_way = data.join(".store.age.new");
    std::fs::create_dir(&in_the_way).unwrap();
    let said = refused(store(&sandbox, "TOKEN_0", VALUE));
    assert!(said.contains("store file"), "{said}");
    snapshot!(sandbox, "a_store_file_that_cannot_be_written", said);
    assert_eq!(value(&sandbox, 0).as_deref(), Some("at the desk"));
    std::fs::remove_dir(in_the_way).unwrap();

    // Locked with a passphrase that no one has entered.
    let opened = std::fs::read(data.join("store.age")).unwrap();
    let mut recipient = age::scrypt::Recipient::new("made up".to_string().into());
    recipient.set_work_factor(2);
    std::fs::write(data.join("store.age"), age::encrypt(&recipient, b"{}").unwrap()).unwrap();
    let (code, said) = forget(&sandbox, "TOKEN_0");
    // Without a kernel keyring it cannot be unlocked.
    assert!(
        code != 0 && (said.ends_with("\n      type: raxx unlock\n") || said.contains("[store] identity")),
        "{said}"
    );
    assert_eq!(value(&sandbox, 0).as_deref(), Some("at the desk"));

    std::fs::write(data.join("store.age"), opened).unwrap();
    assert_eq!(forget(&sandbox, "TOKEN_0").0, 0);
    assert_eq!((value(&sandbox, 0), exported(&sandbox, "TOKEN_0")), (None, String::new()));
    std::fs::write(data.join("store.age"), age::encrypt(&recipient, b"{}").unwrap()).unwrap();
    let check = text(&sandbox.run(&["check"]).stdout);
    assert!(check.contains("store file") && !check.contains("rotate via"), "{check}");
}

/// Whether any process on this machine has this text in its arguments.
fn in_arguments(what: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let mut lines = lines.filter(|line| line.len() >= what.len());
    lines.any(|line| line.windows(what.len()).any(|part| part == what.as_bytes()))
}

#[test]
fn no_process_has_the_value_in_its_arguments() {
    let mut sandbox = sandbox();
    let _keyring = Keyring::start(&mut sandbox);
    let secret = format!("HRKU-seen-by-nobody-{}", std::process::id());
    let marker = format!("seen-by-all-{}", std::process::id());
    let (done, looks) = (AtomicBool::new(false), std::sync::atomic::AtomicUsize::new(0));
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut seen = (false, false);
            while !done.load(Ordering::Relaxed) {
                seen = (seen.0 | in_arguments(&secret), seen.1 | in_arguments(&marker));
                looks.fetch_add(1, Ordering::Relaxed);
            }
            seen
        });
        // The watch sees a real leak.
        let mut sleep =
            std_command(&sandbox, "sh").args(["-c", "read x", &marker]).stdin(Stdio::piped()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        // The first pass of the watch may have started before the leak.
        let begun = looks.load(Ordering::Relaxed);
        while looks.load(Ordering::Relaxed) < begun + 2 && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        drop(sleep.stdin.take());
        sleep.wait().unwrap();

        let before = looks.load(Ordering::Relaxed);
        while looks.load(Ordering::Relaxed) < before + 20 && Instant::now() < until {
            stored(&sandbox, "TOKEN_0", &secret);
        }
        done.store(true, Ordering::Relaxed);
        assert_eq!(watch.join().unwrap(), (false, true));
    });
    assert_eq!(value(&sandbox, 0), Some(secret));
}

fn serve(sandbox: &mut Sandbox, service: Service) -> StandIn {
    StandIn::start(sandbox, Behavior::Serves(service))
}

fn one_item() -> Vec<Stored> {
    vec![Stored { service: "raxx-token-0", value: "old", modified: 1 }]
}

/// A dialog that the service offers is dismissed: none is ever opened or waited for.
#[test]
fn a_dialog_is_dismissed() {
    let mut sandbox = sandbox();
    let service = serve(&mut sandbox, Service { prompts: true, ..Service::default() });
    let mut said = refused(store(&sandbox, "TOKEN_0", VALUE));
    let declined = |service: &StandIn, change: &str| {
        let calls = service.calls();
        let at = |call: &str| calls.iter().position(|made| made == call).expect(call);
        assert!(at(change) < at("Prompt") && at("Prompt") < at("Dismiss"), "{calls:?}");
    };
    declined(&service, "CreateItem");

    let service = serve(&mut sandbox, Service { items: one_item(), prompts: true, ..Service::default() });
    said += &refused(forget(&sandbox, "TOKEN_0"));
    declined(&service, "Delete");
    snapshot!(sandbox, said);
}

#[test]
fn a_refused_change_is_reported_with_the_reason() {
    let mut table = String::new();
    for error in [
        "org.freedesktop.Secret.Error.IsLocked",
        "org.freedesktop.DBus.Error.AccessDenied",
        "org.freedesktop.DBus.Error.Failed",
        "org.freedesktop.DBus.Error.NoServer",
        "",
    ] {
        for items in [one_item(), Vec::new()] {
            let mut sandbox = sandbox();
            let deletes = !items.is_empty();
            let service =
                serve(&mut sandbox, Service { items, refuses_changes_with: Some(error), ..Service::default() });
            table += &format!("error: {error}\nstore: {}", refused(store(&sandbox, "TOKEN_0", VALUE)));
            if deletes {
                table += &format!("forget: {}", refused(forget(&sandbox, "TOKEN_0")));
            }
            table += "\n";
            let calls = service.calls();
            assert!(!calls.iter().any(|call| ["Unlock", "Prompt"].contains(&call.as_str())), "{calls:?}");
        }
    }
    snapshot!(sandbox(), table);
}

#[test]
fn without_a_collection_none_is_created() {
    let mut sandbox = sandbox();
    let service = serve(&mut sandbox, Service { no_collection: true, ..Service::default() });
    snapshot!(sandbox, refused(store(&sandbox, "TOKEN_0", VALUE)));
    assert!(!service.calls().iter().any(|call| call.starts_with("Create")), "{:?}", service.calls());
}

/// KeePassXC reports that the item of a locked database does not exist.
#[test]
fn an_unsearchable_locked_collection_is_not_reported_as_empty() {
    let mut sandbox = sandbox();
    let service = serve(&mut sandbox, Service { locked: true, ..Service::default() });
    snapshot!(sandbox, both_refused(&sandbox));
    let calls = service.calls();
    let changes = ["CreateItem", "SetSecret", "Delete", "Prompt"];
    assert!(!calls.iter().any(|call| changes.contains(&call.as_str())), "{calls:?}");
}

/// Of two items, a write changes the one that a read finds.
#[test]
fn a_write_changes_the_item_that_a_read_finds() {
    let mut sandbox = sandbox();
    let at = |modified| Stored { service: "raxx-token-0", value: "old", modified };
    let service = serve(&mut sandbox, Service { items: vec![at(1), at(3), at(2)], ..Service::default() });
    // The other item keeps the old value.
    snapshot!(sandbox, "a_store_that_keeps_the_old_value", refused(store(&sandbox, "TOKEN_0", VALUE)));
    assert_eq!(service.changed()[0], "SetSecret /org/freedesktop/secrets/collection/team/1");

    let service = serve(&mut sandbox, Service { items: vec![at(1), at(3), at(2)], ..Service::default() });
    snapshot!(sandbox, "what_is_still_there_after_it_was_deleted", refused(forget(&sandbox, "TOKEN_0")));
    let deleted = ["0", "2", "1"].map(|item| format!("Delete /org/freedesktop/secrets/collection/team/{item}"));
    assert_eq!(service.changed(), deleted);
}
