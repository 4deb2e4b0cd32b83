//! Problems: each rule, their order, and since when they are there.

#![allow(clippy::unwrap_used)]

use super::*;

impl Problems {
    /// One second passes, and somebody asks.
    fn judge(&mut self, facts: &Facts) -> Vec<Problem> {
        self.remember(facts);
        self.found(facts)
    }
}

fn pool(name: &str) -> PoolFacts {
    PoolFacts {
        name: name.into(),
        is_needed: true,
        usable: 2,
        panic: None,
        breaker: None,
        waiting: 0,
        discovery: None,
        recent: (0, 0),
        servers: Vec::new(),
    }
}

fn at(at: f64, pools: Vec<PoolFacts>) -> Facts {
    Facts { at, pools, ..Facts::default() }
}

fn server(state: State, breaker: Option<(CircuitState, String)>) -> ServerFacts {
    ServerFacts { id: "a".into(), state, reason: "connection refused".into(), since: 50.0, breaker }
}

/// Severity and text of each.
fn check(facts: &Facts, expected: &[(&str, &str)]) {
    let found = Problems::default().judge(facts);
    let found: Vec<_> = found.iter().map(|it| (it.severity, it.what.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_process_without_problems_has_none() {
    let fine = PoolFacts { recent: (1_000, 10), ..pool("app") };
    check(&at(100.0, vec![fine]), &[]);
}

#[test]
fn pools_without_servers_come_before_servers_that_are_down() {
    let down = PoolFacts { servers: vec![server(State::Down, None)], ..pool("app") };
    let gone = PoolFacts { usable: 0, ..pool("db") };
    let parents = PoolFacts { usable: 0, is_needed: false, ..pool("parents") };
    check(
        &at(100.0, vec![down, gone, parents]),
        &[
            ("critical", "pool db has no usable server"),
            ("warning", "server a of pool app is down: connection refused"),
            ("warning", "pool parents has no usable server; routes do without it"),
        ],
    );
}

#[test]
fn what_an_operator_or_a_role_explains_is_no_problem() {
    for state in [State::Up, State::Starting, State::Draining, State::Unfit] {
        check(&at(100.0, vec![PoolFacts { servers: vec![server(state, None)], ..pool("app") }]), &[]);
    }
}

#[test]
fn circuit_breakers_say_whose_they_are_and_why() {
    let why = "5 of 10 requests failed".to_owned();
    let open = PoolFacts { breaker: Some((CircuitState::Open, why.clone())), ..pool("app") };
    let half = PoolFacts { breaker: Some((CircuitState::HalfOpen, String::new())), ..pool("b") };
    let of_server =
        PoolFacts { servers: vec![server(State::Up, Some((CircuitState::Open, why)))], ..pool("c") };
    check(
        &at(100.0, vec![open, half, of_server]),
        &[
            ("critical", "the circuit breaker of pool app is open: 5 of 10 requests failed"),
            ("warning", "the circuit breaker of pool b is half open"),
            ("warning", "the circuit breaker of server a of pool c is open: 5 of 10 requests failed"),
        ],
    );
}

#[test]
fn more_than_one_request_in_a_hundred_that_fails_is_a_problem() {
    let with = |requests, failed| at(100.0, vec![PoolFacts { recent: (requests, failed), ..pool("app") }]);
    check(&with(100, 1), &[]);
    check(&with(0, 0), &[]);
    let what = "2.0 % of the requests of pool app fail: 2 of 100 in the last 10 s";
    check(&with(100, 2), &[("warning", what)]);
    let what = "5.0 % of the requests of pool app fail: 5 of 100 in the last 10 s";
    check(&with(100, 5), &[("critical", what)]);
}

#[test]
fn the_process_itself_may_be_in_trouble() {
    let facts = Facts {
        overload: vec![("memory", "close"), ("delay", "shed_low")],
        reload: Some((77.0, Severity::Warning, "the configuration was not reloaded".into())),
        certificates: vec![CertificateFacts {
            listener: "web".into(),
            cert: "a.pem".into(),
            days_left: 2,
            warning: "the certificate expires in 2 days".into(),
        }],
        stale_files: vec![StaleFiles {
            listener: Some("web".into()),
            pool: None,
            what: "listener web: a.key holds no private key".into(),
            since: 50.0,
        }],
        log_dropped: 9,
        ..at(100.0, Vec::new())
    };
    check(
        &facts,
        &[
            ("critical", "the process is overloaded by delay: shed_low"),
            ("critical", "listener web: the certificate expires in 2 days (a.pem)"),
            ("warning", "the process is overloaded by memory: close"),
            ("warning", "the configuration was not reloaded"),
            ("warning", "listener web: a.key holds no private key"),
            ("warning", "the access log has lost 9 lines in the last 10 s"),
        ],
    );
}

#[test]
fn a_problem_is_as_old_as_its_first_second_or_as_the_state_that_it_is_about() {
    let mut problems = Problems::default();
    let facts = |at| {
        let servers = vec![server(State::Ejected, None)];
        Facts { at, pools: vec![PoolFacts { usable: 0, servers, ..pool("app") }], ..Facts::default() }
    };
    let since = |found: Vec<Problem>| found.into_iter().map(|problem| problem.since).collect::<Vec<_>>();
    assert_eq!(since(problems.judge(&facts(100.0))), [100.0, 50.0]);
    assert_eq!(since(problems.judge(&facts(101.0))), [100.0, 50.0]);
    assert!(problems.judge(&at(102.0, vec![pool("app")])).is_empty());
    assert_eq!(since(problems.judge(&facts(103.0))), [103.0, 50.0]);
}

#[test]
fn a_queue_is_a_problem_once_it_has_not_been_empty_for_seconds() {
    let mut problems = Problems::default();
    let mut second = |at, waiting| {
        let found = problems.judge(&Facts {
            at,
            pools: vec![PoolFacts { waiting, ..pool("app") }],
            ..Facts::default()
        });
        found.first().map(|problem| problem.what.clone())
    };
    for (at, waiting) in [(1.0, 3), (2.0, 0), (3.0, 1), (4.0, 2), (5.0, 3), (6.0, 4)] {
        assert_eq!(second(at, waiting), None, "{at}");
    }
    assert_eq!(second(7.0, 9).as_deref(), Some("pool app has 9 queued requests; 4 s ago it had 1"));
    assert_eq!(second(8.0, 0), None);
}

#[test]
fn the_list_is_bounded_and_says_how_many_more_there_are() {
    let pools = (0..150).map(|number| PoolFacts { usable: 0, ..pool(&format!("p{number}")) }).collect();
    let found = Problems::default().judge(&at(1.0, pools));
    assert_eq!(found.len(), PROBLEMS_MAX);
    assert_eq!(found.last().unwrap().what, "51 more problems are not listed");
}
