//! Answers of the DNS and the servers that follow from them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn question(name: &str, kind: QuestionKind) -> Question {
    Question { name: name.into(), kind }
}

fn addresses(ips: &[&str], ttl_s: u64) -> Answer {
    let ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
    Answer::Records { records: Records::Addresses(ips), ttl: Duration::from_secs(ttl_s) }
}

fn services(services: &[(&str, u16, u16, u16)], ttl_s: u64) -> Answer {
    let service = |&(target, port, priority, weight): &(&str, u16, u16, u16)| Service {
        priority,
        weight,
        port,
        target: target.into(),
    };
    let records = Records::Services(services.iter().map(service).collect());
    Answer::Records { records, ttl: Duration::from_secs(ttl_s) }
}

fn failed() -> Answer {
    Answer::Failed("SERVFAIL".into())
}

fn dns() -> Names {
    Names::new(Discover::Dns { name: "api".into(), port: 80 })
}

fn round(a: Answer, aaaa: Answer) -> Answers {
    [(question("api", QuestionKind::A), a), (question("api", QuestionKind::Aaaa), aaaa)].into()
}

fn ids(found: &Found) -> Vec<&str> {
    found.servers.iter().map(|server| server.id.as_str()).collect()
}

#[test]
fn each_address_of_a_name_is_a_server() {
    let mut names = dns();
    assert_eq!(names.first().len(), 2);
    let answers = round(addresses(&["10.0.0.2", "10.0.0.1"], 30), addresses(&["fd00::1"], 20));
    assert!(names.then(&answers).is_empty());
    let found = names.conclude(answers).unwrap();
    assert_eq!(ids(&found), ["10.0.0.1:80", "10.0.0.2:80", "[fd00::1]:80"]);
    assert_eq!((found.ttl, found.fault), (Some(Duration::from_secs(20)), None));
}

#[test]
fn a_family_without_records_is_no_fault() {
    let found = dns().conclude(round(addresses(&["10.0.0.1"], 30), Answer::NoRecords)).unwrap();
    assert_eq!((ids(&found), found.fault.clone()), (vec!["10.0.0.1:80"], None));
}

#[test]
fn a_family_that_is_not_answered_stays_as_it_was() {
    let mut names = dns();
    names.conclude(round(addresses(&["10.0.0.1"], 30), addresses(&["fd00::1"], 30))).unwrap();
    let found = names.conclude(round(addresses(&["10.0.0.2"], 30), failed())).unwrap();
    assert_eq!(ids(&found), ["10.0.0.2:80", "[fd00::1]:80"]);
    assert_eq!(found.fault.as_deref(), Some("AAAA api: SERVFAIL"));
    let found = names.conclude(round(failed(), Answer::NoRecords)).unwrap();
    assert_eq!(ids(&found), ["10.0.0.2:80"], "IPv6 was said to be gone, IPv4 was not answered");
    let found = names.conclude(round(failed(), failed())).unwrap();
    assert_eq!(ids(&found), ["10.0.0.2:80"], "what was said to be gone does not come back");
}

#[test]
fn without_any_address_there_is_a_reason_and_nothing_is_forgotten() {
    let mut names = dns();
    assert_eq!(
        names.conclude(round(Answer::NoName, Answer::NoName)),
        Err("api: the name does not exist".into())
    );
    assert_eq!(names.conclude(round(Answer::NoRecords, Answer::NoRecords)), Err("api: no addresses".into()));
    assert_eq!(names.conclude(round(failed(), failed())), Err("A api: SERVFAIL".into()));
    let unusable = names.conclude(round(addresses(&["0.0.0.0"], 1), Answer::NoRecords));
    assert_eq!(unusable, Err("api has no usable address".into()));
    names.conclude(round(addresses(&["10.0.0.1"], 30), Answer::NoRecords)).unwrap();
    names.conclude(round(Answer::NoName, Answer::NoName)).unwrap_err();
    assert_eq!(ids(&names.conclude(round(failed(), failed())).unwrap()), ["10.0.0.1:80"]);
}

#[test]
fn a_service_is_the_addresses_of_its_hosts() {
    let mut names = Names::new(Discover::Srv("_http._tcp.api".into()));
    let srv = question("_http._tcp.api", QuestionKind::Srv);
    let mut answers: Answers =
        [(srv.clone(), services(&[("a.", 80, 1, 2), ("b.", 81, 1, 3), ("c.", 80, 2, 0)], 60))].into();
    let then = names.then(&answers);
    assert_eq!(then.len(), 6);
    answers.extend(then.into_iter().map(|question| {
        let answer = match (question.name.as_str(), question.kind) {
            ("a.", QuestionKind::A) => addresses(&["10.0.0.1", "10.0.0.2"], 40),
            ("c.", QuestionKind::A) => addresses(&["10.0.0.3"], 50),
            _ => Answer::NoRecords,
        };
        (question, answer)
    }));
    let found = names.conclude(answers).unwrap();
    let seen: Vec<_> = found.servers.iter().map(|s| (s.id.as_str(), s.weight, s.backup)).collect();
    assert_eq!(seen, [("10.0.0.1:80", 2, false), ("10.0.0.2:80", 2, false), ("10.0.0.3:80", 1, true)]);
    assert_eq!(found.ttl, Some(Duration::from_secs(40)));
    assert_eq!(found.fault.as_deref(), Some("b.: no addresses"));

    // Without an answer for the service itself, the hosts that are known are asked for.
    let mut answers: Answers = [(srv.clone(), failed())].into();
    let then = names.then(&answers);
    assert_eq!(then.len(), 6);
    answers.extend(then.into_iter().map(|question| (question, failed())));
    let found = names.conclude(answers).unwrap();
    assert_eq!(ids(&found), ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
    assert_eq!(found.fault.as_deref(), Some("SRV _http._tcp.api: SERVFAIL"));

    for (answer, why) in [
        (services(&[(".", 0, 0, 0)], 60), "the service is not offered"),
        (Answer::NoName, "the name does not exist"),
        (Answer::NoRecords, "no records"),
    ] {
        let answers: Answers = [(srv.clone(), answer)].into();
        assert!(names.then(&answers).is_empty());
        assert!(names.conclude(answers).unwrap_err().ends_with(why));
    }
}

#[test]
fn the_hosts_of_a_service_are_bounded() {
    let names = Names::new(Discover::Srv("s".into()));
    let hosts: Vec<String> = (0..2_000).map(|i| format!("h{i}.")).collect();
    let records: Vec<_> = hosts.iter().map(|host| (host.as_str(), 80, 1, 1)).collect();
    let answers: Answers = [(question("s", QuestionKind::Srv), services(&records, 60))].into();
    assert_eq!(names.then(&answers).len(), 2 * TARGETS_MAX);
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let some = (prop::collection::vec(0u8..6, 1..4), 0u64..100).prop_map(|(hosts, ttl)| {
        let ips: Vec<String> = hosts.iter().map(|host| format!("10.0.0.{host}")).collect();
        addresses(&ips.iter().map(String::as_str).collect::<Vec<_>>(), ttl)
    });
    prop_oneof![some, Just(Answer::NoName), Just(Answer::NoRecords), Just(failed())]
}

proptest! {
    /// A server is one that some answer has named; and once there are servers, they go only when an answer names others.
    #[test]
    fn servers_are_never_invented_and_never_lost_by_silence(rounds in prop::collection::vec((any_answer(), any_answer()), 1..12)) {
        let mut names = dns();
        let mut named = BTreeSet::new();
        let mut last: Option<Vec<String>> = None;
        for (a, aaaa) in rounds {
            for answer in [&a, &aaaa] {
                if let Answer::Records { records: Records::Addresses(ips), .. } = answer {
                    named.extend(ips.iter().map(|ip| format!("{ip}:80")));
                }
            }
            let is_silent = [&a, &aaaa].iter().all(|answer| matches!(answer, Answer::Failed(_)));
            match names.conclude(round(a, aaaa)) {
                Ok(found) => {
                    let ids: Vec<String> = ids(&found).into_iter().map(String::from).collect();
                    prop_assert!(!ids.is_empty());
                    prop_assert!(ids.iter().all(|id| named.contains(id)));
                    prop_assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
                    if is_silent {
                        prop_assert_eq!(Some(&ids), last.as_ref());
                        prop_assert!(found.fault.is_some());
                    }
                    last = Some(ids);
                }
                Err(why) => {
                    prop_assert!(!why.is_empty());
                    if is_silent { prop_assert!(last.is_none()); }
                }
            }
        }
    }
}
