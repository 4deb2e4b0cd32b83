//! The figures of what limits pools and the process.

use super::page::Page;
use crate::counter::Gauge;
use crate::names::{self, BreakerRefusal, QueueRefusal};
use crate::pool::PoolMetrics;
use crate::registry::Registry;

/// The causes of an overload, in the order of the registry's gauges.
const CAUSES: [&str; 3] = ["memory", "descriptors", "delay"];

pub(super) fn render(page: &mut Page, registry: &Registry) {
    let all = registry.all_pools();
    let pools = || all.iter().map(|(pool, metrics)| (pool.as_str(), &**metrics));
    page.family(&names::BREAKER_STATE);
    pools().for_each(|(pool, metrics)| {
        page.sample(&names::BREAKER_STATE, &[pool, ""], metrics.breaker_state.value());
    });
    for ((pool, id), backend) in registry.all_backends() {
        let labels = [pool.as_str(), id.as_str()];
        page.sample(&names::BREAKER_STATE, &labels, backend.breaker_state.value());
    }
    page.family(&names::BREAKER_REFUSED);
    for (pool, metrics) in pools() {
        for &reason in BreakerRefusal::ALL {
            page.sample(&names::BREAKER_REFUSED, &[pool, reason.as_str()], metrics.refused(reason));
        }
    }
    let mut gauge = |metric, figure: fn(&PoolMetrics) -> &Gauge| {
        page.family(metric);
        pools().for_each(|(pool, metrics)| page.sample(metric, &[pool], figure(metrics).value()));
    };
    gauge(&names::CONCURRENCY_LIMIT, |metrics| &metrics.concurrency_limit);
    gauge(&names::QUEUE_LENGTH, |metrics| &metrics.queue_length);
    page.family(&names::QUEUE_LIMIT);
    for (pool, metrics) in pools().filter(|(_, metrics)| metrics.queue_limit.value() > 0) {
        page.sample(&names::QUEUE_LIMIT, &[pool], metrics.queue_limit.value());
    }
    page.family(&names::QUEUE_WAITS);
    pools()
        .for_each(|(pool, metrics)| page.sample(&names::QUEUE_WAITS, &[pool], metrics.queue_waits.value()));
    page.family(&names::QUEUE_WAIT_SECONDS);
    pools().for_each(|(pool, metrics)| {
        page.sample(&names::QUEUE_WAIT_SECONDS, &[pool], metrics.queue_wait_seconds());
    });
    page.family(&names::QUEUE_REFUSED);
    for (pool, metrics) in pools() {
        for &reason in QueueRefusal::ALL {
            page.sample(&names::QUEUE_REFUSED, &[pool, reason.as_str()], metrics.queue_refused(reason));
        }
    }
    page.family(&names::OVERLOAD_STEP);
    for (cause, step) in CAUSES.iter().zip(&registry.overload) {
        page.sample(&names::OVERLOAD_STEP, &[cause], step.value());
    }
}
