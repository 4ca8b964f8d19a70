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

/// Pending alerts that were not read for so long are of a configuration that is gone.
const KEPT: SignedDuration = SignedDuration::from_hours(8 * 7 * 24);

/// The version of the file's form; another one is not read.
const VERSION: u32 = 2;

/// The pending alerts of this machine: for each configuration, which has credentials and receivers of its own.
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
    /// Reads what [`Contents::bytes`] wrote. What cannot be read is empty: then alerts are sent once more.
    pub(super) fn read(bytes: &[u8]) -> Contents {
        serde_json::from_slice(bytes).ok().filter(|contents: &Contents| contents.version == VERSION).unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("pending alerts are plain data")
    }

    /// The pending alerts of this configuration.
    pub(super) fn of(&mut self, configuration: &str, now: Timestamp) -> &mut PendingAlerts {
        // After a clock was set back nothing is in the future.
        self.configurations.values_mut().for_each(|pending| pending.opened = pending.opened.min(now));
        self.configurations
            .retain(|whose, pending| whose == configuration || now.duration_since(pending.opened) < KEPT);
        let pending = self.configurations.entry(configuration.into()).or_default();
        pending.opened = now;
        pending
    }
}

/// The pending alerts on the disk, which other runs change too. Without a state directory they last as long as this run,
/// and every run sends its alerts again.
pub(crate) struct AlertsFile {
    dir: Option<PathBuf>,
    /// As it is on the disk, or should be.
    contents: Contents,
    configuration: String,
    saved: bool,
    /// Whether a person was warned that it could not be saved.
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

    /// Returns whether the disk has every change.
    pub(crate) fn is_saved(&self) -> bool {
        self.saved
    }

    /// Returns the lock for sending alerts, if it is free in time; it is not needed on a file system without locks.
    pub(crate) async fn lock_sending(&self, limit: Duration) -> Option<Option<File>> {
        let Some(lock) = self.lock_file(SENDING) else { return Some(None) };
        let free = files::lock(&lock, limit).await.unwrap_or(true);
        free.then_some(Some(lock))
    }

    fn lock_file(&self, name: &str) -> Option<File> {
        files::lock_file(&self.dir.as_ref()?.join(name)).ok()
    }

    /// Reads the alerts as they are now.
    pub(crate) fn read<T>(&mut self, now: Timestamp, read: impl FnOnce(&mut PendingAlerts) -> T) -> T {
        // Only this run knows what could not be written.
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
            // Another run holds it only while it writes a file.
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
            say(&format!("raxx: warning: who was told is not noted: {}: {why}", file.display()));
        }
    }
}
