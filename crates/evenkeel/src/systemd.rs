//! What systemd is told of this process (sd_notify(3)), where it has started it as a service of `Type=notify`.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// It serves.
pub fn ready(status: &str) {
    tell(&format!("READY=1\nSTATUS={status}"));
}

/// It reads its configuration again; [`ready`] follows, whatever came of it.
pub fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    let now_us = now.tv_sec as i128 * 1_000_000 + now.tv_nsec as i128 / 1_000;
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={now_us}\nSTATUS=reading the configuration again"));
}

/// It ends, once what is in flight is done.
pub fn stopping() {
    tell("STOPPING=1\nSTATUS=finishing what is in flight");
}

/// Another process is the service from now on.
pub fn succeeded_by(pid: u32) {
    tell(&format!("MAINPID={pid}\nSTATUS=process {pid} has taken over"));
}

/// It is well.
pub fn alive() {
    tell("WATCHDOG=1");
}

/// How often systemd wants to hear that it is well; half of what it waits. `None` if it does not ask.
pub fn watchdog() -> Option<Duration> {
    let number = |name: &str| env::var(name).ok()?.parse::<u64>().ok();
    // Without a process id it is for the main process of the service, which this is.
    if number("WATCHDOG_PID").is_some_and(|pid| pid != u64::from(std::process::id())) {
        return None;
    }
    number("WATCHDOG_USEC").filter(|wait| *wait > 0).map(|wait| Duration::from_micros(wait) / 2)
}

fn tell(text: &str) {
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
    // A service manager that does not read does not hold up the process.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(text.as_bytes(), &address).map(drop)
}
