//! Long computations beside the traffic, each on a thread of its own with a low priority: workers never wait for a core that one uses.

use std::time::Duration;

use tokio::sync::oneshot;

/// How often free memory is given back: more often than the allocator would do it by itself, once a second.
const GIVEN_BACK_EVERY: Duration = Duration::from_millis(500);

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

/// Gives the kernel free memory, for as long as the process lives: that takes up to some microseconds for each 64 KiB, so no worker should
/// have to do it.
pub fn give_back_memory() {
    let result = spawn("memory", || {
        loop {
            std::thread::sleep(GIVEN_BACK_EVERY);
            evenkeel_net::give_back_memory();
        }
    });
    drop::<oneshot::Receiver<()>>(result);
}
