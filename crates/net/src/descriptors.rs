//! The last file descriptors, which client connections leave to what keeps the process useful without them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::LazyLock;

use rustix::process::{Resource, getrlimit};

/// Left by all of the data path to the admin API, health checks, reloads and resolvers; fewer if there are few.
const PROCESS: u64 = 64;
/// Of all, one in so many is left by clients to the connections that their requests need.
const SERVERS_SHARE: u64 = 8;
/// Of those that clients may have, sessions of UDP leave one in so many.
const SESSIONS_LEAVE: RawFd = 4;

/// Of all, one in so many may be a file that is kept open.
const FILES_SHARE: u64 = 32;
/// More files are not kept open, however many descriptors there are.
const FILES_MAX: usize = 4_096;

/// From which number on a descriptor is kept from clients, and from which from everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reserve {
    clients_below: RawFd,
    servers_below: RawFd,
}

static RESERVE: LazyLock<Reserve> = LazyLock::new(|| Reserve::of(getrlimit(Resource::Nofile).current));

impl Reserve {
    /// Of a process that may have so many open; `None` is any number.
    fn of(limit: Option<u64>) -> Self {
        let Some(limit) = limit else { return Self { clients_below: RawFd::MAX, servers_below: RawFd::MAX } };
        let servers_below = limit - PROCESS.min(limit / 4);
        let number = |below: u64| RawFd::try_from(below).unwrap_or(RawFd::MAX);
        Self {
            clients_below: number(servers_below - limit / SERVERS_SHARE),
            servers_below: number(servers_below),
        }
    }
}

/// Refuses the connection of a client if its descriptor is one of the last. The kernel gives out the lowest number
/// that is free, so a number tells how many are in use.
///
/// # Errors
/// `EMFILE`, as if there were none left.
pub(crate) fn for_client(socket: &impl AsFd) -> io::Result<()> {
    below(socket, RESERVE.clients_below)
}

/// The same for a session of UDP, which leaves a part of them to connections: anyone can begin one, in any name.
pub(crate) fn for_session(socket: &impl AsFd) -> io::Result<()> {
    let clients = RESERVE.clients_below;
    below(socket, clients - clients / SESSIONS_LEAVE)
}

/// The same for a connection to a server.
pub(crate) fn for_server(socket: BorrowedFd<'_>) -> io::Result<()> {
    below(&socket, RESERVE.servers_below)
}

/// The same for a file that a response sends.
///
/// # Errors
/// `EMFILE`, as if there were none left.
pub fn for_file(file: BorrowedFd<'_>) -> io::Result<()> {
    below(&file, RESERVE.servers_below)
}

/// Refuses a pipe if only the descriptors that servers may have are left.
pub(crate) fn for_pipe(pipe: &impl AsFd) -> io::Result<()> {
    below(pipe, RESERVE.clients_below)
}

/// How many files may be kept open for requests to come, of all workers together.
pub fn files_max() -> usize {
    files_of(getrlimit(Resource::Nofile).current)
}

fn files_of(limit: Option<u64>) -> usize {
    limit.map_or(FILES_MAX, |limit| usize::try_from(limit / FILES_SHARE).unwrap_or(FILES_MAX).min(FILES_MAX))
}

fn below(socket: &impl AsFd, limit: RawFd) -> io::Result<()> {
    if socket.as_fd().as_raw_fd() < limit { Ok(()) } else { Err(rustix::io::Errno::MFILE.into()) }
}

/// True if it was we who had no descriptor, no memory or no port left, or who wanted no more (`QuotaExceeded`), and the
/// other side has no part in it.
pub fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let ours = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
    error.kind() == io::ErrorKind::QuotaExceeded
        || error.raw_os_error().is_some_and(|code| ours.iter().any(|errno| errno.raw_os_error() == code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needed_uses_may_have_more_descriptors() {
        for limit in [1, 3, 16, 100, 160, 1024, 20_000, u64::from(u32::MAX) * 4] {
            let Reserve { clients_below, servers_below } = Reserve::of(Some(limit));
            assert!(clients_below <= servers_below, "{limit}");
            assert!(
                servers_below == RawFd::MAX || u64::from(servers_below.unsigned_abs()) <= limit,
                "{limit}"
            );
        }
        assert_eq!(Reserve::of(Some(1024)), Reserve { clients_below: 832, servers_below: 960 });
        assert_eq!(Reserve::of(None).clients_below, RawFd::MAX);
    }

    #[test]
    fn files_that_are_kept_open_are_few() {
        assert_eq!(files_of(Some(1024)), 32);
        assert_eq!(files_of(Some(10)), 0);
        assert_eq!(files_of(Some(u64::MAX)), FILES_MAX);
        assert_eq!(files_of(None), FILES_MAX);
    }

    #[test]
    fn a_refusal_of_the_other_side_is_not_ours() {
        assert!(is_exhausted(&io::Error::from(rustix::io::Errno::MFILE)));
        assert!(is_exhausted(&io::ErrorKind::QuotaExceeded.into()));
        assert!(!is_exhausted(&io::Error::from(rustix::io::Errno::CONNREFUSED)));
        assert!(!is_exhausted(&io::Error::other("no such host")));
    }
}
