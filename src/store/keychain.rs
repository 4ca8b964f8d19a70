//! What to ask the macOS Keychain and what its answers mean. No call into macOS is made here: see `keychain_macos.rs`.
//!
//! Two readers are tried. raxx itself reads first, with dialogs switched off for the whole process. An item that was made
//! by `/usr/bin/security` is refused to it, as every program but `security` is outside that item's partition; `security`
//! reads such an item silently. But `security` has no switch against dialogs, so it runs under a timeout and one at a
//! time: each one may put a dialog on the screen.
//!
//! Whoever writes an item becomes the program that reads it silently. So `security` writes as well, whatever raxx was
//! built and signed with: a new build of raxx is another program to the Keychain.

use std::cell::Cell;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;
use zeroize::{Zeroize, Zeroizing};

use super::{Item, Lookup, Store, Written, quoted};
use crate::secret::Secret;

/// Security.framework's result code. `security` ends with its lowest eight bits.
pub(super) type OsStatus = i32;

const ITEM_NOT_FOUND: OsStatus = -25300;
const AUTH_FAILED: OsStatus = -25293;
const INTERACTION_NOT_ALLOWED: OsStatus = -25308;
const USER_CANCELED: OsStatus = -128;
const MISSING_ENTITLEMENT: OsStatus = -34018;
const IN_DARK_WAKE: OsStatus = -25320;
const NOT_AVAILABLE: OsStatus = -25291;
const NO_SUCH_KEYCHAIN: OsStatus = -25294;
const NO_DEFAULT_KEYCHAIN: OsStatus = -25307;
const DUPLICATE_ITEM: OsStatus = -25299;
const READ_ONLY: OsStatus = -25292;
const DISK_FULL: OsStatus = -34;

/// The codes that `security find-generic-password` is known to end with.
const EXITS: [OsStatus; 6] =
    [ITEM_NOT_FOUND, AUTH_FAILED, INTERACTION_NOT_ALLOWED, USER_CANCELED, MISSING_ENTITLEMENT, IN_DARK_WAKE];

/// The codes that `security add-generic-password` and `delete-generic-password` are known to end with.
const CHANGE_EXITS: [OsStatus; 12] = [
    ITEM_NOT_FOUND,
    AUTH_FAILED,
    INTERACTION_NOT_ALLOWED,
    USER_CANCELED,
    MISSING_ENTITLEMENT,
    IN_DARK_WAKE,
    NOT_AVAILABLE,
    NO_SUCH_KEYCHAIN,
    NO_DEFAULT_KEYCHAIN,
    DUPLICATE_ITEM,
    READ_ONLY,
    DISK_FULL,
];

/// `security -i` reads its lines into a buffer of 4096 bytes and takes what is beyond it for another command.
const LINE_MAX: usize = 4094;

/// How long `security` may take. It answers in tens of milliseconds or it has a dialog open.
const SECURITY_LIMIT: Duration = Duration::from_millis(800);

/// How long a dialog that a person asked for may wait for an answer.
const DIALOG_LIMIT: Duration = Duration::from_secs(120);

/// Less than this is not worth starting a process for.
const SECURITY_LEAST: Duration = Duration::from_millis(20);

/// The calls that need a Mac.
pub(super) trait System: Send + Sync + 'static {
    /// The default keychain's name and whether it is locked; asks nobody.
    fn state(&self) -> Result<State, OsStatus>;
    /// Is there such an item? Reads its attributes only, which are not protected.
    fn search(&self, item: &Item) -> Result<(), OsStatus>;
    /// Reads the value with dialogs off.
    fn read(&self, item: &Item) -> Result<Zeroizing<Vec<u8>>, OsStatus>;
    /// Has `security` print the value, and kills it at `limit`.
    fn security(&self, item: &Item, limit: Duration) -> Security;
    /// Has `security` show the value in its marked form, and kills it at `limit`.
    fn shown(&self, item: &Item, limit: Duration) -> Security;
    /// Has `security -i` do what the line says, and kills it at `limit`.
    fn add(&self, line: &[u8], limit: Duration) -> Security;
    /// Has `security` delete the item, and kills it at `limit`.
    fn delete(&self, item: &Item, limit: Duration) -> Security;
}

/// A keychain's state.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub name: String,
    pub locked: bool,
}

/// How a run of `security` went.
pub(super) enum Security {
    /// It ended, with this code and output.
    Exit(i32, Zeroizing<Vec<u8>>),
    /// It was killed at its limit.
    TimedOut,
    /// It could not be run, or ended by a signal.
    Failed(String),
}

/// The Keychain as a store.
pub(super) struct Keychain<S> {
    system: Arc<S>,
    /// Whether the last read found it locked: unlocking and consenting are different commands.
    locked: Cell<bool>,
}

impl<S: System> Keychain<S> {
    pub fn new(system: S) -> Self {
        Self { system: Arc::new(system), locked: Cell::new(false) }
    }

    /// Does `work` inside `limit`. It is given the time at which it has to be through.
    fn change<'a>(
        &'a self,
        limit: Duration,
        work: impl FnOnce(&S, Instant) -> Result<(), Lookup> + Send + 'static,
    ) -> Written<'a> {
        Box::pin(async move {
            let deadline = Instant::now() + limit;
            let (send, receive) = tokio::sync::oneshot::channel();
            let system = self.system.clone();
            let end = end_of_work(deadline, limit);
            // As in reading: what hangs must not hold the end of the runtime.
            let thread = thread::Builder::new().name("keychain".into());
            if let Err(error) = thread.spawn(move || send.send(work(&system, end))) {
                return Err(Lookup::Broken(format!("no thread to ask the Keychain on: {error}")));
            }
            let done = match tokio::time::timeout_at(deadline.into(), receive).await {
                Ok(Ok(done)) => done,
                Ok(Err(_)) => Err(Lookup::Broken("the thread that asks the Keychain ended early".into())),
                Err(_) => Err(Lookup::TimedOut),
            };
            self.locked.set(matches!(done, Err(Lookup::Locked(_))));
            done
        })
    }
}

/// The work stops a little before the deadline, so that `security`, if it still runs, is killed and does not outlive raxx
/// with a dialog on the screen.
fn end_of_work(deadline: Instant, limit: Duration) -> Instant {
    deadline - (limit / 10).min(Duration::from_millis(50))
}

impl<S: System> Store for Keychain<S> {
    fn name(&self) -> &'static str {
        "Keychain"
    }

    fn speaker(&self, _: &Item) -> &dyn Store {
        self
    }

    fn unlock_hint(&self, item: &Item) -> String {
        if self.locked.get() {
            return "security unlock-keychain".into();
        }
        // `security` then asks in its dialog; with "Always Allow" it never asks for this item again.
        let (service, account) = (quoted(&item.service), quoted(&item.account));
        format!("security find-generic-password -s {service} -a {account} -w >/dev/null")
    }

    fn read<'a>(&'a self, items: &'a [Item], limit: Duration) -> LocalBoxFuture<'a, Vec<Lookup>> {
        Box::pin(async move {
            let deadline = Instant::now() + limit;
            let mut answers: Vec<_> = items.iter().map(|_| Lookup::TimedOut).collect();
            let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
            let (system, wanted) = (self.system.clone(), items.to_vec());
            // A thread of its own, not the runtime's pool: the end of a runtime waits for its pool, and a call into the
            // Keychain that hangs cannot be broken off.
            let end = end_of_work(deadline, limit);
            let work =
                move || look_up(&*system, &wanted, SECURITY_LIMIT, end, |at, answer| send.send((at, answer)).is_ok());
            if let Err(error) = thread::Builder::new().name("keychain".into()).spawn(work) {
                let why = format!("no thread to ask the Keychain on: {error}");
                answers.fill_with(|| Lookup::Broken(why.clone()));
                return answers;
            }
            while let Ok(Some((at, answer))) = tokio::time::timeout_at(deadline.into(), receive.recv()).await {
                answers[at] = answer;
            }
            self.locked.set(answers.iter().any(|answer| matches!(answer, Lookup::Locked(_))));
            answers
        })
    }

    fn write<'a>(&'a self, name: &'a str, item: &'a Item, value: &'a Secret, limit: Duration) -> Written<'a> {
        match add_line(name, item, value.expose().as_bytes()) {
            Ok(line) => self.change(limit, move |system, end| {
                unlocked(system)?;
                add(system, &line, end)
            }),
            Err(why) => Box::pin(async { Err(why) }),
        }
    }

    fn delete<'a>(&'a self, item: &'a Item, limit: Duration) -> Written<'a> {
        let item = item.clone();
        self.change(limit, move |system, end| {
            unlocked(system)?;
            let kept = kept_by_repair(&item);
            // The copy first: a repair must not bring back what was taken away.
            let copy = delete_if_there(system, &kept, end)?;
            let found = delete_if_there(system, &item, end)?;
            if copy || found { Ok(()) } else { Err(Lookup::Absent) }
        })
    }

    fn repair<'a>(&'a self, name: &'a str, item: &'a Item) -> Written<'a> {
        let (name, item) = (name.to_owned(), item.clone());
        self.change(DIALOG_LIMIT, move |system, end| repair(system, &name, &item, end))
    }
}

/// Nothing is started on a locked keychain: `security` would ask for its password.
fn unlocked(system: &impl System) -> Result<(), Lookup> {
    match system.state() {
        Ok(state) if state.locked => Err(Lookup::Locked(state.name)),
        Ok(_) => Ok(()),
        Err(code) => Err(meaning(system, code)),
    }
}

/// The one line for `security -i` that stores the value, so that it is in no process's arguments. No `-T` and no `-A`:
/// both would take away the trust of `security` itself, or ask for a password to change the item's access list.
fn add_line(name: &str, item: &Item, value: &[u8]) -> Result<Zeroizing<Vec<u8>>, Lookup> {
    for (what, text) in [("name", name), ("service", &item.service), ("account", &item.account)] {
        // Its parser knows quotes and backslashes, but not in the way of a shell. None of these has a use for them.
        if text.is_empty() || text.contains(['"', '\'', '\\']) || text.contains(char::is_control) {
            return Err(Lookup::Broken(format!(
                "`security` takes no {what} that is empty or has a quote, a backslash or a control character in it"
            )));
        }
    }
    if !value.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        // And nothing tells those digits from a token that is one.
        return Err(Lookup::Unfit("`security` gives what is not plain ASCII back as hex digits".into()));
    }
    let Item { service, account } = item;
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_MAX + 2));
    line.extend_from_slice(
        format!("add-generic-password -U -s \"{service}\" -a \"{account}\" -l \"{name}\" -X ").as_bytes(),
    );
    let room = LINE_MAX.saturating_sub(line.len() + 1) / 2;
    if value.len() > room {
        let long = value.len();
        return Err(Lookup::Unfit(format!("`security` takes {room} bytes for this item, the value has {long}")));
    }
    for byte in value {
        line.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
    }
    line.push(b'\n');
    Ok(line)
}

fn add(system: &impl System, line: &[u8], end: Instant) -> Result<(), Lookup> {
    run_change(system, end, |limit| system.add(line, limit))
}

/// Whether there was one.
fn delete_if_there(system: &impl System, item: &Item, end: Instant) -> Result<bool, Lookup> {
    match system.search(item) {
        Ok(()) => match run_change(system, end, |limit| system.delete(item, limit)) {
            Ok(()) => Ok(true),
            Err(Lookup::Absent) => Ok(false),
            Err(why) => Err(why),
        },
        Err(ITEM_NOT_FOUND) => Ok(false),
        Err(code) => Err(meaning(system, code)),
    }
}

fn run_change(system: &impl System, end: Instant, run: impl FnOnce(Duration) -> Security) -> Result<(), Lookup> {
    let left = end.saturating_duration_since(Instant::now());
    if left < SECURITY_LEAST {
        return Err(Lookup::TimedOut);
    }
    match run(left) {
        Security::Exit(0, _) => Ok(()),
        Security::Exit(exit, _) => Err(match CHANGE_EXITS.iter().find(|code| *code & 0xff == exit) {
            Some(code) => meaning(system, *code),
            None => Lookup::Broken(format!("`security` ended with exit code {exit}")),
        }),
        Security::TimedOut => {
            let limit = left.as_secs_f32();
            let why = format!("`security` gave no answer in {limit:.1} s, its dialog waits for a person");
            Err(refused(system, &why))
        }
        Security::Failed(why) => Err(Lookup::Broken(why)),
    }
}

/// Where a repair keeps the value while the item is gone.
fn kept_by_repair(item: &Item) -> Item {
    Item { service: item.service.clone(), account: format!("{} (raxx repair)", item.account) }
}

/// Makes an item that is given out only after a dialog one that `security` reads silently. Its access list cannot be
/// mended in place without the login password, so it is read once, by the dialog that a person answers, deleted and made
/// anew. A copy keeps the value meanwhile: whenever this is broken off, doing it again goes on from there.
fn repair(system: &impl System, name: &str, item: &Item, end: Instant) -> Result<(), Lookup> {
    unlocked(system)?;
    let copy = kept_by_repair(item);
    match system.search(item) {
        Ok(()) => {
            let value = ask(system, item, end)?;
            let line = add_line(name, item, &value)?;
            add(system, &add_line(name, &copy, &value)?, end)?;
            given_silently(system, &copy, &value, end)?;
            if let Err(why) = delete_if_there(system, item, end) {
                // Still there, and so the copy is of no use. If even that cannot be told, both stay.
                if system.search(item).is_ok() {
                    _ = delete_if_there(system, &copy, end);
                }
                return Err(why);
            }
            add(system, &line, end).map_err(|why| kept(&copy, &why))?;
            given_silently(system, item, &value, end).map_err(|why| kept(&copy, &why))?;
        }
        Err(ITEM_NOT_FOUND) => {
            // Broken off between deleting and writing.
            let value = ask(system, &copy, end)?;
            add(system, &add_line(name, item, &value)?, end)?;
            given_silently(system, item, &value, end)?;
        }
        Err(code) => return Err(meaning(system, code)),
    }
    delete_if_there(system, &copy, end).map(|_| ())
}

/// The value to write anew, with as much time for a dialog as there is. Not by `security -w`: that gives a value with an
/// unprintable byte as hex digits with no mark that it did, and those must not take the value's place.
fn ask(system: &impl System, item: &Item, end: Instant) -> Result<Zeroizing<Vec<u8>>, Lookup> {
    match in_process(system, item) {
        Some(Lookup::Found(value)) => return Ok(value),
        Some(why) => return Err(why),
        None => {}
    }
    match system.shown(item, end.saturating_duration_since(Instant::now())) {
        Security::Exit(0, output) => shown_value(&output).ok_or_else(|| {
            Lookup::Unfit(
                "`security` cannot give it back as it is, so the item is left alone: forget it, and store anew".into(),
            )
        }),
        Security::Exit(exit, _) => Err(exited(system, exit)),
        Security::TimedOut => Err(refused(system, "its dialog was not answered in time")),
        Security::Failed(why) => Err(Lookup::Broken(why)),
    }
}

/// `password: "value"`, or, where a byte is not printable, `password: 0x76…  "…"`.
fn shown_value(output: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let line = output.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"password: "))?;
    let value = line.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    // It stands for itself or for an escaped byte, and nothing says which.
    (!value.contains(&b'\\')).then(|| Zeroizing::new(value.to_vec()))
}

/// Whether the item now gives this very value without a dialog.
fn given_silently(system: &impl System, item: &Item, value: &[u8], end: Instant) -> Result<(), Lookup> {
    match look_up_one(system, item, SECURITY_LIMIT, end, &mut false) {
        Lookup::Found(read) if *read == value => Ok(()),
        Lookup::Found(_) => Err(Lookup::Broken("it gave back another value than was written".into())),
        why => Err(why),
    }
}

/// A repair that went wrong after the item was deleted.
fn kept(copy: &Item, why: &Lookup) -> Lookup {
    let why = match why {
        Lookup::Locked(what) => format!("{what} is locked"),
        Lookup::Consent(why) | Lookup::Unavailable(why) | Lookup::Broken(why) | Lookup::Unfit(why) => why.clone(),
        Lookup::TimedOut => "no answer in time".into(),
        Lookup::Absent | Lookup::Found(_) => "it is not there".into(),
    };
    let Item { service, account } = copy;
    Lookup::Broken(format!(
        "the item could not be written again ({why}); its value is kept in the item with the service {service} and the \
         account {account}, the same command goes on from there"
    ))
}

/// Looks the items up one after the other and tells each answer as it comes. Stops when nobody listens any more; an item
/// that is not told about was not answered in time.
fn look_up(
    system: &impl System,
    items: &[Item],
    security_limit: Duration,
    end: Instant,
    mut tell: impl FnMut(usize, Lookup) -> bool,
) {
    // The lock first: while it is on, every other answer is about the lock and not about the item.
    let problem = match system.state() {
        Ok(state) if state.locked => Some(Err(state.name)),
        Ok(_) => None,
        Err(code) => Some(Ok(code)),
    };
    let mut dialog_may_be_open = false;
    for (at, item) in items.iter().enumerate() {
        let answer = match &problem {
            Some(Err(name)) => Lookup::Locked(name.clone()),
            Some(Ok(code)) => meaning(system, *code),
            None if Instant::now() >= end => return,
            None => look_up_one(system, item, security_limit, end, &mut dialog_may_be_open),
        };
        if !tell(at, answer) {
            return;
        }
    }
}

/// What raxx itself is told of the item; none where it may not read it without a dialog, and `security` perhaps may.
fn in_process(system: &impl System, item: &Item) -> Option<Lookup> {
    if let Err(code) = system.search(item) {
        return Some(meaning(system, code));
    }
    match system.read(item) {
        Ok(value) => Some(Lookup::Found(value)),
        Err(AUTH_FAILED | INTERACTION_NOT_ALLOWED) => None,
        Err(code) => Some(meaning(system, code)),
    }
}

/// What the exit code of a reading `security` means.
fn exited(system: &impl System, exit: i32) -> Lookup {
    match EXITS.iter().find(|code| *code & 0xff == exit) {
        Some(code) => meaning(system, *code),
        None => Lookup::Broken(format!("`security` ended with exit code {exit}")),
    }
}

fn look_up_one(
    system: &impl System,
    item: &Item,
    security_limit: Duration,
    end: Instant,
    dialog_may_be_open: &mut bool,
) -> Lookup {
    if let Some(answer) = in_process(system, item) {
        return answer;
    }
    let left = end.saturating_duration_since(Instant::now());
    // One that hung is taken to have opened a dialog. Another is started only if it can have its whole time.
    if left < SECURITY_LEAST || (*dialog_may_be_open && left < security_limit) {
        return Lookup::TimedOut;
    }
    match system.security(item, left.min(security_limit)) {
        Security::Exit(0, mut value) => {
            // It adds one newline of its own. Any other belongs to the value.
            if value.last() == Some(&b'\n') {
                value.pop();
            }
            Lookup::Found(value)
        }
        Security::Exit(exit, _) => exited(system, exit),
        Security::TimedOut => {
            *dialog_may_be_open = true;
            if left < security_limit {
                return Lookup::TimedOut; // cut short by our own deadline, which says nothing about a dialog
            }
            let limit = security_limit.as_millis();
            refused(system, &format!("`security` gave no answer in {limit} ms, its dialog waits for a person"))
        }
        Security::Failed(why) => Lookup::Broken(why),
    }
}

/// What a code means for the person.
fn meaning(system: &impl System, code: OsStatus) -> Lookup {
    match code {
        ITEM_NOT_FOUND => Lookup::Absent,
        AUTH_FAILED => refused(system, "it is given out only after a dialog"),
        INTERACTION_NOT_ALLOWED => refused(system, "this session cannot show the dialog (ssh, cron, background agent)"),
        USER_CANCELED => refused(system, "the dialog was cancelled"),
        IN_DARK_WAKE => refused(system, "the Mac is asleep and shows no dialog (dark wake)"),
        NOT_AVAILABLE => Lookup::Unavailable("no keychain is available to this session".into()),
        NO_DEFAULT_KEYCHAIN => Lookup::Unavailable("this user has no default keychain".into()),
        NO_SUCH_KEYCHAIN => Lookup::Broken("the file of the default keychain is missing".into()),
        // `security` could not change the item, took it for missing and then found that it is there.
        DUPLICATE_ITEM => Lookup::Broken("the item is there and could not be changed (error -25299)".into()),
        READ_ONLY => Lookup::Broken("the keychain is read-only".into()),
        DISK_FULL => Lookup::Broken("the disk is full".into()),
        MISSING_ENTITLEMENT => Lookup::Broken(format!("error {code}, it wants an entitlement that raxx does not have")),
        _ => Lookup::Broken(format!("error {code}")),
    }
}

/// A refusal. A keychain that was locked since it was asked refuses in the same words, so its state is asked again.
fn refused(system: &impl System, why: &str) -> Lookup {
    match system.state() {
        Ok(state) if state.locked => Lookup::Locked(state.name),
        _ => Lookup::Consent(why.into()),
    }
}

/// "the login keychain", from the path of its file.
pub(super) fn keychain_name(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let name = file.strip_suffix("-db").unwrap_or(&file);
    let name = name.strip_suffix(".keychain").unwrap_or(name);
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() { "the default keychain".into() } else { format!("the {name} keychain") }
}

/// Runs `program` as `security` to print one value, and kills it at `limit`.
///
/// A value with a byte that is not printable comes out as hex with no mark that it is. It is left so: to take
/// hex-looking output apart would break every token that is hex.
pub(super) fn run_security(program: &Path, item: &Item, limit: Duration) -> Security {
    run(program, &["find-generic-password", "-s", &item.service, "-a", &item.account, "-w"], None, Says::Stdout, limit)
}

/// Runs `program` as `security` to show one value, in the form that marks hex digits as such, and kills it at `limit`.
/// The item's attributes go to its stdout, the value to its stderr.
pub(super) fn run_security_shown(program: &Path, item: &Item, limit: Duration) -> Security {
    run(program, &["find-generic-password", "-s", &item.service, "-a", &item.account, "-g"], None, Says::Stderr, limit)
}

/// Runs `program` as `security` to do what is on the line, and kills it at `limit`.
pub(super) fn run_security_add(program: &Path, line: &[u8], limit: Duration) -> Security {
    run(program, &["-i"], Some(line), Says::Stdout, limit)
}

/// Runs `program` as `security` to delete the item, and kills it at `limit`.
pub(super) fn run_security_delete(program: &Path, item: &Item, limit: Duration) -> Security {
    run(program, &["delete-generic-password", "-s", &item.service, "-a", &item.account], None, Says::Stdout, limit)
}

/// Which of its outputs is read.
#[derive(Clone, Copy, PartialEq)]
enum Says {
    Stdout,
    Stderr,
}

fn run(program: &Path, arguments: &[&str], input: Option<&[u8]>, says: Says, limit: Duration) -> Security {
    let end = Instant::now() + limit;
    let output = |of| if of == says { Stdio::piped() } else { Stdio::null() };
    let child = Command::new(program)
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(output(Says::Stdout))
        .stderr(output(Says::Stderr))
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return Security::Failed(format!("{} could not be started: {error}", program.display())),
    };
    if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
        // A line is shorter than what any pipe holds, so this does not block. Who does not read it says why by its code.
        _ = pipe.write_all(input);
    }
    // A pipe is read without a timeout only on another thread; it ends when the pipe does.
    let (send, receive) = mpsc::channel();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read = move || stdout.map(read_to_end).or_else(|| stderr.map(read_to_end)).transpose();
    let reader = thread::Builder::new().spawn(move || send.send(read()));
    let mut ended: Option<ExitStatus> = None;
    let output = reader.map_err(|error| error.to_string()).and_then(|_| {
        match receive.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Ok(output)) => {
                while ended.is_none() && Instant::now() < end {
                    ended = child.try_wait().map_err(|error| error.to_string())?;
                    if ended.is_none() {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
                Ok(output)
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Ok(None),
        }
    });
    if ended.is_none() {
        // Fails only for a child that has just ended, and then `wait` has nothing to wait for either.
        _ = child.kill();
        _ = child.wait();
    }
    match (output, ended) {
        (Err(error), _) => Security::Failed(format!("the output of `security` could not be read: {error}")),
        (Ok(_), None) => Security::TimedOut,
        (Ok(output), Some(status)) => match status.code() {
            Some(code) => Security::Exit(code, output.unwrap_or_default()),
            None => Security::Failed(format!("`security` was stopped: {status}")),
        },
    }
}

/// Reads everything and leaves no copy of it behind: a `Vec` that grows by itself would.
fn read_to_end(mut from: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut chunk = Zeroizing::new([0; 4096]);
    let mut all = Zeroizing::new(Vec::with_capacity(chunk.len()));
    loop {
        let got = match from.read(&mut chunk[..]) {
            Ok(0) => return Ok(all),
            Ok(got) => got,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if all.capacity() - all.len() < got {
            let mut larger = Zeroizing::new(Vec::with_capacity(all.capacity() * 2 + got));
            larger.extend_from_slice(&all);
            all.zeroize();
            all = larger;
        }
        all.extend_from_slice(&chunk[..got]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs;
    use std::sync::Mutex;

    use super::*;

    /// A Mac made up for a test: an item's service says which script answers for it.
    struct Mac {
        /// The answers to "is it locked?", the last one for ever.
        states: Vec<Result<bool, OsStatus>>,
        items: HashMap<&'static str, Script>,
        calls: Mutex<Vec<String>>,
        /// How long each `security` was given.
        limits: Mutex<Vec<Duration>>,
    }

    #[derive(Clone, Copy)]
    struct Script {
        search: OsStatus,
        read: OsStatus,
        security: Run,
    }

    #[derive(Clone, Copy)]
    enum Run {
        Exit(i32),
        Prints(&'static str),
        Hangs,
        Fails,
    }

    /// Stored by raxx itself: the value is "native".
    const OURS: Script = Script { search: 0, read: 0, security: Run::Fails };
    /// Stored by `security`, the way the runbook did.
    const THEIRS: Script = Script { search: 0, read: AUTH_FAILED, security: Run::Prints("by security\n") };
    const HANGS: Script = Script { security: Run::Hangs, ..THEIRS };

    impl Mac {
        fn new(items: &[(&'static str, Script)]) -> Self {
            let items = items.iter().copied().collect();
            Self { states: vec![Ok(false)], items, calls: Mutex::default(), limits: Mutex::default() }
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

    impl System for Mac {
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
            }
        }

        fn shown(&self, _: &Item, _: Duration) -> Security {
            unreachable!("only a repair has it shown")
        }

        fn add(&self, _: &[u8], _: Duration) -> Security {
            unreachable!("reading writes nothing")
        }

        fn delete(&self, _: &Item, _: Duration) -> Security {
            unreachable!("reading deletes nothing")
        }
    }

    fn item(service: &str) -> Item {
        Item { service: service.into(), account: "claude-bootstrap".into() }
    }

    fn items<const N: usize>(services: [&str; N]) -> [Item; N] {
        services.map(item)
    }

    fn found(value: &str) -> Lookup {
        Lookup::Found(Zeroizing::new(value.into()))
    }

    /// Only what kind of answer it is; the words are looked at where they matter.
    fn kind(answer: &Lookup) -> &'static str {
        match answer {
            Lookup::Found(_) => "found",
            Lookup::Absent => "absent",
            Lookup::Locked(_) => "locked",
            Lookup::Consent(_) => "consent",
            Lookup::Unavailable(_) => "unavailable",
            Lookup::Broken(_) => "broken",
            Lookup::Unfit(_) => "unfit",
            Lookup::TimedOut => "timed out",
        }
    }

    const SHORT: Duration = Duration::from_millis(200);

    /// Looks up with a `security` that may take 200 ms, in `limit`.
    fn look<const N: usize>(mac: &Mac, services: [&str; N], limit: Duration) -> [Lookup; N] {
        let mut answers = services.map(|_| Lookup::TimedOut);
        look_up(mac, &items(services), SHORT, Instant::now() + limit, |at, answer| {
            answers[at] = answer;
            true
        });
        answers
    }

    fn look_at_one(mac: &Mac) -> Lookup {
        let [answer] = look(mac, ["x"], Duration::from_secs(5));
        answer
    }

    #[test]
    fn our_own_item_is_read_without_starting_security() {
        let mac = Mac::one(OURS);
        assert_eq!(look_at_one(&mac), found("native"));
        assert_eq!(mac.calls(), ["state", "search x", "read x"]);
    }

    #[test]
    fn an_item_made_by_security_is_read_by_security() {
        let mac = Mac::one(THEIRS);
        assert_eq!(look_at_one(&mac), found("by security"));
        assert_eq!(mac.calls(), ["state", "search x", "read x", "security x"]);
        let no_desktop = Mac::one(Script { read: INTERACTION_NOT_ALLOWED, ..THEIRS });
        assert_eq!(look_at_one(&no_desktop), found("by security"));
    }

    #[test]
    fn an_absent_item_is_told_by_the_search_alone() {
        let mac = Mac::new(&[]);
        assert_eq!(look_at_one(&mac), Lookup::Absent);
        assert_eq!(mac.calls(), ["state", "search x"]);
    }

    #[test]
    fn a_locked_keychain_is_asked_for_nothing() {
        let mac = Mac::new(&[("a", OURS), ("b", THEIRS)]).states(&[Ok(true)]);
        let locked = || Lookup::Locked("the login keychain".into());
        assert_eq!(look(&mac, ["a", "b", "gone"], SHORT), [locked(), locked(), locked()]);
        assert_eq!(mac.calls(), ["state"]);
    }

    #[test]
    fn each_code_has_its_meaning_wherever_it_comes_up() {
        for (code, wanted) in [
            (ITEM_NOT_FOUND, "absent"),
            (USER_CANCELED, "consent"),
            (MISSING_ENTITLEMENT, "broken"),
            (-25299, "broken"), // errSecDuplicateItem
            (IN_DARK_WAKE, "consent"),
            (NOT_AVAILABLE, "unavailable"),
            (NO_DEFAULT_KEYCHAIN, "unavailable"),
            (NO_SUCH_KEYCHAIN, "broken"),
            (-67030, "broken"), // one that is in no table
        ] {
            let in_search = Mac::one(Script { search: code, ..OURS });
            assert_eq!(kind(&look_at_one(&in_search)), wanted, "search: {code}");
            assert!(!in_search.calls().contains(&"read x".into()), "search: {code}");
            let in_read = Mac::one(Script { read: code, ..THEIRS });
            assert_eq!(kind(&look_at_one(&in_read)), wanted, "read: {code}");
            assert!(!in_read.calls().contains(&"security x".into()), "read: {code}");
            let in_state = Mac::one(OURS).states(&[Err(code)]);
            assert_eq!(kind(&look_at_one(&in_state)), wanted, "state: {code}");
        }
        for code in [AUTH_FAILED, INTERACTION_NOT_ALLOWED] {
            assert_eq!(kind(&look_at_one(&Mac::one(Script { search: code, ..OURS }))), "consent", "search: {code}");
            assert_eq!(kind(&look_at_one(&Mac::one(OURS).states(&[Err(code)]))), "consent", "state: {code}");
        }
    }

    #[test]
    fn an_unknown_code_is_named() {
        let Lookup::Broken(why) = look_at_one(&Mac::one(Script { read: -67030, ..OURS })) else { panic!() };
        assert_eq!(why, "error -67030");
    }

    #[test]
    fn each_exit_code_of_security_has_its_meaning() {
        for (exit, wanted) in [
            (44, "absent"),
            (51, "consent"),
            (36, "consent"),
            (128, "consent"),
            (24, "consent"),
            (30, "broken"),
            (45, "broken"),
            (1, "broken"),
            (2, "broken"),
        ] {
            let mac = Mac::one(Script { security: Run::Exit(exit), ..THEIRS });
            assert_eq!(kind(&look_at_one(&mac)), wanted, "exit code {exit}");
        }
        let Lookup::Broken(why) = look_at_one(&Mac::one(Script { security: Run::Exit(45), ..THEIRS })) else {
            panic!()
        };
        assert_eq!(why, "`security` ended with exit code 45");
        assert_eq!(kind(&look_at_one(&Mac::one(Script { security: Run::Fails, ..THEIRS }))), "broken");
        assert_eq!(kind(&look_at_one(&Mac::one(HANGS))), "consent");
    }

    #[test]
    fn a_refusal_by_a_keychain_that_was_locked_meanwhile_is_about_the_lock() {
        for script in [
            Script { security: Run::Exit(51), ..THEIRS },
            Script { security: Run::Exit(36), ..THEIRS },
            Script { security: Run::Exit(128), ..THEIRS },
            Script { read: USER_CANCELED, ..THEIRS },
            HANGS,
        ] {
            let mac = Mac::one(script).states(&[Ok(false), Ok(true)]);
            assert_eq!(look_at_one(&mac), Lookup::Locked("the login keychain".into()));
        }
    }

    #[test]
    fn exactly_one_newline_is_taken_off_what_security_prints() {
        for (printed, value) in [("t\n", "t"), ("t", "t"), ("t\n\n", "t\n"), (" t \n", " t "), ("\n", ""), ("", "")] {
            let mac = Mac::one(Script { security: Run::Prints(printed), ..THEIRS });
            assert_eq!(look_at_one(&mac), found(value), "{printed:?}");
        }
    }

    #[test]
    fn items_are_read_one_after_the_other() {
        let mac = Mac::new(&[("a", THEIRS), ("b", OURS), ("c", THEIRS)]);
        let wanted = [found("by security"), found("native"), found("by security"), Lookup::Absent];
        assert_eq!(look(&mac, ["a", "b", "c", "d"], Duration::from_secs(5)), wanted);
        let calls = mac.calls();
        let of_items: Vec<_> = calls.iter().filter_map(|call| call.split_once(' ')).map(|(_, item)| item).collect();
        assert_eq!(of_items, ["a", "a", "a", "b", "b", "c", "c", "c", "d"]);
    }

    #[test]
    fn after_one_dialog_no_second_that_cannot_have_its_whole_time() {
        let mac = Mac::new(&[("a", HANGS), ("b", HANGS), ("c", OURS)]);
        let started = Instant::now();
        let [a, b, c] = look(&mac, ["a", "b", "c"], SHORT * 3 / 2);
        assert!(started.elapsed() < SHORT * 2);
        assert_eq!((kind(&a), b, c), ("consent", Lookup::TimedOut, found("native")));
        assert!(!mac.calls().contains(&"security b".into()));
    }

    #[test]
    fn after_one_dialog_the_next_is_tried_while_there_is_time() {
        let mac = Mac::new(&[("a", HANGS), ("b", THEIRS)]);
        let [a, b] = look(&mac, ["a", "b"], Duration::from_secs(5));
        assert_eq!((kind(&a), b), ("consent", found("by security")));
    }

    #[test]
    fn a_security_that_our_own_deadline_cuts_short_says_nothing_about_consent() {
        assert_eq!(look(&Mac::one(HANGS), ["x"], SHORT * 3 / 4), [Lookup::TimedOut]);
        let mac = Mac::one(THEIRS);
        assert_eq!(look(&mac, ["x"], SECURITY_LEAST / 2), [Lookup::TimedOut]);
        assert!(!mac.calls().contains(&"security x".into()));
    }

    #[test]
    fn a_dialog_that_waits_is_told_with_the_time_it_had() {
        let Lookup::Consent(why) = look_at_one(&Mac::one(HANGS)) else { panic!() };
        assert_eq!(why, "`security` gave no answer in 200 ms, its dialog waits for a person");
    }

    #[test]
    fn nothing_is_asked_when_nobody_listens() {
        let mac = Mac::new(&[("a", OURS), ("b", OURS)]);
        look_up(&mac, &items(["a", "b"]), SHORT, Instant::now() + Duration::from_secs(5), |_, _| false);
        assert_eq!(mac.calls(), ["state", "search a", "read a"]);
    }

    fn read(keychain: &Keychain<Mac>, items: &[Item], limit: Duration) -> (Vec<Lookup>, Duration) {
        let started = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let answers = runtime.block_on(keychain.read(items, limit));
        drop(runtime);
        (answers, started.elapsed())
    }

    #[test]
    fn a_keychain_that_hangs_holds_nobody_longer_than_the_limit() {
        let keychain = Keychain::new(Mac::new(&[("a", OURS), ("hung", OURS), ("c", OURS)]));
        let (answers, took) = read(&keychain, &items(["a", "hung", "c"]), Duration::from_millis(150));
        assert_eq!(answers, [found("native"), Lookup::TimedOut, Lookup::TimedOut]);
        assert!(took >= Duration::from_millis(150) && took < Duration::from_secs(5), "{took:?}");
    }

    #[test]
    fn a_security_that_hangs_is_killed_inside_the_limit() {
        let keychain = Keychain::new(Mac::new(&[("a", OURS), ("b", HANGS), ("c", OURS)]));
        let (answers, _) = read(&keychain, &items(["a", "b", "c"]), Duration::from_millis(500));
        assert_eq!(answers, [found("native"), Lookup::TimedOut, Lookup::TimedOut]);
        let limits = keychain.system.limits.lock().unwrap().clone();
        assert!(limits.len() == 1 && limits[0] <= Duration::from_millis(450), "{limits:?}");
    }

    #[test]
    fn security_never_has_more_than_800_ms() {
        let keychain = Keychain::new(Mac::one(THEIRS));
        read(&keychain, &items(["x"]), Duration::from_secs(60));
        assert_eq!(*keychain.system.limits.lock().unwrap(), [Duration::from_millis(800)]);
    }

    #[test]
    fn answers_stand_in_the_order_of_the_items() {
        let keychain = Keychain::new(Mac::new(&[("a", OURS), ("b", THEIRS)]));
        let (answers, _) = read(&keychain, &items(["gone", "b", "a"]), Duration::from_secs(5));
        assert_eq!(answers, [Lookup::Absent, found("by security"), found("native")]);
        assert!(read(&keychain, &[], Duration::from_secs(5)).0.is_empty());
    }

    #[test]
    fn the_hint_is_to_unlock_or_to_consent() {
        let item = Item { service: "raxx token".into(), account: "it's".into() };
        let consent = r"security find-generic-password -s 'raxx token' -a 'it'\''s' -w >/dev/null";
        let keychain = Keychain::new(Mac::one(HANGS).states(&[Ok(true), Ok(false)]));
        assert_eq!(keychain.unlock_hint(&item), consent);
        read(&keychain, &items(["x"]), SHORT);
        assert_eq!(keychain.unlock_hint(&item), "security unlock-keychain");
        read(&keychain, &items(["x"]), SHORT);
        assert_eq!(keychain.unlock_hint(&item), consent);
    }

    #[test]
    fn a_keychain_is_called_by_its_file() {
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

    /// A keychain made up for a test, with items that `security` reads silently or only after a dialog.
    #[derive(Default)]
    struct Chain {
        items: Mutex<HashMap<String, Entry>>,
        locked: bool,
        /// What happens instead of the n-th run of `security` that changes something.
        accident: Option<(usize, Accident)>,
        /// How many runs changed something.
        changes: Mutex<usize>,
        lines: Mutex<Vec<String>>,
        /// Whether somebody sits there and allows what the dialog asks.
        person: bool,
        dialogs: Mutex<usize>,
    }

    #[derive(Clone, Debug, PartialEq)]
    struct Entry {
        value: String,
        silent: bool,
    }

    #[derive(Clone, Copy)]
    enum Accident {
        Exit(i32),
        Hangs,
        Fails,
        /// raxx is killed here.
        Killed,
        /// raxx is killed right after it.
        KilledAfter,
    }

    const OURS_NOW: &str = "raxx token/claude-bootstrap";
    const COPY: &str = "raxx token/claude-bootstrap (raxx repair)";

    fn entry(value: &str, silent: bool) -> Entry {
        Entry { value: value.into(), silent }
    }

    impl Chain {
        fn holding(items: &[(&str, &str, bool)]) -> Self {
            let items = items.iter().map(|(at, value, silent)| ((*at).to_owned(), entry(value, *silent))).collect();
            Self { items: Mutex::new(items), person: true, ..Self::default() }
        }

        fn items(&self) -> Vec<(String, Entry)> {
            let mut items = Vec::from_iter(self.items.lock().unwrap().clone());
            items.sort_by(|a, b| a.0.cmp(&b.0));
            items
        }

        /// What `security` prints of an item, in the form that is told whether the value is printable.
        fn given(&self, item: &Item, limit: Duration, form: impl FnOnce(&str, bool) -> String) -> Security {
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

    impl System for Chain {
        fn state(&self) -> Result<State, OsStatus> {
            Ok(State { name: "the login keychain".into(), locked: self.locked })
        }

        fn search(&self, item: &Item) -> Result<(), OsStatus> {
            self.items.lock().unwrap().get(&at(item)).map(|_| ()).ok_or(ITEM_NOT_FOUND)
        }

        /// As on every Mac whose raxx is not signed with a certificate of its own.
        fn read(&self, item: &Item) -> Result<Zeroizing<Vec<u8>>, OsStatus> {
            self.search(item).and(Err(AUTH_FAILED))
        }

        fn security(&self, item: &Item, limit: Duration) -> Security {
            self.given(item, limit, |value, plain| match plain {
                true => format!("{value}\n"),
                false => value.bytes().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n",
            })
        }

        fn shown(&self, item: &Item, limit: Duration) -> Security {
            self.given(item, limit, |value, plain| match plain {
                true => format!("password: \"{value}\"\n"),
                false => {
                    let hex: String = value.bytes().map(|byte| format!("{byte:02X}")).collect();
                    format!("password: 0x{hex}  \"made up\"\n")
                }
            })
        }

        /// Understands the very form that raxx writes, and no other.
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
                // An item keeps its access list when it is changed; a new one trusts its maker.
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

    fn write(keychain: &Keychain<Chain>, value: &str) -> Result<(), Lookup> {
        let value = Secret::parse(value.as_bytes()).unwrap();
        block_on(keychain.write("TOKEN", &token(), &value, Duration::from_secs(20)))
    }

    fn delete(keychain: &Keychain<Chain>) -> Result<(), Lookup> {
        block_on(keychain.delete(&token(), Duration::from_secs(20)))
    }

    #[test]
    fn a_value_is_written_by_one_line_that_security_reads() {
        let keychain = Keychain::new(Chain::default());
        assert_eq!(write(&keychain, "to\"k'e\\n $x"), Ok(()));
        let line = "add-generic-password -U -s \"raxx token\" -a \"claude-bootstrap\" -l \"TOKEN\" \
                    -X 746f226b27655c6e202478\n";
        assert_eq!(*keychain.system.lines.lock().unwrap(), [line]);
        assert_eq!(keychain.system.items(), [(OURS_NOW.into(), entry("to\"k'e\\n $x", true))]);
        assert_eq!(write(&keychain, "another"), Ok(()));
        assert_eq!(keychain.system.items(), [(OURS_NOW.into(), entry("another", true))]);
    }

    #[test]
    fn what_the_line_cannot_hold_is_refused_before_anything_is_run() {
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
                let words = format!(
                    "`security` takes no {what} that is empty or has a quote, a backslash or a control character in it"
                );
                assert_eq!(line, Err(Lookup::Broken(words)), "{bad:?}");
            }
        }
        assert!(line("N", "a service; with $signs & (all)", "ä@b", "v").is_ok());

        for value in ["tökén", "a\tb", "a\u{7f}b"] {
            let words = "`security` gives what is not plain ASCII back as hex digits";
            assert_eq!(line("N", "s", "a", value), Err(Lookup::Unfit(words.into())), "{value:?}");
        }

        let head = "add-generic-password -U -s \"s\" -a \"a\" -l \"N\" -X ".len();
        let most = (LINE_MAX - 1 - head) / 2;
        let longest = line("N", "s", "a", &"v".repeat(most)).unwrap();
        assert!(longest.len() < 4096 && longest.ends_with(b"76\n"), "{}", longest.len());
        let words = format!("`security` takes {most} bytes for this item, the value has {}", most + 1);
        assert_eq!(line("N", "s", "a", &"v".repeat(most + 1)), Err(Lookup::Unfit(words)));
        assert!(line("N", &"s".repeat(5000), "a", "v").is_err());

        let keychain = Keychain::new(Chain::default());
        assert!(matches!(write(&keychain, &"v".repeat(most)), Err(Lookup::Unfit(_))));
        assert!(keychain.system.lines.lock().unwrap().is_empty());
    }

    #[test]
    fn the_line_of_a_value_never_moves_in_memory() {
        // What a growing `Vec` leaves behind is not wiped.
        let line = add_line("N", &item("s"), &[b'v'; 1900]).unwrap();
        assert_eq!(line.capacity(), LINE_MAX + 2);
    }

    #[test]
    fn each_exit_code_of_a_change_has_its_meaning_and_changes_nothing() {
        for (exit, wanted) in [
            (51, Lookup::Consent("it is given out only after a dialog".into())),
            (36, Lookup::Consent("this session cannot show the dialog (ssh, cron, background agent)".into())),
            (128, Lookup::Consent("the dialog was cancelled".into())),
            (24, Lookup::Consent("the Mac is asleep and shows no dialog (dark wake)".into())),
            (53, Lookup::Unavailable("no keychain is available to this session".into())),
            (37, Lookup::Unavailable("this user has no default keychain".into())),
            (50, Lookup::Broken("the file of the default keychain is missing".into())),
            (45, Lookup::Broken("the item is there and could not be changed (error -25299)".into())),
            (52, Lookup::Broken("the keychain is read-only".into())),
            (222, Lookup::Broken("the disk is full".into())),
            (30, Lookup::Broken("error -34018, it wants an entitlement that raxx does not have".into())),
            (1, Lookup::Broken("`security` ended with exit code 1".into())),
            (2, Lookup::Broken("`security` ended with exit code 2".into())),
            (99, Lookup::Broken("`security` ended with exit code 99".into())),
        ] {
            let chain =
                || Chain { accident: Some((1, Accident::Exit(exit))), ..Chain::holding(&[(OURS_NOW, "old", true)]) };
            for (what, change) in [("write", (|keychain| write(keychain, "new")) as fn(&_) -> _), ("delete", delete)] {
                let keychain = Keychain::new(chain());
                assert_eq!(change(&keychain).as_ref(), Err(&wanted), "{what}, exit code {exit}");
                assert_eq!(keychain.system.items(), [(OURS_NOW.into(), entry("old", true))], "{what}");
            }
        }
    }

    #[test]
    fn a_security_that_hangs_or_fails_is_told() {
        let chain = |accident| Keychain::new(Chain { accident: Some((1, accident)), ..Chain::default() });
        let Err(Lookup::Consent(why)) = write(&chain(Accident::Hangs), "v") else { panic!() };
        assert!(why.starts_with("`security` gave no answer in 1") && why.ends_with(" waits for a person"), "{why}");
        assert_eq!(write(&chain(Accident::Fails), "v"), Err(Lookup::Broken("no such file".into())));
    }

    #[test]
    fn a_locked_keychain_is_not_written_and_not_asked_for_its_password() {
        let keychain = Keychain::new(Chain { locked: true, ..Chain::holding(&[(OURS_NOW, "old", true)]) });
        let locked = || Err(Lookup::Locked("the login keychain".into()));
        assert_eq!(write(&keychain, "new"), locked());
        assert_eq!(keychain.unlock_hint(&token()), "security unlock-keychain");
        assert_eq!(delete(&keychain), locked());
        assert_eq!(block_on(keychain.repair("TOKEN", &token())), locked());
        assert_eq!((*keychain.system.changes.lock().unwrap(), *keychain.system.dialogs.lock().unwrap()), (0, 0));
    }

    #[test]
    fn deleting_takes_what_a_repair_left_as_well() {
        let keychain = Keychain::new(Chain::holding(&[
            (OURS_NOW, "a", true),
            (COPY, "b", true),
            ("raxx token/another", "stays", true),
        ]));
        assert_eq!(delete(&keychain), Ok(()));
        assert_eq!(keychain.system.items(), [("raxx token/another".into(), entry("stays", true))]);
        assert_eq!(delete(&keychain), Err(Lookup::Absent));
    }

    #[test]
    fn a_repair_asks_once_and_never_again() {
        let keychain = Keychain::new(Chain::holding(&[(OURS_NOW, "old", false)]));
        assert_eq!(block_on(keychain.repair("TOKEN", &token())), Ok(()));
        assert_eq!(keychain.system.items(), [(OURS_NOW.into(), entry("old", true))]);
        let read = block_on(keychain.read(&[token()], Duration::from_secs(5)));
        assert_eq!(read, [found("old")]);
        assert_eq!(*keychain.system.dialogs.lock().unwrap(), 1);

        let gone = Keychain::new(Chain::default());
        assert_eq!(block_on(gone.repair("TOKEN", &token())), Err(Lookup::Absent));
    }

    #[test]
    fn a_repair_writes_the_value_and_never_its_hex_digits() {
        for value in ["0123456789abcdef", "74c3b66bc3a96e", "plain \"quoted\" 'text'"] {
            let keychain = Keychain::new(Chain::holding(&[(OURS_NOW, value, false)]));
            assert_eq!(block_on(keychain.repair("TOKEN", &token())), Ok(()), "{value}");
            assert_eq!(keychain.system.items(), [(OURS_NOW.into(), entry(value, true))]);
        }
        // What cannot be told, or not be written, is left as it is.
        for value in ["t\u{f6}k\u{e9}n", "two\nlines", "back\\slash"] {
            let keychain = Keychain::new(Chain::holding(&[(OURS_NOW, value, false)]));
            assert!(matches!(block_on(keychain.repair("TOKEN", &token())), Err(Lookup::Unfit(_))), "{value}");
            assert_eq!(keychain.system.items(), [(OURS_NOW.into(), entry(value, false))]);
            assert_eq!(*keychain.system.changes.lock().unwrap(), 0);
        }
    }

    #[test]
    fn an_item_that_wants_consent_is_there_and_its_hint_is_the_repair() {
        let keychain = Keychain::new(Chain { person: false, ..Chain::holding(&[(OURS_NOW, "old", false)]) });
        let looked = async {
            let there = crate::keep::is_there(&keychain, &token()).await.unwrap();
            (there, crate::keep::current(&keychain, "TOKEN", &token()).await.err().unwrap().to_string())
        };
        let (there, why) = block_on(looked);
        assert!(there && why.starts_with("the Keychain wants consent: "), "{why}");
        assert!(why.ends_with("; type: raxx store --repair TOKEN"), "{why}");
        assert_eq!(delete(&keychain), Ok(()));
        assert_eq!(keychain.system.items(), []);
    }

    #[test]
    fn a_value_that_cannot_be_kept_is_not_blamed_on_the_keychain() {
        let keychain = Keychain::new(Chain::default());
        let why = write(&keychain, "t\u{f6}k\u{e9}n").unwrap_err();
        let said = crate::source::why_not(&why, &token(), &keychain);
        let wanted = "the Keychain cannot keep this value: `security` gives what is not plain ASCII back as hex digits";
        assert_eq!(said, wanted);
    }

    #[test]
    fn a_repair_that_is_not_allowed_changes_nothing() {
        let chain = Chain { person: false, ..Chain::holding(&[(OURS_NOW, "old", false)]) };
        let end = Instant::now() + Duration::from_secs(20);
        let refused = Lookup::Consent("its dialog was not answered in time".into());
        assert_eq!(repair(&chain, "TOKEN", &token(), end), Err(refused));
        assert_eq!((chain.items(), *chain.changes.lock().unwrap()), (vec![(OURS_NOW.into(), entry("old", false))], 0));
    }

    /// Copy, delete, write, delete the copy: whatever step goes wrong, and however, the value is somewhere, and the same
    /// command brings it back.
    #[test]
    fn a_repair_that_goes_wrong_anywhere_loses_nothing() {
        for step in 1..=4 {
            for accident in [
                Accident::Exit(51),
                Accident::Exit(1),
                Accident::Hangs,
                Accident::Fails,
                Accident::Killed,
                Accident::KilledAfter,
            ] {
                let chain = Chain::holding(&[(OURS_NOW, "old", false), ("raxx token/another", "stays", true)]);
                let mut chain = Chain { accident: Some((step, accident)), ..chain };
                let end = Instant::now() + Duration::from_secs(20);
                let went =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| repair(&chain, "TOKEN", &token(), end)));
                assert!(!matches!(went, Ok(Ok(()))), "step {step} went well");
                let items = chain.items();
                assert!(items.iter().any(|(at, item)| [OURS_NOW, COPY].contains(&&**at) && item.value == "old"));
                if let Ok(Err(Lookup::Broken(why))) = &went
                    && step == 3
                {
                    assert!(why.contains("(raxx repair)"), "{why}");
                }

                chain.accident = None;
                assert_eq!(repair(&chain, "TOKEN", &token(), end), Ok(()), "step {step}");
                let whole =
                    [("raxx token/another".into(), entry("stays", true)), (OURS_NOW.into(), entry("old", true))];
                assert_eq!(chain.items(), whole, "step {step}");
            }
        }
    }

    #[test]
    fn a_change_that_hangs_holds_nobody_longer_than_the_limit() {
        let keychain = Keychain::new(Mac::one(OURS));
        let started = Instant::now();
        let work = |_: &Mac, _| {
            thread::sleep(Duration::from_secs(10));
            Ok(())
        };
        assert_eq!(block_on(keychain.change(Duration::from_millis(150), work)), Err(Lookup::TimedOut));
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    /// A program in place of `security`. Another process writes it: a file that this one, or a child that another test is
    /// about to start, holds open for writing cannot be executed.
    fn program(directory: &Path, script: &str) -> std::path::PathBuf {
        let path = directory.join("security");
        let write = r#"printf '#!/bin/sh\n%s\n' "$2" > "$1" && chmod 755 "$1""#;
        assert!(Command::new("sh").args(["-c", write, "sh"]).arg(&path).arg(script).status().unwrap().success());
        path
    }

    fn run_script(script: &str, limit: Duration) -> Security {
        let directory = tempfile::tempdir().unwrap();
        run_security(&program(directory.path(), script), &item("-s v c"), limit)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn security_gets_its_arguments_and_no_input() {
        let Security::Exit(0, output) = run_script(r#"printf '%s|' "$@"; if read line; then echo input; fi"#, LONG)
        else {
            panic!()
        };
        let output = String::from_utf8_lossy(&output).into_owned();
        assert_eq!(output, "find-generic-password|-s|-s v c|-a|claude-bootstrap|-w|");
    }

    #[test]
    fn the_marked_form_is_read_from_its_stderr() {
        let directory = tempfile::tempdir().unwrap();
        let path = program(directory.path(), r#"echo attributes; printf '%s|' "$@" >&2; exit 0"#);
        let Security::Exit(0, output) = run_security_shown(&path, &item("-s v c"), LONG) else { panic!() };
        assert_eq!(*output, b"find-generic-password|-s|-s v c|-a|claude-bootstrap|-g|");
        for (shown, value) in [
            ("keychain: \"x\"\npassword: \"a \"b\"\n", Some("a \"b")),
            ("password: \"\"\n", Some("")),
            ("password: 0x6162C3  \"ab\\303\"\n", None),
            ("password: \"a\\303\"\n", None),
            ("password: \n", None),
            ("", None),
        ] {
            let read = shown_value(shown.as_bytes()).map(|value| String::from_utf8(value.to_vec()).unwrap());
            assert_eq!(read.as_deref(), value, "{shown:?}");
        }
    }

    #[test]
    fn the_exit_code_and_all_of_the_output_come_back() {
        let Security::Exit(44, output) = run_script("echo lost >&2; exit 44", LONG) else { panic!() };
        assert!(output.is_empty());
        let Security::Exit(0, output) = run_script("head -c 300000 /dev/zero; exit 0", LONG) else { panic!() };
        assert_eq!(output.len(), 300_000);
    }

    #[test]
    fn a_security_that_does_not_end_is_killed() {
        let directory = tempfile::tempdir().unwrap();
        let pid = directory.path().join("pid");
        for wait in ["exec sleep 60", "exec sleep 60 >&-"] {
            let path = program(directory.path(), &format!("echo $$ > '{}'\n{wait}", pid.display()));
            let started = Instant::now();
            assert!(
                matches!(run_security(&path, &item("x"), Duration::from_millis(700)), Security::TimedOut),
                "{wait}"
            );
            assert!(started.elapsed() < Duration::from_secs(10), "{wait}");
            let pid = fs::read_to_string(&pid).unwrap();
            let alive = Command::new("kill").args(["-0", pid.trim()]).stderr(Stdio::null()).status().unwrap();
            assert!(!alive.success(), "{wait}: {pid} still runs");
        }
    }

    #[test]
    fn a_security_that_cannot_be_run_is_told() {
        let Security::Failed(why) = run_security(Path::new("/nonexistent/security"), &item("x"), LONG) else {
            panic!()
        };
        assert!(why.starts_with("/nonexistent/security could not be started: "), "{why}");
        let Security::Failed(why) = run_script("kill -9 $$", LONG) else { panic!() };
        assert!(why.starts_with("`security` was stopped: signal: 9"), "{why}");
    }

    #[test]
    fn security_gets_the_line_on_its_input_and_nothing_in_its_arguments() {
        let directory = tempfile::tempdir().unwrap();
        let seen = directory.path().join("seen");
        let script = format!(
            "{{ printf '%s|' \"$@\"; echo; cat; tr '\\0' ' ' < /proc/$$/cmdline; }} > '{}'; exit 45",
            seen.display()
        );
        let path = program(directory.path(), &script);
        let line = add_line("TOKEN", &item("raxx token"), b"hunter2-hunter2").unwrap();
        let Security::Exit(45, _) = run_security_add(&path, &line, LONG) else { panic!() };
        let seen = fs::read_to_string(seen).unwrap();
        let mut lines = seen.lines();
        assert_eq!(lines.next(), Some("-i|"));
        assert_eq!(lines.next(), Some(str::from_utf8(&line).unwrap().trim_end()));
        let command_line = lines.next().unwrap();
        assert!(command_line.ends_with("security -i "), "{command_line}");
    }

    #[test]
    fn security_is_told_what_to_delete() {
        let directory = tempfile::tempdir().unwrap();
        let path = program(directory.path(), r#"printf '%s|' "$@"; exit 44"#);
        let Security::Exit(44, output) = run_security_delete(&path, &item("-s v c"), LONG) else { panic!() };
        assert_eq!(*output, b"delete-generic-password|-s|-s v c|-a|claude-bootstrap|");
    }

    #[test]
    fn a_security_that_does_not_read_its_input_says_why_by_its_code() {
        let line = vec![b'x'; LINE_MAX];
        let directory = tempfile::tempdir().unwrap();
        let path = program(directory.path(), "exec <&-; exit 36");
        assert!(matches!(run_security_add(&path, &line, LONG), Security::Exit(36, _)));
        let path = program(directory.path(), "exec sleep 60");
        assert!(matches!(run_security_add(&path, &line, Duration::from_millis(300)), Security::TimedOut));
    }
}
