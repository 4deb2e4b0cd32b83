//! One worker: takes a job, keeps it while it does it, and tells the queue what became of it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tracing::Instrument;
use tracing::field::Empty;

use super::metrics::Metrics;
use super::pause::Pause;
use super::settings::WorkerSettings;
use crate::domain::jobs::{Failure, Worked, settle, traceparent};
use crate::leave::Leave;
use crate::ports::queue::{NewJob, Queue, QueueError, Receipt, Taken};
use crate::telemetry;

/// One worker of a topic.
#[derive(Clone)]
pub struct Hand {
    /// Whose jobs.
    pub topic: &'static str,
    /// Where jobs come from.
    pub queue: Arc<dyn Queue>,
    /// Bounds.
    pub settings: Arc<WorkerSettings>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Hand {
    /// Does jobs by `work`, one after the other, until leaving is requested.
    pub async fn run<F, W>(self, mut leave: Leave, work: F)
    where
        F: Fn(NewJob) -> W,
        W: Future<Output = Result<(), Failure>>,
    {
        let mut pause = Pause::new();
        while !leave.is_requested() {
            let worked = match self.queue.take(self.topic, self.settings.take_wait).await {
                Ok(None) => Ok(()),
                Ok(Some(taken)) => self.handle(taken, &mut leave, &work).await,
                Err(error) => Err(error),
            };
            match worked {
                Ok(()) => pause.over(),
                Err(error) => pause.after(&error, "the queue failed", self.topic, &mut leave).await,
            }
        }
    }

    async fn handle<F, W>(&self, taken: Taken, leave: &mut Leave, work: &F) -> Result<(), QueueError>
    where
        F: Fn(NewJob) -> W,
        W: Future<Output = Result<(), Failure>>,
    {
        let Taken { receipt, job, attempt } = taken;
        let begun = Instant::now();
        let key = job.key.clone();
        let span = tracing::info_span!(
            "job",
            topic = self.topic,
            key,
            attempt,
            trace_id = Empty,
            otel.kind = "consumer"
        );
        telemetry::follow(&span, traceparent(&job).as_deref());
        let worked = match self.attempt(&receipt, work(job).instrument(span.clone()), leave).await {
            Some(done) => {
                if let Err(failure) = &done {
                    // In the trace of the request that the job follows from, so that a search for the trace finds it.
                    tracing::warn!(parent: &span, topic = self.topic, key, attempt, reason = %failure, "a job failed");
                }
                settle(&*self.queue, &receipt, &done).await
            }
            None => Ok(Worked::Late),
        };
        if let Ok(worked) = worked {
            self.metrics.job(self.topic, worked, begun.elapsed());
        }
        worked.map(drop)
    }

    /// Does one job, and says to the queue that it is still done. `None` if the queue gave it to another worker.
    async fn attempt(
        &self,
        receipt: &Receipt,
        work: impl Future<Output = Result<(), Failure>>,
        leave: &mut Leave,
    ) -> Option<Result<(), Failure>> {
        let keeping = self.keep(receipt);
        tokio::pin!(work, keeping);
        let mut end = Instant::now() + self.settings.job_max;
        let mut leaving = false;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                () = &mut keeping => return None,
                () = sleep_until(end) => return Some(Err(Failure::again(self.unfinished(leaving)))),
                () = leave.requested(), if !leaving => {
                    leaving = true;
                    end = end.min(Instant::now() + self.settings.finish_within);
                }
            }
        }
    }

    /// Extends a job again and again, beside the work: a queue that is slow does not hold the work up. Ends when another
    /// worker has the job.
    async fn keep(&self, receipt: &Receipt) {
        let every = self.settings.extend_every;
        let mut extend = interval_at(Instant::now() + every, every);
        extend.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            extend.tick().await;
            match self.queue.extend(receipt).await {
                Ok(()) => {}
                Err(QueueError::Late) => return,
                Err(error) => tracing::warn!(topic = self.topic, %error, "a job was not extended"),
            }
        }
    }

    fn unfinished(&self, leaving: bool) -> String {
        let seconds = |time: Duration| time.as_secs_f64();
        if leaving {
            let within = seconds(self.settings.finish_within);
            return format!("the worker left, and the job did not finish within {within} s");
        }
        format!("the job did not finish within {} s", seconds(self.settings.job_max))
    }
}
