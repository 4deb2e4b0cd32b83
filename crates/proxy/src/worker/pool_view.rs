//! One worker's view of one pool: its state at one moment, beside what belongs to this worker alone. It is renewed when the
//! pool's state changes, and costs then what this pool costs.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use evenkeel_config as config;
use evenkeel_core::admission::Local;
use evenkeel_core::snapshot::{Pool, PoolHandle, PoolState};
use evenkeel_observe::{Registry, RenderedWay, Series, StreamSeries};
use evenkeel_tls::ClientTls;
use evenkeel_types::{BackendId, Clock, ListenerName};

use crate::forward::driver::{Gate, PoolDriver};
use crate::server::Upstream;
use crate::worker::Worker;
use crate::worker::view::View;

/// One worker's side of a pool, from the moment when a request chose the pool to the end of that request.
#[derive(Debug)]
pub struct PoolView {
    /// The pool's configuration and servers at this moment.
    pub state: Arc<PoolState>,
    /// The servers, in the order of `state.config.backends`.
    pub upstreams: Rc<[Rc<Upstream>]>,
    /// How requests get into it. Its references are this worker's own to count.
    pub gate: Rc<Gate>,
    /// Copies of other pools' requests that are under way to it.
    pub copies: Rc<Cell<usize>>,
    /// Where requests to each of them are counted.
    series: Rc<[Rc<SeriesByRoute>]>,
    /// Where requests are counted that reached none of them: those that the cache answered, or that were refused.
    unserved: Rc<SeriesByRoute>,
    /// Where connections to each of them are counted that are relayed.
    streams: Rc<[StreamsByListener]>,
    /// A newer view, with which requests go on that began with this one and have waited for a server.
    newer: OnceCell<Rc<PoolView>>,
}

/// Where connections to one server are counted, by listener: few lead to one pool.
type StreamsByListener = RefCell<Vec<(ListenerName, Arc<StreamSeries>)>>;

/// Where requests to one server are counted, by the route's position. A series is looked up once and then kept, for
/// its own count of references is shared by all workers. Few of the routes lead to one pool.
type SeriesByRoute = RefCell<foldhash::HashMap<usize, Counted>>;

/// Where the requests of one route to one server, or to none, are counted, and what their lines in the log have in common.
#[derive(Debug)]
pub struct Counted {
    /// The figures.
    pub series: Arc<Series>,
    /// Route, pool and server.
    pub way: Rc<RenderedWay>,
}

/// One pool of a [`View`](super::view::View). Its part is made when a request first chooses the pool, and renewed when the pool's
/// state has changed: a worker does nothing for pools that it does not use.
#[derive(Debug)]
pub struct PoolSlot {
    handle: Arc<PoolHandle>,
    tls: Option<Arc<ClientTls>>,
    place: Rc<Place>,
    is_measured: bool,
    seen: RefCell<Seen>,
}

/// What a worker has seen of a pool.
#[derive(Debug)]
enum Seen {
    Nothing,
    /// Its view under the configuration before.
    Before(Rc<PoolView>),
    Now(Rc<PoolView>),
}

/// What a pool's view is made with, whatever the pool.
#[derive(Debug, Clone)]
pub struct Place {
    /// The process's clock.
    pub clock: Clock,
    /// What is counted.
    pub registry: Arc<Registry>,
    /// This worker's place among the workers.
    pub worker: usize,
}

impl PoolSlot {
    /// A pool of a new view; `before` is its view under the configuration before.
    pub fn new(
        handle: &Arc<PoolHandle>,
        tls: Option<&Arc<ClientTls>>,
        place: &Rc<Place>,
        is_measured: bool,
        before: Option<Rc<PoolView>>,
    ) -> Self {
        Self {
            handle: Arc::clone(handle),
            tls: tls.cloned(),
            place: Rc::clone(place),
            is_measured,
            seen: RefCell::new(before.map_or(Seen::Nothing, Seen::Before)),
        }
    }

    /// The pool as it is now.
    #[inline]
    pub fn now(&self) -> Rc<PoolView> {
        let seen = self.seen.borrow();
        if let Seen::Now(now) = &*seen
            && now.state.version == self.handle.version()
        {
            return Rc::clone(now);
        }
        drop(seen);
        self.look()
    }

    /// The pool as it is now, in a view of its own; `old` is its view under a configuration before.
    pub fn apart(&self, old: &PoolView) -> Rc<PoolView> {
        Rc::new(self.first(Some(old)))
    }

    /// The pool as this worker saw it last; `None` if it never has.
    pub fn last(&self) -> Option<Rc<PoolView>> {
        match &*self.seen.borrow() {
            Seen::Nothing => None,
            Seen::Before(view) | Seen::Now(view) => Some(Rc::clone(view)),
        }
    }

    #[cold]
    fn look(&self) -> Rc<PoolView> {
        let (view, old) = match std::mem::replace(&mut *self.seen.borrow_mut(), Seen::Nothing) {
            Seen::Nothing => (self.first(None), None),
            Seen::Before(old) => (self.first(Some(&old)), Some(old)),
            Seen::Now(old) => (self.renewed(&old), Some(old)),
        };
        if let Some(old) = old {
            old.retire_all_but(&view);
        }
        let view = Rc::new(view);
        *self.seen.borrow_mut() = Seen::Now(Rc::clone(&view));
        view
    }

    /// The first view under a configuration; `old` is the last one under the configuration before.
    fn first(&self, old: Option<&PoolView>) -> PoolView {
        let (state, place) = (self.handle.state(), &*self.place);
        let local = old.map(|old| Rc::clone(old.gate.local()));
        let local = local.unwrap_or_else(|| Rc::new(Local::new(place.worker as u64)));
        let (registry, metrics) = (Arc::clone(&place.registry), place.registry.pool(&state.config.name));
        let driver = PoolDriver { clock: place.clock, registry, metrics };
        PoolView {
            gate: Rc::new(Gate::new(Arc::clone(&state), local, self.is_measured, driver)),
            copies: old.map(|old| Rc::clone(&old.copies)).unwrap_or_default(),
            upstreams: upstreams(&state, self.tls.as_ref(), place, old),
            // They are kept by the route's position, which means something only while the routes stay the same.
            series: state.config.backends.iter().map(|_| Rc::default()).collect(),
            unserved: Rc::default(),
            streams: state.config.backends.iter().map(|_| RefCell::default()).collect(),
            newer: OnceCell::new(),
            state,
        }
    }

    /// The next view under the same configuration.
    fn renewed(&self, old: &PoolView) -> PoolView {
        let state = self.handle.state();
        let has_same_servers =
            Arc::ptr_eq(&old.state.config, &state.config) && has_same_terms(&old.state, &state);
        let (upstreams, series) = if has_same_servers {
            (Rc::clone(&old.upstreams), Rc::clone(&old.series))
        } else {
            (upstreams(&state, self.tls.as_ref(), &self.place, Some(old)), old.series_of(&state.config))
        };
        let (local, driver) = (Rc::clone(old.gate.local()), old.gate.driver().clone());
        let gate = Rc::new(Gate::new(Arc::clone(&state), local, self.is_measured, driver));
        let (copies, unserved) = (Rc::clone(&old.copies), Rc::clone(&old.unserved));
        let streams = match has_same_servers {
            true => Rc::clone(&old.streams),
            false => state.config.backends.iter().map(|_| RefCell::default()).collect(),
        };
        PoolView { gate, copies, upstreams, series, unserved, streams, newer: OnceCell::new(), state }
    }
}

impl PoolView {
    /// The view with which a request goes on that began with this one and has waited for a server: a newer one, if there is
    /// one. `None` if the configuration does not have the pool any more.
    pub fn newer(&self, view: &View, worker: &Worker) -> Option<&PoolView> {
        if let Some(newer) = self.newer.get() {
            return Some(newer);
        }
        let newest = view.pool_again(self, worker)?;
        if newest.servers().edition == self.servers().edition {
            return Some(self);
        }
        Some(self.newer.get_or_init(|| newest))
    }

    /// The view that a request has gone on with which has called [`newer`](Self::newer) so often.
    pub fn after(&self, renewals: u32) -> &Self {
        (0..renewals).fold(self, |view, _| view.newer.get().map_or(view, |newer| newer))
    }

    /// The pool's configuration.
    pub fn config(&self) -> &config::Pool {
        &self.state.config
    }

    /// Its servers.
    pub fn servers(&self) -> &Pool {
        &self.state.servers
    }

    /// The series of requests of the route at this position to a server, or to none; `make` looks it up the first time.
    pub fn with_series<R>(
        &self,
        server: Option<usize>,
        route: usize,
        make: impl FnOnce() -> Counted,
        record: impl FnOnce(&Counted) -> R,
    ) -> R {
        let series = server.map_or(&self.unserved, |server| &self.series[server]);
        record(series.borrow_mut().entry(route).or_insert_with(make))
    }

    /// The series of connections from a listener to a server; `make` looks it up the first time.
    pub fn streams_of(
        &self,
        server: usize,
        listener: &ListenerName,
        make: impl FnOnce() -> Arc<StreamSeries>,
    ) -> Arc<StreamSeries> {
        let mut streams = self.streams[server].borrow_mut();
        if let Some((_, series)) = streams.iter().find(|(name, _)| name == listener) {
            return Arc::clone(series);
        }
        let series = make();
        streams.push((listener.clone(), Arc::clone(&series)));
        series
    }

    /// Lets go of all servers: the configuration no longer has the pool.
    pub fn retire(&self) {
        self.upstreams.iter().for_each(|upstream| upstream.retire());
    }

    fn retire_all_but(&self, next: &Self) {
        if Rc::ptr_eq(&self.upstreams, &next.upstreams) {
            return;
        }
        let is_gone =
            |upstream: &&Rc<Upstream>| !next.upstreams.iter().any(|kept| Rc::ptr_eq(kept, upstream));
        self.upstreams.iter().filter(is_gone).for_each(|upstream| upstream.retire());
    }

    /// Where requests to the servers of `config` are counted: as before, to those that were there before.
    fn series_of(&self, config: &config::Pool) -> Rc<[Rc<SeriesByRoute>]> {
        let known: HashMap<&BackendId, &Rc<SeriesByRoute>> =
            self.upstreams.iter().map(|upstream| &upstream.id).zip(self.series.iter()).collect();
        let of = |id: &BackendId| known.get(id).map(|series| Rc::clone(series)).unwrap_or_default();
        config.backends.iter().map(|backend| of(&backend.id)).collect()
    }
}

/// The servers of a pool's state; those of `old` that are still the same are taken over with their connections.
fn upstreams(
    state: &PoolState,
    tls: Option<&Arc<ClientTls>>,
    place: &Place,
    old: Option<&PoolView>,
) -> Rc<[Rc<Upstream>]> {
    let known: HashMap<&BackendId, &Rc<Upstream>> =
        old.iter().flat_map(|old| old.upstreams.iter()).map(|upstream| (&upstream.id, upstream)).collect();
    let server = |(at, backend): (usize, &config::Backend)| {
        let server = (&state.servers.members.server(at).load, term(state, at));
        match known.get(&backend.id) {
            Some(same) if same.serves(backend, &state.config, server, tls) => Rc::clone(same),
            _ => {
                let counted = (place.worker, &*place.registry);
                Rc::new(Upstream::new(backend, &state.config, server, tls, counted))
            }
        }
    };
    state.config.backends.iter().enumerate().map(server).collect()
}

impl Drop for PoolView {
    /// One view after another: a long row of them must not use up the stack.
    fn drop(&mut self) {
        let mut newer = self.newer.take();
        while let Some(view) = newer {
            newer = Rc::into_inner(view).and_then(|mut view| view.newer.take());
        }
    }
}

/// The term that connections to a server belong to which are opened now.
fn term(state: &PoolState, server: usize) -> u64 {
    state.servers.states.get(server).map_or(0, |server| server.term)
}

fn has_same_terms(old: &PoolState, new: &PoolState) -> bool {
    (0..new.config.backends.len()).all(|server| term(old, server) == term(new, server))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
