//! What is recorded of a connection, or session, that is relayed, once, at its end.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_net::Peer;
use evenkeel_observe::{Client, StreamEnded, StreamKey, StreamRecord, StreamSeries};
use evenkeel_types::{ListenerName, RouteName, Time};

use super::relay::Moved;
use crate::request::own;
use crate::worker::Worker;
use crate::worker::pool_view::PoolView;

/// What is known of a connection so far. One that is dropped unfinished was cut, because the process leaves.
pub struct StreamLog {
    worker: Rc<Worker>,
    is_finished: bool,
    protocol: &'static str,
    listener: ListenerName,
    peer: Peer,
    pub(super) started: Time,
    /// For how long it had been going on then, in another process.
    pub(super) carried: Duration,
    /// The server name that the client asked for.
    pub sni: Option<String>,
    /// The route that took it.
    pub route: Option<RouteName>,
    /// The pool that it went to.
    pub pool: Option<Rc<PoolView>>,
    /// The server that was tried last.
    pub server: Option<usize>,
    /// How many were tried.
    pub tries: u32,
    /// How long connecting took, in all.
    pub connect: Option<Duration>,
    /// Bytes that were relayed.
    pub moved: Moved,
    /// Where it is counted while it is relayed.
    series: Option<Arc<StreamSeries>>,
}

impl StreamLog {
    /// A connection that was just accepted, or a session that has just begun.
    pub fn new(worker: &Rc<Worker>, protocol: &'static str, listener: &ListenerName, peer: Peer) -> Self {
        Self {
            worker: Rc::clone(worker),
            is_finished: false,
            protocol,
            listener: listener.clone(),
            peer,
            started: worker.clock.now(),
            carried: Duration::ZERO,
            sni: None,
            route: None,
            pool: None,
            server: None,
            tries: 0,
            connect: None,
            moved: (Cell::new(0), Cell::new(0)),
            series: None,
        }
    }

    /// It is relayed to its server from now on; where that is counted.
    pub fn opened(&mut self) -> Option<Arc<StreamSeries>> {
        let worker = &self.worker;
        let (pool, server) = (self.pool.as_ref()?, self.server?);
        let key = || StreamKey {
            listener: self.listener.clone(),
            pool: Some(pool.config().name.clone()),
            backend: Some(pool.upstreams[server].id.clone()),
        };
        let series = pool.streams_of(server, &self.listener, || worker.shared.registry.stream(key()));
        series.shard(worker.index).open.increment();
        self.series = Some(Arc::clone(&series));
        Some(series)
    }

    /// It has ended.
    pub fn finish(mut self, ended: StreamEnded, reason: Option<String>) {
        self.record(ended, reason.as_deref());
    }

    /// It is no stream, or goes on in another process, and is recorded elsewhere.
    pub fn dismiss(mut self) {
        self.is_finished = true;
        if let Some(series) = &self.series {
            series.shard(self.worker.index).open.decrement();
        }
    }

    fn record(&mut self, ended: StreamEnded, reason: Option<&str>) {
        self.is_finished = true;
        let worker = &self.worker;
        let total = worker.clock.now() - self.started + self.carried;
        let pool = self.pool.as_ref().map(|pool| pool.config());
        match &self.series {
            Some(series) => {
                let shard = series.shard(worker.index);
                shard.open.decrement();
                shard.ended(ended, total);
            }
            None => {
                let (listener, pool) = (self.listener.clone(), pool.map(|pool| pool.name.clone()));
                let series = worker.shared.registry.stream(StreamKey { listener, pool, backend: None });
                series.shard(worker.index).ended(ended, total);
            }
        }
        if !worker.logs() {
            return;
        }
        let view = worker.view();
        let fields = own::of_connection(&view.snapshot.config.log.fields);
        worker.log_stream(&StreamRecord {
            unix_ns: worker
                .unix_ns(self.started)
                .saturating_sub(u64::try_from(self.carried.as_nanos()).unwrap_or(u64::MAX)),
            client: match self.peer {
                Peer::Ip(address) => address.into(),
                Peer::Unix => Client::Unix,
            },
            listener: self.listener.as_str(),
            protocol: self.protocol,
            sni: self.sni.as_deref(),
            route: self.route.as_ref().map(|route| route.as_str()),
            pool: pool.map(|pool| pool.name.as_str()),
            backend: pool.zip(self.server).map(|(pool, server)| pool.backends[server].id.as_str()),
            tries: self.tries,
            total,
            connect: self.connect,
            bytes_in: self.moved.0.get(),
            bytes_out: self.moved.1.get(),
            ended,
            reason,
            fields: &fields,
        });
    }
}

impl Drop for StreamLog {
    fn drop(&mut self) {
        if !self.is_finished {
            self.record(StreamEnded::Cut, None);
        }
    }
}
