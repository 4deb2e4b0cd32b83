//! Speaking HTTP/2 to a server: connections that many requests share, and one request's stream.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_config::Keepalive;
use evenkeel_net::{Io, Wire};
use evenkeel_types::Time;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri, response};
use tokio::sync::Mutex;

use super::counted::Counted;
use super::error::ServerError;
use crate::http::field::Field;
use crate::http::head::{HeadLimits, ResponseHead};
use crate::http::lines;

/// Requests under way on one connection, even if the server would take more: beyond that another is opened, so that
/// one lost packet or one busy thread of the server does not hold up all requests.
const STREAMS_MAX: usize = 100;
/// Connections to one server from one worker.
const CONNECTIONS_MAX: usize = 64;
/// Bytes of a response body that the server may send ahead, and that a slow client makes us keep.
const WINDOW: u32 = 256 * 1024;
/// The same of all: a request that does not take its data leaves the others their share.
const CONNECTION_WINDOW: u32 = WINDOW * STREAMS_MAX as u32;
/// Bookkeeping of small DATA frames that wait to be read, of which each may cost 256: as many as one stream has room for
/// of one byte each. Beyond that the connection ends, for all of its streams.
const DATA_FRAME_BUDGET: usize = WINDOW as usize * 256;
/// Bytes of a request body that may wait for the server's window.
const UNSENT_MAX: usize = 64 * 1024;

/// How many streams a server takes that has not told yet; one that sets no limit is taken to mean one more.
const STREAMS_UNKNOWN: usize = usize::MAX - 1;

/// The connections to one server.
#[derive(Debug)]
pub struct Connections {
    /// Where they are counted; those of probes are not.
    counted: Option<Counted>,
    open: RefCell<Vec<Rc<Shared>>>,
    /// Held while one is being opened: those who come meanwhile can share it.
    opening: Mutex<()>,
}

/// A connection that many requests share.
#[derive(Debug)]
struct Shared {
    handle: SendRequest<Bytes>,
    /// Requests under way.
    streams: Cell<usize>,
    /// When it was last used.
    used: Cell<Time>,
    opened: Time,
    /// Requests that it was given.
    requests: Cell<u32>,
    is_closed: Cell<bool>,
    /// True while it waits for a request, and is counted as one that does.
    is_idle: Cell<bool>,
    counted: Option<Counted>,
}

/// One request's place on a connection.
#[derive(Debug)]
pub struct Place {
    shared: Rc<Shared>,
    /// True if the connection had been open before: the server may be closing it just now.
    pub reused: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.streams.set(self.shared.streams.get() - 1);
        self.shared.count();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

impl Connections {
    /// None yet.
    pub fn new(counted: Counted) -> Self {
        Self { counted: Some(counted), ..Self::uncounted() }
    }

    /// None yet, of which none will be counted.
    pub fn uncounted() -> Self {
        Self { counted: None, open: RefCell::default(), opening: Mutex::default() }
    }

    /// A place on an open connection, the first that has one.
    pub fn place(&self, now: Time, keepalive: Keepalive) -> Option<Place> {
        let mut open = self.open.borrow_mut();
        // One that has had its time closes when its last request has ended.
        open.retain(|shared| !shared.is_closed.get() && shared.may_serve(now, keepalive));
        let has_room = |shared: &&Rc<Shared>| {
            shared.streams.get() < STREAMS_MAX.min(shared.handle.current_max_send_streams())
        };
        open.iter().find(has_room).map(|shared| shared.take(now, true))
    }

    /// A place on a connection that `connect` opens, or another request in the meantime.
    ///
    /// # Errors
    /// What came of connecting.
    pub async fn open(
        &self,
        (now, keepalive): (Time, Keepalive),
        heads: HeadLimits,
        connect: impl Future<Output = io::Result<Io>>,
    ) -> io::Result<Place> {
        let _alone = self.opening.lock().await;
        if let Some(mut place) = self.place(now, keepalive) {
            place.reused = false;
            return Ok(place);
        }
        if self.open.borrow().len() >= CONNECTIONS_MAX {
            let why = "too many connections with all their streams in use";
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, why));
        }
        let wire = Wire::new(Rc::new(connect.await?), Vec::new());
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(UNSENT_MAX)
            .data_frame_budget(DATA_FRAME_BUDGET)
            .initial_max_send_streams(STREAMS_UNKNOWN)
            .max_header_list_size(list_size(heads));
        let (handle, mut connection) = builder.handshake::<_, Bytes>(wire).await.map_err(io::Error::other)?;
        // What the server does not take at once it would refuse, and some servers forget requests that come too early.
        poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(io::Error::other(error))),
            Poll::Pending if handle.current_max_send_streams() == STREAMS_UNKNOWN => Poll::Pending,
            Poll::Pending => Poll::Ready(Ok(())),
        })
        .await?;
        let shared = Rc::new(Shared {
            handle,
            streams: Cell::new(0),
            used: Cell::new(now),
            opened: now,
            requests: Cell::new(0),
            is_closed: Cell::new(false),
            is_idle: Cell::new(false),
            counted: self.counted.clone(),
        });
        let (watched, counted) = (Rc::downgrade(&shared), self.counted.clone());
        tokio::task::spawn_local(async move {
            // How it ended, each of its streams has been told.
            let ended = connection.await;
            if let Some(counted) = counted {
                match ended {
                    Ok(()) => counted.log_closed("idle for too long, or the server has ended it"),
                    Err(error) => counted.log_closed(error),
                }
            }
            if let Some(shared) = watched.upgrade() {
                shared.close();
            }
        });
        let place = shared.take(now, false);
        self.open.borrow_mut().push(shared);
        Ok(place)
    }

    /// Closes those that were not used for `idle_max`, and forgets those that have closed.
    pub fn sweep(&self, now: Time, idle_max: Duration) {
        self.open.borrow_mut().retain(|shared| {
            !shared.is_closed.get() && (shared.streams.get() > 0 || now - shared.used.get() < idle_max)
        });
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// True if no request is under way over any.
    pub fn is_idle(&self) -> bool {
        self.open.borrow().iter().all(|shared| shared.streams.get() == 0)
    }

    /// Closes all, each as soon as its last request has ended.
    pub fn retire(&self) {
        self.open.borrow_mut().clear();
    }
}

impl Shared {
    fn take(self: &Rc<Self>, now: Time, reused: bool) -> Place {
        self.streams.set(self.streams.get() + 1);
        self.used.set(now);
        self.requests.set(self.requests.get().saturating_add(1));
        self.count();
        Place { shared: Rc::clone(self), reused }
    }

    /// True if it may be given another request.
    fn may_serve(&self, now: Time, keepalive: Keepalive) -> bool {
        keepalive.requests.is_none_or(|max| self.requests.get() < max)
            && keepalive.age.is_none_or(|age| now - self.opened < age)
    }

    /// Takes no more requests.
    fn close(&self) {
        self.is_closed.set(true);
        self.count();
    }

    /// Keeps the count of those that wait for a request.
    fn count(&self) {
        let is_idle = self.streams.get() == 0 && !self.is_closed.get();
        let was_idle = self.is_idle.replace(is_idle);
        let Some(counted) = &self.counted else { return };
        match (was_idle, is_idle) {
            (false, true) => counted.figures().connections_idle.increment(),
            (true, false) => counted.figures().connections_idle.decrement(),
            _ => {}
        }
    }
}

impl Place {
    /// Sends a request's head; `ends` if it has no body.
    ///
    /// # Errors
    /// The connection has just closed: nothing was sent.
    pub async fn send(
        &self,
        head: Request<()>,
        ends: bool,
    ) -> Result<(Waiting, SendStream<Bytes>), ServerError> {
        let mut handle = self.shared.handle.clone();
        let ready = poll_fn(|cx| handle.poll_ready(cx)).await;
        match ready.and_then(|()| handle.send_request(head, ends)) {
            Ok((response, stream)) => Ok((Waiting { response, body: None, begun: None }, stream)),
            Err(_) => {
                self.give_up();
                Err(ServerError::Unprocessed)
            }
        }
    }

    /// Takes no more requests: something is wrong with the connection.
    pub fn give_up(&self) {
        self.shared.close();
    }
}

/// An answer that is waited for.
#[derive(Debug)]
pub struct Waiting {
    response: ResponseFuture,
    /// Of the final response.
    pub body: Option<RecvStream>,
    /// A head that has come and was not read yet.
    begun: Option<response::Parts>,
}

impl Waiting {
    /// The next head, as lines.
    ///
    /// # Errors
    /// The server closed, failed, or sent what is no acceptable head.
    pub async fn read_head(
        &mut self,
        limits: HeadLimits,
        buf: &mut Vec<u8>,
        fields: &mut Vec<Field>,
    ) -> Result<ResponseHead, ServerError> {
        let parts = self.begun.take();
        let parts = if let Some(parts) = parts { parts } else { self.next_head().await? };
        Ok(lines::of_response(&parts, limits, buf, fields)?)
    }

    /// Waits for the next head without reading it.
    ///
    /// # Errors
    /// The server closed or failed.
    pub async fn begun(&mut self) -> Result<(), ServerError> {
        let parts = self.next_head().await?;
        self.begun = Some(parts);
        Ok(())
    }

    /// The status of a head that has come and was not read yet.
    pub fn status(&self) -> Option<u16> {
        self.begun.as_ref().map(|parts| parts.status.as_u16())
    }

    async fn next_head(&mut self) -> Result<response::Parts, ServerError> {
        let parts = poll_fn(|cx| {
            if let Poll::Ready(Some(interim)) = self.response.poll_informational(cx) {
                return Poll::Ready(interim.map(|interim| interim.into_parts().0));
            }
            Pin::new(&mut self.response).poll(cx).map_ok(|response| {
                let (parts, body) = response.into_parts();
                self.body = Some(body);
                parts
            })
        });
        parts.await.map_err(failed)
    }
}

/// Twice the limit as HTTP/2 counts it, where each field weighs 32 bytes more than its name and value (RFC 9113,
/// 6.5.2): so a head that is too large is read, and refused as that. Beyond it there is only a stream error.
fn list_size(heads: HeadLimits) -> u32 {
    u32::try_from(2 * (heads.bytes + 32 * heads.fields)).unwrap_or(u32::MAX)
}

fn failed(error: h2::Error) -> ServerError {
    // The server says that it has not looked at the request (RFC 9113, 8.7).
    if error.reason() == Some(Reason::REFUSED_STREAM) || error.is_go_away() && error.is_remote() {
        return ServerError::Unprocessed;
    }
    if error.is_io() { ServerError::Closed } else { ServerError::Reset(io::Error::other(error)) }
}

/// The head of a request, made of its lines.
///
/// # Errors
/// What the client sent, or the route made of it, is nothing that HTTP/2 has a place for.
pub fn head(lines: &[u8], method: &str, target: &str, secure: bool) -> Result<Request<()>, ServerError> {
    let start = memchr::memchr(b'\n', lines).map_or(lines.len(), |end| end + 1);
    let section = &lines[start..];
    let host = section.strip_prefix(b"host: ").and_then(|rest| rest.split(|b| *b == b'\r').next());
    let mut head = Request::new(());
    *head.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| ServerError::Unsendable)?;
    let mut uri = Uri::default().into_parts();
    uri.scheme = Some(if secure { Scheme::HTTPS } else { Scheme::HTTP });
    uri.authority =
        Some(Authority::try_from(host.unwrap_or(b"localhost")).map_err(|_| ServerError::Unsendable)?);
    uri.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_| ServerError::Unsendable)?);
    *head.uri_mut() = Uri::from_parts(uri).map_err(|_| ServerError::Unsendable)?;
    *head.version_mut() = http::Version::HTTP_2;
    *head.headers_mut() = lines::to_fields(section).map_err(|_| ServerError::Unsendable)?;
    Ok(head)
}
