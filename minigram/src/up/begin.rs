//! How every system begins, whatever its engines: its directory, its log, Evenkeel's program and its addresses.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::{Context, bail};

use super::running::{self, Running};
use super::state::State;
use super::{UpSettings, build, secret};
use crate::process::Process;
use crate::telemetry::{self, Telemetry, TelemetrySettings};

/// The port that is taken unless another one is asked for, or this one is in use.
const PORT: u16 = 8080;

/// The same for the admin API and the dashboard.
const ADMIN_PORT: u16 = 9900;

/// A system that begins.
pub(super) struct Begun {
    pub state: State,
    pub telemetry: Telemetry,
    /// Evenkeel's program. Absolute, because children run in a directory of their own.
    pub evenkeel: PathBuf,
}

/// Takes the state directory, and finds or builds Evenkeel. The traces of this process go to `otlp`.
pub(super) async fn begin(settings: &UpSettings, otlp: Option<String>) -> anyhow::Result<Begun> {
    let state = State::take(&settings.state)?;
    Running::remove(state.directory());
    let telemetry = telemetry::start(TelemetrySettings {
        service: "minigram",
        instance: "up".to_owned(),
        json: true,
        file: Some(state.path("minigram.log")),
        filter: "info".to_owned(),
        otlp,
        sample: 1.0,
    })?;
    let evenkeel = match &settings.evenkeel {
        Some(evenkeel) => {
            let named = || format!("the balancer's program {}", evenkeel.display());
            evenkeel.canonicalize().with_context(named)?
        }
        None => build::evenkeel().await?,
    };
    Ok(Begun { state, telemetry, evenkeel })
}

/// Where Evenkeel is, and what its admin API and the servers' tokens need.
pub(super) struct Front {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub admin_token_file: PathBuf,
    pub admin_token: String,
    pub token_key: String,
}

impl Front {
    /// The addresses that are asked for, else the usual ones if they are free, and secrets that are kept.
    pub fn choose(state: &State, settings: &UpSettings) -> anyhow::Result<Self> {
        let admin_token_file = state.path("admin.token");
        Ok(Self {
            admin_token: secret::kept(&admin_token_file)?,
            admin_token_file,
            token_key: secret::kept(&state.path("token.key"))?,
            admin: free_address(settings.admin, ADMIN_PORT).context("the admin API")?,
            address: free_address(settings.listen, PORT)?,
        })
    }

    /// What a running system says of itself.
    pub fn running(self, balancer: &Process, servers: Vec<(String, SocketAddr)>) -> Running {
        Running {
            address: self.address,
            admin: self.admin,
            admin_token: self.admin_token_file,
            evenkeel: balancer.id().as_raw_nonzero().get().unsigned_abs(),
            minigram: std::process::id(),
            servers: servers.into_iter().map(|(name, address)| running::Server { name, address }).collect(),
        }
    }
}

/// The address that is asked for, or `port` of this machine, or another one that is free.
fn free_address(asked: Option<SocketAddr>, port: u16) -> anyhow::Result<SocketAddr> {
    if let Some(asked) = asked {
        let listener = TcpListener::bind(asked).with_context(|| format!("cannot listen on {asked}"))?;
        return Ok(listener.local_addr()?);
    }
    for port in [port, 0] {
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return Ok(listener.local_addr()?);
        }
    }
    bail!("no port of 127.0.0.1 can be listened at")
}
