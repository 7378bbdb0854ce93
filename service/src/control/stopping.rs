//! The one signal that everything here ends by.

use tokio::sync::watch;

/// Tells whoever waits that the control API is stopping.
#[derive(Debug, Clone)]
pub struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// The signal, and what gives it: `true`, or being dropped.
    pub(super) fn signal() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Waits for it; does not wait if it was given already.
    pub async fn wait(&mut self) {
        let _ = self.0.wait_for(|is_stopping| *is_stopping).await;
    }
}
