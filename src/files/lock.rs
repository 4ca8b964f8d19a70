//! Locks between processes, each with its own lock file.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::read::append;

/// How often a process that waits for a lock retries.
const RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// Opens a lock file, and creates it (0600) if it does not exist.
///
/// # Errors
/// As [`append`].
pub(crate) fn lock_file(path: &Path) -> io::Result<File> {
    append(path)
}

/// Takes the lock if it is free; returns whether it was.
///
/// # Errors
/// This file system does not support locks.
pub(crate) fn try_lock(lock: &File) -> io::Result<bool> {
    match lock.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Waits for the lock; returns whether it was free in time.
///
/// # Errors
/// This file system does not support locks.
pub(crate) async fn lock(lock: &File, limit: Duration) -> io::Result<bool> {
    let begun = Instant::now();
    loop {
        match attempt(lock, begun, limit)? {
            Some(locked) => return Ok(locked),
            None => tokio::time::sleep(RETRY_INTERVAL).await,
        }
    }
}

/// As [`lock`], for code outside the async runtime.
///
/// # Errors
/// This file system does not support locks.
pub(crate) fn lock_blocking(lock: &File, limit: Duration) -> io::Result<bool> {
    let begun = Instant::now();
    loop {
        match attempt(lock, begun, limit)? {
            Some(locked) => return Ok(locked),
            None => std::thread::sleep(RETRY_INTERVAL),
        }
    }
}

/// Returns whether this process has the lock; `None` if there is still time to wait for it.
fn attempt(lock: &File, begun: Instant, limit: Duration) -> io::Result<Option<bool>> {
    let locked = try_lock(lock)?;
    Ok((locked || begun.elapsed() >= limit).then_some(locked))
}
