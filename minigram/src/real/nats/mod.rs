//! The queue on NATS JetStream: a work-queue stream that hands jobs out, and a claim for each job that was handed out.
//!
//! NATS alone would accept the answer of a worker that is too late, and it forgets keys after a fixed time. So there are
//! four streams, each with one message for a job at most:
//!
//! - `jobs` has jobs until they are done. A job is pushed only if its subject is empty. A consumer for each topic hands
//!   them out, and again when the visibility is over.
//! - `claims` says what became of a job that was handed out: who has it until when, after how many attempts. It is
//!   changed only from a state that the caller knows, which decides between workers.
//! - `done` has the keys of jobs that are done, for as long as the policy remembers them.
//! - `dead` has dead letters.
//!
//! What takes several steps is begun in the claim, and goes on with the next delivery of the job if the process dies.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, ConnectOptions};

use crate::clock::Clock;
use crate::ports::Source;
use crate::ports::queue::{Policy, QueueError, QueueResult};
use names::{Kind, Place, token};
use table::{Shape, Table};

mod claims;
mod names;
mod port;
mod records;
mod table;

/// How long a claim is kept that nothing changes: much longer than any job waits or is worked on. A claim that a
/// process left behind when it died goes then.
const CLAIM_AGE_MIN: Duration = Duration::from_secs(86_400);

/// How much longer than the policy says NATS keeps the key of a job that is done. The policy's end stands in the message.
const DONE_EXTRA: Duration = Duration::from_secs(1);

/// Dead letters at most. When they are as many, jobs that should become one stay jobs.
const DEAD_MAX: u64 = 1_000_000;

/// Which NATS, and how the queue uses it.
#[derive(Debug, Clone)]
pub struct NatsSettings {
    /// `nats://[USER:PASSWORD@]HOST:PORT`, several separated by commas.
    pub url: String,
    /// What streams and subjects begin with.
    pub prefix: String,
    /// On how many servers each stream is kept: 1, 3 or 5.
    pub replicas: usize,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub response_timeout: Duration,
}

impl NatsSettings {
    /// Settings for the NATS at `url`, with all else as usual.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            prefix: "minigram".to_owned(),
            replicas: 1,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
        }
    }
}

/// The queue of all servers.
#[derive(Debug)]
pub struct NatsQueue {
    client: Client,
    settings: NatsSettings,
    policy: Policy,
    clock: Clock,
    jobs: Table,
    claims: Table,
    done: Table,
    dead: Table,
    /// By topic. There are as many as the workers know.
    consumers: Mutex<HashMap<String, PullConsumer>>,
}

impl NatsQueue {
    /// Connects, and makes the streams if need be. The connection comes back by itself when it breaks.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn connect(settings: &NatsSettings, policy: Policy) -> QueueResult<Self> {
        Self::open(settings, policy).await.map_err(QueueError::Unavailable)
    }

    async fn open(settings: &NatsSettings, policy: Policy) -> Result<Self, Source> {
        let client = ConnectOptions::new()
            .connection_timeout(settings.connect_timeout)
            .request_timeout(Some(settings.response_timeout))
            .ping_interval(Duration::from_secs(2))
            .reconnect_delay_callback(reconnect_delay)
            .connect(addresses(&settings.url)?)
            .await?;
        let context = ContextBuilder::new()
            .timeout(settings.response_timeout)
            .ack_timeout(settings.response_timeout)
            .build(client.clone());
        let claim_age = (10 * (policy.visibility + policy.backoff_max)).max(CLAIM_AGE_MIN);
        let shape = |kind, messages_max, age_max| Shape { kind, messages_max, age_max };
        let jobs = shape(Kind::Jobs, Some(policy.jobs_max), Duration::ZERO);
        let done = shape(Kind::Done, None, policy.remembered + DONE_EXTRA);
        let dead = shape(Kind::Dead, Some(DEAD_MAX), Duration::ZERO);
        Ok(Self {
            jobs: Table::open(&context, settings, jobs).await?,
            claims: Table::open(&context, settings, shape(Kind::Claims, None, claim_age)).await?,
            done: Table::open(&context, settings, done).await?,
            dead: Table::open(&context, settings, dead).await?,
            client,
            settings: settings.clone(),
            policy,
            clock: Clock::System,
            consumers: Mutex::default(),
        })
    }

    /// The consumer of a topic; made if need be.
    async fn consumer(&self, topic: &str) -> Result<PullConsumer, Source> {
        let known = self.known_consumers().get(topic).cloned();
        if let Some(consumer) = known {
            return Ok(consumer);
        }
        let config = pull::Config {
            durable_name: Some(token(topic)),
            filter_subject: Kind::Jobs.topic(&self.settings.prefix, topic),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.policy.visibility,
            max_deliver: -1,
            max_ack_pending: i64::try_from(self.policy.jobs_max).unwrap_or(i64::MAX),
            ..pull::Config::default()
        };
        let consumer = self.jobs.stream().create_consumer(config).await?;
        self.known_consumers().insert(topic.to_owned(), consumer.clone());
        Ok(consumer)
    }

    fn known_consumers(&self) -> std::sync::MutexGuard<'_, HashMap<String, PullConsumer>> {
        self.consumers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subject(&self, kind: Kind, place: &Place) -> String {
        kind.subject(&self.settings.prefix, place)
    }
}

/// How long to wait before connecting again.
fn reconnect_delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1).min(5)).unwrap_or(5);
    Duration::from_millis(20 * (1 << doublings))
}

fn addresses(url: &str) -> Result<Vec<async_nats::ServerAddr>, Source> {
    url.split(',').map(|part| Ok(part.trim().parse()?)).collect()
}
