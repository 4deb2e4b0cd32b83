//! The port: each call as steps of claims.

use std::time::Duration;

use async_nats::jetstream::Message;
use async_trait::async_trait;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout};

use super::NatsQueue;
use super::claims::Known;
use super::names::{Kind, Place};
use super::records::{Claim, State, job_to_bytes, parse_letter};
use super::table::Put;
use crate::clock::Time;
use crate::ports::Source;
use crate::ports::queue::{
    DeadLetter, Depth, Fate, NewJob, Pushed, Queue, QueueError, QueueResult, Receipt, Taken,
};

/// How long one request for a job waits at NATS; a worker that waits longer asks again.
const PULL_MAX: Duration = Duration::from_secs(10);

impl NatsQueue {
    /// The next job of a topic that NATS delivers; waits for at most `wait`.
    async fn pull(&self, topic: &str, wait: Duration) -> Result<Option<Message>, Source> {
        let consumer = self.consumer(topic).await?;
        let next = async {
            let mut batch = if wait.is_zero() {
                consumer.fetch().max_messages(1).messages().await?
            } else {
                consumer.batch().max_messages(1).expires(wait).messages().await?
            };
            batch.next().await.transpose()
        };
        let answer = timeout(wait + self.settings.response_timeout, next).await;
        let message = answer.unwrap_or_else(|_| Err("NATS did not answer in time".into()));
        if message.is_err() {
            // If the server has lost the consumer, the next call makes it anew.
            self.known_consumers().remove(topic);
        }
        message
    }

    async fn try_push(&self, job: &NewJob, place: &Place) -> QueueResult<Pushed> {
        let bytes = job_to_bytes(job).map_err(unavailable)?;
        match self.jobs.put(&self.subject(Kind::Jobs, place), bytes, 0).await.map_err(unavailable)? {
            Put::Kept(_) => Ok(Pushed::New),
            Put::Conflict => Ok(Pushed::Known),
            Put::Full => Err(QueueError::Full(self.policy.jobs_max)),
        }
    }

    /// The claim of the worker that has this receipt.
    async fn taken(&self, receipt: &Receipt) -> QueueResult<(Place, Known)> {
        let own = self.own(receipt).await.map_err(unavailable)?;
        own.filter(|(_, known)| known.claim.state != State::Done).ok_or(QueueError::Late)
    }

    async fn give_up(&self, place: &Place, known: Known, reason: &str) -> QueueResult<Fate> {
        let dead = self.make_dead(place, known, reason, None).await.map_err(unavailable)?;
        if dead { Ok(Fate::Dead) } else { Err(QueueError::Late) }
    }

    async fn depth_of(&self, topic: &str) -> Result<Depth, Source> {
        let mut consumer = self.consumer(topic).await?;
        let info = consumer.info().await?;
        let (undelivered, delivered_to) = (info.num_pending, info.delivered.stream_sequence);
        let (claims, now, most) = (self.claims_of(topic).await?, self.clock.now(), self.policy.attempts_max);
        let count = |test: &dyn Fn(&Claim) -> bool| claims.iter().filter(|claim| test(claim)).count() as u64;
        let dying = count(&|claim| claim.is_exhausted(now, most));
        // After a crash NATS may have to deliver jobs again that have claims.
        let again = count(&|claim| claim.job > delivered_to);
        let dead = self.dead.count(&Kind::Dead.topic(&self.settings.prefix, topic)).await?;
        Ok(Depth {
            ready: undelivered.saturating_sub(again) + count(&|claim| claim.is_due(now, most)),
            delayed: count(&|claim| claim.is_waiting(now)),
            taken: count(&|claim| claim.is_taken(now)),
            dead: dead + dying,
        })
    }
}

#[async_trait]
impl Queue for NatsQueue {
    async fn push(&self, job: &NewJob) -> QueueResult<Pushed> {
        let place = Place::new(&job.topic, &job.key);
        let dead = self.subject(Kind::Dead, &place);
        let (done, dead) =
            tokio::try_join!(self.is_done(&place), self.dead.get(&dead)).map_err(unavailable)?;
        if done || dead.is_some() {
            return Ok(Pushed::Known);
        }
        self.try_push(job, &place).await
    }

    async fn take(&self, topic: &str, wait: Duration) -> QueueResult<Option<Taken>> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.pull(topic, left.min(PULL_MAX)).await.map_err(unavailable)? {
                Some(message) => {
                    if let Some(taken) = self.claim(&message).await.map_err(unavailable)? {
                        return Ok(Some(taken));
                    }
                }
                None if left <= PULL_MAX => return Ok(None),
                None => {}
            }
        }
    }

    async fn ack(&self, receipt: &Receipt) -> QueueResult<()> {
        let (place, mut known) = self.own(receipt).await.map_err(unavailable)?.ok_or(QueueError::Late)?;
        // If it is done already, the last acknowledgement broke off half-way.
        known.claim.state = State::Done;
        if !self.change(&place, &mut known.sequence, &known.claim).await.map_err(unavailable)? {
            return Err(QueueError::Late);
        }
        self.finish(&place, known.claim.job, &known.claim.reply).await.map_err(unavailable)
    }

    async fn fail(&self, receipt: &Receipt, reason: &str) -> QueueResult<Fate> {
        let (place, mut known) = self.taken(receipt).await?;
        let attempts = known.claim.attempts;
        if attempts >= self.policy.attempts_max {
            return self.give_up(&place, known, reason).await;
        }
        let backoff = self.policy.backoff(attempts);
        known.claim.state = State::Waiting(self.clock.now().plus(backoff));
        if !self.change(&place, &mut known.sequence, &known.claim).await.map_err(unavailable)? {
            return Err(QueueError::Late);
        }
        self.delay(&known.claim.reply, backoff).await.map_err(unavailable)?;
        Ok(Fate::Again(backoff))
    }

    async fn bury(&self, receipt: &Receipt, reason: &str) -> QueueResult<Fate> {
        let (place, known) = self.taken(receipt).await?;
        self.give_up(&place, known, reason).await
    }

    async fn extend(&self, receipt: &Receipt) -> QueueResult<()> {
        let (place, mut known) = self.taken(receipt).await?;
        // NATS first: if it delivers the job in between, the claim decides.
        self.restart(&known.claim.reply).await.map_err(unavailable)?;
        known.claim.state = State::Taken(self.clock.now().plus(self.policy.visibility));
        let own = self.change(&place, &mut known.sequence, &known.claim).await.map_err(unavailable)?;
        if own { Ok(()) } else { Err(QueueError::Late) }
    }

    async fn dead(&self, topic: &str, limit: u32) -> QueueResult<Vec<DeadLetter>> {
        self.bury_exhausted(topic).await.map_err(unavailable)?;
        let subjects = Kind::Dead.topic(&self.settings.prefix, topic);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let (_, messages) = self.dead.scan(&subjects, limit).await.map_err(unavailable)?;
        messages.iter().map(|(_, message)| parse_letter(message).map_err(unavailable)).collect()
    }

    async fn replay(&self, topic: &str, keys: &[String]) -> QueueResult<u64> {
        self.bury_exhausted(topic).await.map_err(unavailable)?;
        let mut replayed = 0;
        for key in keys {
            let place = Place::new(topic, key);
            let subject = self.subject(Kind::Dead, &place);
            let Some(message) = self.dead.get(&subject).await.map_err(unavailable)? else { continue };
            let letter = parse_letter(&message.payload).map_err(unavailable)?;
            // Pushed before it is removed: if the process dies in between, the job is there twice rather than lost.
            self.try_push(&letter.job, &place).await?;
            self.dead.erase(message.sequence).await.map_err(unavailable)?;
            replayed += 1;
        }
        Ok(replayed)
    }

    async fn depth(&self, topic: &str) -> QueueResult<Depth> {
        self.depth_of(topic).await.map_err(unavailable)
    }

    async fn oldest(&self, topic: &str) -> QueueResult<Option<Time>> {
        self.jobs.first(&Kind::Jobs.topic(&self.settings.prefix, topic)).await.map_err(unavailable)
    }
}

fn unavailable(source: Source) -> QueueError {
    QueueError::Unavailable(source)
}
