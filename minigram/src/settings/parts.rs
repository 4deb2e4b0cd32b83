//! What a settings file says of the parts of the application: tokens, servers, workers.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::{Settings, Span, read_secret};
use crate::app::AppSettings;
use crate::app::edge::EdgeNode;
use crate::telemetry::TelemetrySettings;
use crate::workers::WorkerSettings;

/// Access tokens. All servers need the same key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// The file with the key that signs them: 32 bytes or more.
    pub key_file: PathBuf,
    /// How long one is valid.
    pub access: Option<Span>,
}

/// A server.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// How long a session lasts after it was last refreshed.
    pub session: Option<Span>,
    /// How long answers of the store stay in the cache.
    pub cache: Option<Span>,
    /// What browsers see, as `https://photos.example.com`.
    pub public_origin: Option<String>,
    /// How long a server that leaves says so before it stops.
    pub not_ready: Option<Span>,
    /// How long open requests then have to end.
    pub drain: Option<Span>,
}

/// An Evenkeel before the servers, whose cache they purge; or several, at the addresses of one name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeSettings {
    /// Its admin API, as `http://127.0.0.1:9900`. A name is purged at every address that it has.
    pub admin: String,
    /// The file with the token of its admin API.
    pub token_file: Option<PathBuf>,
}

/// Traces over OTLP.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracingSettings {
    /// The collector, as `http://127.0.0.1:4318`. Without it no traces are recorded.
    pub otlp: Option<String>,
    /// Part of the traces that begin here and are recorded, from 0 to 1; all by default.
    pub sample: Option<f64>,
}

/// A process of workers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkSettings {
    /// Where `/metrics` and `/healthz` are served.
    pub listen: Option<SocketAddr>,
    /// Thumbnails at once.
    pub thumbnails: Option<usize>,
    /// Pictures decoded at once.
    pub decoders: Option<usize>,
    /// Photos put into feeds at once.
    pub fan_out: Option<usize>,
    /// How long jobs have to finish when the process should end.
    pub finish_within: Option<Span>,
}

impl Settings {
    /// The settings of the server with this name.
    ///
    /// # Errors
    /// There is no key for tokens.
    pub fn server(&self, name: &str) -> anyhow::Result<AppSettings> {
        let tokens = self.tokens.as_ref().context("a server needs a table [tokens] with `key_file`")?;
        let mut settings = AppSettings::new(name, read_secret(&self.path(&tokens.key_file))?);
        let said = &self.app;
        set(&mut settings.access_ttl, tokens.access);
        set(&mut settings.session_ttl, said.session);
        set(&mut settings.cache_ttl, said.cache);
        set(&mut settings.leaving.not_ready, said.not_ready);
        set(&mut settings.leaving.drain, said.drain);
        settings.public_origin.clone_from(&said.public_origin);
        settings.edge = self.edges()?;
        Ok(settings)
    }

    /// The edges that servers and workers purge.
    fn edges(&self) -> anyhow::Result<Vec<EdgeNode>> {
        let node = |edge: &EdgeSettings| {
            let url: reqwest::Url =
                edge.admin.parse().with_context(|| format!("[[edge]] admin = \"{}\"", edge.admin))?;
            ensure!(
                matches!(url.scheme(), "http" | "https") && url.has_host(),
                "[[edge]] admin = \"{}\" is no address such as `http://127.0.0.1:9900`",
                edge.admin
            );
            let token = edge.token_file.as_ref().map(|file| read_secret(&self.path(file))).transpose()?;
            Ok(EdgeNode { admin: edge.admin.clone(), token })
        };
        self.edge.iter().map(node).collect()
    }

    /// The logs and traces of a process of this kind and name. Logs are JSON, on stderr.
    #[must_use]
    pub fn telemetry(&self, service: &'static str, name: &str) -> TelemetrySettings {
        TelemetrySettings {
            service,
            instance: name.to_owned(),
            json: true,
            file: None,
            filter: "info".to_owned(),
            otlp: self.tracing.otlp.clone(),
            sample: self.tracing.sample.unwrap_or(1.0).clamp(0.0, 1.0),
        }
    }

    /// The settings of a process of workers with this name.
    ///
    /// # Errors
    /// The token of an edge cannot be read.
    pub fn worker(&self, name: &str) -> anyhow::Result<WorkerSettings> {
        let (said, usual) = (&self.worker, WorkerSettings::default());
        let mut settings = WorkerSettings {
            name: name.to_owned(),
            listen: said.listen,
            edge: self.edges()?,
            thumbnails: said.thumbnails.unwrap_or(usual.thumbnails),
            decoders: said.decoders.unwrap_or(usual.decoders),
            fan_out: said.fan_out.unwrap_or(usual.fan_out),
            ..usual
        };
        set(&mut settings.finish_within, said.finish_within);
        Ok(settings)
    }
}

fn set(setting: &mut std::time::Duration, said: Option<Span>) {
    if let Some(Span(span)) = said {
        *setting = span;
    }
}
