//! Waiting for a server: for how long, how many requests, and with which servers they go on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::time::Duration;

use super::*;
use crate::health::FULL;
use crate::retry::Final;

const THREE_SECONDS: &str = "wait_for_server = \"3s\"";

impl Scene {
    /// The pool as it is when only these servers may be used.
    fn gate_of(&self, up: &[usize], edition: u64) -> Rc<Gate<Log>> {
        let pool = self.gate.pool();
        let members = pool.members.with_parts(|at, server| {
            (server.weight, FULL, if up.contains(&at) { Availability::Up } else { Availability::Out })
        });
        let servers = Pool { members: Arc::new(members), edition, ..pool.clone() };
        let state = PoolState { version: edition, config: Arc::new(self.gate.config().clone()), servers };
        let (local, log) = (Rc::clone(self.gate.local()), self.log.clone());
        Rc::new(Gate::new(Arc::new(state), local, true, log))
    }

    /// Makes this the state of the pool, and has requests that wait look again.
    fn publish(&mut self, up: &[usize], edition: u64) {
        self.gate = self.gate_of(up, edition);
        self.gate.pool().arrivals.publish(edition, !up.is_empty());
    }

    /// A pool without a server that may be used.
    fn empty(pool: &str) -> Self {
        let mut scene = Self::new("[5001, 5002]", pool, "");
        scene.publish(&[], 2);
        scene
    }

    fn waiting(&self) -> usize {
        self.gate.pool().arrivals.waiting()
    }
}

fn until(ms: u64) -> Step {
    Step::Wait { until: Time::from_millis(ms) }
}

#[test]
fn without_the_key_a_request_without_a_server_is_given_up_at_once() {
    let scene = Scene::empty("");
    assert_eq!(scene.poll(&mut scene.request(), 0), Step::GiveUp(GiveUp::NoServer));
}

#[test]
fn a_request_waits_and_goes_on_with_the_server_that_comes() {
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let mut scene = Scene::empty(THREE_SECONDS);
    let mut request = scene.request();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let step = request.poll(&scene.terms(), scene.at(100), &Context::from_waker(&waker));
    assert_eq!((step, scene.waiting()), (until(3100), 1));
    scene.publish(&[], 3);
    assert_eq!(count.0.load(Ordering::Relaxed), 0, "there is still no server");
    scene.publish(&[1], 4);
    assert_eq!(count.0.load(Ordering::Relaxed), 1, "it is woken at once");
    assert_eq!((scene.poll(&mut request, 700), scene.waiting()), (Step::Renew, 0));
    request.renew(&scene.gate);
    assert_eq!(scene.sent(&mut request, 700).1, 1);
}

#[test]
fn what_comes_too_late_or_not_at_all_ends_in_a_refusal() {
    let mut scene = Scene::empty(THREE_SECONDS);
    let mut request = scene.request();
    assert_eq!(scene.poll(&mut request, 0), until(3000));
    assert_eq!(scene.poll(&mut request, 2999), until(3000));
    let wait = Duration::from_secs(3);
    let Step::Refuse(refusal) = scene.poll(&mut request, 3000) else { panic!("it waits on") };
    assert_eq!((refusal, scene.waiting()), (Refusal::NoServer { wait }, 0));
    assert_eq!(refusal.to_string(), "no healthy server within 3s");
    assert_eq!(refusal.retry_after(), Some(Duration::from_secs(1)));
    scene.deadline = Some(Time::from_millis(4000));
    let mut request = scene.request();
    assert_eq!(scene.poll(&mut request, 3500), until(4000), "the request's own time ends before");
    assert_eq!(scene.poll(&mut request, 4000), Step::Refuse(Refusal::Deadline));
}

#[test]
fn a_server_that_is_gone_again_does_not_begin_the_wait_anew() {
    let mut scene = Scene::empty(THREE_SECONDS);
    let mut request = scene.request();
    scene.poll(&mut request, 0);
    scene.publish(&[0], 3);
    assert_eq!(scene.poll(&mut request, 1000), Step::Renew);
    scene.publish(&[], 4);
    request.renew(&scene.gate);
    assert_eq!(scene.poll(&mut request, 1000), until(3000));
    scene.publish(&[0], 5);
    assert_eq!(scene.poll(&mut request, 2000), Step::Renew);
}

#[test]
fn as_many_wait_as_may_and_one_that_leaves_makes_room() {
    let scene = Scene::empty("wait_for_server = { at_most = \"3s\", requests = 2 }");
    let mut requests = [(); 3].map(|()| scene.request());
    assert_eq!(scene.poll(&mut requests[0], 0), until(3000));
    assert_eq!(scene.poll(&mut requests[1], 0), until(3000));
    assert_eq!(scene.poll(&mut requests[2], 0), Step::Refuse(Refusal::TooManyWait));
    let [gone, ..] = requests;
    drop(gone);
    assert_eq!(scene.waiting(), 1);
    assert_eq!(scene.poll(&mut scene.request(), 0), until(3000));
    let mut last = scene.request();
    assert_eq!(scene.poll(&mut last, 0), until(3000));
    last.handle_gone(scene.at(1));
    assert_eq!(scene.waiting(), 1, "a client that leaves takes its request along");
}

#[test]
fn in_a_pool_with_limits_a_request_that_waits_holds_no_permit() {
    let mut scene = Scene::empty(&format!("breaker = {{ max_requests = 1 }}\n{THREE_SECONDS}"));
    let mut requests = [scene.request(), scene.request()];
    for request in &mut requests {
        assert_eq!(scene.poll(request, 0), until(3000));
    }
    assert_eq!(scene.in_pool(), (0, 0, 0));
    scene.publish(&[0], 3);
    let [mut one, mut two] = requests;
    assert_eq!(scene.poll(&mut one, 10), Step::Renew);
    one.renew(&scene.gate);
    scene.sent(&mut one, 10);
    assert_eq!(scene.poll(&mut two, 10), Step::Renew);
    two.renew(&scene.gate);
    assert!(matches!(scene.poll(&mut two, 10), Step::Refuse(Refusal::Full(_))), "the limits hold as ever");
}

#[test]
fn a_request_that_no_server_takes_waits_for_another_one() {
    let mut scene = Scene::new("[5001, 5002]", THREE_SECONDS, "");
    scene.publish(&[0], 2);
    let mut request = scene.request();
    let (leg, server) = scene.sent(&mut request, 0);
    assert_eq!((server, scene.fail(&mut request, leg, refused(), 0)), (0, AfterFailure::Retry));
    let mut step = scene.poll(&mut request, 0);
    if let Step::Pause { until } = step {
        step = scene.poll(&mut request, until.as_nanos() / 1_000_000 + 1);
    }
    assert!(matches!(step, Step::Wait { .. }), "{step:?}");
    scene.publish(&[1], 3);
    assert_eq!(scene.poll(&mut request, 500), Step::Renew);
    request.renew(&scene.gate);
    assert_eq!(scene.sent(&mut request, 500).1, 1);
}

#[test]
fn a_request_that_a_server_may_have_seen_does_not_wait() {
    let mut scene = Scene::new("[5001, 5002]", THREE_SECONDS, "");
    scene.publish(&[0], 2);
    let mut request = scene.request();
    let (leg, _) = scene.sent(&mut request, 0);
    assert_eq!(scene.fail(&mut request, leg, reset(), 0), AfterFailure::GiveUp(Some(Final::Servers)));
    assert_eq!(scene.waiting(), 0);
}
