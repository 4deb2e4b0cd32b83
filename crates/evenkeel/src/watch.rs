//! The configuration file, followed: where the configuration asks for it, a change of its content reloads it.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use evenkeel_admin::{By, Request};
use evenkeel_config::FileStamp;
use evenkeel_core::snapshot::Command;
use evenkeel_proxy::Shared;
use tokio::sync::{mpsc, oneshot};

/// Between two looks at the file. A change counts when it is seen twice, because a program may still be writing the file.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The content that the process has read last, whether it is in force or was refused.
#[derive(Debug, Default)]
pub struct Loaded {
    content: AtomicU64,
    /// True while the process refuses every reload that need not be confirmed.
    is_refused: AtomicBool,
}

impl Loaded {
    /// Notes the content of the file before the process reads it: what is written afterwards counts as a change.
    pub fn note(&self, file: &Path) {
        if let Some(content) = digest(file) {
            self.content.store(content, Ordering::Relaxed);
        }
    }

    fn is(&self, content: u64) -> bool {
        self.content.load(Ordering::Relaxed) == content
    }

    /// Has a change of the file wait while `is_refused`.
    pub fn refuse(&self, is_refused: bool) {
        self.is_refused.store(is_refused, Ordering::Relaxed);
    }
}

/// Reloads the file whenever its content has changed; a change that comes while the process refuses reloads is reloaded
/// afterwards. Never returns.
pub async fn follow(
    shared: Arc<Shared>,
    file: PathBuf,
    loaded: Arc<Loaded>,
    commands: mpsc::Sender<Request>,
) {
    let (mut before, mut handled, mut waiting) = (None, None, None);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if !shared.snapshot().config.server.reload_on_change {
            continue;
        }
        let path = file.clone();
        // Not on this thread: a disk that does not answer would hold up probes and commands.
        let look = tokio::task::spawn_blocking(move || {
            let stamp = FileStamp::of(&path);
            let is_new = stamp.is_some() && stamp != handled && stamp == before;
            (stamp, is_new.then(|| digest(&path)).flatten())
        });
        // A thread that panicked has logged it.
        let Ok((stamp, content)) = look.await else { continue };
        before = stamp;
        let Some(content) = content else { continue };
        if loaded.is(content) {
            handled = stamp;
            continue;
        }
        if loaded.is_refused.load(Ordering::Relaxed) {
            if waiting.replace(content) != Some(content) {
                tracing::warn!(
                    file = %file.display(),
                    "the configuration file has changed; the process reloads it when the trial or upgrade under way has ended"
                );
            }
            continue;
        }
        waiting = None;
        let (answer, done) = oneshot::channel();
        let by = By::itself("reload_on_change");
        let asked = commands.send(Request { command: Command::Reload, by, if_match: None, answer }).await;
        // The outcome is in the log.
        if asked.is_ok() {
            let _ = done.await;
        }
        // Else it was refused unread, or has changed again.
        if loaded.is(content) {
            handled = stamp;
        }
    }
}

fn digest(file: &Path) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    hasher.write(&fs::read(file).ok()?);
    Some(hasher.finish())
}
