//! Where spans go, as the configuration says.

use std::sync::Arc;

use evenkeel_config::{Config, FileFault, FileOwner, Severity};
use evenkeel_observe::Registry;
use evenkeel_otlp::{Collector, Exporter};

/// What sends the spans of all workers.
///
/// # Errors
/// The collector's `headers_file` cannot be used, or there is no thread to be had.
pub fn start(config: &Config, registry: &Arc<Registry>) -> Result<Arc<Exporter>, String> {
    let exporter = Arc::new(Exporter::new(Arc::clone(registry)));
    let started = exporter.configure(collector(config)?);
    started.map_err(|error| format!("cannot start the thread `traces`: {error}"))?;
    Ok(exporter)
}

/// The collector of `[tracing]`.
///
/// # Errors
/// Its `headers_file` cannot be used.
pub fn collector(config: &Config) -> Result<Option<Collector>, String> {
    let collector = config.tracing.as_ref().map(Collector::of).transpose();
    collector.map_err(|why| format!("tracing.headers_file: {why}"))
}

/// What is wrong with the file that it names.
pub fn check(config: &Config) -> Option<FileFault> {
    let tracing = config.tracing.as_ref()?;
    let (path, message) = (tracing.headers_file.clone()?, Collector::of(tracing).err()?);
    Some(FileFault {
        owner: FileOwner::Process,
        key: "headers_file",
        path,
        severity: Severity::Error,
        message,
        expected: "expected a file with header fields, which this user may read".into(),
        help: "write one `NAME: VALUE` a line".into(),
    })
}
