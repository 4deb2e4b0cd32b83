//! `minigram server`: one application server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use minigram::app::{self, App};
use minigram::leave::Leave;
use minigram::settings::Settings;
use minigram::telemetry;
use tokio::net::TcpListener;

use super::end::End;

/// Runs one application server, until SIGTERM or Ctrl-C.
#[derive(Debug, clap::Args)]
pub struct Server {
    /// The settings.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Names the server: in logs, and as `x-server` in its responses.
    #[arg(long)]
    name: String,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS")]
    bind: SocketAddr,
}

impl Server {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let settings = Settings::read(&self.config)?;
        let mut end = End::new()?;
        let telemetry = telemetry::start(settings.telemetry("minigram-server", &self.name))?;
        let engines = settings.connect().await?;
        let app = App::new(engines, settings.server(&self.name)?)?;
        let listener = TcpListener::bind(self.bind).await;
        let listener = listener.with_context(|| format!("cannot listen on {}", self.bind))?;
        let (ask, leave) = Leave::pair();
        let mut serving = std::pin::pin!(app::serve(app, listener, leave));
        tokio::select! {
            served = &mut serving => served?,
            () = end.requested() => {
                ask.request();
                serving.await?;
            }
        }
        telemetry.end().await;
        Ok(ExitCode::SUCCESS)
    }
}
