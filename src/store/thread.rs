//! Running work that can block on its own thread, so that a deadline fires on the caller's thread whatever a library
//! does.

use std::io;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

/// Runs `work` on a separate thread with its own runtime and returns its result, or gives up after `limit`. Work that
/// is waiting is then dropped; work that blocks its thread is abandoned, and ends with the process at the latest.
///
/// # Errors
/// `TimedOut` after `limit`, or the system cannot start a thread.
pub(super) async fn run_on_thread<T, F>(limit: Duration, work: impl FnOnce() -> F + Send + 'static) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let (mut sender, receiver) = oneshot::channel();
    thread::Builder::new().name("raxx-store".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let done = match runtime {
            Ok(runtime) => {
                let done = runtime.block_on(async {
                    tokio::select! {
                        done = work() => Some(done),
                        () = sender.closed() => None,
                    }
                });
                runtime.shutdown_background();
                done.map(Ok)
            }
            Err(error) => Some(Err(error)),
        };
        if let Some(done) = done {
            // An error means that the caller gave up.
            _ = sender.send(done);
        }
    })?;
    match tokio::time::timeout(limit, receiver).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(io::Error::other("the thread that talks to the store ended early")),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    #[test]
    fn the_deadline_fires_while_the_thread_is_blocked() {
        let begun = Instant::now();
        let done = crate::process::block_on(run_on_thread(LIMIT, || async { thread::sleep(Duration::from_secs(30)) }));
        assert_eq!(done.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }

    #[test]
    fn waiting_work_is_dropped_at_the_deadline() {
        let (sender, dropped) = std::sync::mpsc::channel::<()>();
        let work = move || async move {
            let _sender = sender;
            std::future::pending::<()>().await;
        };
        assert!(crate::process::block_on(run_on_thread(LIMIT, work)).unwrap().is_err());
        let ended = dropped.recv_timeout(Duration::from_secs(20));
        assert_eq!(ended, Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
    }

    #[test]
    fn a_result_in_time_is_returned() {
        let done = crate::process::block_on(run_on_thread(Duration::from_secs(20), || async { 7 }));
        assert_eq!(done.unwrap().unwrap(), 7);
    }
}
