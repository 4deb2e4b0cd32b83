//! Where spans go, as the configuration says.

use evenkeel_config::{Config, FileFault, FileOwner, Severity};
use evenkeel_otlp::Collector;

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
