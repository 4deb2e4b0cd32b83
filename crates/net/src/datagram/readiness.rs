//! Which of many sockets have something to read: asked of one epoll of their own, which the runtime watches as one socket.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll, ready};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::Timespec;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Sockets that the kernel names at a time.
const AT_ONCE: usize = 64;

/// A set of sockets. One that is closed leaves it.
pub struct Readiness {
    epoll: AsyncFd<OwnedFd>,
    events: Vec<epoll::Event>,
    /// Asks the kernel, whether or not it has woken the task.
    looks_again: bool,
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

impl Readiness {
    /// An empty set, on the runtime of the calling thread.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        // SAFETY: `AsyncFd` owns the descriptor from here on, and closes it only when it has taken it off the runtime.
        let epoll = unsafe { AsyncFd::register_with_interest(epoll, Interest::READABLE) }?;
        Ok(Self { epoll, events: Vec::with_capacity(AT_ONCE), looks_again: false })
    }

    /// Adds a socket, which is called `tag`.
    ///
    /// # Errors
    /// The kernel has no memory for it.
    pub fn add(&self, socket: &impl AsFd, tag: usize) -> io::Result<()> {
        Ok(epoll::add(self.epoll.get_ref(), socket, EventData::new_u64(tag as u64), EventFlags::IN)?)
    }

    /// Something was left to be read at a socket: the kernel names it again.
    pub fn look_again(&mut self) {
        self.looks_again = true;
    }

    /// The tags of sockets that have something to read, or of which the kernel has an error to tell. If not all of that is read,
    /// [`look_again`](Self::look_again) must follow.
    ///
    /// # Errors
    /// The runtime is gone.
    pub fn poll(&mut self, cx: &mut Context<'_>, tags: &mut Vec<usize>) -> Poll<io::Result<()>> {
        loop {
            if !std::mem::take(&mut self.looks_again) {
                // For what comes from now on the kernel wakes the task once more, also for a socket that is known to have something.
                ready!(self.epoll.poll_read_ready(cx))?.clear_ready();
            }
            self.events.clear();
            let now = Timespec::default();
            let told =
                epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&now))?;
            if told == 0 {
                continue;
            }
            self.looks_again = told == AT_ONCE;
            tags.extend(self.events.iter().map(|event| event.data.u64() as usize));
            return Poll::Ready(Ok(()));
        }
    }
}
