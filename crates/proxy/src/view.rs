//! One worker's view of a snapshot: the shared, immutable part, beside what belongs to this worker alone.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use evenkeel_config as config;
use evenkeel_core::balance::Picker;
use evenkeel_core::snapshot::Snapshot;
use evenkeel_observe::{Registry, RequestFigures, Series, SeriesKey};
use evenkeel_types::{BackendId, ListenerName, PoolName};

use crate::h1::head::HeadLimits;
use crate::upstream::Upstream;

/// What a request needs to know, from its admission to its record.
#[derive(Debug)]
pub struct View {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// This worker's side of each pool, in the order of the snapshot.
    pub pools: Vec<PoolView>,
    /// Where each listener stands in the configuration.
    listeners: HashMap<ListenerName, usize>,
    /// Requests that reached no server, by route; the last is for those that no route took.
    unserved: RefCell<Vec<Option<Arc<Series>>>>,
    /// Limits of every head.
    pub heads: HeadLimits,
    registry: Arc<Registry>,
    worker: usize,
}

/// One worker's side of a pool.
#[derive(Debug)]
pub struct PoolView {
    /// Cursors and random source; they outlive the view.
    pub picker: Rc<RefCell<Picker>>,
    /// The servers, in the order of the configuration.
    pub upstreams: Vec<Rc<Upstream>>,
}

impl View {
    /// Looks at `snapshot`, taking over from `old` whatever still has a place in it.
    pub fn new(snapshot: Arc<Snapshot>, old: Option<&View>, worker: usize, registry: &Arc<Registry>) -> Self {
        let config = &snapshot.config;
        let inherited = old.map(View::by_name).unwrap_or_default();
        let pools = config.pools.iter().enumerate().map(|(i, pool)| {
            let members = &snapshot.pools[i].members;
            let upstream = |(j, backend): (usize, &config::Backend)| {
                let load = &members.server(j).load;
                match inherited.upstreams.get(&(&pool.name, &backend.id)) {
                    Some(upstream) if upstream.serves(backend, pool, load) => Rc::clone(upstream),
                    _ => Rc::new(Upstream::new(backend, pool, load, worker, registry)),
                }
            };
            let picker = inherited.pickers.get(&pool.name).map(|picker| Rc::clone(picker));
            PoolView {
                picker: picker.unwrap_or_else(|| Rc::new(RefCell::new(Picker::new(worker as u64)))),
                upstreams: pool.backends.iter().enumerate().map(upstream).collect(),
            }
        });
        let pools = pools.collect();
        // A route that keeps its place keeps its series; otherwise they are found again by name.
        let same_routes = old.is_some_and(|old| Arc::ptr_eq(&old.snapshot.routes, &snapshot.routes));
        let mut view = Self {
            pools,
            listeners: config.listeners.iter().enumerate().map(|(i, l)| (l.name.clone(), i)).collect(),
            unserved: RefCell::new(vec![None; snapshot.routes.len() + 1]),
            heads: HeadLimits::from(&config.limits),
            snapshot,
            registry: Arc::clone(registry),
            worker,
        };
        if !same_routes {
            view.forget_series();
        }
        view
    }

    fn forget_series(&mut self) {
        self.pools.iter().flat_map(|pool| &pool.upstreams).for_each(|upstream| upstream.forget_series());
    }

    fn by_name(&self) -> Inherited<'_> {
        let mut inherited = Inherited::default();
        for (config, view) in self.snapshot.config.pools.iter().zip(&self.pools) {
            inherited.pickers.insert(&config.name, &view.picker);
            for upstream in &view.upstreams {
                inherited.upstreams.insert((&config.name, &upstream.id), upstream);
            }
        }
        inherited
    }

    /// The configuration of a pool.
    pub fn pool(&self, pool: usize) -> &config::Pool {
        &self.snapshot.config.pools[pool]
    }

    /// Where a listener stands in the configuration; `None` if it no longer has it.
    pub fn listener_position(&self, name: &ListenerName) -> Option<usize> {
        self.listeners.get(name).copied()
    }

    /// A listener.
    pub fn listener(&self, position: usize) -> &config::Listener {
        &self.snapshot.config.listeners[position]
    }

    /// Counts a request of `route` that `server`, a pool's and a server's position, has served.
    pub fn count(
        &self,
        route: Option<usize>,
        pool: Option<usize>,
        server: Option<usize>,
        figures: &RequestFigures,
    ) {
        let make = |backend: Option<&Upstream>| {
            self.registry.series(match route {
                None => SeriesKey::unrouted(),
                Some(route) => SeriesKey {
                    route: self.snapshot.routes.route(route).name.clone(),
                    pool: pool.map(|pool| self.pool(pool).name.clone()),
                    backend: backend.map(|backend| backend.id.clone()),
                },
            })
        };
        match (route, pool, server) {
            (Some(route), Some(pool), Some(server)) => {
                let upstream = &self.pools[pool].upstreams[server];
                upstream.count(route, figures, || make(Some(upstream)));
            }
            // Rare enough to be looked up by name each time.
            (Some(_), Some(_), None) => make(None).shard(self.worker).record(figures),
            (route, ..) => {
                let mut unserved = self.unserved.borrow_mut();
                let slot = &mut unserved[route.unwrap_or(self.snapshot.routes.len())];
                slot.get_or_insert_with(|| make(None)).shard(self.worker).record(figures);
            }
        }
    }
}

#[derive(Default)]
struct Inherited<'v> {
    pickers: HashMap<&'v PoolName, &'v Rc<RefCell<Picker>>>,
    upstreams: HashMap<(&'v PoolName, &'v BackendId), &'v Rc<Upstream>>,
}
