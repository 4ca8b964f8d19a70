//! What raxx remembers between runs: the last-validated stamp, the last verdicts, and who is asking right now.
//!
//! Value-free: a verdict is kept under a keyed hash of the value, and the key never leaves this machine's state
//! directory. Every file is written anew and renamed.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::provider::Finding;
use crate::report::{Cause, Kind};
use crate::secret::Secret;

/// Verdicts of values that nobody has asked about for so long are deleted.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// How often a terminal that waits for another one's validation looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(15);

/// A value that was rejected so short a time ago is not sent again by a new terminal: GitHub and Cloudflare lock out
/// who sends bad tokens, and Infisical locks the identity for everybody after three.
pub const REJECTED_RESTS: Duration = Duration::from_secs(600);

/// A verdict as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Memory {
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
    /// The rejection that this answer, which says nothing of the value, did not undo.
    #[serde(default)]
    before: Option<Box<Memory>>,
}

impl Memory {
    pub fn new(
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
            before: None,
        }
    }

    /// The same, where `old` was remembered of the value before: a provider's word on it outlives what networks and
    /// lock-outs say.
    pub fn after(mut self, old: Option<Memory>) -> Memory {
        if matches!(self.kind, Kind::Unreachable | Kind::Blocked) {
            self.before = old.and_then(|old| old.rejection().cloned()).map(Box::new);
        }
        self
    }

    /// The rejection that is so young that the value is not sent again.
    pub fn rejection(&self) -> Option<&Memory> {
        let rejection = if self.kind.is_bad() { self } else { self.before.as_deref()? };
        rejection.age().is_some_and(|age| age < REJECTED_RESTS).then_some(rejection)
    }

    pub fn finding(&self) -> Finding {
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
    pub fn age(&self) -> Option<Duration> {
        Duration::try_from(Timestamp::now().duration_since(self.began)).ok()
    }
}

/// The state directory. Where it cannot be used, raxx works without memory.
#[derive(Debug)]
pub struct State {
    verdicts: PathBuf,
    key: [u8; 32],
}

/// `$XDG_STATE_HOME/raxx`, by default `~/.local/state/raxx` on every OS; none without a home directory.
pub fn directory() -> Option<PathBuf> {
    let set = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    Some(set.or_else(|| dirs::home_dir().map(|home| home.join(".local/state")))?.join("raxx"))
}

impl State {
    /// Opens it, and makes it (0700) with its key (0600) where it is not there yet.
    ///
    /// # Errors
    /// One line: which directory, and why it cannot be used.
    pub fn open() -> Result<State, String> {
        let dir = directory().ok_or("there is no home directory to keep verdicts in")?;
        let usable = || -> io::Result<State> {
            let verdicts = dir.join("verdicts");
            // Each time: what is remembered may be deleted at any moment.
            DirBuilder::new().recursive(true).mode(0o700).create(&verdicts)?;
            let mut key = [0; 32];
            match fs::read(dir.join("key")) {
                Ok(bytes) if bytes.len() == key.len() => key.copy_from_slice(&bytes),
                _ => key = make_key(&dir)?,
            }
            Ok(State { verdicts, key })
        };
        usable().map_err(|e| format!("{}: {}", dir.display(), why(&e)))
    }

    /// The name that a value's verdict is kept under.
    pub fn fingerprint(&self, parts: &[&str], secret: &Secret) -> String {
        let mut hash = blake3::Hasher::new_keyed(&self.key);
        for part in parts.iter().chain(&[secret.expose()]) {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().to_hex()[..32].to_string()
    }

    /// The last verdict under this name.
    pub fn recall(&self, print: &str) -> Option<Memory> {
        serde_json::from_slice(&fs::read(self.verdicts.join(format!("{print}.json"))).ok()?).ok()
    }

    /// Whether any value is held back for a rejection. Cheap: a terminal waits for it.
    pub fn any_rejection(&self) -> bool {
        let entries = fs::read_dir(&self.verdicts).into_iter().flatten().flatten();
        let young = |path: &Path| {
            let written = fs::metadata(path).and_then(|m| m.modified());
            written.is_ok_and(|written| written.elapsed().is_ok_and(|age| age < REJECTED_RESTS))
        };
        entries.map(|entry| entry.path()).filter(|path| young(path)).any(|path| {
            let read = fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Memory>(&bytes).ok());
            read.is_some_and(|memory| memory.rejection().is_some())
        })
    }

    /// # Errors
    /// The directory is not writable, or the disk is full: the old verdict stays whole.
    pub fn remember(&self, print: &str, memory: &Memory) -> io::Result<()> {
        let bytes = serde_json::to_vec(memory)?;
        replace(&self.verdicts.join(format!("{print}.json")), &bytes)
    }

    /// Deletes the verdict under this name.
    pub fn forget(&self, print: &str) {
        let _ = fs::remove_file(self.verdicts.join(format!("{print}.json")));
    }

    /// Waits until nobody else asks about this value, and keeps others waiting until the guard is dropped. Gives up
    /// the exclusion, not the run, on a file system that knows no locks.
    pub async fn flight(&self, print: &str) -> Option<File> {
        locked(self.lock_file(print)?).await
    }

    /// The same without waiting: tells the others where it can.
    pub fn try_flight(&self, print: &str) -> Option<File> {
        self.lock_file(print).filter(|lock| lock.try_lock().is_ok())
    }

    fn lock_file(&self, print: &str) -> Option<File> {
        lock_file(&self.verdicts.join(format!("{print}.lock")))
    }

    /// Deletes what is older than a month: values that were rotated away.
    pub fn prune(&self) {
        let entries = fs::read_dir(&self.verdicts).into_iter().flatten().flatten();
        for path in entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "json")) {
            let modified = fs::metadata(&path).and_then(|m| m.modified());
            let age = modified.ok().and_then(|m| SystemTime::now().duration_since(m).ok());
            if age.is_some_and(|age| age > KEPT) {
                let _ = fs::remove_file(&path);
                let _ = fs::remove_file(path.with_extension("lock"));
            }
        }
    }
}

/// Waits until no other raxx changes the store, and keeps others waiting until the guard is dropped; none where there is no
/// directory to lock in.
pub async fn alone_with_the_store() -> Option<File> {
    let dir = directory()?;
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).ok()?;
    locked(lock_file(&dir.join("store.lock"))?).await
}

pub fn lock_file(path: &Path) -> Option<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).ok()
}

/// Gives up on a file system that knows no locks.
pub async fn locked(lock: File) -> Option<File> {
    loop {
        match lock.try_lock() {
            Ok(()) => return Some(lock),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK_AGAIN).await,
            Err(TryLockError::Error(_)) => return None,
        }
    }
}

/// Makes the key, or takes the one that another terminal made in the same moment.
fn make_key(dir: &Path) -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&key)?;
    let path = dir.join("key");
    // A key of another length is what a full disk left: it is no key.
    if fs::metadata(&path).is_ok_and(|m| m.len() != 32) {
        fs::remove_file(&path)?;
    }
    match file.persist_noclobber(&path) {
        Ok(_) => Ok(key),
        Err(_) => fs::read(&path)?.try_into().map_err(|_| io::Error::other("the key file is damaged: delete it")),
    }
}

/// Why a file could not be written. Not the name of the new file beside it, which is gone again.
pub fn why(error: &io::Error) -> String {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::Other, _) | (_, Some(_)) => error.to_string(),
        (kind, None) => kind.to_string(),
    }
}

/// Writes a new file (0600) and renames it over the old one.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// Notes the UTC time of a run without FAIL in `~/.raxx-session-bootstrap-last-validated`, or where
/// `$RAXX_BOOTSTRAP_STATE_FILE` says.
///
/// # Errors
/// One line: which file, and why it could not be written.
pub fn stamp(at: Timestamp) -> Result<(), String> {
    let set = std::env::var_os("RAXX_BOOTSTRAP_STATE_FILE").filter(|v| !v.is_empty()).map(PathBuf::from);
    let path = set.or_else(|| dirs::home_dir().map(|home| home.join(".raxx-session-bootstrap-last-validated")));
    let path = path.ok_or("there is no home directory to note the time of this run in")?;
    let path = match path.parent() {
        // A bare file name is in this directory, not in the directory "".
        Some(parent) if parent.as_os_str().is_empty() => Path::new(".").join(&path),
        _ => path,
    };
    let time = at.strftime("%Y-%m-%dT%H:%M:%SZ\n").to_string();
    // A link stays a link; and a device (/dev/null, say) is written to, not replaced.
    let real = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    let written = match fs::metadata(&real).map(|there| there.file_type()) {
        Ok(kind) if kind.is_char_device() => fs::write(&real, time),
        // A pipe that nobody reads would hold the run for ever.
        Ok(kind) if !kind.is_file() => Err(io::Error::other("is no file")),
        _ => replace(&real, time.as_bytes()),
    };
    written.map_err(|e| format!("{}: {}", path.display(), why(&e)))
}
