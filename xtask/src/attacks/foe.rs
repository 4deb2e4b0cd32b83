//! An attacker's connection: it sends frames as it likes, and notes what the proxy makes of them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::frames::{Code, Frame, HEADER, PREFACE, flag, kind, settings, settings_ack};

/// How a connection came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// By GOAWAY with this error.
    GoAway(u32),
    /// The proxy closed it without a word.
    Closed,
    /// The proxy reset it.
    Reset,
}

/// What an attacker has seen of a connection so far.
#[derive(Debug)]
pub struct Seen {
    /// When it was opened.
    pub since: Instant,
    /// Requests that were sent.
    pub streams: Cell<u64>,
    /// Responses that came to their end.
    pub answered: Cell<u64>,
    /// Streams that the proxy reset, by the error.
    pub resets: RefCell<BTreeMap<u32, u64>>,
    /// When the first of them was.
    pub first_reset: Cell<Option<Instant>>,
    /// How it ended, and when, if the proxy ended it.
    pub end: Cell<Option<(End, Instant)>>,
    settings: Cell<bool>,
    pongs: Cell<u64>,
    changed: Notify,
}

/// One connection.
pub struct Foe {
    writer: OwnedWriteHalf,
    /// What has come so far.
    pub seen: Rc<Seen>,
    next: u32,
    pings: u64,
    reading: AbortHandle,
}

impl Foe {
    /// Connects, and shakes hands. `window` is what each of its streams may be sent. One that `reads` nothing still learns of a
    /// reset.
    pub async fn greet(address: SocketAddr, window: u32, reads: bool) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let seen = Rc::new(Seen::new());
        let reading = tokio::task::spawn_local(read(reader, Rc::clone(&seen), reads)).abort_handle();
        let mut foe = Self { writer, seen, next: 1, pings: 0, reading };
        let values = [(super::frames::setting::INITIAL_WINDOW_SIZE, window)];
        foe.send(&[PREFACE, &settings(&values)].concat()).await?;
        foe.seen.until(|seen| seen.settings.get()).await?;
        foe.send(&settings_ack()).await?;
        Ok(foe)
    }

    /// The number of the next request.
    pub fn open(&mut self) -> u32 {
        let id = self.next;
        self.next += 2;
        self.seen.streams.update(|streams| streams + 1);
        id
    }

    /// Sends all of `bytes`.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes).await
    }

    /// Waits until the proxy has dealt with all that was sent.
    pub async fn settle(&mut self) -> io::Result<()> {
        self.pings += 1;
        let pings = self.pings;
        self.send(&super::frames::ping(&[7; 8])).await?;
        self.seen.until(|seen| seen.pongs.get() >= pings).await
    }

    /// Waits until so many responses are there, those included that the proxy reset.
    pub async fn answers(&self, count: u64) -> io::Result<()> {
        self.seen.until(|seen| seen.over() >= count).await
    }

    /// Waits until the proxy ends the connection.
    pub async fn ended(&self) {
        let _ = self.seen.until(|_| false).await;
    }
}

impl Drop for Foe {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Seen {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            streams: Cell::default(),
            answered: Cell::default(),
            resets: RefCell::default(),
            first_reset: Cell::default(),
            end: Cell::default(),
            settings: Cell::default(),
            pongs: Cell::default(),
            changed: Notify::new(),
        }
    }

    /// Streams that have come to an end, one way or the other.
    pub fn over(&self) -> u64 {
        self.answered.get() + self.resets.borrow().values().sum::<u64>()
    }

    async fn until(&self, mut is_so: impl FnMut(&Self) -> bool) -> io::Result<()> {
        while !is_so(self) {
            if self.end.get().is_some() {
                return Err(ErrorKind::ConnectionReset.into());
            }
            self.changed.notified().await;
        }
        Ok(())
    }

    fn note(&self, frame: &Frame) {
        match frame.kind {
            kind::SETTINGS if !frame.has(flag::ACK) => self.settings.set(true),
            kind::PING if frame.has(flag::ACK) => self.pongs.update(|pongs| pongs + 1),
            kind::DATA | kind::HEADERS if frame.has(flag::END_STREAM) => {
                self.answered.update(|answered| answered + 1);
            }
            kind::RST_STREAM => {
                *self.resets.borrow_mut().entry(frame.number(0)).or_default() += 1;
                if self.first_reset.get().is_none() {
                    self.first_reset.set(Some(Instant::now()));
                }
            }
            // A server that leaves in good order says so twice.
            kind::GOAWAY if Code(frame.number(4)) != Code::NO_ERROR => {
                self.over_by(End::GoAway(frame.number(4)));
            }
            _ => return,
        }
        self.changed.notify_waiters();
    }

    fn over_by(&self, end: End) {
        if self.end.get().is_none() {
            self.end.set(Some((end, Instant::now())));
        }
        self.changed.notify_waiters();
    }
}

/// Reads until the connection ends; one that does not read goes no further than the proxy's SETTINGS.
async fn read(reader: OwnedReadHalf, seen: Rc<Seen>, reads: bool) {
    let mut reader = BufReader::with_capacity(64 * 1024, reader);
    let end = loop {
        if seen.settings.get() && !reads {
            let error = reader.get_ref().ready(Interest::ERROR).await;
            break if error.is_ok() { End::Reset } else { End::Closed };
        }
        match frame(&mut reader).await {
            Ok(frame) => seen.note(&frame),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break End::Closed,
            Err(_) => break End::Reset,
        }
    };
    seen.over_by(end);
}

async fn frame(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Frame> {
    let mut header = [0; HEADER];
    reader.read_exact(&mut header).await?;
    let (mut frame, length) = Frame::announced(&header);
    frame.payload = vec![0; length];
    reader.read_exact(&mut frame.payload).await?;
    Ok(frame)
}
