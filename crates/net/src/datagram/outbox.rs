//! Sending datagrams, many with one system call, and several of one length as one where the kernel takes them apart (GSO).

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use super::name::{Control, Name};

/// Messages that are given to the kernel with one call.
const AT_ONCE: usize = 32;
/// Datagrams that one message may be taken apart into; the kernel takes 64 at least.
pub const SEGMENTS_MAX: usize = 64;

/// True once a device could not take messages apart: then the kernel is not asked any more.
static LACKS_SEGMENTS: AtomicBool = AtomicBool::new(false);

/// A datagram, or several of one length, that are to be sent.
#[derive(Debug, Clone)]
pub struct Message {
    /// Where to; `None` over a socket that is connected.
    pub to: Option<SocketAddr>,
    /// From which address of ours; `None` leaves it to the kernel.
    pub from: Option<IpAddr>,
    /// Its bytes, as a range of the pieces.
    pub pieces: Range<usize>,
    /// Bytes of each of several datagrams, the last of which may be shorter; 0 if it is one.
    pub segment: usize,
}

/// Sends messages. It holds what the kernel reads beside their bytes.
#[derive(Debug, Default)]
pub struct Outbox {
    scratch: Vec<Scratch>,
}

/// What the kernel reads beside the bytes of one message.
#[derive(Clone, Copy)]
struct Scratch {
    name: Name,
    control: Control,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

impl Outbox {
    /// True if several datagrams of one length may be one message.
    pub fn takes_segments() -> bool {
        !LACKS_SEGMENTS.load(Relaxed)
    }

    /// Sends messages over a socket that does not block. Each that could not be sent is handed to `failed` by its place among them;
    /// when the kernel takes no more for the moment, those are all that are left.
    pub fn send(
        &mut self,
        socket: &impl AsFd,
        is_ipv6: bool,
        (messages, pieces): (&[Message], &[IoSlice<'_>]),
        mut failed: impl FnMut(usize, &io::Error),
    ) {
        let socket = socket.as_fd();
        let mut begin = 0;
        while begin < messages.len() {
            let chunk = &messages[begin..messages.len().min(begin + AT_ONCE)];
            self.scratch.resize(chunk.len(), Scratch { name: Name::EMPTY, control: Control::EMPTY });
            let (sent, error) = send_some(socket, is_ipv6, (chunk, pieces), &mut self.scratch);
            begin += sent;
            let Some(error) = error else { continue };
            let refused = &messages[begin];
            if is_full(&error) {
                (begin..messages.len()).for_each(|at| failed(at, &error));
                return;
            }
            if refused.segment > 0 && is_of_segments(&error) {
                if error.raw_os_error() == Some(libc::EIO) {
                    LACKS_SEGMENTS.store(true, Relaxed);
                }
                self.send_apart(socket, is_ipv6, (refused, pieces), |error| failed(begin, error));
            } else {
                failed(begin, &error);
            }
            begin += 1;
        }
    }

    /// Sends the datagrams of one message one by one, in pieces of IP packets if they are too long for one.
    #[cold]
    fn send_apart(
        &mut self,
        socket: BorrowedFd<'_>,
        is_ipv6: bool,
        (message, pieces): (&Message, &[IoSlice<'_>]),
        mut failed: impl FnMut(&io::Error),
    ) {
        let mut apart: Vec<IoSlice<'_>> = Vec::new();
        let mut messages = Vec::new();
        let (mut start, mut held) = (0, 0);
        for piece in &pieces[message.pieces.clone()] {
            let mut rest: &[u8] = piece;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(message.segment - held));
                apart.push(IoSlice::new(now));
                (held, rest) = (held + now.len(), later);
                if held == message.segment {
                    messages.push(Message { pieces: start..apart.len(), segment: 0, ..message.clone() });
                    (start, held) = (apart.len(), 0);
                }
            }
        }
        if held > 0 {
            messages.push(Message { pieces: start..apart.len(), segment: 0, ..message.clone() });
        }
        for message in &messages {
            let message = std::slice::from_ref(message);
            if let (_, Some(error)) = send_some(socket, is_ipv6, (message, &apart), &mut self.scratch) {
                // The others fare no better.
                return failed(&error);
            }
        }
    }
}

/// Sends the first of these messages with one call: how many, and why no more, if that is known.
fn send_some(
    socket: BorrowedFd<'_>,
    is_ipv6: bool,
    (messages, pieces): (&[Message], &[IoSlice<'_>]),
    scratch: &mut [Scratch],
) -> (usize, Option<io::Error>) {
    // SAFETY: all of these are numbers and pointers, for which zero is a value.
    let mut headers: [libc::mmsghdr; AT_ONCE] = unsafe { std::mem::zeroed() };
    for ((message, header), scratch) in messages.iter().zip(&mut headers).zip(scratch) {
        let header = &mut header.msg_hdr;
        let slices = &pieces[message.pieces.clone()];
        // The kernel does not write to them; an `IoSlice` is an `iovec`, as its documentation promises.
        header.msg_iov = slices.as_ptr().cast_mut().cast();
        header.msg_iovlen = slices.len() as _;
        if let Some(to) = message.to {
            let (name, length) = Name::of(to, is_ipv6);
            scratch.name = name;
            header.msg_name = (&raw mut scratch.name).cast();
            header.msg_namelen = length as libc::socklen_t;
        }
        let length = scratch.control.write(message.from, message.to, is_ipv6, message.segment);
        if length > 0 {
            header.msg_control = (&raw mut scratch.control).cast();
            header.msg_controllen = length as _;
        }
    }
    loop {
        // SAFETY: the descriptor is open for as long as it is borrowed. The headers point to pieces, names and controls of the
        // lengths that they say, which live until the call returns.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                messages.len() as libc::c_uint,
                libc::MSG_DONTWAIT as _,
            )
        };
        if let Ok(sent) = usize::try_from(sent) {
            return (sent, None);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return (0, Some(error));
        }
    }
}

/// True if the kernel takes no more for the moment.
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

/// True if the datagrams may go one by one: the device cannot take them apart, or they are longer than its packets.
fn is_of_segments(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP | libc::ENOPROTOOPT)
    )
}
