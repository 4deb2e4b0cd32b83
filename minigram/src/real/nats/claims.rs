//! Who has a job: the steps of a claim.

use std::time::Duration;

use async_nats::jetstream::Message;
use bytes::Bytes;

use super::NatsQueue;
use super::names::{Kind, Place};
use super::records::{Claim, State, bounded_reason, letter_to_bytes, parse_job};
use super::table::Put;
use crate::clock::Time;
use crate::ports::Source;
use crate::ports::queue::{DeadLetter, NewJob, Receipt, Taken};

const NO_ANSWER: &str = "the worker neither finished nor failed in time";

/// How many claims are looked at for the depth, at most.
const CLAIMS_MAX: usize = 1_000_000;

/// A claim, and the sequence of its message: 0 if there is none yet.
pub(super) struct Known {
    pub(super) claim: Claim,
    pub(super) sequence: u64,
}

/// A job as NATS delivered it.
struct Delivered {
    job: NewJob,
    place: Place,
    sequence: u64,
    reply: String,
    /// From 1.
    deliveries: i64,
}

impl NatsQueue {
    /// Takes a job that NATS has delivered; `None` if it is not for this worker, or not now.
    pub(super) async fn claim(&self, message: &Message) -> Result<Option<Taken>, Source> {
        let delivered = Delivered::read(message)?;
        let (place, now) = (&delivered.place, self.clock.now());
        let (known, done) = tokio::try_join!(self.known(place), self.is_done(place))?;
        let (known, mut last) = match known {
            Some(known) if known.claim.job == delivered.sequence => (Some(known.claim), known.sequence),
            // Of an earlier job with this key.
            Some(known) => (None, known.sequence),
            None => (None, 0),
        };
        if done {
            // Pushed in the moment between the end of another job with this key and the note of it.
            self.finish(place, delivered.sequence, &delivered.reply).await?;
            return Ok(None);
        }
        let attempts = match known {
            // It is done, and its claim removed, since NATS delivered it.
            None if delivered.deliveries > 1 && !self.jobs.has(delivered.sequence).await? => return Ok(None),
            None => 0,
            Some(claim) if claim.state == State::Done => {
                self.finish(place, delivered.sequence, &delivered.reply).await?;
                return Ok(None);
            }
            Some(claim) if matches!(claim.state, State::Dead { .. }) => {
                self.move_to_dead(place, &claim, delivered.job).await?;
                return Ok(None);
            }
            Some(claim) if claim.blocked(now) > Duration::ZERO => {
                // NATS restarted, or its time for the job began earlier than the worker's.
                self.delay(&delivered.reply, claim.blocked(now)).await?;
                return Ok(None);
            }
            Some(claim) if claim.is_exhausted(now, self.policy.attempts_max) => {
                let known = Known { claim, sequence: last };
                self.make_dead(place, known, NO_ANSWER, Some(delivered.job)).await?;
                return Ok(None);
            }
            Some(claim) => claim.attempts,
        };
        let claim = Claim {
            job: delivered.sequence,
            reply: delivered.reply,
            attempts: attempts + 1,
            state: State::Taken(now.plus(self.policy.visibility)),
        };
        let attempt = claim.attempts;
        if !self.change(place, &mut last, &claim).await? {
            // Another worker has it. NATS delivers it again when its time is over.
            return Ok(None);
        }
        let receipt = Receipt {
            job: format!("{}/{}", place.to_text(), delivered.sequence),
            delivery: u64::from(attempt),
        };
        Ok(Some(Taken { receipt, job: delivered.job, attempt }))
    }

    /// The claim on a job.
    async fn known(&self, place: &Place) -> Result<Option<Known>, Source> {
        let Some(message) = self.claims.get(&self.subject(Kind::Claims, place)).await? else {
            return Ok(None);
        };
        Ok(Some(Known { claim: Claim::parse(&message.payload)?, sequence: message.sequence }))
    }

    /// Whether a job with this key is done, and its key remembered.
    pub(super) async fn is_done(&self, place: &Place) -> Result<bool, Source> {
        let Some(message) = self.done.get(&self.subject(Kind::Done, place)).await? else { return Ok(false) };
        let until: Time = serde_json::from_slice(&message.payload)?;
        Ok(self.clock.now() < until)
    }

    /// The claim of the worker that has this receipt, or has begun to acknowledge it; `None` if it is too late.
    pub(super) async fn own(&self, receipt: &Receipt) -> Result<Option<(Place, Known)>, Source> {
        let parts = receipt.job.split_once('/');
        let parts = parts.and_then(|(place, job)| Some((Place::parse(place)?, job.parse::<u64>().ok()?)));
        let Some((place, job)) = parts else { return Ok(None) };
        let own = |known: &Known| {
            known.claim.job == job
                && u64::from(known.claim.attempts) == receipt.delivery
                && matches!(known.claim.state, State::Taken(_) | State::Done)
        };
        Ok(self.known(&place).await?.filter(own).map(|known| (place, known)))
    }

    /// Changes a claim, whose message has the sequence `last`. False if it has changed since.
    pub(super) async fn change(&self, place: &Place, last: &mut u64, claim: &Claim) -> Result<bool, Source> {
        match self.claims.put(&self.subject(Kind::Claims, place), claim.to_bytes()?, *last).await? {
            Put::Kept(sequence) => {
                *last = sequence;
                Ok(true)
            }
            Put::Conflict => Ok(false),
            Put::Full => Err("the stream of claims is full".into()),
        }
    }

    /// Removes a job that is done, and remembers its key.
    pub(super) async fn finish(&self, place: &Place, job: u64, reply: &str) -> Result<(), Source> {
        let until = self.clock.now().plus(self.policy.remembered);
        let until = Bytes::from(serde_json::to_vec(&until)?);
        self.done.replace(&self.subject(Kind::Done, place), until).await?;
        self.settle(place, job, reply).await
    }

    /// Makes a dead letter of a job. False if the claim has changed since.
    pub(super) async fn make_dead(
        &self,
        place: &Place,
        mut known: Known,
        reason: &str,
        job: Option<NewJob>,
    ) -> Result<bool, Source> {
        known.claim.state = State::Dead { reason: bounded_reason(reason), died: self.clock.now() };
        if !self.change(place, &mut known.sequence, &known.claim).await? {
            return Ok(false);
        }
        let job = match job {
            Some(job) => job,
            None => parse_job(&self.jobs.stream().get_raw_message(known.claim.job).await?.payload)?,
        };
        self.move_to_dead(place, &known.claim, job).await?;
        Ok(true)
    }

    async fn move_to_dead(&self, place: &Place, claim: &Claim, job: NewJob) -> Result<(), Source> {
        let State::Dead { reason, died } = &claim.state else { return Ok(()) };
        let letter = DeadLetter { job, attempts: claim.attempts, reason: reason.clone(), died: *died };
        let put = self.dead.replace(&self.subject(Kind::Dead, place), letter_to_bytes(&letter)?).await?;
        if put == Put::Full {
            return Err("there are as many dead letters as may be".into());
        }
        self.settle(place, claim.job, &claim.reply).await
    }

    /// Removes a job, and then its claim: a worker that finds no claim looks whether there is a job.
    async fn settle(&self, place: &Place, job: u64, reply: &str) -> Result<(), Source> {
        // Before the acknowledgement, which alone would let a crash bring the job back, never to be delivered.
        self.jobs.erase(job).await?;
        self.client.request(reply.to_owned(), "+ACK".into()).await?;
        match self.known(place).await? {
            Some(known) if known.claim.job == job => self.claims.erase(known.sequence).await,
            _ => Ok(()),
        }
    }

    /// Lets NATS deliver the job again after `span`.
    pub(super) async fn delay(&self, reply: &str, span: Duration) -> Result<(), Source> {
        let nak = format!("-NAK {{\"delay\": {}}}", span.as_nanos());
        Ok(self.client.publish(reply.to_owned(), nak.into()).await?)
    }

    /// Lets NATS begin the visibility of the job anew.
    pub(super) async fn restart(&self, reply: &str) -> Result<(), Source> {
        Ok(self.client.publish(reply.to_owned(), "+WPI".into()).await?)
    }

    /// The claims on jobs of a topic.
    pub(super) async fn claims_of(&self, topic: &str) -> Result<Vec<Claim>, Source> {
        let subjects = Kind::Claims.topic(&self.settings.prefix, topic);
        let (_, messages) = self.claims.scan(&subjects, CLAIMS_MAX).await?;
        let (mut claims, now) = (Vec::new(), self.clock.now());
        for (sequence, message) in messages {
            let claim = Claim::parse(&message)?;
            // A crash of the server brings claims back on jobs that are gone.
            if claim.blocked(now) == Duration::ZERO && !self.jobs.has(claim.job).await? {
                self.claims.erase(sequence).await?;
            } else {
                claims.push(claim);
            }
        }
        Ok(claims)
    }

    /// Makes dead letters of jobs whose last worker did not answer.
    pub(super) async fn bury_exhausted(&self, topic: &str) -> Result<(), Source> {
        let now = self.clock.now();
        for claim in self.claims_of(topic).await? {
            if claim.is_exhausted(now, self.policy.attempts_max) {
                self.bury_one(&claim).await?;
            }
        }
        Ok(())
    }

    async fn bury_one(&self, exhausted: &Claim) -> Result<(), Source> {
        let job = parse_job(&self.jobs.stream().get_raw_message(exhausted.job).await?.payload)?;
        let place = Place::new(&job.topic, &job.key);
        if let Some(known) = self.known(&place).await?.filter(|known| known.claim == *exhausted) {
            // If the claim has changed since, its worker answered at the last moment.
            self.make_dead(&place, known, NO_ANSWER, Some(job)).await?;
        }
        Ok(())
    }
}

impl Delivered {
    fn read(message: &Message) -> Result<Self, Source> {
        let job = parse_job(&message.payload)?;
        let info = message.info()?;
        let (sequence, deliveries) = (info.stream_sequence, info.delivered);
        let reply = message.reply.as_ref().ok_or("NATS delivered a job without a reply subject")?;
        let place = Place::new(&job.topic, &job.key);
        Ok(Self { place, sequence, reply: reply.to_string(), deliveries, job })
    }
}
