//! Notifies systemd of the state of this process (sd_notify(3)), if that runs as a service of `Type=notify`.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Whether another process is the main one of the service, and says itself that it runs.
static IS_SUCCEEDED: AtomicBool = AtomicBool::new(false);

/// The process serves.
pub fn ready(status: &str) {
    notify(&format!("READY=1\nSTATUS={status}"));
}

/// The process reads its configuration again. Call [`ready`] at the end, whether the reload succeeds or fails.
pub fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    let now_us = now.tv_sec as i128 * 1_000_000 + now.tv_nsec as i128 / 1_000;
    notify(&format!("RELOADING=1\nMONOTONIC_USEC={now_us}\nSTATUS=reading the configuration again"));
}

/// The process leaves.
pub fn stopping() {
    notify("STOPPING=1\nSTATUS=leaving: finishing requests in flight");
}

/// Another process is the main one of the service from now on.
pub fn succeeded_by(pid: u32) {
    IS_SUCCEEDED.store(true, Ordering::Relaxed);
    notify(&format!("MAINPID={pid}\nSTATUS=process {pid} has taken over"));
}

/// That process has failed. Systemd may not notice, because it is a child of this one: its end is to count as that of the main process.
pub fn successor_failed(pid: u32) {
    let own = std::process::id();
    notify(&format!("MAINPID={own}\nSTATUS=process {pid}, which had taken over, has failed"));
}

/// The control thread runs. A process that has a successor does not say so: the watchdog is for the successor.
pub fn alive() {
    if !IS_SUCCEEDED.load(Ordering::Relaxed) {
        notify("WATCHDOG=1");
    }
}

/// How often to call [`alive`]: twice in the `WatchdogSec=` of the unit. `None` without a watchdog for this process.
pub fn watchdog() -> Option<Duration> {
    let number = |name: &str| env::var(name).ok()?.parse::<u64>().ok();
    // Without a process id the watchdog is for the main process of the service, which this is.
    if number("WATCHDOG_PID").is_some_and(|pid| pid != u64::from(std::process::id())) {
        return None;
    }
    number("WATCHDOG_USEC").filter(|wait| *wait > 0).map(|wait| Duration::from_micros(wait) / 2)
}

fn notify(text: &str) {
    let Some(to) = env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&to, text) {
        tracing::debug!(%error, to = %to.display(), "cannot notify systemd of {text:?}");
    }
}

fn send(to: &OsStr, text: &str) -> io::Result<()> {
    let address = match to.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(to)?,
    };
    let socket = UnixDatagram::unbound()?;
    // Do not wait for a service manager that does not read.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(text.as_bytes(), &address).map(drop)
}
