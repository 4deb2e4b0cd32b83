//! The new process, as the old one speaks with it: for how long it waits for the next message, and what ends that.

use std::io::ErrorKind;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use evenkeel_net::Channel;

use super::is_cancelled;
use super::message::{Message, receive, send};

/// Between two checks of whether the attempt was cancelled.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the first message of a new process may take. It sends one before it reads its configuration; a program that is no Evenkeel
/// sends none.
const FIRST_MAX: Duration = Duration::from_secs(10);
/// How long a new process that accepts connections may take to the end of the upgrade, whatever the deadline and signals say: to end it
/// would cut them. Shorter than a process that is to leave waits for an upgrade.
const COMPLETE_MAX: Duration = Duration::from_secs(5);

/// The new process.
pub struct Peer<'a> {
    /// To the new process.
    pub channel: Channel,
    /// When the old process gives up.
    pub deadline: Instant,
    /// Set to give up before that.
    pub cancelled: &'a AtomicBool,
    /// Until when it is let finish, once it accepts connections.
    pub completes_by: Option<Instant>,
}

/// Why the new process does not take over.
#[derive(Debug)]
pub enum Fault {
    /// It has closed the channel, or sent a message that this process cannot read.
    Gone(String),
    /// It says why itself.
    Said(String),
    /// It took too long, and says what it waits for.
    Late(String),
    /// This process cannot go on, or a signal ends it.
    Ours(String),
}

impl Peer<'_> {
    /// Sends a message.
    ///
    /// # Errors
    /// It does not read, or is gone.
    pub fn send(&self, message: &Message, descriptors: &[BorrowedFd<'_>]) -> Result<(), Fault> {
        match send(&self.channel, message, descriptors) {
            Ok(()) => Ok(()),
            // The new process may have sent the reason.
            Err(error) => match receive(&self.channel, Duration::ZERO) {
                Ok(Some((Message::Failed(why), _))) => Err(Fault::Said(why)),
                _ if error.kind() == ErrorKind::WouldBlock => {
                    Err(Fault::Gone("does not read the messages of the upgrade, and was ended".into()))
                }
                _ => Err(Fault::Gone(format!(
                    "cannot be sent messages of the upgrade, and was ended: {error}"
                ))),
            },
        }
    }

    /// The new process accepts connections from now on: it has some time for what is left to do.
    pub fn begins_to_serve(&mut self) {
        let by = Instant::now() + COMPLETE_MAX;
        self.deadline = self.deadline.max(by);
        self.completes_by = Some(by);
    }

    /// The next message of the new process, except [`Message::Waiting`].
    ///
    /// # Errors
    /// It fails, is late or gone, or the attempt was cancelled.
    pub fn next(&self) -> Result<Message, Fault> {
        self.next_by(None)
    }

    /// The same, of a process that has sent none yet: one of some kind must come soon.
    ///
    /// # Errors
    /// The same.
    pub fn first(&self) -> Result<Message, Fault> {
        self.next_by(Some(Instant::now() + FIRST_MAX))
    }

    fn next_by(&self, mut first_by: Option<Instant>) -> Result<Message, Fault> {
        let mut waiting = String::new();
        loop {
            let end = match self.completes_by {
                Some(by) if is_cancelled(self.cancelled) => by,
                _ => self.deadline,
            };
            let left = end.saturating_duration_since(Instant::now());
            match receive(&self.channel, left.min(LOOK_EVERY)) {
                Ok(Some((Message::Failed(why), _))) => return Err(Fault::Said(why)),
                Ok(Some((Message::Waiting(what), _))) => (first_by, waiting) = (None, format!(": {what}")),
                Ok(Some((message, _))) => return Ok(message),
                Ok(None) if left.is_zero() => return Err(Fault::Late(waiting)),
                Ok(None) if first_by.is_some_and(|by| by <= Instant::now()) => {
                    return Err(Fault::Gone(format!(
                        "sent no message within {FIRST_MAX:?}, and was ended: is it an Evenkeel?"
                    )));
                }
                Ok(None) => {}
                Err(error) => {
                    return Err(Fault::Gone(format!(
                        "does not answer as an Evenkeel does in an upgrade, and was ended: {error}"
                    )));
                }
            }
            if is_cancelled(self.cancelled) && self.completes_by.is_none() {
                return Err(Fault::Ours(
                    "the upgrade was given up, because a signal ends this process".into(),
                ));
            }
        }
    }
}

/// What came is not what comes next.
pub fn unexpected(message: &Message) -> Fault {
    Fault::Gone(format!("sent an unexpected message in the upgrade, and was ended: {message:?}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    /// What comes of waiting for these messages of the new process, after a signal to end.
    fn next_after_a_signal(is_serving: bool, messages: &[&str]) -> Result<Message, Fault> {
        let (channel, theirs) = Channel::pair().unwrap();
        let cancelled = AtomicBool::new(false);
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut peer = Peer { channel, deadline, cancelled: &cancelled, completes_by: None };
        if is_serving {
            peer.begins_to_serve();
        }
        cancelled.store(true, Ordering::Relaxed);
        for json in messages {
            let message = [b"EVKL", &(json.len() as u32).to_le_bytes()[..], json.as_bytes()].concat();
            rustix::io::write(&theirs, &message).unwrap();
        }
        peer.next()
    }

    #[test]
    fn a_signal_does_not_end_a_process_that_serves() {
        let messages = ["{\"waiting\": \"x\"}", "\"complete\""];
        assert!(matches!(next_after_a_signal(false, &messages), Err(Fault::Ours(_))));
        assert!(matches!(next_after_a_signal(true, &messages), Ok(Message::Complete)));
        assert!(matches!(next_after_a_signal(false, &["\"serving\""]), Ok(Message::Serving)), "it is there");
    }

    #[test]
    fn a_process_that_serves_has_some_time_after_the_deadline() {
        let (channel, theirs) = Channel::pair().unwrap();
        let cancelled = AtomicBool::new(false);
        let mut peer = Peer { channel, deadline: Instant::now(), cancelled: &cancelled, completes_by: None };
        assert!(matches!(peer.next(), Err(Fault::Late(_))));
        peer.begins_to_serve();
        drop(theirs);
        assert!(matches!(peer.next(), Err(Fault::Gone(_))), "it is waited for until it ends");
        let late = peer.completes_by.unwrap();
        assert!(late > Instant::now() && peer.deadline == late);
    }
}
