//! What the answers of the DNS mean: which questions to ask, and which servers follow from the answers, where a question
//! that gets no answer counts as answered as it last was.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use evenkeel_config::Discover;

use crate::answer::{Answer, Question, QuestionKind, Records, Service};
use crate::discovery::Found;
use crate::servers::{Addresses, Rank};

/// Hosts of one service that are resolved, which is two questions each.
const TARGETS_MAX: usize = 512;

/// Answers to questions.
pub type Answers = HashMap<Question, Answer>;

/// The names of one pool, and the last good answer to each question about them.
#[derive(Debug, Clone)]
pub struct Names {
    source: Discover,
    known: HashMap<Question, Records>,
}

/// What the addresses of one name came to.
#[derive(Default)]
struct Addressed {
    ips: Vec<IpAddr>,
    ttl: Option<Duration>,
    fault: Option<String>,
}

impl Names {
    /// Nothing is known yet.
    pub fn new(source: Discover) -> Self {
        Self { source, known: HashMap::new() }
    }

    /// The questions to begin with; none for a file.
    pub fn first(&self) -> Vec<Question> {
        match &self.source {
            Discover::Dns { name, .. } => addresses_of(name).into(),
            Discover::Srv(name) => vec![Question { name: name.clone(), kind: QuestionKind::Srv }],
            Discover::File(_) => Vec::new(),
        }
    }

    /// The questions that follow from the first answers: the addresses of the hosts of a service.
    pub fn then(&self, answers: &Answers) -> Vec<Question> {
        let Discover::Srv(name) = &self.source else { return Vec::new() };
        let services = self.services(name, answers).map(|(services, ..)| services).unwrap_or_default();
        let mut seen = HashSet::new();
        let targets = services.into_iter().map(|service| service.target);
        let targets = targets.filter(|target| seen.insert(target.clone())).take(TARGETS_MAX);
        targets.flat_map(|target| addresses_of(&target)).collect()
    }

    /// What all answers of one round mean. What they say is remembered, unless no server follows from them.
    ///
    /// # Errors
    /// No server follows; the text says why.
    pub fn conclude(&mut self, answers: Answers) -> Result<Found, String> {
        let mut addresses = Addresses::default();
        let mut ttl: Option<Duration> = None;
        let mut fault = None;
        let mut shorten = |other: Option<Duration>| ttl = ttl.into_iter().chain(other).min();
        match &self.source {
            Discover::Dns { name, port } => {
                let addressed = self.addressed(name, &answers);
                for ip in addressed.ips {
                    addresses.add(ip, *port, Rank { priority: 0, weight: 1 });
                }
                shorten(addressed.ttl);
                fault = addressed.fault;
            }
            Discover::Srv(name) => {
                let (services, of_name, stale) = self.services(name, &answers)?;
                shorten(of_name);
                fault = stale;
                let mut by_target: HashMap<&str, Addressed> = HashMap::new();
                for Service { priority, weight, port, target } in &services {
                    let of_target =
                        by_target.entry(target).or_insert_with(|| self.addressed(target, &answers));
                    for ip in &of_target.ips {
                        addresses.add(*ip, *port, Rank { priority: *priority, weight: *weight });
                    }
                    shorten(of_target.ttl);
                    fault = fault.or_else(|| of_target.fault.clone());
                }
            }
            Discover::File(_) => {}
        }
        let (servers, left_out) = addresses.servers();
        if servers.is_empty() {
            return Err(fault.unwrap_or_else(|| format!("{} has no usable address", self.name())));
        }
        self.remember(answers);
        Ok(Found { servers, left_out, ttl, fault })
    }

    fn name(&self) -> &str {
        match &self.source {
            Discover::Dns { name, .. } | Discover::Srv(name) => name,
            Discover::File(_) => "",
        }
    }

    /// The services of a name, the TTL of a fresh answer, and what is wrong if it is not a fresh one.
    #[expect(clippy::type_complexity, reason = "used right here")]
    fn services(
        &self,
        name: &str,
        answers: &Answers,
    ) -> Result<(Vec<Service>, Option<Duration>, Option<String>), String> {
        let question = Question { name: name.into(), kind: QuestionKind::Srv };
        let offered = |services: &[Service]| {
            let is_offered = |service: &&Service| !matches!(service.target.as_str(), "" | ".");
            services.iter().filter(is_offered).cloned().collect::<Vec<_>>()
        };
        match answers.get(&question) {
            Some(Answer::Records { records: Records::Services(services), ttl }) => match offered(services) {
                none if none.is_empty() => Err(format!("{question}: the service is not offered")),
                services => Ok((services, Some(*ttl), None)),
            },
            Some(Answer::NoName) => Err(format!("{question}: the name does not exist")),
            Some(Answer::Records { .. } | Answer::NoRecords) => Err(format!("{question}: no records")),
            Some(Answer::Failed(why)) => match self.known.get(&question) {
                Some(Records::Services(services)) => {
                    Ok((offered(services), None, Some(format!("{question}: {why}"))))
                }
                _ => Err(format!("{question}: {why}")),
            },
            None => Err(format!("{question}: not asked")),
        }
    }

    /// The addresses of a name: of both families, each as it was answered, or as it last was if there is no answer.
    fn addressed(&self, name: &str, answers: &Answers) -> Addressed {
        let mut addressed = Addressed::default();
        let (mut missing, mut failed) = (None, None);
        for question in addresses_of(name) {
            match answers.get(&question) {
                Some(Answer::Records { records: Records::Addresses(ips), ttl }) => {
                    addressed.ips.extend(ips);
                    addressed.ttl = addressed.ttl.into_iter().chain([*ttl]).min();
                }
                Some(Answer::NoName) => missing = Some(format!("{name}: the name does not exist")),
                Some(Answer::Records { .. } | Answer::NoRecords) => {
                    missing = missing.or_else(|| Some(format!("{name}: no addresses")));
                }
                Some(Answer::Failed(why)) => {
                    if let Some(Records::Addresses(ips)) = self.known.get(&question) {
                        addressed.ips.extend(ips);
                    }
                    failed = failed.or_else(|| Some(format!("{question}: {why}")));
                }
                None => {}
            }
        }
        addressed.fault = failed.or(missing.filter(|_| addressed.ips.is_empty()));
        addressed
    }

    /// Keeps what was answered; what got no answer stays as it was, and what is no longer asked for is forgotten.
    fn remember(&mut self, answers: Answers) {
        self.known.retain(|question, _| matches!(answers.get(question), Some(Answer::Failed(_))));
        for (question, answer) in answers {
            if let Answer::Records { records, .. } = answer {
                self.known.insert(question, records);
            }
        }
    }
}

fn addresses_of(name: &str) -> [Question; 2] {
    [QuestionKind::A, QuestionKind::Aaaa].map(|kind| Question { name: name.into(), kind })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
