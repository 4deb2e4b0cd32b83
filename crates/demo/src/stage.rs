//! Everything that the demo runs: sample servers, the balancer before them, and clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use evenkeel_config::Config;
use evenkeel_core::health::State;
use evenkeel_core::snapshot::PoolState;
use evenkeel_types::Address;

use crate::balancer::Balancer;
use crate::figures::{Figures, Observer};
use crate::kind::Kind;
use crate::servers::{self, Server};
use crate::traffic::{Tally, Traffic};

/// What the listener takes when it is free and nothing else was asked for.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// The same for the admin API.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9900);
/// How long the servers may take to pass their first check; then the traffic begins anyhow.
const READY: Duration = Duration::from_secs(3);
/// How long what is under way may take at the end; the slow server needs a tenth of it.
const GRACE: Duration = Duration::from_secs(1);
/// How often the figures are read and the keys are looked at.
pub const TICK: Duration = Duration::from_millis(50);

/// Everything that runs, and the figures about it.
pub struct Stage {
    balancer: Balancer,
    servers: Vec<Server>,
    traffic: Traffic,
    /// Remembers what has happened.
    pub observer: Observer,
}

impl Stage {
    /// Starts the servers, then the balancer by `start`, then the traffic.
    ///
    /// # Errors
    /// One of them does not start; why, in words.
    pub fn set(
        kind: Kind,
        listen: Option<SocketAddr>,
        start: impl FnOnce(Config) -> Result<Balancer, String>,
    ) -> Result<Self, String> {
        let servers =
            servers::start_all(kind).map_err(|fault| format!("cannot start the sample servers: {fault}"))?;
        let listen = listen.unwrap_or_else(|| free(LISTEN));
        let admin = if listen.port() == ADMIN.port() { any_port(ADMIN) } else { free(ADMIN) };
        let text = config(kind, listen, admin, &servers);
        let parsed = evenkeel_config::parse("the demo", &text).map_err(|faults| faults.render(false))?;
        let balancer = start(parsed.config)?;
        let Some(target) = balancer.listening.iter().find_map(reachable) else {
            return Err("the balancer listens nowhere".into());
        };
        wait_until_ready(&balancer);
        let traffic =
            Traffic::start(kind, target).map_err(|fault| format!("cannot start the traffic: {fault}"))?;
        let admin = balancer.admin.as_ref().map(|address| format!("http://{address}"));
        let command = match kind {
            Kind::Http => format!("curl http://{target}/"),
            Kind::Tcp => format!("nc {} {}", target.ip(), target.port()),
        };
        let observer = Observer::new(kind, command, admin, &servers);
        Ok(Self { balancer, servers, traffic, observer })
    }

    /// Reads all figures.
    pub fn observe(&mut self, left: Option<Duration>) -> Figures {
        self.observer.observe(Instant::now(), left, &self.balancer, &self.servers, &self.traffic.tally())
    }

    /// Stops the server at this position, or starts it again.
    pub fn toggle(&mut self, position: usize) {
        let Some(server) = self.servers.get_mut(position) else { return };
        let what = if server.is_running() {
            server.stop();
            "its process is stopped".into()
        } else {
            match server.start() {
                Ok(()) => "its process runs again".into(),
                Err(fault) => format!("cannot start again: {fault}"),
            }
        };
        let name = server.name();
        self.observer.note(Instant::now(), name, what);
    }

    /// Ends everything, the traffic first, so that nothing fails for the end's sake.
    pub fn clear(mut self) -> Figures {
        let tally: Tally = self.traffic.stop();
        let figures = self.observer.observe(Instant::now(), None, &self.balancer, &self.servers, &tally);
        // In a thread of its own, because the demo ends in time whatever the balancer still has to do.
        let (left_sender, left) = std::sync::mpsc::channel();
        let leave = self.balancer.leave;
        std::thread::spawn(move || {
            leave(GRACE);
            let _ = left_sender.send(());
        });
        let _ = left.recv_timeout(2 * GRACE);
        self.servers.iter_mut().for_each(Server::stop);
        figures
    }
}

/// The configuration file for these servers.
fn config(kind: Kind, listen: SocketAddr, admin: SocketAddr, servers: &[Server]) -> String {
    let (protocol, check) = match kind {
        Kind::Http => ("http", "path = \"/health\""),
        Kind::Tcp => ("tcp", "kind = \"tcp\""),
    };
    let backends: Vec<String> = servers
        .iter()
        .map(|server| format!("{{ name = \"{}\", address = \"{}\" }}", server.name(), server.address()))
        .collect();
    format!(
        r#"
        [admin]
        bind = "{admin}"

        [log]
        access = "off"

        [listener.demo]
        bind = ["{listen}"]
        protocol = "{protocol}"
        pool = "samples"

        [pool.samples]
        algorithm = "least-connections"
        backends = [{}]
        health = {{ {check}, interval = "500ms", timeout = "400ms", fall = 2, rise = 1 }}
        outlier = {{ failures = 3, window = "10s", eject = "2s" }}
        "#,
        backends.join(", ")
    )
}

/// This address if no process listens there, else another port.
fn free(address: SocketAddr) -> SocketAddr {
    match TcpListener::bind(address) {
        Ok(_) => address,
        Err(_) => any_port(address),
    }
}

/// The same host with a port of the kernel's choice.
fn any_port(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), 0)
}

/// Where a client on this machine reaches a listener.
fn reachable(address: &Address) -> Option<SocketAddr> {
    match address {
        Address::Ip(address) if address.ip().is_unspecified() => {
            Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()))
        }
        Address::Ip(address) => Some(*address),
        Address::Name(..) | Address::Unix(_) => None,
    }
}

fn wait_until_ready(balancer: &Balancer) {
    let deadline = Instant::now() + READY;
    let all_up = || {
        let snapshot = balancer.snapshots.load();
        let is_up = |state: &PoolState| state.servers.states.iter().all(|server| server.state == State::Up);
        snapshot.pools.iter().all(|pool| is_up(&pool.state()))
    };
    while !all_up() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}
