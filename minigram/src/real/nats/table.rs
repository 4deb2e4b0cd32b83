//! A stream as a table: one message for each subject, changed only by callers that know the last one.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::{Context, PublishErrorKind};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, LastRawMessageErrorKind, RawMessageErrorKind, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{self, ErrorCode};
use bytes::Bytes;
use futures_util::TryStreamExt;

use super::NatsSettings;
use super::names::Kind;
use crate::clock::Time;
use crate::ports::Source;

/// Messages that a scan fetches at once.
const BATCH: usize = 500;

/// A consumer that a scan left behind, because its process died, is removed after this time.
const SCAN_MAX: Duration = Duration::from_secs(30);

/// A stream.
#[derive(Debug, Clone)]
pub(super) struct Table {
    context: Context,
    stream: Stream,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It is kept, under this sequence.
    Kept(u64),
    /// The last message of its subject is another one than the caller knows.
    Conflict,
    /// The stream has as many messages as it may have.
    Full,
}

/// How a stream differs from others.
pub(super) struct Shape {
    pub(super) kind: Kind,
    /// Messages at most; none means as many as the jobs need.
    pub(super) messages_max: Option<u64>,
    /// How long a message is kept; zero for ever.
    pub(super) age_max: Duration,
}

impl Table {
    /// Makes the stream if need be.
    pub(super) async fn open(
        context: &Context,
        settings: &NatsSettings,
        shape: Shape,
    ) -> Result<Self, Source> {
        let queue = shape.kind == Kind::Jobs;
        let config = Config {
            name: shape.kind.stream(&settings.prefix),
            subjects: vec![shape.kind.subjects(&settings.prefix)],
            retention: if queue { RetentionPolicy::WorkQueue } else { RetentionPolicy::Limits },
            discard: if shape.messages_max.is_some() { DiscardPolicy::New } else { DiscardPolicy::Old },
            max_messages: shape.messages_max.map_or(-1, |max| i64::try_from(max).unwrap_or(i64::MAX)),
            max_messages_per_subject: 1,
            max_age: shape.age_max,
            storage: StorageType::File,
            num_replicas: settings.replicas,
            ..Config::default()
        };
        let name = config.name.clone();
        context.create_or_update_stream(config).await?;
        Ok(Self { context: context.clone(), stream: context.get_stream(name).await? })
    }

    /// The stream.
    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The last message of a subject.
    pub(super) async fn get(&self, subject: &str) -> Result<Option<StreamMessage>, Source> {
        match self.stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// When the first message of these subjects was kept.
    pub(super) async fn first(&self, subjects: &str) -> Result<Option<Time>, Source> {
        match self.stream.get_first_raw_message_by_subject(subjects, 1).await {
            Ok(message) => {
                let ms = message.time.unix_timestamp_nanos() / 1_000_000;
                Ok(Some(Time(u64::try_from(ms).unwrap_or(0))))
            }
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps a message, if the last one of its subject has this sequence; 0 means that there is none.
    pub(super) async fn put(&self, subject: &str, bytes: Bytes, last: u64) -> Result<Put, Source> {
        let message = PublishMessage::build().payload(bytes).expected_last_subject_sequence(last);
        self.send(subject, message).await
    }

    /// Keeps a message, in place of whichever is the last one of its subject.
    pub(super) async fn replace(&self, subject: &str, bytes: Bytes) -> Result<Put, Source> {
        self.send(subject, PublishMessage::build().payload(bytes)).await
    }

    async fn send(&self, subject: &str, message: PublishMessage) -> Result<Put, Source> {
        let sent = self.context.send_publish(subject.to_owned(), message).await?.await;
        match sent {
            Ok(ack) => Ok(Put::Kept(ack.sequence)),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(Put::Conflict),
            Err(error) if code(&error) == Some(ErrorCode::STREAM_STORE_FAILED) => Ok(Put::Full),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a message; nothing happens if it is gone.
    ///
    /// It is overwritten in its file. Other removals are noted in memory first: a server of version 2.9 that crashes within
    /// two minutes of them brings the message back.
    pub(super) async fn erase(&self, sequence: u64) -> Result<(), Source> {
        match self.stream.delete_message(sequence).await {
            Ok(_) => Ok(()),
            Err(_) if !self.has(sequence).await? => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether there is a message with this sequence.
    pub(super) async fn has(&self, sequence: u64) -> Result<bool, Source> {
        match self.stream.get_raw_message(sequence).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// How many messages these subjects have.
    pub(super) async fn count(&self, subjects: &str) -> Result<u64, Source> {
        Ok(self.scan(subjects, 0).await?.0)
    }

    /// How many messages these subjects have, and so many of them, oldest first, each with its sequence.
    pub(super) async fn scan(
        &self,
        subjects: &str,
        limit: usize,
    ) -> Result<(u64, Vec<(u64, Bytes)>), Source> {
        let config = pull::Config {
            filter_subject: subjects.to_owned(),
            ack_policy: AckPolicy::None,
            inactive_threshold: SCAN_MAX,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = self.stream.create_consumer(config).await?;
        let found = consumer.cached_info().num_pending;
        let wanted = usize::try_from(found).unwrap_or(usize::MAX).min(limit);
        let mut messages = Vec::new();
        while messages.len() < wanted {
            let batch = consumer.fetch().max_messages(BATCH.min(wanted - messages.len())).messages().await?;
            let batch: Vec<_> = batch.try_collect().await?;
            if batch.is_empty() {
                break;
            }
            for message in batch {
                let sequence = message.info()?.stream_sequence;
                messages.push((sequence, message.message.payload));
            }
        }
        // If this fails, the server removes it after `SCAN_MAX`.
        drop(self.stream.delete_consumer(&consumer.cached_info().name).await);
        Ok((found, messages))
    }
}

/// The number by which the server names the error.
fn code(error: &(dyn std::error::Error + 'static)) -> Option<ErrorCode> {
    let source = error.source()?;
    source.downcast_ref::<jetstream::Error>().map(jetstream::Error::error_code).or_else(|| code(source))
}
