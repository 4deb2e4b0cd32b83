//! Planning probes: one at a time for each server whose pool is checked, for as long as the pool has the server.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_config::{Backend, Health, Pool, PoolProtocol, Probe, ProxyProtocol};
use evenkeel_core::health::{Finding, ProbeFailure};
use evenkeel_databases::{Server, Session};
use evenkeel_net::Dial;
use evenkeel_net::proxy_protocol::{Header, Version};
use evenkeel_proxy::{Shared, probe};
use evenkeel_tls::ClientTls;
use evenkeel_types::{Address, BackendId, PoolName};
use foldhash::HashMap;
use tokio::sync::{Notify, mpsc};
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
    pub result: Result<Finding, ProbeFailure>,
    /// How long it took.
    pub took: Duration,
    /// The connection that the next check of a database uses.
    pub session: Option<Session>,
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
    /// Has it begin at once.
    hurry: Rc<Notify>,
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
        (Self { planned: HashMap::default(), results, shared, rng: fastrand::Rng::new() }, receiver)
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
            if pool.health.is_none() && !self.planned.contains_key(&pool.name) {
                continue;
            }
            let mut before = self.planned.remove(&pool.name).unwrap_or_default();
            let is_same = |planned: &Planned, backend: &Backend| {
                planned.backend == *backend && Some(&planned.settings) == pool.health.as_ref()
            };
            for backend in &pool.backends {
                // One that is disabled is not probed.
                let is_probed =
                    servers.next_probe(&pool.name, &backend.id, self.shared.clock.now(), &mut self.rng);
                let same = before.remove(&backend.id);
                match same.filter(|planned| is_probed.is_some() && is_same(planned, backend)) {
                    Some(same) => drop(self.of(&pool.name).insert(backend.id.clone(), same)),
                    None => self.plan_one(servers, pool, backend, None),
                }
            }
        }
    }

    /// Has all probes of a pool that are planned begin at once.
    pub fn hurry(&self, pool: &PoolName) {
        self.planned
            .get(pool)
            .into_iter()
            .flat_map(HashMap::values)
            .for_each(|planned| planned.hurry.notify_one());
    }

    /// Plans the next probe of a server, over the connection that the last one has left.
    pub fn plan_next(
        &mut self,
        servers: &ServerRegistry,
        pool: &PoolName,
        id: &BackendId,
        session: Option<Session>,
    ) {
        // Its last one has ended.
        self.planned.get_mut(pool).and_then(|planned| planned.remove(id));
        if let Some(pool) = servers.pool(pool)
            && let Some(backend) = pool.backends.iter().find(|backend| backend.id == *id)
        {
            self.plan_one(servers, pool, backend, session);
        }
    }

    fn plan_one(
        &mut self,
        servers: &ServerRegistry,
        pool: &Pool,
        backend: &Backend,
        session: Option<Session>,
    ) {
        let clock = self.shared.clock;
        let at = servers.next_probe(&pool.name, &backend.id, clock.now(), &mut self.rng);
        let (Some(at), Some(settings)) = (at, pool.health.clone()) else { return };
        let at = tokio::time::Instant::from_std(clock.instant(at));
        let (name, id) = (pool.name.clone(), backend.id.clone());
        let own = backend.address.clone();
        let credentials = self.shared.credentials();
        let question = Question {
            address: settings.port.map_or_else(|| own.clone(), |port| own.with_port(port)),
            protocol: pool.protocol,
            tls: credentials.pools.get(&name).cloned(),
            password: credentials.checks.get(&name).cloned(),
            // What listens on a port of its own for checks does not stand behind the proxy.
            proxy_protocol: pool.proxy_protocol.filter(|_| settings.port.is_none()),
            dial: Dial::new(&pool.bind_from, pool.tcp_keepalive),
            settings: settings.clone(),
        };
        let (results, hurry) = (self.results.clone(), Rc::new(Notify::new()));
        let hurried = Rc::clone(&hurry);
        let task = tokio::task::spawn_local(async move {
            tokio::select! {
                () = tokio::time::sleep_until(at) => {}
                () = hurried.notified() => {}
                () = stirs(session.as_ref()) => {}
            }
            let began = Instant::now();
            let (result, session) = question.ask(session).await;
            let took = began.elapsed();
            // The control loop is gone when the process leaves.
            let _ = results.send(Probed { pool: name, id, result, took, session }).await;
        });
        let planned = Planned { backend: backend.clone(), settings, hurry, task: task.abort_handle() };
        self.of(&pool.name).insert(backend.id.clone(), planned);
    }

    fn of(&mut self, pool: &PoolName) -> &mut HashMap<BackendId, Planned> {
        self.planned.entry(pool.clone()).or_default()
    }
}

/// What a probe asks, of whom, and who it says that it is.
struct Question {
    address: Address,
    protocol: PoolProtocol,
    tls: Option<Arc<ClientTls>>,
    password: Option<Arc<[u8]>>,
    proxy_protocol: Option<ProxyProtocol>,
    dial: Dial,
    settings: Health,
}

impl Question {
    async fn ask(&self, session: Option<Session>) -> (Result<Finding, ProbeFailure>, Option<Session>) {
        let Self { address, protocol, tls, password, proxy_protocol, dial, settings } = self;
        let (Health { probe: asked, timeout, .. }, tls) = (settings, tls.as_deref());
        if let Probe::Http(_) | Probe::Grpc { .. } | Probe::Tcp = asked {
            let (protocol, proxy_protocol) = (*protocol, *proxy_protocol);
            let server = evenkeel_proxy::Probed { address, protocol, tls, proxy_protocol, dial };
            return (probe(server, asked, *timeout).await.map(|()| Finding::Well), None);
        }
        let mut header = Vec::new();
        if let Some(version) = proxy_protocol {
            let version = match version {
                ProxyProtocol::V1 => Version::V1,
                ProxyProtocol::V2 => Version::V2,
            };
            Header::local().write(version, &mut header);
        }
        let server = Server { address, tls, password: password.as_deref(), dial, header: &header };
        let (claim, session) = evenkeel_databases::check(session, server, asked, *timeout).await;
        (claim.map(Finding::Database), session)
    }
}

/// Ready when the server has closed the connection that the next check was to use.
async fn stirs(session: Option<&Session>) {
    match session {
        Some(session) => session.stirs().await,
        None => std::future::pending().await,
    }
}
