//! Long computations beside the traffic, each on a thread of its own with a low priority: workers never wait for a core that one uses.

use tokio::sync::oneshot;

/// Does `work` on a new thread with this name. What it returns comes out, or nothing if it panics or there can be no thread.
pub fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (done, result) = oneshot::channel();
    let run = move || {
        evenkeel_net::lower_priority();
        // Nothing may wait for it any more.
        let _ = done.send(work());
    };
    if let Err(error) = std::thread::Builder::new().name(name.into()).spawn(run) {
        tracing::error!("no thread for {name}: {error}");
    }
    result
}
