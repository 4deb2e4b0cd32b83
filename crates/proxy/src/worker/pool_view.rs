//! One worker's view of one pool: its state at one moment, beside what belongs to this worker alone. It is renewed when the
//! pool's state changes, and costs then what this pool costs.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use evenkeel_config as config;
use evenkeel_core::admission::Local;
use evenkeel_core::snapshot::{Pool, PoolHandle, PoolState};
use evenkeel_observe::{Registry, Series, StreamSeries};
use evenkeel_tls::ClientTls;
use evenkeel_types::{BackendId, Clock, ListenerName};

use crate::forward::driver::{Gate, PoolDriver};
use crate::server::Upstream;

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
}

/// Where connections to one server are counted, by listener: few lead to one pool.
type StreamsByListener = RefCell<Vec<(ListenerName, Arc<StreamSeries>)>>;

/// Where requests to one server are counted, by the route's position. A series is looked up once and then kept, for
/// its own count of references is shared by all workers.
type SeriesByRoute = RefCell<Vec<Option<Arc<Series>>>>;

/// One pool of a [`View`](super::view::View), which renews its part when the pool's state has changed.
#[derive(Debug)]
pub struct PoolSlot {
    handle: Arc<PoolHandle>,
    tls: Option<Arc<ClientTls>>,
    place: Place,
    now: RefCell<Rc<PoolView>>,
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
    /// A pool of a new view; `old` is its view under the configuration before.
    pub fn new(
        handle: &Arc<PoolHandle>,
        tls: Option<&Arc<ClientTls>>,
        place: &Place,
        is_measured: bool,
        old: Option<&PoolView>,
    ) -> Self {
        let state = handle.state();
        let local = old.map(|old| Rc::clone(old.gate.local()));
        let local = local.unwrap_or_else(|| Rc::new(Local::new(place.worker as u64)));
        let (registry, metrics) = (Arc::clone(&place.registry), place.registry.pool(&state.config.name));
        let driver = PoolDriver { clock: place.clock, registry, metrics };
        let view = PoolView {
            gate: Rc::new(Gate::new(Arc::clone(&state), local, is_measured, driver)),
            copies: old.map(|old| Rc::clone(&old.copies)).unwrap_or_default(),
            upstreams: upstreams(&state, tls, place, old),
            // They are kept by the route's position, which means something only while the routes stay the same.
            series: state.config.backends.iter().map(|_| Rc::default()).collect(),
            unserved: Rc::default(),
            streams: state.config.backends.iter().map(|_| RefCell::default()).collect(),
            state,
        };
        Self {
            handle: Arc::clone(handle),
            tls: tls.cloned(),
            place: place.clone(),
            now: RefCell::new(Rc::new(view)),
        }
    }

    /// The pool as it is now.
    #[inline]
    pub fn now(&self) -> Rc<PoolView> {
        let now = Rc::clone(&self.now.borrow());
        if now.state.version == self.handle.version() { now } else { self.renew(&now) }
    }

    /// The pool as this worker saw it last.
    pub fn last(&self) -> Rc<PoolView> {
        Rc::clone(&self.now.borrow())
    }

    #[cold]
    fn renew(&self, old: &PoolView) -> Rc<PoolView> {
        let state = self.handle.state();
        let has_same_servers = Arc::ptr_eq(&old.state.config, &state.config);
        let (upstreams, series) = if has_same_servers {
            (Rc::clone(&old.upstreams), Rc::clone(&old.series))
        } else {
            (upstreams(&state, self.tls.as_ref(), &self.place, Some(old)), old.series_of(&state.config))
        };
        let (local, driver) = (Rc::clone(old.gate.local()), old.gate.driver().clone());
        let gate = Gate::new(Arc::clone(&state), local, old.gate.is_measured(), driver);
        let (copies, unserved) = (Rc::clone(&old.copies), Rc::clone(&old.unserved));
        let streams = match has_same_servers {
            true => Rc::clone(&old.streams),
            false => state.config.backends.iter().map(|_| RefCell::default()).collect(),
        };
        let view = PoolView { gate: Rc::new(gate), copies, upstreams, series, unserved, streams, state };
        let view = Rc::new(view);
        if !has_same_servers {
            old.retire_all_but(&view);
        }
        *self.now.borrow_mut() = Rc::clone(&view);
        view
    }
}

impl PoolView {
    /// The pool's configuration.
    pub fn config(&self) -> &config::Pool {
        &self.state.config
    }

    /// Its servers.
    pub fn servers(&self) -> &Pool {
        &self.state.servers
    }

    /// The series of requests of the route at this position to a server, or to none; `make` looks it up the first time.
    pub fn with_series(
        &self,
        server: Option<usize>,
        route: usize,
        make: impl FnOnce() -> Arc<Series>,
        record: impl FnOnce(&Series),
    ) {
        let series = server.map_or(&self.unserved, |server| &self.series[server]);
        let mut series = series.borrow_mut();
        if series.len() <= route {
            series.resize(route + 1, None);
        }
        record(series[route].get_or_insert_with(make));
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

    fn retire_all_but(&self, next: &Self) {
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
        let load = &state.servers.members.server(at).load;
        match known.get(&backend.id) {
            Some(same) if same.serves(backend, &state.config, load, tls) => Rc::clone(same),
            _ => {
                let counted = (place.worker, &*place.registry);
                Rc::new(Upstream::new(backend, &state.config, load, tls, counted))
            }
        }
    };
    state.config.backends.iter().enumerate().map(server).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
