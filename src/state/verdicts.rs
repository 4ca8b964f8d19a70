//! The cache of verdicts, and locks so that only one process at a time checks the same value.
//!
//! Contains no value: a verdict is stored under a keyed hash of it, and the key never leaves this machine's state
//! directory.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::directory;
use crate::files::{self, shown};
use crate::report::{Kind, Verdict};
use crate::secret::Secret;

/// Verdicts of values that have not been checked for this long are deleted.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// The largest verdict file that raxx reads; it never writes a larger one.
const LARGEST: u64 = 1 << 20;

/// An unused lock file is deleted after this time. A check holds its lock only while its provider answers.
const LOCKED: Duration = Duration::from_secs(3600);

/// For this long, a new terminal does not send a rejected value again: GitHub and Cloudflare lock out clients that
/// send bad tokens, and Infisical locks the identity for everyone after three.
pub(crate) const REJECTED_BACK_OFF: Duration = Duration::from_secs(600);

/// If a value passed within this time, a rejection may be the provider's mistake.
const TRUSTED: Duration = Duration::from_secs(86_400);

/// A verdict in the cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CachedVerdict {
    pub name: String,
    /// When the request started: the verdict counts for everyone who started waiting before that.
    pub began: Timestamp,
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The provider rejects everything for a while; another request would make it longer.
    #[serde(default, rename = "rests")]
    pub back_off: bool,
    /// Since when the value is trusted: when it passed, or when a person stored it unchecked.
    #[serde(default)]
    pub trusted: Option<Timestamp>,
    /// A rejection that needs a second request to confirm it.
    #[serde(default)]
    pub doubtful: bool,
    /// An earlier rejection that still counts, because this answer is inconclusive.
    #[serde(default)]
    before: Option<Box<CachedVerdict>>,
}

impl CachedVerdict {
    pub(crate) fn new(name: &str, began: Timestamp, verdict: Verdict, back_off: bool) -> CachedVerdict {
        let trusted = (verdict.kind == Kind::Valid).then_some(began);
        CachedVerdict { name: name.into(), began, verdict, back_off, trusted, doubtful: false, before: None }
    }

    /// Records that a person stored the value without a check: it is verified later, and a first rejection needs
    /// confirmation.
    pub(crate) fn unchecked(name: &str) -> CachedVerdict {
        let verdict = Verdict::new(Kind::NotConfigured, "stored unchecked");
        let never = CachedVerdict::new(name, Timestamp::UNIX_EPOCH, verdict, false);
        CachedVerdict { trusted: Some(Timestamp::now()), ..never }
    }

    /// Returns the same verdict with what still counts of `old`, the previous one in the cache: the provider's
    /// rejection outlives network failures and lockouts.
    pub(crate) fn after(mut self, old: Option<CachedVerdict>) -> CachedVerdict {
        let Some(old) = old else { return self };
        // A confirmed rejection ends the trust.
        if self.verdict.kind != Kind::Rejected || self.doubtful {
            self.trusted = self.trusted.or(old.trusted);
        }
        if matches!(self.verdict.kind, Kind::Unreachable | Kind::Blocked | Kind::Refused) {
            self.before = old.rejection().cloned().map(Box::new);
        }
        self
    }

    /// Whether a rejection may be the provider's mistake: the value passed, or was stored unchecked, within the last
    /// day, and no rejection is waiting for confirmation.
    pub(crate) fn is_trusted(&self) -> bool {
        if self.doubtful {
            return false;
        }
        let age = self.trusted.and_then(|at| Duration::try_from(Timestamp::now().duration_since(at)).ok());
        age.is_some_and(|age| age < TRUSTED)
    }

    /// The rejection, if it is so recent that the value must not be sent again.
    pub(crate) fn rejection(&self) -> Option<&CachedVerdict> {
        let rejection = if self.verdict.kind.is_bad() { self } else { self.before.as_deref()? };
        if rejection.doubtful {
            return None;
        }
        rejection.age().is_some_and(|age| age < REJECTED_BACK_OFF).then_some(rejection)
    }

    /// Its age; `None` if it is in the future, as after a clock was set back. Then it is ignored.
    pub(crate) fn age(&self) -> Option<Duration> {
        Duration::try_from(Timestamp::now().duration_since(self.began)).ok()
    }
}

/// The length of the key in bytes.
const KEY: usize = 32;

/// The state directory. If it cannot be used, raxx works without a cache.
#[derive(Debug)]
pub(crate) struct State {
    verdicts: PathBuf,
    key: [u8; KEY],
}

impl State {
    /// Opens it, and creates it (0700) with its key (0600) if it does not exist.
    ///
    /// # Errors
    /// One line: which directory, and why it cannot be used.
    pub(crate) fn open() -> Result<State, String> {
        let dir = directory()?;
        let usable = || -> io::Result<State> {
            let verdicts = dir.join("verdicts");
            // Checked every time: the cache can be deleted at any moment.
            if !verdicts.is_dir() {
                files::make_directory(&verdicts)?;
            }
            let key = files::read_own(&dir.join("key"), KEY as u64).ok().and_then(|bytes| bytes.try_into().ok());
            Ok(State { verdicts, key: key.map_or_else(|| make_key(&dir), Ok)? })
        };
        usable().map_err(|e| format!("{}: {}", shown(&dir), files::why(&e)))
    }

    /// The name under which a value's verdict is stored.
    pub(crate) fn fingerprint(&self, parts: &[&str], secret: &Secret) -> String {
        let mut hash = blake3::Hasher::new_keyed(&self.key);
        for part in parts.iter().chain(&[secret.expose()]) {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().to_hex()[..32].to_string()
    }

    /// The last verdict under this name.
    pub(crate) fn recall(&self, print: &str) -> Option<CachedVerdict> {
        read(&self.verdicts.join(format!("{print}.json")))
    }

    /// Whether any value is held back because of a rejection. Must be fast: a new terminal waits for it.
    pub(crate) fn any_rejection(&self) -> bool {
        let entries = fs::read_dir(&self.verdicts).into_iter().flatten().flatten();
        let recent = |path: &Path| {
            let written = fs::metadata(path).and_then(|m| m.modified());
            written.is_ok_and(|written| written.elapsed().is_ok_and(|age| age < REJECTED_BACK_OFF))
        };
        entries
            .map(|entry| entry.path())
            .filter(|path| recent(path))
            .any(|path| read(&path).is_some_and(|cached| cached.rejection().is_some()))
    }

    /// # Errors
    /// The directory is not writable, or the disk is full. The old verdict stays intact.
    pub(crate) fn remember(&self, print: &str, cached: &CachedVerdict) -> io::Result<()> {
        let bytes = serde_json::to_vec(cached)?;
        files::replace(&self.verdicts.join(format!("{print}.json")), &bytes)
    }

    /// Deletes the verdict under this name.
    pub(crate) fn forget(&self, print: &str) {
        let _ = fs::remove_file(self.verdicts.join(format!("{print}.json")));
    }

    /// Waits until no other process is checking this value, and locks it until the guard is dropped. On a file system
    /// without locks, the check runs without one.
    pub(crate) async fn flight(&self, print: &str) -> Option<File> {
        let lock = self.lock_file(print)?;
        files::lock(&lock, Duration::MAX).await.ok().map(|_| lock)
    }

    /// As [`State::flight`], without waiting: takes the lock if it is free.
    pub(crate) fn try_flight(&self, print: &str) -> Option<File> {
        self.lock_file(print).filter(|lock| files::try_lock(lock).is_ok_and(|free| free))
    }

    fn lock_file(&self, print: &str) -> Option<File> {
        files::lock_file(&self.verdicts.join(format!("{print}.lock"))).ok()
    }

    /// Deletes verdicts older than a month (of values that were rotated) and files that killed runs left.
    pub(crate) fn prune(&self) {
        let is_older =
            |path: &Path, age| fs::symlink_metadata(path).is_ok_and(|metadata| files::is_older(&metadata, age));
        for path in fs::read_dir(&self.verdicts).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let verdict = path.with_extension("json");
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") if is_older(&path, KEPT) => {
                    let _ = fs::remove_file(&path);
                    let _ = fs::remove_file(path.with_extension("lock"));
                }
                Some("lock") if !verdict.exists() && is_older(&path, LOCKED) => {
                    // Only if no process holds it now.
                    let free = files::lock_file(&path).is_ok_and(|lock| files::try_lock(&lock).is_ok_and(|free| free));
                    if free {
                        let _ = fs::remove_file(&path);
                    }
                }
                _ => {}
            }
        }
        // `.tmp*` are the temporary files of an earlier version. In these directories, only raxx creates such files.
        for dir in [Some(self.verdicts.as_path()), self.verdicts.parent()].into_iter().flatten() {
            files::sweep(dir);
            files::sweep_named(dir, |name| name.starts_with(".tmp"));
        }
    }
}

fn read(path: &Path) -> Option<CachedVerdict> {
    serde_json::from_slice(&files::read_own(path, LARGEST).ok()?).ok()
}

/// Creates the key, or reads the one that another terminal created at the same moment.
fn make_key(dir: &Path) -> io::Result<[u8; KEY]> {
    let mut key = [0; KEY];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let path = dir.join("key");
    // A full disk can leave a key of the wrong length, which is useless.
    if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file() && metadata.len() != KEY as u64) {
        fs::remove_file(&path)?;
    }
    if files::Target::own(&path)?.create(&key)? {
        return Ok(key);
    }
    let damaged = |_| io::Error::other("the key file is damaged: delete it");
    files::read_own(&path, KEY as u64)?.try_into().map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Cause;

    #[test]
    fn a_verdict_cached_by_an_earlier_version_is_read() {
        let json = r#"{"name":"A","began":"2026-05-04T08:00:00Z","kind":"unreachable","words":"w","hint":null,
            "http_status":503,"expires":"2026-06-04T08:00:00Z","cause":{"NoResponse":{"host":"h","why":"y"}},
            "rests":true,"trusted":null,"doubtful":false,"before":null}"#;
        let cached: CachedVerdict = serde_json::from_str(json).unwrap();
        let expected = Verdict {
            http_status: Some(503),
            expires: Some("2026-06-04T08:00:00Z".parse().unwrap()),
            cause: Some(Cause::NoResponse { host: "h".into(), why: "y".into() }),
            ..Verdict::new(Kind::Unreachable, "w")
        };
        assert_eq!((cached.verdict, cached.back_off), (expected, true));
    }
}
