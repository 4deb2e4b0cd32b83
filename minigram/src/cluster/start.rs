//! Starts all engines in their order, and ends them in the other one.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinHandle;

use super::archive::Archive;
use super::endpoints::{Endpoints, Running};
use super::layout::Layout;
use super::members::Members;
use super::settings::ClusterSettings;
use super::{alerts, balancer, etcd, monitoring, nats, patroni, postgres, redis};
use crate::process::{Ports, Process, Program, User};

/// How long engines of one kind may take to end.
pub(super) const STOP_BOUND: Duration = Duration::from_secs(15);

/// Running engines. They are killed when the value is dropped, and when this process dies; [`Cluster::stop`] ends them in order.
#[derive(Debug)]
pub struct Cluster {
    state: PathBuf,
    endpoints: Endpoints,
    members: Members,
    supervisor: JoinHandle<()>,
    alerts: JoinHandle<()>,
    /// Other programs do not get the engines' ports meanwhile.
    ports: Ports,
}

impl Cluster {
    /// Starts all engines; returns when each takes requests, also through Evenkeel's ports.
    ///
    /// # Errors
    /// A program is missing ([`super::doctor`] says which), or one does not become ready; the error says where its log is.
    pub async fn start(settings: &ClusterSettings) -> anyhow::Result<Self> {
        super::doctor::demand_all()?;
        let layout = Layout::new(&settings.state, User::for_engines(settings.user.as_deref())?)?;
        layout.check_access()?;
        for lost in fs::read_dir(layout.root().join("lost"))?.flatten() {
            fs::remove_file(lost.path()).with_context(|| lost.path().display().to_string())?;
        }
        let archive = Archive::prepare(&layout, settings)?;
        let ports = Ports::open(&layout.root().join("ports"));
        let members = Members::new(layout.root());

        let postgres = async {
            let etcd = etcd::start(&layout, &ports, &members).await?;
            Ok((etcd, postgres::start(&layout, &ports, &members, settings, etcd, &archive, None).await?))
        };
        let redis = redis::start(&layout, &ports, &members);
        let nats = nats::start(&layout, &ports, &members);
        let ((etcd, nodes), redis, nats) = tokio::try_join!(postgres, redis, nats)?;
        let endpoints = Endpoints {
            write: ports.port("write")?,
            read: ports.port("read")?,
            sessions: ports.port("sessions")?,
            queue: ports.port("queue")?,
            cache: redis.cache,
            balancer_admin: ports.port("balancer-admin")?,
            prometheus: ports.port("prometheus")?,
            alertmanager: ports.port("alertmanager")?,
            patroni: nodes.patroni,
            postgres: nodes.postgres,
            redis: redis.pair,
            nats,
            databases: postgres::DATABASES.map(str::to_owned).to_vec(),
            secrets: layout.root().join("secrets"),
            targets: layout.root().join("targets"),
            backup: archive.root().to_owned(),
        };
        balancer::start(&layout, &members, settings, &endpoints).await?;
        let (alerts, receiver) = alerts::serve(layout.root()).await?;
        monitoring::start(&layout, &members, settings, &endpoints, &receiver, etcd).await?;
        members.publish(&endpoints)?;
        let supervisor = tokio::spawn(members.clone().supervise(endpoints.clone()));
        let state = layout.root().to_owned();
        Ok(Self { state, endpoints, members, supervisor, alerts, ports })
    }

    /// Starts a program beside the engines: it is started again when it ends by itself, and [`super::faults`] knows it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_program(&self, program: Program) -> anyhow::Result<Arc<Process>> {
        let process = self.members.start(program)?;
        self.members.publish(&self.endpoints)?;
        Ok(process)
    }

    /// Ends programs that were started beside the engines, all together.
    pub async fn stop_programs(&self, names: &[String], bound: Duration) {
        self.members.stop(names, bound).await;
    }

    /// The port of this name, the same one at each start.
    ///
    /// # Errors
    /// There is no free port.
    pub fn port(&self, name: &str) -> anyhow::Result<u16> {
        self.ports.port(name).with_context(|| format!("no port for {name}"))
    }

    /// Where everything is.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Ends all engines in order: first what sends requests, then what answers them. None is left when it returns.
    pub async fn stop(self) {
        self.supervisor.abort();
        let stop = async |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            self.members.stop(&names, STOP_BOUND).await;
        };
        stop(&["prometheus", "alertmanager", "evenkeel-databases"]).await;
        stop(&redis::SENTINELS).await;
        // Replicas first: a primary that ends would have them take its place. A replica of PostgreSQL that ends last has it all.
        stop(&patroni::NODES).await;
        let rest = self.members.names();
        self.members.stop(&rest, STOP_BOUND).await;
        Running::remove(&self.state);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.supervisor.abort();
        self.alerts.abort();
        Running::remove(&self.state);
    }
}
