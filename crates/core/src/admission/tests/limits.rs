//! Limits, circuit breakers and the queue.

use super::*;
use crate::breaker::{CircuitState, Full, Want};
use crate::choose::Why;

const ONE_EACH: &str = "[{ address = 5001, max_connections = 1 }, { address = 5002, max_connections = 1 }]";

fn queue(notices: &[Notice]) -> Vec<QueueNotice> {
    notices.iter().filter_map(|it| if let Notice::Queue(it) = it { Some(*it) } else { None }).collect()
}

#[test]
fn a_full_pool_without_a_queue_refuses() {
    let scene = Scene::new("[5001]", "breaker = { max_requests = 1 }", "");
    let (mut one, mut two) = (scene.request(), scene.request());
    scene.sent(&mut one, 0);
    let Step::Refuse(refusal) = scene.poll(&mut two, 0) else { panic!("it was not refused") };
    assert_eq!(refusal, Refusal::Full(Full::Requests));
    assert_eq!(refusal.to_string(), "breaker.max_requests is reached");
    assert_eq!(scene.notices(), [Notice::Refused(RefusedBy::Full(Full::Requests))]);
    assert_eq!(scene.in_pool(), (1, 0, 0));
}

#[test]
fn servers_that_are_full_are_passed_over_and_then_refuse() {
    let scene = Scene::new(ONE_EACH, "", "");
    let mut requests = [(); 3].map(|()| scene.request());
    let mut servers = [scene.sent(&mut requests[0], 0).1, scene.sent(&mut requests[1], 0).1];
    servers.sort_unstable();
    assert_eq!(servers, [0, 1]);
    assert_eq!(scene.poll(&mut requests[2], 0), Step::Refuse(Refusal::Full(Full::Servers)));
}

#[test]
fn a_request_in_the_queue_gets_the_permit_that_another_gives_back() {
    let scene = Scene::new("[5001]", "breaker = { max_requests = 1 }\nqueue = { wait = \"1s\" }", "");
    let (mut one, mut two) = (scene.request(), scene.request());
    scene.sent(&mut one, 0);
    let until = Time::from_millis(1_000);
    assert_eq!(scene.poll(&mut two, 0), Step::Wait { until });
    assert!(two.is_queued() && matches!(two.wants(), Some(Want::Place)));
    scene.at(40);
    drop(one);
    assert!(two.wants().is_none(), "it was granted");
    assert_eq!(scene.sent(&mut two, 50).1, 0);
    let waited = std::time::Duration::from_millis(50);
    let expected = [QueueNotice::Joined, QueueNotice::Granted { waited }, QueueNotice::Left];
    assert_eq!(queue(&scene.notices()), expected);
    drop(two);
    assert_eq!((scene.in_pool(), scene.in_flight()), ((0, 0, 0), vec![0]));
}

#[test]
fn a_request_waits_as_long_as_the_queue_and_its_deadline_allow() {
    let keys = "breaker = { max_requests = 1, max_pending = 1 }\nqueue = { wait = \"1s\" }";
    let mut scene = Scene::new("[5001]", keys, "");
    let mut all = [(); 3].map(|()| scene.request());
    let [one, two, three] = &mut all;
    scene.sent(one, 0);
    assert!(matches!(scene.poll(two, 0), Step::Wait { .. }));
    let Step::Refuse(full) = scene.poll(three, 0) else { panic!("it was not refused") };
    assert_eq!(full.to_string(), "breaker.max_requests is reached, and so is breaker.max_pending");
    let Step::Refuse(late) = scene.poll(two, 1_000) else { panic!("it still waits") };
    assert_eq!(late.to_string(), "breaker.max_requests is reached, and there was no place within 1s");
    assert_eq!([full, late].map(|it| it.retry_after().map(|it| it.as_secs())), [Some(1), Some(1)]);
    scene.deadline = Some(Time::from_millis(1_300));
    let mut four = scene.request();
    assert_eq!(scene.poll(&mut four, 1_000), Step::Wait { until: Time::from_millis(1_300) });
    assert_eq!(scene.poll(&mut four, 1_300), Step::Refuse(Refusal::Deadline));
    use QueueNotice::{Joined, Left, Refused};
    let timeout = Refused(QueueRefusal::Timeout);
    let expected = [Joined, Refused(QueueRefusal::Full), timeout, Left, Joined, timeout, Left];
    assert_eq!(queue(&scene.notices()), expected);
}

#[test]
fn a_client_that_leaves_the_queue_is_counted_and_leaves_what_it_was_granted() {
    let scene = Scene::new("[5001]", "breaker = { max_requests = 1 }\nqueue = { wait = \"1s\" }", "");
    let (mut one, mut two) = (scene.request(), scene.request());
    scene.sent(&mut one, 0);
    scene.poll(&mut two, 0);
    drop(one);
    two.handle_gone(scene.at(5));
    use QueueNotice::{Joined, Left, Refused};
    assert_eq!(queue(&scene.notices()), [Joined, Refused(QueueRefusal::Gone), Left]);
    assert_eq!(scene.in_pool(), (0, 0, 0));
    assert_eq!(scene.poll(&mut two, 6), Step::GiveUp(GiveUp::Gone));
}

#[test]
fn a_request_that_waits_for_a_server_leaves_its_place_in_the_pool_and_takes_the_first_that_is_free() {
    let scene = Scene::new(ONE_EACH, "breaker = { max_requests = 3 }\nqueue = { wait = \"1s\" }", "");
    let mut all = [(); 3].map(|()| scene.request());
    let [one, two, three] = &mut all;
    scene.sent(one, 0);
    let (leg, server) = scene.sent(two, 0);
    assert!(matches!(scene.poll(three, 0), Step::Wait { .. }));
    assert_eq!(scene.in_pool(), (2, 1, 0));
    scene.head(two, leg, 200, 5);
    let [_one, mut two, mut three] = all;
    two.take_permit().expect("it has one").release(scene.at(6));
    let Step::Send { chosen, .. } = scene.poll(&mut three, 6) else { panic!("it was not sent") };
    assert_eq!((chosen.server, chosen.why), (server, Why::Waited));
    assert_eq!((scene.in_pool(), scene.in_flight()), ((2, 0, 0), vec![1, 1]));
}

#[test]
fn a_sticky_request_waits_for_its_own_server() {
    let keys = "sticky = { header = \"x-user\" }\nqueue = { wait = \"1s\" }";
    let scene = Scene::new(ONE_EACH, keys, "");
    let (mut one, mut two) = (scene.request(), scene.request());
    let (_, server) = scene.sent(&mut one, 0);
    assert!(matches!(scene.poll(&mut two, 0), Step::Wait { .. }));
    assert!(matches!(two.wants(), Some(Want::Server { only: Some(only), .. }) if only == server));
    drop(one);
    let Step::Send { chosen, .. } = scene.poll(&mut two, 5) else { panic!("it was not sent") };
    assert_eq!((chosen.server, chosen.why), (server, Why::Sticky));
}

#[test]
fn an_open_circuit_breaker_refuses_and_its_changes_are_reported() {
    let keys = "breaker = { failures = \"50%\", requests_min = 2, open_for = \"5s\" }";
    let scene = Scene::new("[5001]", keys, "retry = false");
    for _ in 0..2 {
        let mut request = scene.request();
        let (leg, _) = scene.sent(&mut request, 0);
        scene.head(&mut request, leg, 503, 1);
    }
    let opened = |it: &Notice| matches!(it, Notice::Circuit { server: None, change } if change.to == CircuitState::Open);
    assert!(scene.notices().iter().any(opened));
    let Step::Refuse(refusal) = scene.poll(&mut scene.request(), 1_001) else { panic!("it was not refused") };
    assert_eq!((refusal.retry_after().map(|it| it.as_secs()), scene.in_pool()), (Some(4), (0, 0, 0)));
    assert!(scene.gate.circuit_in_words(Time::from_millis(1_001)).is_some_and(|it| it.contains("opened")));
    assert_eq!(scene.notices(), [Notice::Refused(RefusedBy::PoolCircuit)]);
}

#[test]
fn a_failure_that_is_made_good_counts_for_the_server_and_not_for_the_pool() {
    let trip = "{ failures = \"50%\", requests_min = 1, open_for = \"5s\" }";
    let keys = format!("breaker = {trip}\nserver_breaker = {trip}");
    let scene = Scene::new("[5001, 5002]", &keys, "retry = { attempts = 2, on = [\"503\"] }");
    let mut request = scene.request();
    let (leg, first) = scene.sent(&mut request, 0);
    assert_eq!(scene.head(&mut request, leg, 503, 1), AfterHead::Defer);
    let (leg, _) = scene.sent(&mut request, 1);
    assert_eq!(scene.head(&mut request, leg, 200, 2), AfterHead::PassOn);
    drop(request);
    let circuits = scene.notices().into_iter().filter_map(|it| match it {
        Notice::Circuit { server, .. } => Some(server),
        _ => None,
    });
    assert_eq!(circuits.collect::<Vec<_>>(), [Some(first)]);
}

#[test]
fn servers_whose_circuit_breakers_are_open_are_passed_over_and_then_refuse() {
    let keys = "server_breaker = { failures = \"50%\", requests_min = 1, open_for = \"5s\" }";
    let scene = Scene::new("[5001, 5002]", keys, "retry = false");
    let mut servers = [0, 1].map(|ms| {
        let mut request = scene.request();
        let (leg, server) = scene.sent(&mut request, ms);
        scene.fail(&mut request, leg, reset(), ms);
        server
    });
    servers.sort_unstable();
    assert_eq!(servers, [0, 1], "the second goes to the one that is not open");
    assert_eq!(scene.poll(&mut scene.request(), 2), Step::Refuse(Refusal::ServersOpen));
}

#[test]
fn a_session_of_another_process_holds_a_permit_even_beyond_the_limits() {
    let keys = "breaker = { max_requests = 3 }";
    let scene = Scene::new("[{ address = \"5001\", max_connections = 1 }, 5002]", keys, "");
    let resumed = || Permit::resumed(&scene.gate, 0, Time::ZERO);
    let (one, two) = (resumed(), resumed());
    assert_eq!((scene.in_pool(), scene.in_flight()), ((2, 0, 0), vec![2, 0]));
    let mut third = scene.request();
    assert_eq!(scene.sent(&mut third, 0).1, 1, "the first server is full");
    let refused = Step::Refuse(Refusal::Full(Full::Requests));
    assert_eq!(scene.poll(&mut scene.request(), 0), refused);
    drop((one, two, third));
    assert_eq!((scene.in_pool(), scene.in_flight()), ((0, 0, 0), vec![0, 0]));
    drop(resumed());
    assert_eq!((scene.in_pool(), scene.in_flight()), ((0, 0, 0), vec![0, 0]));
}

#[test]
fn a_copy_gets_what_is_free_and_nothing_else() {
    let keys = "breaker = { max_requests = 1 }\nqueue = { wait = \"1s\" }";
    let scene = Scene::new("[5001]", keys, "");
    let (chosen, mut permit) = scene.gate.admit_at_once(&scene.asked, Time::ZERO).expect("there is room");
    assert_eq!((chosen.server, scene.in_pool(), scene.in_flight()), (0, (1, 0, 0), vec![1]));
    assert!(scene.gate.admit_at_once(&scene.asked, Time::ZERO).is_none());
    permit.answered(&Answer::whole(200, Time::ZERO, Time::ZERO));
    drop(permit);
    assert_eq!((scene.in_pool(), scene.in_flight(), scene.notices()), ((0, 0, 0), vec![0], vec![]));
}
