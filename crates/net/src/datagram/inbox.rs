//! Datagrams that have come, from any sockets, until they are passed on.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use super::DATAGRAM_MAX;
use super::name::{Control, Name};

/// Buffers of an [`Inbox`], each for a datagram or for several of one sender that the kernel has joined. More at a time would
/// save hardly any system calls, and lose what was read from the processor's caches.
pub const BATCH: usize = 32;

/// Datagrams that have come. Its memory is what the kernel has written to so far, at most [`BATCH`] times [`DATAGRAM_MAX`] bytes.
pub struct Inbox {
    bytes: Box<[u8]>,
    names: Box<[Name]>,
    controls: Box<[Control]>,
    received: Vec<Received>,
}

/// A datagram, or several of one length of one sender; the last of them may be shorter.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    /// Where it stands in the inbox.
    at: usize,
    length: usize,
    /// Bytes of each; 0 if it is one.
    pub segment: usize,
    /// Who sent it; `None` from a socket that is connected.
    pub peer: Option<SocketAddr>,
    /// The address that it was sent to; `None` unless the socket reports it.
    pub local: Option<IpAddr>,
    /// What [`Inbox::receive`] was given.
    pub tag: usize,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("received", &self.received).finish_non_exhaustive()
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            bytes: vec![0; BATCH * DATAGRAM_MAX].into(),
            names: vec![Name::EMPTY; BATCH].into(),
            controls: vec![Control::EMPTY; BATCH].into(),
            received: Vec::with_capacity(BATCH),
        }
    }
}

impl Inbox {
    /// Receives what waits at a socket that does not block, at most `most` and as many as there is room for; how many that were.
    /// Fewer than that is all that there was.
    ///
    /// # Errors
    /// What the kernel says, `WouldBlock` among others; also what servers or routers have said of datagrams sent before.
    pub fn receive(&mut self, socket: &impl AsFd, most: usize, tag: usize) -> io::Result<usize> {
        let first = self.received.len();
        let count = self.room().min(most);
        let mut slices = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
        // SAFETY: all of these are numbers and pointers, for which zero is a value.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for i in 0..count {
            let at = first + i;
            let buffer = &mut self.bytes[at * DATAGRAM_MAX..(at + 1) * DATAGRAM_MAX];
            slices[i] = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: DATAGRAM_MAX };
            let header = &mut headers[i].msg_hdr;
            header.msg_iov = &raw mut slices[i];
            header.msg_iovlen = 1;
            header.msg_name = (&raw mut self.names[at]).cast();
            header.msg_namelen = Name::SIZE as libc::socklen_t;
            header.msg_control = (&raw mut self.controls[at]).cast();
            header.msg_controllen = Control::SIZE as _;
        }
        let socket = socket.as_fd().as_raw_fd();
        let come = loop {
            // SAFETY: the descriptor is open for as long as it is borrowed. The first `count` headers point to buffers, names and
            // controls of the lengths that they say, which live, and are not used otherwise, until the call returns.
            let come = unsafe {
                libc::recvmmsg(
                    socket,
                    headers.as_mut_ptr(),
                    count as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                    std::ptr::null_mut(),
                )
            };
            match usize::try_from(come) {
                Ok(come) => break come,
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        };
        for (i, header) in headers[..come].iter().enumerate() {
            let at = first + i;
            let named = header.msg_hdr.msg_namelen > 0;
            let beside = self.controls[at].read(header.msg_hdr.msg_controllen as _);
            let length = header.msg_len as usize;
            self.received.push(Received {
                at,
                length,
                segment: if beside.segment < length { beside.segment } else { 0 },
                peer: self.names[at].read().filter(|_| named),
                local: beside.local,
                tag,
            });
        }
        Ok(come)
    }

    /// For how many datagrams there is room.
    pub fn room(&self) -> usize {
        BATCH - self.received.len()
    }

    /// What has come, in order.
    pub fn received(&self) -> &[Received] {
        &self.received
    }

    /// The bytes of all of its datagrams.
    pub fn bytes(&self, received: &Received) -> &[u8] {
        let start = received.at * DATAGRAM_MAX;
        &self.bytes[start..start + received.length]
    }

    /// Makes room again.
    pub fn clear(&mut self) {
        self.received.clear();
    }
}

impl Received {
    /// How many bytes it has, of all of its datagrams.
    pub fn length(&self) -> usize {
        self.length
    }

    /// How many datagrams it is.
    pub fn count(&self) -> usize {
        if self.segment == 0 { 1 } else { self.length.div_ceil(self.segment) }
    }
}
