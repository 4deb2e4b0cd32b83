//! A channel on which one process hands descriptors to another: the one that it has started in its place.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// Descriptors that one message may carry; the kernel takes 253 at a time.
pub const DESCRIPTORS_MAX: usize = 200;
/// Bytes that one message may have, so that a stranger's bytes are not taken for a length.
const BYTES_MAX: usize = 64 << 20;
/// How long the rest of a message may take, once it has begun.
const STALL_MAX: Duration = Duration::from_secs(5);
/// What each message begins with, so that a program that is no Evenkeel is known by its first bytes.
const MAGIC: [u8; 4] = *b"EVKL";
/// The magic and the length.
const HEAD: usize = 8;
/// The first descriptor that systemd passes on (sd_listen_fds(3)).
const ACTIVATED_FIRST: RawFd = 3;

/// One end of the channel. A message is bytes, and descriptors beside them.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// A message, as it came.
pub type Carried = (Vec<u8>, Vec<OwnedFd>);

impl Channel {
    /// Both ends: one for this process, and one to be the standard input of the process that it starts.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        socket2::SockRef::from(&ours).set_write_timeout(Some(STALL_MAX))?;
        Ok((Self(ours), theirs))
    }

    /// The end that this process was started with as its standard input, in whose place comes `/dev/null`.
    ///
    /// # Errors
    /// Its standard input is no socket, or no descriptor is left.
    pub fn from_stdin() -> io::Result<Self> {
        let ours = io::stdin().as_fd().try_clone_to_owned()?;
        rustix::net::sockopt::socket_type(&ours)?;
        let nothing = std::fs::File::open("/dev/null")?;
        replace(nothing.as_fd(), 0)?;
        socket2::SockRef::from(&ours).set_write_timeout(Some(STALL_MAX))?;
        Ok(Self(ours))
    }

    /// Sends a message with at most [`DESCRIPTORS_MAX`] descriptors.
    ///
    /// # Errors
    /// The other end is closed, or does not read.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut message = Vec::with_capacity(HEAD + bytes.len());
        message.extend_from_slice(&MAGIC);
        message.extend_from_slice(&length.to_le_bytes());
        message.extend_from_slice(bytes);
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut sent = 0;
        while sent < message.len() {
            let slice = [IoSlice::new(&message[sent..])];
            match rustix::net::sendmsg(&self.0, &slice, &mut beside, SendFlags::NOSIGNAL) {
                // The descriptors went with the first bytes.
                Ok(count) => {
                    sent += count;
                    beside.clear();
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The next message; `None` if none begins within `wait`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the other end is closed; `InvalidData` when what comes is not a message.
    pub fn receive(&self, wait: Duration) -> io::Result<Option<Carried>> {
        if !self.has_come(wait)? {
            return Ok(None);
        }
        let end = Instant::now() + STALL_MAX;
        let mut descriptors = Vec::new();
        let mut head = [0; HEAD];
        self.fill(&mut head, &mut descriptors, end)?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if head[..4] != MAGIC || length > BYTES_MAX {
            let what = format!("what it sends is no message of an Evenkeel: it begins with {:?}", head);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let mut bytes = vec![0; length];
        self.fill(&mut bytes, &mut descriptors, end)?;
        Ok(Some((bytes, descriptors)))
    }

    fn fill(&self, mut rest: &mut [u8], descriptors: &mut Vec<OwnedFd>, end: Instant) -> io::Result<()> {
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        while !rest.is_empty() {
            if !self.has_come(end.saturating_duration_since(Instant::now()))? {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let mut beside = RecvAncillaryBuffer::new(&mut space);
            let mut slices = [IoSliceMut::new(rest)];
            let received = match rustix::net::recvmsg(
                &self.0,
                &mut slices,
                &mut beside,
                RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
            ) {
                Ok(received) => received,
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
                Err(rustix::io::Errno::CONNRESET) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => return Err(error.into()),
            };
            for message in beside.drain() {
                if let RecvAncillaryMessage::ScmRights(come) = message {
                    descriptors.extend(come);
                }
            }
            // Descriptors for which this process has no room are lost.
            if received.flags.contains(ReturnFlags::CTRUNC) {
                return Err(rustix::io::Errno::MFILE.into());
            }
            if received.bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            rest = &mut rest[received.bytes..];
        }
        Ok(())
    }

    fn has_come(&self, wait: Duration) -> io::Result<bool> {
        let wait = Timespec::try_from(wait).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut watched = [PollFd::new(&self.0, PollFlags::IN)];
        match poll(&mut watched, Some(&wait)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Writes this process's messages to `descriptor` from now on, in place of its standard error.
///
/// # Errors
/// What the kernel says.
pub fn replace_stderr(descriptor: &OwnedFd) -> io::Result<()> {
    replace(descriptor.as_fd(), 2)
}

/// The same of standard output.
///
/// # Errors
/// What the kernel says.
pub fn replace_stdout(descriptor: &OwnedFd) -> io::Result<()> {
    replace(descriptor.as_fd(), 1)
}

fn replace(descriptor: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as it is borrowed. The numbers 0 to 2 are the standard streams, which this
    // program reads and writes by their numbers alone, so that nothing owns what is closed there.
    let done = unsafe { libc::dup2(descriptor.as_raw_fd(), number) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The listening sockets that systemd has started this process with (sd_listen_fds(3)), each with its name there. They are
/// given out once.
///
/// # Errors
/// The environment says that there are some, and something else is at their numbers.
pub fn activated() -> io::Result<Vec<(String, OwnedFd)>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let number = |name: &str| std::env::var(name).ok()?.trim().parse::<u32>().ok();
    let is_for_us = number("LISTEN_PID") == Some(std::process::id());
    let count = number("LISTEN_FDS").filter(|_| is_for_us).unwrap_or(0);
    if count == 0 || TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut sockets = Vec::new();
    for at in 0..RawFd::try_from(count).unwrap_or(0) {
        let number = ACTIVATED_FIRST + at;
        // SAFETY: the call looks whether the number is open, and has it closed at the next exec. No pointers are involved.
        if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            let what = format!("LISTEN_FDS says {count}, but descriptor {number} is not open");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        // SAFETY: the number is open, as was just seen. The process that started this one has put it there for us and for nothing
        // else in this process: the environment names this process by its id. It is taken once.
        let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
        let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unnamed");
        sockets.push((name.to_owned(), descriptor));
    }
    Ok(sockets)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn both() -> (Channel, Channel) {
        let (ours, theirs) = Channel::pair().unwrap();
        (ours, Channel(theirs))
    }

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn messages_arrive_whole_and_in_order_with_their_descriptors() {
        let (one, other) = both();
        let (mut kept, given) = UnixStream::pair().unwrap();
        let large = vec![7; 3 << 20];
        let sender = std::thread::spawn(move || {
            one.send(b"first", &[given.as_fd()]).unwrap();
            one.send(&large, &[]).unwrap();
            one.send(b"", &[]).unwrap();
        });
        let (bytes, mut descriptors) = other.receive(SOON).unwrap().unwrap();
        assert_eq!((bytes.as_slice(), descriptors.len()), (&b"first"[..], 1));
        let (bytes, none) = other.receive(SOON).unwrap().unwrap();
        assert_eq!((bytes, none.len()), (vec![7; 3 << 20], 0));
        assert_eq!(other.receive(SOON).unwrap().unwrap().0, b"");
        sender.join().unwrap();
        UnixStream::from(descriptors.remove(0)).write_all(b"through").unwrap();
        let mut text = [0; 7];
        kept.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"through");
        assert_eq!(other.receive(SOON).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn silence_and_strangers_are_told_apart() {
        let (one, other) = both();
        assert!(other.receive(Duration::from_millis(1)).unwrap().is_none());
        UnixStream::from(one.0).write_all(b"hello, world").unwrap();
        assert_eq!(other.receive(SOON).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
