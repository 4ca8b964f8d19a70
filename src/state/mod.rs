//! What raxx remembers between runs: the last-validated stamp, the last verdicts, and who is asking right now.
//!
//! Value-free: a verdict is kept under a keyed hash of the value, and the key never leaves this machine's state
//! directory. Every file is written anew and renamed.

pub(crate) mod history;

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::files::{self, shown};
use crate::provider::Finding;
use crate::report::{Cause, Kind};
use crate::secret::Secret;
use crate::text::clean;

/// Verdicts of values that nobody has asked about for so long are deleted.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// The largest verdict file that raxx reads; it never writes a larger one.
const LARGEST: u64 = 1 << 20;

/// A verdict's lock is held for as long as its provider takes to answer.
const LOCKED: Duration = Duration::from_secs(3600);

/// A value that was rejected so short a time ago is not sent again by a new terminal: GitHub and Cloudflare lock out
/// who sends bad tokens, and Infisical locks the identity for everybody after three.
pub(crate) const REJECTED_RESTS: Duration = Duration::from_secs(600);

/// A rejection of a value that passed so short a time ago may be the provider's mistake.
const TRUSTED: Duration = Duration::from_secs(86_400);

/// A verdict as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub name: String,
    /// When the provider began to be asked: a verdict counts for those who came before that.
    pub began: Timestamp,
    pub kind: Kind,
    pub words: String,
    pub hint: Option<String>,
    pub http_status: Option<u16>,
    pub expires: Option<Timestamp>,
    #[serde(default)]
    pub cause: Option<Cause>,
    /// The provider takes nothing for a while: asking again makes it longer.
    #[serde(default)]
    pub rests: bool,
    /// Since when the value is trusted: it passed then, or a person stored it unchecked.
    #[serde(default)]
    pub trusted: Option<Timestamp>,
    /// A rejection that is to be asked about once more before it is believed.
    #[serde(default)]
    pub doubtful: bool,
    /// The rejection that this answer, which says nothing of the value, did not undo.
    #[serde(default)]
    before: Option<Box<Memory>>,
}

impl Memory {
    pub(crate) fn new(
        name: &str,
        began: Timestamp,
        finding: &Finding,
        http_status: Option<u16>,
        cause: Option<Cause>,
    ) -> Memory {
        Memory {
            name: name.into(),
            began,
            kind: finding.kind,
            words: finding.words.clone(),
            hint: finding.hint.clone(),
            http_status,
            expires: finding.expires,
            cause,
            rests: finding.rests,
            trusted: (finding.kind == Kind::Valid).then_some(began),
            doubtful: false,
            before: None,
        }
    }

    /// That a person stored the value and had it checked by nobody: it is asked about, and a first rejection is doubted.
    pub(crate) fn unchecked(name: &str) -> Memory {
        let finding = Finding::new(Kind::NotConfigured, "stored unchecked");
        let never = Memory::new(name, Timestamp::UNIX_EPOCH, &finding, None, None);
        Memory { trusted: Some(Timestamp::now()), ..never }
    }

    /// The same, where `old` was remembered of the value before: a provider's word on it outlives what networks and
    /// lock-outs say.
    pub(crate) fn after(mut self, old: Option<Memory>) -> Memory {
        let Some(old) = old else { return self };
        // A rejection that is believed ends the trust.
        if self.kind != Kind::Rejected || self.doubtful {
            self.trusted = self.trusted.or(old.trusted);
        }
        if matches!(self.kind, Kind::Unreachable | Kind::Blocked | Kind::Refused) {
            self.before = old.rejection().cloned().map(Box::new);
        }
        self
    }

    /// Whether a rejection may be the provider's mistake: the value passed, or was stored unchecked, within the last day. Not
    /// where it was doubted once already.
    pub(crate) fn is_trusted(&self) -> bool {
        if self.doubtful {
            return false;
        }
        let age = self.trusted.and_then(|at| Duration::try_from(Timestamp::now().duration_since(at)).ok());
        age.is_some_and(|age| age < TRUSTED)
    }

    /// The rejection that is so young that the value is not sent again.
    pub(crate) fn rejection(&self) -> Option<&Memory> {
        let rejection = if self.kind.is_bad() { self } else { self.before.as_deref()? };
        if rejection.doubtful {
            return None;
        }
        rejection.age().is_some_and(|age| age < REJECTED_RESTS).then_some(rejection)
    }

    pub(crate) fn finding(&self) -> Finding {
        Finding {
            kind: self.kind,
            words: self.words.clone(),
            hint: self.hint.clone(),
            expires: self.expires,
            told_at: None,
            owner: None,
            rests: self.rests,
        }
    }

    /// Its age; none when it is from the future, as after a clock was set back: then it is not believed.
    pub(crate) fn age(&self) -> Option<Duration> {
        Duration::try_from(Timestamp::now().duration_since(self.began)).ok()
    }
}

/// The length of the key.
const KEY: usize = 32;

/// The state directory. Where it cannot be used, raxx works without memory.
#[derive(Debug)]
pub(crate) struct State {
    verdicts: PathBuf,
    key: [u8; KEY],
}

/// Where the state directory is or would be: `$XDG_STATE_HOME/raxx`, by default `~/.local/state/raxx` on every OS; none
/// without a home directory.
pub(crate) fn place() -> Option<PathBuf> {
    let set = files::from_environment("XDG_STATE_HOME");
    Some(set.or_else(|| files::home().map(|home| home.join(".local/state")))?.join("raxx"))
}

/// The state directory, if there is one.
///
/// # Errors
/// One line: it is another user's, or other users can write to it.
pub(crate) fn existing() -> Result<Option<PathBuf>, String> {
    let Some(dir) = place() else { return Ok(None) };
    match private(&dir) {
        Ok(()) => Ok(Some(dir)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {}", shown(&dir), files::why(&error))),
    }
}

/// The state directory, which is made (0700) if there is none.
///
/// # Errors
/// One line: which directory, and why it cannot be used.
pub(crate) fn directory() -> Result<PathBuf, String> {
    let dir = place().ok_or("there is no home directory to keep verdicts in")?;
    let made = files::make_directory(&dir).and_then(|()| private(&dir));
    made.map_err(|error| format!("{}: {}", shown(&dir), files::why(&error)))?;
    Ok(dir)
}

/// Refuses a directory that other users can write to, or that is another user's.
fn private(dir: &Path) -> io::Result<()> {
    let there = fs::metadata(dir)?;
    if !there.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    files::belongs_to_this_user(&there)?;
    if there.mode() & 0o022 != 0 {
        let typed = shell_escape::unix::escape(dir.to_string_lossy());
        return Err(io::Error::other(format!("other users can write to it. Type: chmod 700 {}", clean(&typed))));
    }
    if there.mode() & 0o055 != 0 {
        fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Closes the state directory to other users, if it is this user's and they can write to it. What they may have left in
/// there is not used: its files are theirs. The sentence about it.
pub(crate) fn close_to_others() -> Option<String> {
    let dir = place()?;
    let there = fs::metadata(&dir).ok().filter(fs::Metadata::is_dir)?;
    if files::belongs_to_this_user(&there).is_err() || there.mode() & 0o022 == 0 {
        return None;
    }
    fs::set_permissions(&dir, Permissions::from_mode(0o700)).ok()?;
    let typed = clean(&shell_escape::unix::escape(dir.to_string_lossy()));
    let dir = shown(&dir);
    Some(format!("{dir}: other users could write to it, so this run did not use it; raxx has run: chmod 700 {typed}"))
}

impl State {
    /// Opens it, and makes it (0700) with its key (0600) where it is not there yet.
    ///
    /// # Errors
    /// One line: which directory, and why it cannot be used.
    pub(crate) fn open() -> Result<State, String> {
        let dir = directory()?;
        let usable = || -> io::Result<State> {
            let verdicts = dir.join("verdicts");
            // Each time: what is remembered may be deleted at any moment.
            if !verdicts.is_dir() {
                files::make_directory(&verdicts)?;
            }
            let key = files::read_own(&dir.join("key"), KEY as u64).ok().and_then(|bytes| bytes.try_into().ok());
            Ok(State { verdicts, key: key.map_or_else(|| make_key(&dir), Ok)? })
        };
        usable().map_err(|e| format!("{}: {}", shown(&dir), files::why(&e)))
    }

    /// The name that a value's verdict is kept under.
    pub(crate) fn fingerprint(&self, parts: &[&str], secret: &Secret) -> String {
        let mut hash = blake3::Hasher::new_keyed(&self.key);
        for part in parts.iter().chain(&[secret.expose()]) {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().to_hex()[..32].to_string()
    }

    /// The last verdict under this name.
    pub(crate) fn recall(&self, print: &str) -> Option<Memory> {
        read_memory(&self.verdicts.join(format!("{print}.json")))
    }

    /// Whether any value is held back for a rejection. Cheap: a terminal waits for it.
    pub(crate) fn any_rejection(&self) -> bool {
        let entries = fs::read_dir(&self.verdicts).into_iter().flatten().flatten();
        let young = |path: &Path| {
            let written = fs::metadata(path).and_then(|m| m.modified());
            written.is_ok_and(|written| written.elapsed().is_ok_and(|age| age < REJECTED_RESTS))
        };
        entries
            .map(|entry| entry.path())
            .filter(|path| young(path))
            .any(|path| read_memory(&path).is_some_and(|memory| memory.rejection().is_some()))
    }

    /// # Errors
    /// The directory is not writable, or the disk is full: the old verdict stays whole.
    pub(crate) fn remember(&self, print: &str, memory: &Memory) -> io::Result<()> {
        let bytes = serde_json::to_vec(memory)?;
        files::replace(&self.verdicts.join(format!("{print}.json")), &bytes)
    }

    /// Deletes the verdict under this name.
    pub(crate) fn forget(&self, print: &str) {
        let _ = fs::remove_file(self.verdicts.join(format!("{print}.json")));
    }

    /// Waits until nobody else asks about this value, and keeps others waiting until the guard is dropped. Gives up
    /// the exclusion, not the run, on a file system that knows no locks.
    pub(crate) async fn flight(&self, print: &str) -> Option<File> {
        let lock = self.lock_file(print)?;
        files::lock(&lock, Duration::MAX).await.ok().map(|_| lock)
    }

    /// The same without waiting: tells the others where it can.
    pub(crate) fn try_flight(&self, print: &str) -> Option<File> {
        self.lock_file(print).filter(|lock| files::try_lock(lock).is_ok_and(|free| free))
    }

    fn lock_file(&self, print: &str) -> Option<File> {
        files::lock_file(&self.verdicts.join(format!("{print}.lock"))).ok()
    }

    /// Deletes what is older than a month (values that were rotated away), and what killed runs left.
    pub(crate) fn prune(&self) {
        let is_older = |path: &Path, age| fs::symlink_metadata(path).is_ok_and(|there| files::is_older(&there, age));
        for path in fs::read_dir(&self.verdicts).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let verdict = path.with_extension("json");
            match path.extension().and_then(|ending| ending.to_str()) {
                Some("json") if is_older(&path, KEPT) => {
                    let _ = fs::remove_file(&path);
                    let _ = fs::remove_file(path.with_extension("lock"));
                }
                Some("lock") if !verdict.exists() && is_older(&path, LOCKED) => {
                    // No process is asking now.
                    let free = files::lock_file(&path).is_ok_and(|lock| files::try_lock(&lock).is_ok_and(|free| free));
                    if free {
                        let _ = fs::remove_file(&path);
                    }
                }
                _ => {}
            }
        }
        // The names of an earlier version, too: in these directories they are raxx's.
        for dir in [Some(self.verdicts.as_path()), self.verdicts.parent()].into_iter().flatten() {
            files::sweep(dir);
            files::sweep_named(dir, |name| name.starts_with(".tmp"));
        }
    }
}

fn read_memory(path: &Path) -> Option<Memory> {
    serde_json::from_slice(&files::read_own(path, LARGEST).ok()?).ok()
}

/// Waits until no other raxx changes the store, and keeps others waiting until the guard is dropped; none where there is no
/// directory to lock in.
pub(crate) async fn alone_with_the_store() -> Option<File> {
    let lock = files::lock_file(&directory().ok()?.join("store.lock")).ok()?;
    files::lock(&lock, Duration::MAX).await.ok().map(|_| lock)
}

/// Makes the key, or takes the one that another terminal made in the same moment.
fn make_key(dir: &Path) -> io::Result<[u8; KEY]> {
    let mut key = [0; KEY];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let path = dir.join("key");
    // A key of another length is what a full disk left: it is no key.
    if fs::symlink_metadata(&path).is_ok_and(|there| there.is_file() && there.len() != KEY as u64) {
        fs::remove_file(&path)?;
    }
    if files::Target::own(&path)?.create(&key)? {
        return Ok(key);
    }
    let damaged = |_| io::Error::other("the key file is damaged: delete it");
    files::read_own(&path, KEY as u64)?.try_into().map_err(damaged)
}

/// The file that has the time of the last run without FAIL: `~/.raxx-session-bootstrap-last-validated`, or
/// `$RAXX_BOOTSTRAP_STATE_FILE`.
pub(crate) fn stamp_file() -> Option<PathBuf> {
    let set = files::from_environment("RAXX_BOOTSTRAP_STATE_FILE");
    set.or_else(|| files::home().map(|home| home.join(".raxx-session-bootstrap-last-validated")))
}

/// Notes the UTC time of a run without FAIL.
///
/// # Errors
/// One line: which file, and why it could not be written.
pub(crate) fn stamp(at: Timestamp) -> Result<(), String> {
    let path = stamp_file().ok_or("there is no home directory to save the time of this run in")?;
    // Who names it wants no stamp.
    if is_null_device(&path) {
        return Ok(());
    }
    let time = at.strftime("%Y-%m-%dT%H:%M:%SZ\n").to_string();
    files::replace(&path, time.as_bytes()).map_err(|e| format!("{}: {}", shown(&path), files::why(&e)))
}

fn is_null_device(path: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).ok().filter(|there| there.file_type().is_char_device());
    device(path).is_some_and(|there| device(Path::new("/dev/null")).is_some_and(|null| null.rdev() == there.rdev()))
}
