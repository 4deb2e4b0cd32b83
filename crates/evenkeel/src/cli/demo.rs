//! `evenkeel demo`: sample servers, the balancer and live traffic in one process, so that a first look needs nothing else.

mod draw;
mod figures;
mod plain;
mod screen;
mod servers;
mod svg;
#[cfg(test)]
mod tests;
mod traffic;

use std::io::{self, IsTerminal};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use evenkeel_core::health::State;
use evenkeel_types::Address;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::wire::System;
use figures::{Figures, Observer};
use servers::Server;
use traffic::{Tally, Traffic};

/// What the listener takes when it is free and nothing else was asked for.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// The same for the admin API.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9900);
/// How long the servers may take to pass their first check; then the traffic begins anyhow.
const READY: Duration = Duration::from_secs(3);
/// How long requests in flight may take at the end; the slow server needs a tenth of it.
const GRACE: Duration = Duration::from_secs(1);
/// How often the figures are read and the keys are looked at.
const TICK: Duration = Duration::from_millis(50);

/// Three sample servers, the balancer, live traffic and a screen that shows it all.
#[derive(Debug, Args)]
pub struct Demo {
    /// Stop after N seconds [default: when you quit; 10 without a terminal]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Where the balancer listens [default: 127.0.0.1:8080, or a free port when that is taken]
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    listen: Option<SocketAddr>,
    /// No screen: lines, and a summary at the end
    #[arg(long)]
    plain: bool,
    /// Write a picture of the screen; implies --plain
    #[arg(long, value_name = "FILE", hide = true)]
    svg: Option<PathBuf>,
}

/// Runs the demo until its time is over, a key or a signal ends it.
///
/// Without a screen the exit code is 1 when a request failed, so that scripts can rely on it. With one, whoever sits
/// before it may have stopped all servers, and a failed request is no failure of the program.
pub fn run(args: Demo) -> ExitCode {
    perform(&args).unwrap_or_else(|fault| super::fail(&fault))
}

fn perform(args: &Demo) -> Result<ExitCode, String> {
    let plain = args.plain || args.svg.is_some() || !io::stdout().is_terminal();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    // Before anything runs, so that a signal finds nobody unprepared.
    let mut signals = runtime.block_on(async { Signals::new() }).map_err(|e| e.to_string())?;
    let mut stage = Stage::set(args.listen)?;
    let seconds = args.seconds.map(Duration::from_secs);
    let result = if plain {
        let length = seconds.unwrap_or(Duration::from_secs(10));
        runtime.block_on(plain::play(&mut stage, length, &mut signals, args.svg.as_deref()))
    } else {
        runtime.block_on(screen::play(&mut stage, seconds, &mut signals))
    };
    let figures = stage.clear();
    result.map_err(|fault| fault.to_string())?;
    plain::summarize(&figures).map_err(|fault| fault.to_string())?;
    Ok(if plain && figures.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Everything that runs, and the figures about it.
struct Stage {
    system: System,
    servers: Vec<Server>,
    traffic: Traffic,
    observer: Observer,
}

impl Stage {
    /// Starts the servers, then the balancer, then the traffic.
    fn set(listen: Option<SocketAddr>) -> Result<Self, String> {
        let servers =
            servers::start_all().map_err(|fault| format!("cannot start the sample servers: {fault}"))?;
        let listen = listen.unwrap_or_else(|| free(LISTEN));
        let admin = if listen.port() == ADMIN.port() { any_port(ADMIN) } else { free(ADMIN) };
        let text = config(listen, admin, &servers);
        let parsed = evenkeel_config::parse("the demo", &text).map_err(|faults| faults.render(false))?;
        let system = System::start(parsed.config, None).map_err(|fault| fault.to_string())?;
        let Some(target) = system.listening().into_iter().find_map(|(_, address)| reachable(&address)) else {
            return Err("the balancer listens nowhere".into());
        };
        wait_until_ready(&system);
        let traffic = Traffic::start(target).map_err(|fault| format!("cannot start the traffic: {fault}"))?;
        let admin = system.admin().map(|address| format!("http://{address}"));
        let observer = Observer::new(Instant::now(), format!("http://{target}/"), admin, &servers);
        Ok(Self { system, servers, traffic, observer })
    }

    /// Reads all figures.
    fn observe(&mut self, left: Option<Duration>) -> Figures {
        self.observer.observe(Instant::now(), left, &self.system, &self.servers, &self.traffic.tally())
    }

    /// Stops the server at this position, or starts it again.
    fn toggle(&mut self, position: usize) {
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
    fn clear(mut self) -> Figures {
        let tally: Tally = self.traffic.stop();
        let figures = self.observer.observe(Instant::now(), None, &self.system, &self.servers, &tally);
        // In a thread of its own, because the demo ends in time whatever the balancer still has to do.
        let (left_sender, left) = std::sync::mpsc::channel();
        let system = self.system;
        std::thread::spawn(move || {
            system.leave(GRACE);
            let _ = left_sender.send(());
        });
        let _ = left.recv_timeout(2 * GRACE);
        self.servers.iter_mut().for_each(Server::stop);
        figures
    }
}

/// The signals that end the demo.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for any of them.
    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// The file that somebody would write for these servers.
fn config(listen: SocketAddr, admin: SocketAddr, servers: &[Server]) -> String {
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

        [listener.web]
        bind = ["{listen}"]
        pool = "samples"

        [pool.samples]
        algorithm = "least-connections"
        backends = [{}]
        health = {{ path = "/health", interval = "500ms", timeout = "400ms", fall = 2, rise = 1 }}
        outlier = {{ failures = 3, window = "10s", eject = "2s" }}
        "#,
        backends.join(", ")
    )
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    match Address::listener(text) {
        Ok(Address::Ip(address)) => Ok(address),
        Ok(_) => Err("the demo listens on an IP address and a port".into()),
        Err(fault) => Err(fault.to_string()),
    }
}

/// This address if nobody listens there, else another port.
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

fn wait_until_ready(system: &System) {
    let deadline = Instant::now() + READY;
    let all_up = || {
        let snapshot = system.snapshot();
        snapshot.pools.iter().flat_map(|pool| pool.states.iter()).all(|server| server.state == State::Up)
    };
    while !all_up() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}
