//! Asks name servers, by `hickory-resolver`; an answer that is truncated is asked for again over TCP by it.

use std::collections::HashMap;
use std::time::Duration;

use evenkeel_config::Resolver as Settings;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use tokio::task::JoinSet;

use crate::answer::{Answer, Question, QuestionKind, Records, Service};
use crate::names::Answers;

/// Questions that are asked at the same time for one pool.
const QUESTIONS_MAX: usize = 16;

/// The longest that one question may take, whatever the number of name servers and attempts.
const QUESTION_MAX: Duration = Duration::from_secs(60);

/// What asks.
#[derive(Clone)]
pub(crate) struct Resolver {
    resolver: TokioResolver,
    question_max: Duration,
    /// It goes by `/etc/resolv.conf`, which may change.
    pub(crate) is_of_system: bool,
}

impl Resolver {
    /// One for these settings. Reads `/etc/resolv.conf` if they name no servers, and `/etc/hosts`.
    ///
    /// # Errors
    /// `/etc/resolv.conf` cannot be read.
    pub(crate) fn new(settings: &Settings) -> Result<Self, String> {
        let is_of_system = settings.servers.is_empty();
        let mut builder = if is_of_system {
            TokioResolver::builder_tokio()
                .map_err(|error| format!("cannot read /etc/resolv.conf: {error}"))?
        } else {
            let servers = settings.servers.iter().map(|server| {
                let mut named = NameServerConfig::udp_and_tcp(server.0.ip());
                named.connections.iter_mut().for_each(|connection| connection.port = server.0.port());
                named
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options: &mut ResolverOpts = builder.options_mut();
        options.timeout = settings.timeout;
        options.attempts = settings.attempts - 1;
        // An answer is asked for when it has run out, never sooner.
        options.cache_size = 0;
        options.edns0 = true;
        let resolver = builder.build().map_err(|error| format!("no resolver: {error}"))?;
        let tries = settings.attempts * settings.servers.len().max(3) + 1;
        let question_max = settings.timeout.saturating_mul(u32::try_from(tries).unwrap_or(u32::MAX));
        Ok(Self { resolver, question_max: question_max.min(QUESTION_MAX), is_of_system })
    }

    /// Asks all of these questions, a few at a time.
    pub(crate) async fn ask(&self, questions: Vec<Question>) -> Answers {
        let mut answers = HashMap::with_capacity(questions.len());
        let (mut waiting, mut asked) = (questions.into_iter(), JoinSet::new());
        loop {
            while asked.len() < QUESTIONS_MAX
                && let Some(question) = waiting.next()
            {
                let resolver = self.clone();
                asked.spawn(async move {
                    let answer = resolver.answer(&question).await;
                    (question, answer)
                });
            }
            match asked.join_next().await {
                Some(Ok((question, answer))) => drop(answers.insert(question, answer)),
                // It panicked, and has said so; the question counts as not answered.
                Some(Err(_)) => {}
                None => return answers,
            }
        }
    }

    async fn answer(&self, question: &Question) -> Answer {
        let kind = match question.kind {
            QuestionKind::A => RecordType::A,
            QuestionKind::Aaaa => RecordType::AAAA,
            QuestionKind::Srv => RecordType::SRV,
        };
        let lookup = self.resolver.lookup(question.name.as_str(), kind);
        match tokio::time::timeout(self.question_max, lookup).await {
            Err(_) => Answer::Failed("no answer in time".into()),
            Ok(Ok(lookup)) => records(question.kind, lookup.answers()),
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(none)))) => match none.response_code {
                ResponseCode::NXDomain => Answer::NoName,
                ResponseCode::NoError => Answer::NoRecords,
                code => Answer::Failed(refusal(code)),
            },
            Ok(Err(NetError::Dns(DnsError::ResponseCode(code)))) => Answer::Failed(refusal(code)),
            Ok(Err(NetError::Timeout)) => Answer::Failed("no answer in time".into()),
            Ok(Err(error)) => Answer::Failed(error.to_string()),
        }
    }
}

fn refusal(code: ResponseCode) -> String {
    match code {
        ResponseCode::ServFail => "the name server failed (SERVFAIL)".into(),
        ResponseCode::Refused => "the name server refused to answer (REFUSED)".into(),
        code => format!("the name server answered: {code}"),
    }
}

/// What the records of an answer say. Aliases (CNAME) that led to them shorten the TTL.
fn records(kind: QuestionKind, answers: &[Record]) -> Answer {
    let (mut addresses, mut services) = (Vec::new(), Vec::new());
    for record in answers {
        match (&record.data, kind) {
            (RData::A(address), QuestionKind::A) => addresses.push(address.0.into()),
            (RData::AAAA(address), QuestionKind::Aaaa) => addresses.push(address.0.into()),
            (RData::SRV(service), QuestionKind::Srv) => services.push(Service {
                priority: service.priority,
                weight: service.weight,
                port: service.port,
                target: service.target.to_ascii().to_ascii_lowercase(),
            }),
            _ => {}
        }
    }
    if addresses.is_empty() && services.is_empty() {
        return Answer::NoRecords;
    }
    let ttl = answers.iter().map(|record| record.ttl).min().unwrap_or_default();
    let records = match kind {
        QuestionKind::A | QuestionKind::Aaaa => Records::Addresses(addresses),
        QuestionKind::Srv => Records::Services(services),
    };
    Answer::Records { records, ttl: Duration::from_secs(ttl.into()) }
}
