//! Connections of tcp listeners and sessions of udp listeners, by listener and server; datagrams, by listener.

use super::page::Page;
use crate::datagrams::DatagramDrop;
use crate::names::{self, Metric};
use crate::registry::Registry;
use crate::stream::{StreamEnded, StreamTotals};

/// Writes their families.
pub(super) fn render(page: &mut Page, registry: &Registry) {
    let all: Vec<_> = registry.streams().into_iter().map(|(key, series)| (key, series.totals())).collect();
    let labelled = || {
        all.iter().map(|(key, totals)| {
            let pool = key.pool.as_ref().map_or("", |pool| pool.as_str());
            let backend = key.backend.as_ref().map_or("", |id| id.as_str());
            ([key.listener.as_str(), pool, backend], totals)
        })
    };
    page.family(&names::STREAMS);
    labelled().for_each(|(labels, totals)| page.sample(&names::STREAMS, &labels, totals.open));
    page.family(&names::STREAMS_ENDED);
    for ([listener, pool, backend], totals) in labelled() {
        for (how, &count) in StreamEnded::ALL.iter().zip(&totals.ended) {
            page.begun(&names::STREAMS_ENDED, &[listener, pool, backend, how.as_str()], count);
        }
    }
    let mut counter = |metric: &Metric, figure: fn(&StreamTotals) -> u64| {
        page.family(metric);
        labelled().for_each(|(labels, totals)| page.sample(metric, &labels, figure(totals)));
    };
    counter(&names::STREAM_RECEIVED, |totals| totals.received);
    counter(&names::STREAM_SENT, |totals| totals.sent);
    page.family(&names::STREAM_DURATION);
    for (labels, totals) in labelled() {
        page.histogram(&names::STREAM_DURATION, &labels, &totals.duration);
    }
    datagrams(page, registry);
}

/// What is counted of datagrams.
fn datagrams(page: &mut Page, registry: &Registry) {
    let all: Vec<_> =
        registry.all_datagrams().into_iter().map(|(name, series)| (name, series.totals())).collect();
    page.family(&names::DATAGRAMS_RECEIVED);
    for (listener, totals) in &all {
        page.sample(&names::DATAGRAMS_RECEIVED, &[listener.as_str()], totals.received);
    }
    page.family(&names::DATAGRAMS_SENT);
    for (listener, totals) in &all {
        page.sample(&names::DATAGRAMS_SENT, &[listener.as_str()], totals.sent);
    }
    page.family(&names::DATAGRAMS_DROPPED);
    for (listener, totals) in &all {
        for (why, &count) in DatagramDrop::ALL.iter().zip(&totals.dropped) {
            page.begun(&names::DATAGRAMS_DROPPED, &[listener.as_str(), why.as_str()], count);
        }
    }
}
