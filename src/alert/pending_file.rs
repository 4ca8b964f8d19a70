//! The file of pending alerts, in the state directory.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::{BOOK, Book, LOCK, SENDING, Shelf};
use crate::config;
use crate::files;
use crate::process::say;
use crate::state;

/// The largest alerts file that raxx reads; it never writes a larger one.
const LARGEST: u64 = 16 << 20;

/// How long a run waits for another one that writes the file.
const WRITING: Duration = Duration::from_secs(5);

/// The pending alerts on the disk, which other runs change too. Without a state directory they last as long as this run,
/// and every run sends its alerts again.
pub(crate) struct PendingFile {
    dir: Option<PathBuf>,
    /// As it is on the disk, or should be.
    shelf: Shelf,
    configuration: String,
    saved: bool,
    /// Whether a person was warned that it could not be saved.
    warned: bool,
}

impl PendingFile {
    /// Opens the file of this configuration.
    pub(crate) fn open() -> PendingFile {
        // A directory that cannot be used was reported already.
        let dir = state::directory().ok();
        PendingFile {
            saved: dir.is_some(),
            dir,
            shelf: Shelf::default(),
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
    pub(crate) fn read<T>(&mut self, now: Timestamp, read: impl FnOnce(&mut Book) -> T) -> T {
        // Only this run knows what could not be written.
        if let Some(dir) = self.dir.as_ref().filter(|_| self.saved) {
            let bytes = files::read_own(&dir.join(BOOK), LARGEST);
            self.shelf = bytes.map_or_else(|_| Shelf::default(), |bytes| Shelf::read(&bytes));
        }
        read(self.shelf.book(&self.configuration, now))
    }

    /// Changes the alerts, and saves them.
    pub(crate) async fn change(&mut self, now: Timestamp, change: impl FnOnce(&mut Book)) {
        let lock = self.lock_file(LOCK);
        if let Some(lock) = &lock {
            // Another run holds it only while it writes a file.
            let _ = files::lock(lock, WRITING).await;
        }
        self.read(now, change);
        let Some(dir) = &self.dir else { return };
        let file = dir.join(BOOK);
        let written = files::replace(&file, &self.shelf.bytes());
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
