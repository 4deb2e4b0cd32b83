//! The signals that ask a process to end.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask a process to end.
pub struct End {
    interrupt: Signal,
    terminate: Signal,
}

impl End {
    /// Receives them from now on.
    pub fn new() -> anyhow::Result<Self> {
        let signal = |kind| signal(kind).context("cannot take signals");
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for one.
    pub async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
