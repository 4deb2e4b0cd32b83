//! Flow control (RFC 9113, 5.2 and 6.9): windows that the peer opens for us, and windows that we open for it.

use crate::frame::MAX_31;
use crate::settings::WINDOW;

/// Bytes that we may send. A change of SETTINGS_INITIAL_WINDOW_SIZE may make it negative (RFC 9113, 6.9.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SendWindow(i64);

impl SendWindow {
    pub(crate) fn new(size: u32) -> Self {
        Self(i64::from(size))
    }

    /// How many bytes may be sent now.
    #[inline]
    pub(crate) fn room(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    /// Bytes were sent, at most the [`room`](Self::room).
    #[inline]
    pub(crate) fn take(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.room(), "more was sent than a window allows");
        self.0 -= bytes as i64;
    }

    /// Changes it by `delta`; false if it would grow beyond 2^31-1, upon which it is as it was.
    #[must_use]
    pub(crate) fn change(&mut self, delta: i64) -> bool {
        let changed = self.0 + delta;
        let is_valid = changed <= i64::from(MAX_31);
        if is_valid {
            self.0 = changed;
        }
        is_valid
    }
}

/// Bytes that the peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReceiveWindow {
    /// What it may still send.
    left: i64,
    /// What came and was not consumed.
    held: u32,
    /// What was consumed and not announced.
    free: u32,
}

impl ReceiveWindow {
    pub(crate) fn new(size: u32) -> Self {
        Self { left: i64::from(size), held: 0, free: 0 }
    }

    /// The peer has sent bytes, padding included; false if it must not.
    #[inline]
    #[must_use]
    pub(crate) fn receive(&mut self, bytes: usize) -> bool {
        let is_valid = bytes as i64 <= self.left;
        if is_valid {
            self.left -= bytes as i64;
            self.held += bytes as u32;
        }
        is_valid
    }

    /// Bytes have been consumed, at most as many as are held; yields by how much the window is to be opened in a
    /// WINDOW_UPDATE. `size` is what it is when nothing is held: it is opened by a half of that at a time.
    #[inline]
    pub(crate) fn consume(&mut self, bytes: usize, size: u32) -> Option<u32> {
        let bytes = (bytes.min(self.held as usize)) as u32;
        self.held -= bytes;
        self.free += bytes;
        (self.free > 0 && self.free >= size / 2).then(|| {
            let free = std::mem::take(&mut self.free);
            self.left += i64::from(free);
            free
        })
    }

    /// What came and was not consumed.
    pub(crate) fn held(self) -> usize {
        self.held as usize
    }

    /// True if the peer must not send anything.
    pub(crate) fn is_shut(self) -> bool {
        self.left <= 0
    }

    /// The size that the peer goes by has changed.
    pub(crate) fn change(&mut self, delta: i64) {
        self.left += delta;
    }
}

/// The windows of the whole connection.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) send: SendWindow,
    pub(crate) receive: ReceiveWindow,
    size: u32,
}

impl Flow {
    /// Both begin with 65,535 bytes; yields by how much a first WINDOW_UPDATE opens ours to `size`.
    pub(crate) fn new(size: u32) -> (Self, u32) {
        let size = size.clamp(WINDOW, MAX_31);
        let (send, receive) = (SendWindow::new(WINDOW), ReceiveWindow::new(size));
        (Self { send, receive, size }, size - WINDOW)
    }

    /// Bytes of any stream were consumed; yields by how much a WINDOW_UPDATE opens the window.
    #[inline]
    pub(crate) fn consume(&mut self, bytes: usize) -> Option<u32> {
        self.receive.consume(bytes, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_end_at_their_limits() {
        let mut window = SendWindow::new(10);
        assert!(window.change(i64::from(MAX_31) - 10));
        assert!(!window.change(1));
        assert_eq!(window.room(), MAX_31 as usize);
        assert!(window.change(-i64::from(MAX_31) - 5));
        assert_eq!(window.room(), 0);
        assert!(window.change(6));
        assert_eq!(window.room(), 1);
    }

    #[test]
    fn a_window_opens_by_halves() {
        let mut window = ReceiveWindow::new(100);
        assert!(window.receive(60) && !window.receive(41) && window.receive(40));
        assert_eq!(window.consume(49, 100), None);
        assert_eq!(window.consume(1, 100), Some(50));
        assert!(window.receive(50) && !window.receive(1));
        assert_eq!(window.consume(1000, 100), Some(100));
        assert_eq!(window.held(), 0);
    }
}
