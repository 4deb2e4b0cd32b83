//! An overloaded process turns requests away, those that matter least first.

use std::time::Duration;

use evenkeel_config::Route;
use evenkeel_core::overload::Step;
use evenkeel_observe::RequestRefusal;

use crate::request::admit::Refusal;
use crate::worker::Worker;

/// When a client that was turned away may come again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why a request of this route is turned away; `None` if it is not.
#[inline]
pub fn shed(worker: &Worker, route: &Route) -> Option<Refusal> {
    match worker.shared.step() {
        Step::None => None,
        step => step.sheds(route.priority).then(refusal),
    }
}

#[cold]
fn refusal() -> Refusal {
    Refusal::new(503, RequestRefusal::Overload, "the balancer is overloaded").after(RETRY_AFTER)
}
