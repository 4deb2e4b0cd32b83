//! The figures of the last seconds and minutes, and the number of watchers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use tokio::sync::watch;

use super::problems::{Problem, Problems};
use super::window::{Recent, Window};
use crate::rounded::rounded;

/// Streams at once: some dashboards of some people, with terminals beside them.
pub(crate) const WATCHERS_MAX: usize = 32;

/// The figures of the last seconds. [`follow`](crate::follow) fills it.
#[derive(Debug)]
pub struct Live {
    state: Mutex<State>,
    /// The message of the last second; empty before the first watcher.
    pub(crate) ticks: watch::Sender<Bytes>,
    watchers: AtomicUsize,
}

/// The state after a second.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The last seconds in detail, and the last minutes in points.
    pub(crate) window: Window,
    /// When each problem began.
    pub(crate) problems: Problems,
    /// The problems of this second.
    pub(crate) found: Arc<[Problem]>,
    /// The last ten seconds.
    pub(crate) recent: Arc<Recent>,
}

impl Default for Live {
    fn default() -> Self {
        let (ticks, _) = watch::channel(Bytes::new());
        Self { state: Mutex::default(), ticks, watchers: AtomicUsize::new(0) }
    }
}

impl Live {
    /// The last ten seconds.
    pub(crate) fn recent(&self) -> Arc<Recent> {
        Arc::clone(&self.lock().recent)
    }

    /// No holder leaves a change half done, so what a panic left behind is sound.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more watcher; false if there are [`WATCHERS_MAX`] already.
    pub(crate) fn begin(&self) -> bool {
        let more = |watchers| (watchers < WATCHERS_MAX).then_some(watchers + 1);
        self.watchers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Counts one watcher less.
    pub(crate) fn end(&self) {
        self.watchers.fetch_sub(1, Ordering::Relaxed);
    }

    /// True if there are any.
    pub(crate) fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }
}

/// Seconds since the Unix epoch, to the millisecond.
pub(crate) fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    rounded(since.as_secs_f64())
}
