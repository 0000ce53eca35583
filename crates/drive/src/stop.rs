//! How a program is asked to end: once, and everyone hears it.

use tokio::sync::watch;

/// Ends everything that waits on a clone of it.
#[derive(Debug, Clone)]
pub struct Stop {
    asked: watch::Sender<bool>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { asked: watch::Sender::new(false) }
    }
}

impl Stop {
    /// Asks everyone to end. Asking twice is harmless.
    pub fn ask(&self) {
        self.asked.send_replace(true);
    }

    /// Whether it was asked.
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Returns once it was asked, at once if it was before.
    pub async fn asked(&self) {
        let mut receiver = self.asked.subscribe();
        // The sender lives as long as `self`, so waiting can only end by the value.
        let _ = receiver.wait_for(|asked| *asked).await;
    }
}

/// A [`Stop`] that SIGTERM and SIGINT ask. Fails if the system refuses to install them.
#[cfg(unix)]
pub fn stop_signals() -> std::io::Result<Stop> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = Stop::default();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asked = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        asked.ask();
    });
    Ok(stop)
}

/// A [`Stop`] that Ctrl-C asks.
#[cfg(not(unix))]
pub fn stop_signals() -> std::io::Result<Stop> {
    let stop = Stop::default();
    let asked = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            asked.ask();
        }
    });
    Ok(stop)
}
