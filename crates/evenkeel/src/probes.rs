//! Planning probes: one at a time for each server whose pool is checked, for as long as the pool has the server.

use std::collections::HashMap;
use std::sync::Arc;

use evenkeel_config::{Backend, Health, Pool};
use evenkeel_core::health::ProbeFailure;
use evenkeel_net::Dial;
use evenkeel_proxy::{Shared, probe};
use evenkeel_types::{BackendId, PoolName};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::servers::ServerRegistry;

/// Results of probes that wait to be judged.
const RESULTS_MAX: usize = 1024;

/// The result of a probe.
pub struct Probed {
    /// The server's pool.
    pub pool: PoolName,
    /// The server.
    pub id: BackendId,
    /// What came of it.
    pub result: Result<(), ProbeFailure>,
}

/// The probes under way or planned, one for each server.
pub struct Probes {
    planned: HashMap<PoolName, HashMap<BackendId, Planned>>,
    results: mpsc::Sender<Probed>,
    shared: Arc<Shared>,
    rng: fastrand::Rng,
}

/// A probe under way or planned, and what it was planned with. Ends when it is dropped.
struct Planned {
    backend: Backend,
    settings: Health,
    task: AbortHandle,
}

impl Drop for Planned {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Probes {
    /// No probes, and where the results of those to come arrive.
    pub fn new(shared: Arc<Shared>) -> (Self, mpsc::Receiver<Probed>) {
        let (results, receiver) = mpsc::channel(RESULTS_MAX);
        (Self { planned: HashMap::new(), results, shared, rng: fastrand::Rng::new() }, receiver)
    }

    /// Ends the probes of servers that are gone, or of which the configuration now says something else, and plans those of
    /// servers that have none.
    pub fn plan_anew(&mut self, servers: &ServerRegistry) {
        self.planned.retain(|pool, _| servers.pool(pool).is_some());
        self.plan(servers, servers.pools());
    }

    /// The same for the servers of these pools alone.
    pub fn plan<'p>(&mut self, servers: &ServerRegistry, pools: impl IntoIterator<Item = &'p Arc<Pool>>) {
        for pool in pools {
            let mut before = self.planned.remove(&pool.name).unwrap_or_default();
            let is_same = |planned: &Planned, backend: &Backend| {
                planned.backend == *backend && Some(&planned.settings) == pool.health.as_ref()
            };
            for backend in &pool.backends {
                match before.remove(&backend.id).filter(|planned| is_same(planned, backend)) {
                    Some(same) => drop(self.of(&pool.name).insert(backend.id.clone(), same)),
                    None => self.plan_one(servers, pool, backend),
                }
            }
        }
    }

    /// Plans the next probe of a server.
    pub fn plan_next(&mut self, servers: &ServerRegistry, pool: &PoolName, id: &BackendId) {
        // Its last one has ended.
        self.planned.get_mut(pool).and_then(|planned| planned.remove(id));
        if let Some(pool) = servers.pool(pool)
            && let Some(backend) = pool.backends.iter().find(|backend| backend.id == *id)
        {
            self.plan_one(servers, pool, backend);
        }
    }

    fn plan_one(&mut self, servers: &ServerRegistry, pool: &Pool, backend: &Backend) {
        let clock = self.shared.clock;
        let at = servers.next_probe(&pool.name, &backend.id, clock.now(), &mut self.rng);
        let (Some(at), Some(settings)) = (at, pool.health.clone()) else { return };
        let at = tokio::time::Instant::from_std(clock.instant(at));
        let (name, id, protocol) = (pool.name.clone(), backend.id.clone(), pool.protocol);
        // What listens on a port of its own for checks does not stand behind the proxy.
        let proxy_protocol = pool.proxy_protocol.filter(|_| settings.port.is_none());
        let dial = Dial::new(&pool.bind_from, pool.tcp_keepalive);
        let own = backend.address.clone();
        let address = settings.port.map_or_else(|| own.clone(), |port| own.with_port(port));
        let (results, health) = (self.results.clone(), settings.clone());
        let tls = self.shared.credentials().pools.get(&name).cloned();
        let task = tokio::task::spawn_local(async move {
            tokio::time::sleep_until(at).await;
            let tls = tls.as_deref();
            let dial = &dial;
            let server = evenkeel_proxy::Probed { address: &address, protocol, tls, proxy_protocol, dial };
            let result = probe(server, &health.probe, health.timeout).await;
            // The control loop is gone when the process leaves.
            let _ = results.send(Probed { pool: name, id, result }).await;
        });
        let planned = Planned { backend: backend.clone(), settings, task: task.abort_handle() };
        self.of(&pool.name).insert(backend.id.clone(), planned);
    }

    fn of(&mut self, pool: &PoolName) -> &mut HashMap<BackendId, Planned> {
        self.planned.entry(pool.clone()).or_default()
    }
}
