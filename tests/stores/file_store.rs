//! The store file from the outside: its contents, its permissions, and what remains of it after a writer is killed.
//!
//! Needs the programs `age` and `keyctl` (Debian: age, keyutils). Where the kernel keyring cannot be used, as in many
//! containers, the passphrase tests check the error instead.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::pty::Terminal;
use crate::snapshot::{ran, snapshot, transcript};
use crate::support::{RAXX, Sandbox, text};
use crate::token::said_by_raxx;

const OLD: &str = "ghp_MadeUpForTheFileStoreOld0123456789cdef";
const NEW: &str = "ghp_MadeUpForTheFileStoreNew0123456789cdef";
const PASSPHRASE: &str = "correct horse battery";

/// The questions of the first `raxx store`, as far as a test waits for them.
const FORM: &str = "[passphrase/identity] ";
const FORM_AGAIN: &str = "passphrase or identity: ";
const NEW_PASSPHRASE: &str = "New passphrase";
const REPEAT: &str = "Repeat";
const HIDDEN: &str = "T0 (hidden)";

/// The kinds of two verdicts.
const MISSING: &str = "missing";
const LOCKED: &str = "locked";

/// A home with this `[store]` and the credentials T0 to T9.
fn home(store: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let mut config = format!("{store}[vault.infisical]\nenabled = false\n");
    for i in 0..10 {
        config += &format!("[[credential]]\nname = \"T{i}\"\nprovider = \"github\"\n");
        config += &format!("store = {{ service = \"raxx-t{i}\", account = \"a\" }}\n");
    }
    sandbox.config(&config);
    sandbox
}

/// A home whose store file uses an identity file.
fn unattended() -> Sandbox {
    home("[store]\nbackend = \"file\"\nidentity = \"~/.config/raxx/identity.txt\"\n")
}

fn store_file(sandbox: &Sandbox) -> PathBuf {
    sandbox.home().join(".local/share/raxx/store.age")
}

fn identity_file(sandbox: &Sandbox) -> PathBuf {
    sandbox.home().join(".config/raxx/identity.txt")
}

fn store(sandbox: &Sandbox, name: &str, value: &str) -> Output {
    let mut command = sandbox.raxx();
    command.args(["store", name, "--stdin", "--no-check"]).write_stdin(value).output().expect("raxx starts")
}

fn stored(sandbox: &Sandbox, name: &str, value: &str) {
    let out = store(sandbox, name, value);
    assert!(out.status.success(), "{}", text(&out.stderr));
}

/// The value that `raxx export` prints for the name, or the kind of its verdict.
fn read(sandbox: &Sandbox, name: &str) -> Result<String, String> {
    let out = sandbox.run(&["export", "sh", name]);
    let code = text(&out.stdout);
    if let Some(value) = code.strip_prefix(&format!("export {name}='")).and_then(|rest| rest.strip_suffix("'\n")) {
        return Ok(value.into());
    }
    let said = text(&out.stderr);
    assert_eq!((code.as_str(), said.lines().count(), said.contains(name)), ("", 1, true), "{said}");
    let report: Value = serde_json::from_slice(&sandbox.run(&["check", "--json", name]).stdout).expect("a report");
    Err(report["credentials"][0]["kind"].as_str().expect("a kind").into())
}

/// The transcript of a `raxx store` of T0 that must fail.
fn refused(out: &Output) -> String {
    assert!(!out.status.success());
    assert_eq!(text(&out.stdout), "");
    let said = text(&out.stderr);
    assert!(!said.contains(OLD) && !said.contains(NEW), "{said}");
    transcript("raxx store T0 --stdin --no-check", out)
}

/// Starts a `raxx store` that waits for its value.
fn waiting(sandbox: &Sandbox, name: &str) -> Child {
    let mut command = Command::new(RAXX);
    command.args(["store", name, "--stdin", "--no-check"]).env_clear().envs(sandbox.environment().iter().cloned());
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("raxx starts")
}

/// Sends it the value.
fn send_value(child: &mut Child, value: &str) {
    child.stdin.take().expect("a pipe").write_all(value.as_bytes()).expect("raxx reads it");
}

fn started(sandbox: &Sandbox, name: &str, value: &str) -> Child {
    let mut child = waiting(sandbox, name);
    send_value(&mut child, value);
    child
}

/// The contents, decrypted with age instead of raxx.
fn decrypted(sandbox: &Sandbox) -> String {
    let mut age = sandbox.command("age");
    let out = age.arg("-d").arg("-i").arg(identity_file(sandbox)).arg(store_file(sandbox)).output();
    let out = out.expect("age is installed");
    assert!(out.status.success(), "{}", text(&out.stderr));
    text(&out.stdout)
}

fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("the directory");
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

// ---- the unattended form

#[test]
fn the_first_store_creates_both_files_and_says_where() {
    let sandbox = unattended();
    assert_eq!(read(&sandbox, "T0"), Err(MISSING.into()));
    snapshot!(sandbox, "nothing_is_stored", ran(&sandbox, &["export", "sh", "T0"]));
    let out = store(&sandbox, "T0", OLD);
    let said = text(&out.stderr);
    for path in [store_file(&sandbox), identity_file(&sandbox)] {
        assert!(said.contains(&format!("{}\n", path.display())), "{said}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o7777, 0o700);
    }
    assert_eq!(read(&sandbox, "T0"), Ok(OLD.into()));
    snapshot!(sandbox, transcript("raxx store T0 --stdin --no-check", &out));
    let said = text(&store(&sandbox, "T1", NEW).stderr);
    assert!(!said.contains(store_file(&sandbox).to_str().unwrap()), "{said}");
    let entry =
        |n: u8, value: &str| format!(r#"{{"service":"raxx-t{n}","account":"a","name":"T{n}","value":"{value}"}}"#);
    assert_eq!(decrypted(&sandbox), format!(r#"{{"version":1,"items":[{},{}]}}"#, entry(0, OLD), entry(1, NEW)));
}

#[test]
fn the_umask_does_not_affect_permissions() {
    for umask in ["0277", "0000"] {
        let sandbox = unattended();
        let mut shell = sandbox.command("sh");
        shell.args(["-c", &format!("umask {umask}; exec raxx store T0 --stdin --no-check")]);
        let out = shell.write_stdin(OLD).output().unwrap();
        assert!(out.status.success(), "{umask}: {}", text(&out.stderr));
        let (store, identity) = (store_file(&sandbox), identity_file(&sandbox));
        for (path, mode) in [
            (store.as_path(), 0o600),
            (&identity, 0o600),
            (&store.with_file_name(".store.age.lock"), 0o600),
            (store.parent().unwrap(), 0o700),
            (identity.parent().unwrap(), 0o700),
        ] {
            let found = fs::metadata(path).unwrap().permissions().mode() & 0o7777;
            assert_eq!(found, mode, "{umask}: {}", path.display());
        }
        stored(&sandbox, "T0", NEW);
        assert_eq!(read(&sandbox, "T0"), Ok(NEW.into()));
    }
}

#[test]
fn a_missing_identity_file_says_what_to_do() {
    let sandbox = unattended();
    stored(&sandbox, "T0", OLD);
    fs::remove_file(identity_file(&sandbox)).unwrap();
    let said = refused(&store(&sandbox, "T0", NEW));
    for path in [identity_file(&sandbox), store_file(&sandbox)] {
        assert!(said.contains(path.to_str().unwrap()), "{said}");
    }
    snapshot!(sandbox, said + &ran(&sandbox, &["export", "sh", "T0"]));
    assert!(!identity_file(&sandbox).exists());
}

#[test]
fn without_a_terminal_no_store_file_is_created() {
    let sandbox = home("[store]\nbackend = \"file\"\n");
    let said = refused(&store(&sandbox, "T0", OLD));
    assert!(said.contains("[store] identity = "), "{said}");
    snapshot!(sandbox, said);
    assert!(!store_file(&sandbox).exists() && !identity_file(&sandbox).exists());
}

#[test]
fn eight_concurrent_writers_lose_no_value() {
    const ROUNDS: u8 = 10;
    for round in 0..ROUNDS {
        let sandbox = unattended();
        let name = |i: u8| (format!("T{i}"), format!("ghp_MadeUp{round}{i}0123456789012345678901"));
        // In the first half they race to create both files, in the second only to write.
        let mut children: Vec<(Child, String)> = if round < ROUNDS / 2 {
            (0..8).map(name).map(|(name, value)| (started(&sandbox, &name, &value), value)).collect()
        } else {
            (0..8).map(name).map(|(name, value)| (waiting(&sandbox, &name), value)).collect()
        };
        if round >= ROUNDS / 2 {
            // By now, all of them wait for their values.
            std::thread::sleep(Duration::from_millis(400));
            for (child, value) in &mut children {
                send_value(child, value);
            }
        }
        for (child, _) in children {
            let out = child.wait_with_output().unwrap();
            assert!(out.status.success(), "{}", text(&out.stderr));
        }
        for (name, value) in (0..8).map(name) {
            assert_eq!(read(&sandbox, &name), Ok(value));
        }
    }
}

/// How long one store takes.
fn time_of_one_store(sandbox: &Sandbox) -> Duration {
    let begun = Instant::now();
    stored(sandbox, "T9", OLD);
    begun.elapsed()
}

/// Returns as soon as a writer changes the directory or exits.
fn wait_for_write(sandbox: &Sandbox, child: &mut Child) {
    let path = store_file(sandbox);
    let new = path.with_file_name(".store.age.new");
    let look = || {
        let metadata = fs::metadata(&path).map(|m| (m.ino(), m.len(), m.mtime(), m.mtime_nsec()));
        (metadata.ok(), new.exists())
    };
    let before = look();
    while look() == before && child.try_wait().unwrap().is_none() {}
}

#[test]
fn a_writer_killed_at_any_moment_leaves_the_old_or_the_new_value() {
    const RANDOM: u32 = 120;
    const AIMED: u32 = 40;
    let sandbox = unattended();
    stored(&sandbox, "T0", OLD);
    stored(&sandbox, "T1", "ghp_MadeUpAndNeverTouched0123456789012345");
    let mut most = time_of_one_store(&sandbox) * 10 / 7;
    let (mut kept, mut replaced) = (0, 0);
    let mut held = OLD.to_string();
    for moment in 0..RANDOM + AIMED {
        let value = format!("ghp_MadeUpForMoment{moment:04}01234567890123456789");
        let mut child = started(&sandbox, "T0", &value);
        if moment < RANDOM {
            // Spread over the whole run and a little longer, with some jitter.
            let jitter = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos() % 1000;
            // 37 is coprime to the number of moments, so each one is used once, early and late ones mixed.
            std::thread::sleep(most * (moment * 37 % RANDOM * 1000 + jitter) / (RANDOM * 1000));
        } else {
            // Aimed at the moment of the write.
            wait_for_write(&sandbox, &mut child);
            std::thread::sleep(Duration::from_micros(u64::from(moment - RANDOM) * 20));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let now = read(&sandbox, "T0").expect("a readable value");
        assert!(now == held || now == value, "neither the old nor the new value after moment {moment}");
        // About half of the kills come too late, even if the load of the machine changes.
        if now == value {
            replaced += 1;
            most = most * 97 / 100;
        } else {
            kept += 1;
            most = most * 103 / 100;
        }
        held = now;
    }
    // Otherwise no kill hit a run that was still writing.
    assert!(kept > 0 && replaced > 0, "{kept} kept, {replaced} replaced");
    assert_eq!(read(&sandbox, "T1"), Ok("ghp_MadeUpAndNeverTouched0123456789012345".into()));
    stored(&sandbox, "T0", NEW);
    assert_eq!(files(&sandbox.home().join(".local/share/raxx")), [".store.age.lock", "store.age"]);
}

#[test]
fn a_first_writer_killed_at_any_moment_leaves_usable_files() {
    const MOMENTS: u32 = 40;
    let whole = time_of_one_store(&unattended());
    for moment in 0..MOMENTS {
        let sandbox = unattended();
        let mut child = started(&sandbox, "T0", OLD);
        std::thread::sleep(whole * moment / MOMENTS);
        child.kill().unwrap();
        child.wait().unwrap();
        let value = read(&sandbox, "T0");
        assert!(value == Ok(OLD.into()) || value == Err(MISSING.into()), "{value:?}");
        stored(&sandbox, "T1", NEW);
        assert_eq!((read(&sandbox, "T0"), read(&sandbox, "T1")), (value, Ok(NEW.into())));
    }
}

#[test]
fn a_full_disk_is_one_line_and_changes_nothing() {
    let sandbox = unattended();
    stored(&sandbox, "T0", OLD);
    let before = fs::read(store_file(&sandbox)).unwrap();
    let mut shell = sandbox.command("bash");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 0; exec raxx store T0 --stdin --no-check"]);
    let said = refused(&shell.write_stdin(NEW).output().unwrap());
    snapshot!(sandbox, said);
    assert_eq!(fs::read(store_file(&sandbox)).unwrap(), before);
    assert_eq!(files(&sandbox.home().join(".local/share/raxx")), [".store.age.lock", "store.age"]);
    assert_eq!(read(&sandbox, "T0"), Ok(OLD.into()));
}

#[test]
fn a_full_disk_at_the_first_store_leaves_nothing_behind() {
    let sandbox = unattended();
    let mut shell = sandbox.command("bash");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 0; exec raxx store T0 --stdin --no-check"]);
    let said = refused(&shell.write_stdin(NEW).output().unwrap());
    snapshot!(sandbox, said);
    assert!(!store_file(&sandbox).exists() && !identity_file(&sandbox).exists());
}

#[test]
fn a_read_only_directory_is_one_line_and_changes_nothing() {
    let sandbox = unattended();
    stored(&sandbox, "T0", OLD);
    let directory = sandbox.home().join(".local/share/raxx");
    fs::remove_file(directory.join(".store.age.lock")).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o500)).unwrap();
    // Root can write everywhere unless it drops that capability.
    let mut command = match rustix::process::geteuid().is_root() {
        true => {
            let mut command = sandbox.command("setpriv");
            command.args(["--bounding-set", "-dac_override", "--inh-caps", "-dac_override", RAXX]);
            command
        }
        false => sandbox.raxx(),
    };
    command.args(["store", "T0", "--stdin", "--no-check"]);
    let said = refused(&command.write_stdin(NEW).output().unwrap());
    snapshot!(sandbox, said);
    assert_eq!(read(&sandbox, "T0"), Ok(OLD.into()));
    assert_eq!(files(&directory), ["store.age"]);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_world_readable_identity_and_a_damaged_file_are_one_line_each() {
    let sandbox = unattended();
    stored(&sandbox, "T0", OLD);
    let identity = identity_file(&sandbox);
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(read(&sandbox, "T0"), Err(LOCKED.into()));
    let said = refused(&store(&sandbox, "T0", NEW));
    assert!(said.contains("0644") && said.contains(&format!("chmod 600 {}\n", identity.display())), "{said}");
    snapshot!(sandbox, "a_world_readable_identity", said + &ran(&sandbox, &["export", "sh", "T0"]));
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o600)).unwrap();

    let good = fs::read(store_file(&sandbox)).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(store_file(&sandbox), &bad).unwrap();
    let mut said = refused(&store(&sandbox, "T0", NEW));
    fs::write(store_file(&sandbox), "none").unwrap();
    said += &refused(&store(&sandbox, "T0", NEW));
    assert_eq!(said.matches(store_file(&sandbox).to_str().unwrap()).count(), 2, "{said}");
    snapshot!(sandbox, "a_damaged_file", said);
    fs::write(store_file(&sandbox), &bad).unwrap();
    assert_eq!(fs::read(store_file(&sandbox)).unwrap(), bad);
    fs::write(store_file(&sandbox), &good).unwrap();
    assert_eq!(read(&sandbox, "T0"), Ok(OLD.into()));
}

#[test]
fn a_forgotten_value_is_deleted_from_the_file() {
    let sandbox = unattended();
    stored(&sandbox, "T0", OLD);
    stored(&sandbox, "T1", NEW);
    assert!(sandbox.run(&["forget", "T0", "--yes"]).status.success());
    assert!(!decrypted(&sandbox).contains(OLD) && decrypted(&sandbox).contains(NEW));
    assert_eq!(sandbox.run(&["forget", "T0", "--yes"]).status.code(), Some(1));
}

/// Another raxx holds the lock for too long.
#[test]
fn waiting_for_another_raxx_to_unlock_the_store_file_times_out() {
    let sandbox = unattended();
    let directory = store_file(&sandbox).parent().unwrap().to_path_buf();
    fs::create_dir_all(&directory).unwrap();
    let held = fs::File::create(directory.join(".store.age.lock")).unwrap();
    held.lock().unwrap();
    let before_the_first = refused(&store(&sandbox, "T0", NEW));
    assert!(!store_file(&sandbox).exists());
    held.unlock().unwrap();
    stored(&sandbox, "T0", OLD);
    held.lock().unwrap();
    let said = refused(&store(&sandbox, "T0", NEW));
    assert!(said.contains("raxx check T0\n"), "{said}");
    snapshot!(sandbox, before_the_first + &said);
    assert_eq!(read(&sandbox, "T0"), Ok(OLD.into()));
}

// ---- which store

#[cfg(target_os = "linux")]
#[test]
fn the_store_file_is_used_without_a_bus() {
    let mut sandbox = home("[store]\nidentity = \"~/.config/raxx/identity.txt\"\n");
    sandbox.unset("DBUS_SESSION_BUS_ADDRESS");
    assert_eq!(read(&sandbox, "T0"), Err(MISSING.into()));
    let without = ran(&sandbox, &["export", "sh", "T0"]);
    stored(&sandbox, "T0", OLD);
    assert_eq!(read(&sandbox, "T0"), Ok(OLD.into()));
    assert_eq!(read(&sandbox, "T1"), Err(MISSING.into()));
    snapshot!(sandbox, without + &ran(&sandbox, &["export", "sh", "T1"]));
}

#[cfg(target_os = "linux")]
#[test]
fn the_store_file_is_used_with_a_dead_bus_address() {
    let sandbox = home("[store]\nidentity = \"~/.config/raxx/identity.txt\"\n");
    let out = store(&sandbox, "T0", OLD);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert!(store_file(&sandbox).exists() && identity_file(&sandbox).exists());
    let listed = sandbox.run(&["export", "sh", "T0"]);
    assert!(text(&listed.stdout).contains(OLD), "{}", text(&listed.stderr));
}

#[test]
fn only_a_store_file_can_be_unlocked() {
    let sandbox = unattended();
    let said = |sandbox: &Sandbox, command: &str| {
        let said = ran(sandbox, &[command]);
        assert!(said.ends_with("exit: 2\n"), "{said}");
        said
    };
    let without = said(&sandbox, "unlock");
    stored(&sandbox, "T0", OLD);
    snapshot!(sandbox, "nothing_to_unlock", without + &said(&sandbox, "unlock"));
    if cfg!(target_os = "linux") {
        let sandbox = home("[store]\nbackend = \"secret-service\"\n");
        // A keyring could be unlocked, if there is one.
        snapshot!(sandbox, "no_store_file_to_lock", said(&sandbox, "lock") + &said(&sandbox, "unlock"));
    }
}

// ---- the passphrase form

fn on_a_terminal(sandbox: &Sandbox, program: &str, args: &[&str]) -> Terminal {
    Terminal::open(Path::new(program), args, sandbox.environment(), &sandbox.home())
}

/// A `raxx store` on a terminal, which first asks how the new store file is protected.
fn first_store(sandbox: &Sandbox) -> Terminal {
    on_a_terminal(sandbox, RAXX, &["store", "T0", "--no-check"])
}

/// A home with a store file that a passphrase unlocks. Dropping it removes its key from the kernel keyring.
struct Attended(Sandbox);

impl Drop for Attended {
    fn drop(&mut self) {
        let _ = self.0.run(&["lock"]);
    }
}

impl Attended {
    /// Answers the questions of the first `raxx store`. Returns `None` if the keyring cannot be used, after checking that this
    /// was reported and no file was created.
    fn new() -> Option<Attended> {
        let attended = Attended(home("[store]\nbackend = \"file\"\n"));
        let sandbox = &attended.0;
        let mut terminal = first_store(sandbox);
        terminal.answer(FORM, "passphrase");
        if !keyring_works() {
            assert_eq!(terminal.end(), 2);
            assert!(terminal.screen().contains("[store] identity"), "{}", terminal.screen());
            assert_eq!(files(&sandbox.home().join(".local/share")), Vec::<String>::new());
            return None;
        }
        terminal.answer(NEW_PASSPHRASE, PASSPHRASE);
        terminal.answer(REPEAT, PASSPHRASE);
        terminal.answer(HIDDEN, OLD);
        assert_eq!(terminal.end(), 0, "{}", terminal.screen());
        assert_eq!((terminal.times(PASSPHRASE), terminal.times(OLD)), (0, 0), "{}", terminal.screen());
        snapshot!(sandbox, "a_new_store_file_with_a_passphrase", terminal.screen());
        Some(attended)
    }
}

pub fn keyring_works() -> bool {
    // Only Linux has one.
    cfg!(target_os = "linux") && {
        let out = Command::new("keyctl").args(["describe", "@u"]).output().expect("keyctl is installed");
        out.status.success()
    }
}

fn unlock(sandbox: &Sandbox, passphrase: &str) -> Output {
    sandbox.raxx().args(["unlock", "--stdin"]).write_stdin(format!("{passphrase}\n")).output().unwrap()
}

#[test]
fn a_passphrase_unlocks_the_file_for_every_session_until_it_is_locked() {
    let Some(attended) = Attended::new() else { return };
    let sandbox = &attended.0;
    assert_eq!(read(sandbox, "T0"), Ok(OLD.into()));
    let mut said = ran(sandbox, &["lock"]) + &ran(sandbox, &["lock"]);
    assert_eq!(said.matches("exit: 0\n").count(), 2, "{said}");
    assert_eq!(read(sandbox, "T0"), Err(LOCKED.into()));
    said += &ran(sandbox, &["export", "sh", "T0"]);

    let before = fs::read(store_file(sandbox)).unwrap();
    let locked = refused(&store(sandbox, "T0", NEW));
    assert!(locked.contains("      type: raxx unlock\n"), "{locked}");
    said += &locked;
    let wrong = unlock(sandbox, "wrong");
    assert_eq!(wrong.status.code(), Some(1), "{}", text(&wrong.stderr));
    said += &transcript("raxx unlock --stdin", &wrong);
    assert_eq!(read(sandbox, "T0"), Err(LOCKED.into()));
    assert_eq!(fs::read(store_file(sandbox)).unwrap(), before);

    for unusable in ["", "two\nlines"] {
        let out = unlock(sandbox, unusable);
        assert_eq!(out.status.code(), Some(2), "{}", text(&out.stderr));
        said += &transcript("raxx unlock --stdin", &out);
    }
    let right = unlock(sandbox, PASSPHRASE);
    assert!(right.status.success(), "{}", text(&right.stderr));
    said += &transcript("raxx unlock --stdin", &right);
    assert!(!said.contains(PASSPHRASE), "{said}");
    snapshot!(sandbox, said);
    assert_eq!(read(sandbox, "T0"), Ok(OLD.into()));
    // A write does not ask for the passphrase, and the same passphrase still unlocks the file.
    stored(sandbox, "T0", NEW);
    assert_eq!(read(sandbox, "T0"), Ok(NEW.into()));

    // A terminal with another session keyring can read the file, and can lock and unlock it for the others.
    let in_another_session = |args: &[&str]| {
        let mut command = sandbox.command("keyctl");
        command.args(["session", "-", RAXX]).args(args).write_stdin(PASSPHRASE).output().unwrap()
    };
    let value = text(&in_another_session(&["export", "sh", "T0"]).stdout);
    assert!(value.ends_with(&format!("export T0='{NEW}'\n")), "{value}");
    assert!(in_another_session(&["lock"]).status.success());
    assert_eq!(read(sandbox, "T0"), Err(LOCKED.into()));
    assert!(in_another_session(&["unlock", "--stdin"]).status.success());
    assert_eq!(read(sandbox, "T0"), Ok(NEW.into()));
}

#[test]
fn the_key_in_the_keyring_belongs_to_the_user_and_expires() {
    let Some(attended) = Attended::new() else { return };
    let path = fs::canonicalize(store_file(&attended.0)).unwrap();
    let name = format!("raxx:{}", &blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex()[..32]);
    let keys = fs::read_to_string("/proc/keys").unwrap();
    let key = keys.lines().find(|line| line.contains(&name)).expect("a key");
    let fields: Vec<&str> = key.split_whitespace().collect();
    assert_eq!(fields[4], "3f3f0000", "{key}");
    assert!(fields[3] == "11h" || fields[3] == "12h", "{key}");
}

#[test]
fn a_locked_file_is_reported_once_with_the_unlock_command() {
    let Some(attended) = Attended::new() else { return };
    let sandbox = &attended.0;
    assert!(sandbox.run(&["lock"]).status.success());
    let out = sandbox.run(&["check", "T0"]);
    let report = text(&out.stdout);
    assert_eq!((report.lines().count(), out.status.code()), (2, Some(1)), "{report}");
    assert!(report.starts_with("[FAIL] T0    (") && report.ends_with(")\n       type: raxx unlock\n"), "{report}");
}

#[test]
fn age_decrypts_the_file_even_after_writes_without_the_passphrase() {
    let Some(attended) = Attended::new() else { return };
    let sandbox = &attended.0;
    stored(sandbox, "T1", NEW);
    let path = store_file(sandbox);
    let mut age = on_a_terminal(sandbox, "age", &["-d", path.to_str().unwrap()]);
    age.answer("passphrase", PASSPHRASE);
    assert_eq!(age.end(), 0, "{}", age.screen());
    let said = String::from_utf8(age.transcript()).unwrap();
    assert!(said.contains(&format!(r#""name":"T0","value":"{OLD}""#)), "{said}");
    assert!(said.contains(&format!(r#""name":"T1","value":"{NEW}""#)), "{said}");
}

#[test]
fn a_file_that_age_reencrypted_needs_its_own_passphrase() {
    let Some(attended) = Attended::new() else { return };
    let sandbox = &attended.0;
    let path = store_file(sandbox);
    let plain = sandbox.home().join("plain");
    let entry = format!(r#"{{"service":"raxx-t0","account":"a","name":"T0","value":"{NEW}"}}"#);
    fs::write(&plain, format!(r#"{{"version":1,"items":[{entry}]}}"#)).unwrap();
    let mut age = on_a_terminal(sandbox, "age", &["-p", "-o", path.to_str().unwrap(), plain.to_str().unwrap()]);
    age.answer("Enter passphrase", "another one");
    age.answer("Confirm", "another one");
    assert_eq!(age.end(), 0, "{}", age.screen());
    // The keyring still has the key of the previous file.
    assert_eq!(read(sandbox, "T0"), Err(LOCKED.into()));
    assert_eq!(unlock(sandbox, PASSPHRASE).status.code(), Some(1));
    assert!(unlock(sandbox, "another one").status.success());
    assert_eq!(read(sandbox, "T0"), Ok(NEW.into()));
}

#[test]
fn different_passphrases_are_asked_for_again() {
    if !keyring_works() {
        return; // no passphrase is asked for: see Attended::new
    }
    let sandbox = home("[store]\nbackend = \"file\"\n");
    let mut terminal = first_store(&sandbox);
    terminal.answer(FORM, "passphrase");
    terminal.answer(NEW_PASSPHRASE, PASSPHRASE);
    terminal.answer(REPEAT, "something else");
    terminal.answer(NEW_PASSPHRASE, PASSPHRASE);
    terminal.answer(REPEAT, PASSPHRASE);
    terminal.answer(HIDDEN, OLD);
    assert_eq!(terminal.end(), 0, "{}", terminal.screen());
    snapshot!(sandbox, terminal.screen());
    assert!(unlock(&sandbox, PASSPHRASE).status.success());
    assert_eq!(read(&sandbox, "T0"), Ok(OLD.into()));
}

#[test]
fn the_protection_is_asked_for_until_one_is_chosen() {
    let sandbox = home("[store]\nbackend = \"file\"\n");
    let mut terminal = first_store(&sandbox);
    terminal.answer(FORM, "");
    terminal.answer(FORM_AGAIN, "key");
    // A value pasted into this question is visible on the screen.
    terminal.answer(FORM_AGAIN, NEW);
    terminal.answer(FORM_AGAIN, "I");
    terminal.answer(HIDDEN, OLD);
    assert_eq!(terminal.end(), 0, "{}", terminal.screen());
    snapshot!(sandbox, terminal.screen().replace(NEW, "[NEW]"));
    assert!(identity_file(&sandbox).exists());
    // Without a choice, no file is created.
    let sandbox = home("[store]\nbackend = \"file\"\n");
    let mut terminal = first_store(&sandbox);
    terminal.answer(FORM, "\x15\x04");
    assert_eq!(terminal.end(), 2, "{}", terminal.screen());
    snapshot!(sandbox, "no_protection_is_chosen", said_by_raxx(&terminal));
    assert!(!store_file(&sandbox).exists() && !identity_file(&sandbox).exists());
}

#[test]
fn an_identity_chosen_on_the_terminal_is_found_again() {
    let sandbox = home("[store]\nbackend = \"file\"\n");
    let mut terminal = first_store(&sandbox);
    terminal.answer(FORM, "identity");
    terminal.answer(HIDDEN, OLD);
    assert_eq!(terminal.end(), 0, "{}", terminal.screen());
    assert!(identity_file(&sandbox).exists());
    assert_eq!(read(&sandbox, "T0"), Ok(OLD.into()));
    stored(&sandbox, "T1", NEW);
    assert!(decrypted(&sandbox).contains(NEW));
}
