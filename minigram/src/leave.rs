//! The request to leave: a process that should end stops taking work, finishes what it does, and then returns.

use tokio::sync::watch;

/// Asks every [`Leave`] of its pair to leave.
#[derive(Debug, Clone)]
pub struct LeaveSender(watch::Sender<bool>);

/// Says when to leave. Clones say the same.
#[derive(Debug, Clone)]
pub struct Leave(watch::Receiver<bool>);

impl Leave {
    /// A sender, and what it asks to leave.
    #[must_use]
    pub fn pair() -> (LeaveSender, Self) {
        let (sender, receiver) = watch::channel(false);
        (LeaveSender(sender), Self(receiver))
    }

    /// Waits until leaving is requested. A sender that is gone requests it too.
    pub async fn requested(&mut self) {
        // An error says that the sender is gone.
        drop(self.0.wait_for(|leave| *leave).await);
    }

    /// Whether leaving is requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

impl LeaveSender {
    /// Requests to leave.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_reaches_every_clone_and_so_does_the_end_of_the_sender() {
        let (sender, mut leave) = Leave::pair();
        let mut clone = leave.clone();
        assert!(!leave.is_requested());
        sender.request();
        leave.requested().await;
        clone.requested().await;
        assert!(leave.is_requested() && clone.is_requested());

        let (sender, mut leave) = Leave::pair();
        drop(sender);
        leave.requested().await;
        assert!(leave.is_requested());
    }
}
