//! The way back to a client: interim responses while its request is handled, and then the response. Nothing else writes to
//! a client.

mod file;
mod http2;
mod kept;
mod send;
mod splice;
mod wait;
mod whole;

use std::cell::Cell;
use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use evenkeel_http2::Code;
use evenkeel_net::Io;
use evenkeel_types::{Clock, Time};
use pin_project_lite::pin_project;
use tokio::sync::mpsc;

pub use self::http2::ToHttp2;
pub use self::send::Sent;
use self::wait::{ClientWait, Progress};
pub use self::whole::{send_whole, send_whole_over};
use crate::body::Body as RequestBody;
use crate::http::version::Version;
use crate::http::write;
use crate::request::log::Delivered;
use crate::response::reason;
use crate::worker::Worker;
use crate::worker::timer::{Timer, WriteError};

/// How long until a client that has sent more than its request is looked at again, whether it has ended its side.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What handling a request has of its client.
pub struct ToClient<'s, 'c> {
    /// The way back.
    pub writer: &'s mut ResponseWriter<'c>,
    /// The connection's timer, for what waits for a server: it is seldom set anew.
    pub timer: &'s mut Timer,
}

/// The way back over one connection or stream.
#[derive(Debug)]
pub struct ResponseWriter<'c> {
    worker: &'c Worker,
    way: Way,
    wait: ClientWait,
    out: Vec<u8>,
    /// Lines of the final head that do not depend on what it is.
    fields: Vec<u8>,
    version: Version,
    /// The request was a HEAD: the response's body stays away.
    to_head: bool,
    chunked: bool,
    /// Whether the client waits for a 100 before it sends its body. Without one it may send the body all the same or
    /// go on to its next request, and which of both cannot be known.
    pub owes_continue: Option<&'c Cell<bool>>,
    /// Whether a client that has ended its side of the connection still gets its response.
    pub serves_half_closed: bool,
    /// Whether the connection may carry another request.
    pub keep_alive: bool,
    /// What `X-Evenkeel-Attempts` says; 0 is nothing.
    pub attempts: u32,
    status: u16,
    bytes: u64,
    on_the_wire: bool,
    until_close: bool,
    whole: bool,
}

/// What a response goes out over.
#[derive(Debug)]
pub enum Way {
    /// A connection of its own.
    Http1(Rc<Io>),
    /// A stream among others.
    Http2(ToHttp2),
    /// To a fetch for the cache, which has no client of its own: what handles a request may wait for its client to leave, and
    /// finds that it never does. Interim responses go to the request that began the fetch.
    Fetch(Option<mpsc::UnboundedSender<Interim>>),
}

/// An interim response on its way from a fetch to the request that began it.
#[derive(Debug)]
pub struct Interim {
    /// Its status.
    pub status: u16,
    /// Its field lines.
    pub lines: Vec<u8>,
}

pin_project! {
    /// Work that ends early if the client is gone. No async function, because that would take the room of its work twice.
    #[derive(Debug)]
    #[project = UnlessGoneProjection]
    pub struct UnlessGone<'w, 'c, F> {
        writer: &'w mut ResponseWriter<'c>,
        serves_half_closed: bool,
        look_again: Option<Time>,
        #[pin]
        work: F,
    }
}

impl<F: Future> Future for UnlessGone<'_, '_, F> {
    type Output = Result<F::Output, WriteError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let UnlessGoneProjection { writer, serves_half_closed, look_again, work } = self.project();
        if let Poll::Ready(output) = work.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        let gone = match &mut writer.way {
            Way::Http1(io) if *serves_half_closed => io.poll_failed(cx),
            Way::Http1(io) => poll_ended(io, &mut writer.wait.timer, writer.worker.clock, look_again, cx),
            Way::Http2(stream) => stream.poll_failed(cx),
            Way::Fetch(_) => Poll::Pending,
        };
        gone.map(|()| Err(WriteError::Failed))
    }
}

impl<'c> ResponseWriter<'c> {
    /// The way back for a request of `version`, which is a HEAD or not. The client may take nothing for as long as
    /// `stall`.
    pub fn new(worker: &'c Worker, way: Way, stall: Duration, version: Version, to_head: bool) -> Self {
        Self {
            worker,
            way,
            wait: ClientWait::new(Timer::new(worker.clock), stall),
            out: Vec::new(),
            fields: Vec::new(),
            version,
            to_head,
            chunked: false,
            owes_continue: None,
            serves_half_closed: false,
            keep_alive: false,
            attempts: 0,
            status: 0,
            bytes: 0,
            on_the_wire: false,
            until_close: false,
            whole: false,
        }
    }

    /// Adds lines, each with its CRLF, to the head of the final response, whatever that is.
    pub fn add_fields(&mut self, lines: Vec<u8>) {
        let spare = if self.fields.is_empty() {
            std::mem::replace(&mut self.fields, lines)
        } else {
            self.fields.extend_from_slice(&lines);
            lines
        };
        self.worker.buffers.give(spare);
    }

    /// Adds a field to the head of the final response.
    pub fn add_field(&mut self, name: &str, value: &[u8]) {
        write::field(&mut self.fields, name, value);
    }

    /// Takes what [`add_field`](Self::add_field) has added.
    pub fn take_fields(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.fields)
    }

    /// The status of the final response; 0 while there is none.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What went out.
    pub fn delivered(&self) -> Delivered {
        Delivered { status: self.status, bytes: self.bytes, is_whole: self.whole }
    }

    /// True once all of the response has been written.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Gives up a response that cannot be completed, so that the client can see that it is cut.
    pub fn cut(&mut self) {
        match &mut self.way {
            // Only a reset tells a client that takes the close for the end.
            Way::Http1(io) if self.until_close => io.reset_on_close(),
            Way::Http1(_) | Way::Fetch(_) => {}
            Way::Http2(stream) => stream.reset(Code::INTERNAL_ERROR),
        }
    }

    /// Gives up a response that the client takes too slowly, with all of it that is not sent yet.
    pub fn abandon(&mut self) {
        match &mut self.way {
            Way::Http1(io) => io.reset_on_close(),
            Way::Http2(stream) => stream.reset(Code::CANCEL),
            Way::Fetch(_) => {}
        }
    }

    /// Ends the stream of a request that breaks the protocol; false if it came over a connection of its own.
    pub fn refuse_stream(&mut self) -> bool {
        match &mut self.way {
            Way::Http1(_) | Way::Fetch(_) => false,
            Way::Http2(stream) => {
                stream.reset(Code::PROTOCOL_ERROR);
                true
            }
        }
    }

    /// The connection that it goes to, which is its own.
    pub fn io(&self) -> Option<&Rc<Io>> {
        match &self.way {
            Way::Http1(io) => Some(io),
            Way::Http2(_) | Way::Fetch(_) => None,
        }
    }

    /// Waits for `work`, unless the client's connection fails first, or the client ends its side of it and the listener
    /// takes that for the end of the request.
    ///
    /// # Errors
    /// The client is gone.
    pub fn unless_gone<F: Future>(&mut self, work: F) -> UnlessGone<'_, 'c, F> {
        UnlessGone { serves_half_closed: self.serves_half_closed, writer: self, look_again: None, work }
    }

    /// The same, and a client of HTTP/1.1 that has ended its side is taken to have left on every listener. Most have; and
    /// one that only has nothing more to send loses a request that was not begun.
    ///
    /// # Errors
    /// The client has left.
    pub fn unless_left<F: Future>(&mut self, work: F) -> UnlessGone<'_, 'c, F> {
        UnlessGone { serves_half_closed: false, ..self.unless_gone(work) }
    }

    /// Sends an interim response (RFC 9110, 15.2), whose lines `fields` writes. Not to HTTP/1.0 clients.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn interim(
        &mut self,
        status: u16,
        fields: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), WriteError> {
        if self.version == Version::Http10 {
            return Ok(());
        }
        if let Some(owes) = self.owes_continue.filter(|_| status == 100) {
            owes.set(false);
        }
        if let Way::Fetch(to) = &self.way {
            let mut lines = Vec::new();
            fields(&mut lines);
            to.iter().for_each(|to| drop(to.send(Interim { status, lines: std::mem::take(&mut lines) })));
            return Ok(());
        }
        self.need_buffer();
        if let Way::Http2(stream) = &mut self.way {
            fields(&mut self.out);
            let sent = stream.interim(status, &self.out);
            self.out.clear();
            return sent;
        }
        write::status_line(&mut self.out, status, reason(status).as_bytes());
        fields(&mut self.out);
        self.out.extend_from_slice(b"\r\n");
        // A final error can still follow an interim response.
        let unsent = !self.on_the_wire;
        let sent = self.flush().await;
        self.on_the_wire = !unsent;
        sent
    }

    fn need_buffer(&mut self) {
        if self.out.capacity() == 0 {
            self.out = self.worker.buffers.medium();
        }
    }

    /// Sends bytes that are no part of a message, as a tunnel does.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn raw(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.bytes += bytes.len() as u64;
        self.need_buffer();
        self.out.extend_from_slice(bytes);
        self.flush().await
    }

    /// Ends a stream that has become a tunnel.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn end_tunnel(&mut self) -> Result<(), WriteError> {
        self.end(b"");
        self.flush().await
    }

    /// Sends whatever waits.
    ///
    /// # Errors
    /// The client is gone.
    async fn flush(&mut self) -> Result<(), WriteError> {
        let ends =
            matches!(&self.way, Way::Http2(stream) if stream.head.is_some() || stream.trailers.is_some());
        if self.out.is_empty() && !ends {
            return Ok(());
        }
        self.on_the_wire = true;
        let mut out = std::mem::take(&mut self.out);
        let progress = Progress { worker: self.worker, bytes: self.bytes };
        let sent = match &mut self.way {
            Way::Http1(io) => self.wait.write_all(progress, io, &mut [IoSlice::new(&out)]).await,
            Way::Http2(stream) => stream.flush(&mut out, &mut self.wait, progress).await,
            Way::Fetch(_) => Ok(()),
        };
        // What waits now, for a server that takes its time, holds no buffer.
        self.worker.buffers.give(out);
        sent
    }
}

/// Ready when the client has ended its side. Its end may lie behind unread bytes, such as a further
/// request, and then wakes no task: so the kernel is asked again from time to time, and no more often.
fn poll_ended(
    io: &Io,
    timer: &mut Timer,
    clock: Clock,
    look_again: &mut Option<Time>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    ready!(io.poll_come(cx));
    loop {
        if let Some(at) = *look_again {
            ready!(timer.poll_until(cx, at));
        }
        if io.has_ended() {
            return Poll::Ready(());
        }
        *look_again = Some(clock.now() + LOOK_AGAIN);
    }
}

impl Drop for ResponseWriter<'_> {
    fn drop(&mut self) {
        self.worker.buffers.give(std::mem::take(&mut self.out));
        self.worker.buffers.give(std::mem::take(&mut self.fields));
    }
}

/// True if what is left of a request's body can be read away after its response, so that the connection stays.
pub fn can_stay(body: &RequestBody<'_>, status: u16) -> bool {
    // A body that will not be read to its end, or that cannot be read, leaves nothing to go on with.
    body.is_worth_draining() && !matches!(status, 400 | 408 | 413)
}
