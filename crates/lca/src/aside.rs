//! Work that may take long, done on a thread of its own while the thread of the runtime goes on.
//!
//! Refuses to know what is done. The law: whoever waits for it decides on how long; what hangs on a disk hangs there alone.

use std::time::Duration;

use tokio::sync::oneshot;

/// Stack of such a thread, in bytes.
const STACK_BYTES: usize = 1024 * 1024;

/// Does it on a thread of its own. Nothing if there can be no thread, or if it failed.
pub(crate) async fn aside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
    let begun = thread.spawn(move || {
        // Whoever waited may have given up.
        let _ = tell.send(work());
    });
    if let Err(error) = begun {
        tracing::warn!(%error, "cannot make a thread of the name {name}");
        return None;
    }
    told.await.ok()
}

/// The same, and nothing if it is not done within a limit. The thread goes on until it can end.
pub(crate) async fn aside_within<T: Send + 'static>(
    limit: Duration,
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::time::timeout(limit, aside(name, work)).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn what_is_done_is_known_and_what_fails_is_not() {
        run(async {
            assert_eq!(aside("test", || 7).await, Some(7));
            assert_eq!(aside_within(Duration::from_secs(20), "test", || 7).await, Some(7));
            let fails: fn() -> u8 = || panic!("on purpose");
            assert_eq!(aside("test", fails).await, None);
        });
    }

    #[test]
    fn nobody_waits_longer_than_the_limit_and_the_runtime_goes_on() {
        let (release, released) = channel::<()>();
        run(async {
            let hangs = aside_within(Duration::from_millis(20), "test", move || released.recv().is_ok());
            let goes_on = tokio::task::yield_now();
            let (given_up, ()) = tokio::join!(hangs, goes_on);
            assert_eq!(given_up, None);
        });
        // It still waits, and is let go now.
        release.send(()).unwrap();
    }
}
