//! The settings of a process, read from a TOML file. Keys that no setting has are refused, and so are impossible values.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

mod parts;
mod real;
mod span;

pub use parts::{EdgeSettings, ServerSettings, TokenSettings, TracingSettings, WorkSettings};
pub use real::{BlobsTable, DatabaseTable, NatsTable, PostgresTable, RedisTable, S3Table};
pub use span::Span;

use crate::clock::Clock;
use crate::engines::Engines;

/// Bytes of a settings file, at most.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Bytes of a file with a key or a token, at most.
const SECRET_BYTES_MAX: u64 = 4096;

/// The settings of a server or a worker.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Which engines the process works with.
    pub engines: EngineKind,
    /// Needed for the embedded engines.
    pub embedded: Option<EmbeddedSettings>,
    /// Needed for the real engines, as are the next three.
    pub postgres: Option<PostgresTable>,
    /// Sessions, messages between servers, and the cache.
    pub redis: Option<RedisTable>,
    /// The queue.
    pub nats: Option<NatsTable>,
    /// Pictures.
    pub blobs: Option<BlobsTable>,
    /// Needed by servers.
    pub tokens: Option<TokenSettings>,
    /// How servers behave.
    #[serde(default)]
    pub app: ServerSettings,
    /// The edges that servers and workers purge, each a table `[[edge]]`.
    #[serde(default)]
    pub edge: Vec<EdgeSettings>,
    /// Where traces go.
    #[serde(default)]
    pub tracing: TracingSettings,
    /// How workers behave.
    #[serde(default)]
    pub worker: WorkSettings,
    /// The folder of the file. Relative paths begin there.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// Which engines a process works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// Those inside the process. Users, photos and jobs are in files, which several processes of one machine may share;
    /// sessions, cache and bus are each process's own.
    Embedded,
    /// PostgreSQL, Redis and NATS. Any number of processes on any number of machines may share them.
    Real,
}

/// Where the embedded engines keep their files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedSettings {
    /// This directory, which is made if need be.
    pub directory: PathBuf,
}

impl Settings {
    /// The settings in a file.
    ///
    /// # Errors
    /// The file cannot be read, or is not as it should be; the error shows the line.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = read_limited(file, FILE_BYTES_MAX)?;
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        Self::parse(&text, folder).with_context(|| format!("the settings in {}", file.display()))
    }

    /// The settings that a text says; relative paths begin in `folder`.
    ///
    /// # Errors
    /// The text is not as it should be; the error shows the line.
    pub fn parse(text: &str, folder: PathBuf) -> anyhow::Result<Self> {
        let mut settings: Self = toml::from_str(text)?;
        settings.folder = folder;
        if settings.engines == EngineKind::Embedded && settings.embedded.is_none() {
            bail!("`engines = \"embedded\"` needs a table [embedded] with `directory`");
        }
        Ok(settings)
    }

    /// Opens or reaches the engines.
    ///
    /// # Errors
    /// An engine cannot be opened or reached.
    pub async fn connect(&self) -> anyhow::Result<Engines> {
        match (self.engines, &self.embedded) {
            (EngineKind::Embedded, Some(embedded)) => {
                Engines::embedded(&self.path(&embedded.directory), Clock::System).await
            }
            (EngineKind::Embedded, None) => bail!("there is no table [embedded]"),
            (EngineKind::Real, _) => self.connect_real().await,
        }
    }

    /// A path of these settings, from the folder of their file.
    #[must_use]
    pub fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
}

/// The key or token that a file holds, without white space at its ends.
///
/// # Errors
/// The file cannot be read, is empty, or is larger than any secret.
pub fn read_secret(file: &Path) -> anyhow::Result<String> {
    let text = read_limited(file, SECRET_BYTES_MAX)?;
    let secret = text.trim();
    if secret.is_empty() {
        bail!("{} is empty", file.display());
    }
    Ok(secret.to_owned())
}

fn read_limited(file: &Path, bytes_max: u64) -> anyhow::Result<String> {
    let bytes = fs::metadata(file).with_context(|| format!("{} cannot be read", file.display()))?.len();
    if bytes > bytes_max {
        bail!("{} has {bytes} bytes; {bytes_max} are allowed", file.display());
    }
    fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}

#[cfg(test)]
mod tests;
