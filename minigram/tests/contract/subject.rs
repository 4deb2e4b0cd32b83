//! The engine under test, with what the test needs beside it.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use minigram::clock::{Clock, Time};

/// By how much the timers of an engine may be late.
const LATE: Duration = Duration::from_millis(300);

/// An engine that was started for one test, with nothing in it.
pub struct Subject<P: ?Sized> {
    /// The engine.
    pub port: Arc<P>,
    clock: Clock,
    /// By how much all spans are longer than the contract says.
    pace: u32,
    /// What must live as long: a directory, a process.
    _alive: Box<dyn Any + Send + Sync>,
}

impl<P: ?Sized> Subject<P> {
    /// An engine that reads `clock`. One that has a clock of its own comes with the machine's.
    pub fn new(port: Arc<P>, clock: Clock, alive: impl Any + Send + Sync) -> Self {
        Self { port, clock, pace: 1, _alive: Box::new(alive) }
    }

    /// With spans that are so many times longer, for an engine whose timers a test has to wait for.
    pub fn at_pace(self, pace: u32) -> Self {
        Self { pace, ..self }
    }

    /// A span of the contract, as long as it is for this engine.
    pub fn scaled(&self, span: Duration) -> Duration {
        span * self.pace
    }

    /// Whether the test has to wait for time to pass.
    pub fn waits(&self) -> bool {
        matches!(self.clock, Clock::System)
    }

    /// Lets time pass for the engine: at once if it reads a manual clock.
    pub async fn pass(&self, span: Duration) {
        match &self.clock {
            Clock::Manual(_) => self.clock.advance(span),
            Clock::System => tokio::time::sleep(self.scaled(span) + LATE).await,
        }
    }

    /// The engine's time.
    pub fn now(&self) -> Time {
        self.clock.now()
    }
}

/// One test for each case of a contract: an async function of the module `cases` that takes the subject.
macro_rules! cases {
    ($start:path: $($case:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                cases::$case($start().await).await;
            }
        )+
    };
}
