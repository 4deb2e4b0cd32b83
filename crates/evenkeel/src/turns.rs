//! One reload at a time: the one that is being prepared, and those that wait for it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use evenkeel_core::snapshot::{CommandDone, CommandError};
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use crate::background;
use crate::reload::{InForce, Prepared, prepare};

/// How long the preparation of a reload may take, so that a disk that does not answer does not hold up all later ones.
const PREPARE_MAX: Duration = Duration::from_secs(120);
/// Reloads that wait for their turn.
const TURNS_MAX: usize = 16;

/// A reload that is being prepared.
struct Preparing {
    prepared: oneshot::Receiver<Result<Prepared, String>>,
    /// When it is given up.
    until: Instant,
}

/// Where the outcome of a command is sent.
pub type Answer = oneshot::Sender<Result<CommandDone, CommandError>>;

/// A reload that waits for the one under way, with the requests that get its outcome. That one may have read an older file.
struct Turn {
    within: Option<Duration>,
    asked: Vec<Answer>,
}

/// The reload under way and those that wait: one runs at a time.
#[derive(Default)]
pub struct Reloads {
    running: Option<Preparing>,
    /// How often a configuration on trial had gone back when the reload under way began.
    reverts: u64,
    /// Within what time the operator must confirm the reload under way, or the last one.
    within: Option<Duration>,
    /// Requests that get the outcome of the reload under way.
    asked: Vec<Answer>,
    /// Requests from after its begin. Those that follow one another and want the same share a turn.
    next: VecDeque<Turn>,
}

impl Reloads {
    /// Notes that a reload is wanted; `within` is the time to confirm it in, if it needs that.
    ///
    /// # Errors
    /// Too many wait.
    pub fn ask(&mut self, answer: Answer, within: Option<Duration>) -> Result<(), (Answer, String)> {
        let waiting = self.next.len();
        match self.next.back_mut() {
            Some(last) if last.within == within => last.asked.push(answer),
            _ if waiting >= TURNS_MAX => {
                let why =
                    format!("{TURNS_MAX} reloads wait for the one under way: ask again when they have ended");
                return Err((answer, why));
            }
            _ => self.next.push_back(Turn { within, asked: vec![answer] }),
        }
        Ok(())
    }

    /// Within what time the operator must confirm the reload that is under way, or has just ended.
    pub fn within(&self) -> Option<Duration> {
        self.within
    }

    /// True if a configuration on trial has gone back since the reload that has just ended began: it has prepared what
    /// does not fit what is in force now.
    pub fn are_outdated(&self, reverts: u64) -> bool {
        self.reverts != reverts
    }

    /// Begins the reload that has just ended again, for the same requests.
    pub fn start_again(&mut self, in_force: InForce) {
        tracing::info!(
            "the reload begins again, because the configuration that it started from has gone back"
        );
        self.start(in_force);
    }

    /// True while a reload is under way.
    pub fn are_running(&self) -> bool {
        self.running.is_some()
    }

    /// Waits for what the reload under way has prepared. Without one it never returns. The future may be dropped at any time.
    pub async fn prepared(&mut self) -> Result<Prepared, String> {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let prepared = timeout_at(running.until.into(), &mut running.prepared).await;
        self.running = None;
        match prepared {
            Ok(prepared) => prepared
                .unwrap_or_else(|_| Err("the thread that prepared the reload panicked: see the log".into())),
            // The thread may still wait for the disk. What it prepares is dropped.
            Err(_) => Err(format!(
                "the files of the configuration could not be read within {} s: does the disk answer? Reload again when it does",
                PREPARE_MAX.as_secs()
            )),
        }
    }

    /// Sends the outcome of the reload whose turn it was.
    pub fn answer(&mut self, outcome: &Result<Vec<String>, CommandError>) {
        for answer in self.asked.drain(..) {
            // The client may have left.
            let _ = answer.send(outcome.clone().map(CommandDone::Reloaded));
        }
    }

    /// Takes up the next reload that was asked for, if there is one and none is under way. [`start`](Self::start) it or
    /// [`answer`](Self::answer) it.
    pub fn take_turn(&mut self) -> bool {
        if self.running.is_some() {
            return false;
        }
        let Some(Turn { within, asked }) = self.next.pop_front() else { return false };
        (self.within, self.asked) = (within, asked);
        true
    }

    /// Begins the reload whose turn it is.
    pub fn start(&mut self, in_force: InForce) {
        self.reverts = in_force.reverts;
        let is_trial = self.within.is_some();
        let prepared = background::spawn("reload", move || prepare(&in_force, is_trial));
        self.running = Some(Preparing { prepared, until: Instant::now() + PREPARE_MAX });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_preparation_that_does_not_end_is_given_up() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (hanging, prepared) = oneshot::channel::<Result<Prepared, String>>();
        let mut reloads = Reloads::default();
        runtime.block_on(async {
            reloads.running = Some(Preparing { prepared, until: Instant::now() });
            let given_up = reloads.prepared().await.err().unwrap();
            assert!(given_up.contains("could not be read within 120 s"), "{given_up}");
        });
        assert!(!reloads.are_running() && hanging.is_closed());
    }

    #[test]
    fn what_differs_has_a_turn_of_its_own_and_what_is_the_same_shares_one() {
        let mut reloads = Reloads::default();
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        let wanted = [None, None, Some(minute), Some(minute), None, Some(hour), Some(minute)];
        for within in wanted {
            assert!(reloads.ask(oneshot::channel().0, within).is_ok());
        }
        let mut turns = Vec::new();
        while reloads.take_turn() {
            turns.push((reloads.within(), reloads.asked.len()));
        }
        assert_eq!(turns, [(None, 2), (Some(minute), 2), (None, 1), (Some(hour), 1), (Some(minute), 1)]);

        let asks = |n: usize| n.is_multiple_of(2).then_some(minute);
        for n in 0..TURNS_MAX {
            assert!(reloads.ask(oneshot::channel().0, asks(n)).is_ok());
        }
        assert!(reloads.ask(oneshot::channel().0, asks(TURNS_MAX)).is_err());
        assert!(reloads.ask(oneshot::channel().0, asks(TURNS_MAX - 1)).is_ok(), "it shares the last turn");
    }
}
