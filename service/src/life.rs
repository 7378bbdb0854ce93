//! What a service listens to while it lives, and why it ends. What it does then is the program's.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that a service obeys. From the moment of its making none of them ends the process by itself.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To end: SIGINT, SIGTERM.
    End(End),
    /// To read the configuration anew: SIGHUP.
    Reload,
}

/// Why a service ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was told to.
    Told(&'static str),
    /// Something that it cannot do without has ended: our own mistake.
    Lost(&'static str),
}

/// A service has ended, and nobody wanted it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} has ended on its own")]
pub struct Lost(&'static str);

impl Signals {
    /// Listens from now on. To be called in a runtime.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// What the next signal asks for. It may be dropped and asked again: nothing is lost.
    pub async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => Wish::End(End::Told("interrupted")),
            _ = self.terminate.recv() => Wish::End(End::Told("terminated")),
            _ = self.hangup.recv() => Wish::Reload,
        }
    }
}

impl End {
    /// Says it in the log.
    pub fn tell(self) {
        match self {
            Self::Told(by) => tracing::info!("stopping: {by}"),
            Self::Lost(what) => tracing::error!("stopping: {}", Lost(what)),
        }
    }

    /// What the process ends with.
    ///
    /// # Errors
    /// When nobody wanted it.
    pub fn result(self) -> Result<(), Lost> {
        match self {
            Self::Told(_) => Ok(()),
            Self::Lost(what) => Err(Lost(what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_nobody_wanted_is_an_error() {
        assert_eq!(End::Told("terminated").result(), Ok(()));
        assert_eq!(End::Lost("the roof").result().unwrap_err().to_string(), "the roof has ended on its own");
    }

    #[test]
    fn signals_are_heard_one_by_one() {
        use nix::sys::signal::{Signal, raise};
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut signals = Signals::listen().unwrap();
            for (signal, wish) in [
                (Signal::SIGHUP, Wish::Reload),
                (Signal::SIGTERM, Wish::End(End::Told("terminated"))),
                (Signal::SIGINT, Wish::End(End::Told("interrupted"))),
            ] {
                raise(signal).unwrap();
                assert_eq!(signals.next().await, wish);
            }
        });
    }
}
