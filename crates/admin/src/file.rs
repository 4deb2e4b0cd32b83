//! What the configuration file says by now, against what is in force: for the page and for programs.

use std::path::PathBuf;
use std::sync::Arc;

use evenkeel_config::{Diagnostics, difference};
use evenkeel_core::snapshot::Snapshot;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

/// One file at a time is read and compared, so that many requests do not take many cores from the workers.
static READING: Semaphore = Semaphore::const_new(1);

/// The configuration file at this moment.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = ConfigurationFile)]
pub(crate) struct File {
    /// What a reload would change, in words, as `evenkeel diff` says it.
    changes: Vec<String>,
    /// Why a reload would fail: the first fault of the file, and its line.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

impl File {
    /// Reads the file on a thread of its own, and compares it with what is in force; `None` without a file.
    pub(crate) async fn of(snapshot: &Snapshot, source: Option<&PathBuf>) -> Option<Self> {
        let (path, config) = (source?.clone(), Arc::clone(&snapshot.config));
        let _turn = READING.acquire().await.ok()?;
        let read = spawn_blocking(move || match evenkeel_config::load(&path) {
            Ok(parsed) => {
                let changes = difference(&config, &parsed.config).changes;
                Self { changes: changes.into_iter().map(|change| change.sentence).collect(), fault: None }
            }
            Err(faults) => Self { changes: Vec::new(), fault: Some(first(&faults)) },
        });
        read.await.ok()
    }
}

/// As in `unknown key bakends (line 18)`, and how to mend it.
fn first(faults: &Diagnostics) -> String {
    let mut errors = faults.iter().filter(|fault| fault.severity() == evenkeel_config::Severity::Error);
    let Some(fault) = errors.next() else { return "it is wrong".into() };
    let line = if fault.line() > 0 { format!("line {}: ", fault.line()) } else { String::new() };
    let help = fault.help().map(|help| format!(": {help}")).unwrap_or_default();
    let more = match errors.count() {
        0 => String::new(),
        1 => " (and 1 more fault)".into(),
        more => format!(" (and {more} more faults)"),
    };
    format!("{line}{}{help}{more}", fault.message())
}
