//! The file of pending alerts, in the state directory.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::pending::PendingAlerts;
use super::{ALERTS, LOCK, SENDING};
use crate::config;
use crate::files;
use crate::process::say;
use crate::state;

/// The largest alerts file that raxx reads; it never writes a larger one.
const LARGEST: u64 = 16 << 20;

/// How long a run waits for another one that writes the file.
const WRITING: Duration = Duration::from_secs(5);

/// Pending alerts that were not read for this long belong to a configuration that no longer exists.
const KEPT: SignedDuration = SignedDuration::from_hours(8 * 7 * 24);

/// The version of the file's format; other versions are ignored.
const VERSION: u32 = 2;

/// The pending alerts of this machine, by configuration: each has its own credentials and receivers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Contents {
    version: u32,
    #[serde(rename = "books")]
    pub(super) configurations: BTreeMap<String, PendingAlerts>,
}

impl Default for Contents {
    fn default() -> Contents {
        Contents { version: VERSION, configurations: BTreeMap::new() }
    }
}

impl Contents {
    /// Reads what [`Contents::bytes`] wrote. An unreadable file counts as empty: alerts are then sent once more.
    pub(super) fn read(bytes: &[u8]) -> Contents {
        serde_json::from_slice(bytes).ok().filter(|contents: &Contents| contents.version == VERSION).unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("pending alerts are plain data")
    }

    /// Returns the pending alerts of this configuration.
    pub(super) fn of(&mut self, configuration: &str, now: Timestamp) -> &mut PendingAlerts {
        // After the clock was set back, a time must not stay in the future.
        self.configurations.values_mut().for_each(|pending| pending.opened = pending.opened.min(now));
        self.configurations
            .retain(|whose, pending| whose == configuration || now.duration_since(pending.opened) < KEPT);
        let pending = self.configurations.entry(configuration.into()).or_default();
        pending.opened = now;
        pending
    }
}

/// The file of pending alerts, which other runs change too. Without a state directory alerts are kept only for this run, and
/// every run sends them again.
pub(crate) struct AlertsFile {
    dir: Option<PathBuf>,
    /// The contents as on the disk, or as they should be.
    contents: Contents,
    configuration: String,
    saved: bool,
    /// Whether the person was warned that it could not be saved.
    warned: bool,
}

impl AlertsFile {
    /// Opens the file of this configuration.
    pub(crate) fn open() -> AlertsFile {
        // A directory that cannot be used was reported already.
        let dir = state::directory().ok();
        AlertsFile {
            saved: dir.is_some(),
            dir,
            contents: Contents::default(),
            configuration: config::place(),
            warned: false,
        }
    }

    /// Whether every change is on the disk.
    pub(crate) fn is_saved(&self) -> bool {
        self.saved
    }

    /// Returns the lock for sending alerts, or `None` if another run keeps it. On a file system without locks none is needed.
    pub(crate) async fn lock_sending(&self, limit: Duration) -> Option<Option<File>> {
        let Some(lock) = self.lock_file(SENDING) else { return Some(None) };
        let free = files::lock(&lock, limit).await.unwrap_or(true);
        free.then_some(Some(lock))
    }

    fn lock_file(&self, name: &str) -> Option<File> {
        files::lock_file(&self.dir.as_ref()?.join(name)).ok()
    }

    /// Reads the current alerts.
    pub(crate) fn read<T>(&mut self, now: Timestamp, read: impl FnOnce(&mut PendingAlerts) -> T) -> T {
        // If the last write failed, the contents in memory are newer.
        if let Some(dir) = self.dir.as_ref().filter(|_| self.saved) {
            let bytes = files::read_own(&dir.join(ALERTS), LARGEST);
            self.contents = bytes.map_or_else(|_| Contents::default(), |bytes| Contents::read(&bytes));
        }
        read(self.contents.of(&self.configuration, now))
    }

    /// Changes the alerts, and saves them.
    pub(crate) async fn change(&mut self, now: Timestamp, change: impl FnOnce(&mut PendingAlerts)) {
        let lock = self.lock_file(LOCK);
        if let Some(lock) = &lock {
            // Another run keeps the lock only while it writes the file.
            let _ = files::lock(lock, WRITING).await;
        }
        self.read(now, change);
        let Some(dir) = &self.dir else { return };
        let file = dir.join(ALERTS);
        let written = files::replace(&file, &self.contents.bytes());
        self.saved = written.is_ok();
        if let Err(why) = written
            && !self.warned
        {
            self.warned = true;
            let why = files::why(&why);
            say(&format!("raxx: warning: could not record which alerts were sent: {}: {why}", file.display()));
        }
    }
}
