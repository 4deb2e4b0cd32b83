//! The plain exchange, whatever version the client speaks: a request that came whole goes over a kept connection to a server
//! that answers in one read. Two steps without a wait: [`send`], and [`Flight::answer`]; between them [`Flight::poll_answer`]. How
//! the client leaves meanwhile, and the way to it, belong to its protocol. What turns out to be more than that goes on in the general path from where it
//! stands; all that is decided here, the same functions decide there.

mod answer;
mod fit;
mod send;

use std::io;
use std::task::{Context, Poll};

use evenkeel_core::admission::{Leg, Role, Step};
use evenkeel_core::choose::Chosen;
use evenkeel_core::plan::{Denied, Routed, Taken};
use evenkeel_types::Time;

pub use self::send::send;
use crate::forward::driver::Admission;
use crate::forward::outcome::{BegunForwarding, BegunTry};
use crate::forward::target::Target;
use crate::request::admit::Refusal;
use crate::server::Connection;
use crate::server::error::ServerError;
use crate::worker::timer::Timer;
use crate::worker::unsent::Unsent;

/// A request that its server has, and all that it holds while it waits.
pub struct Flight<'x> {
    /// The route that took it.
    taken: Taken<'x>,
    target: Target<'x>,
    /// Which server got it, and what it holds meanwhile.
    admission: Admission,
    leg: Leg,
    chosen: Chosen,
    connection: Connection,
    /// When the head was written, and when the body was.
    sent: Time,
    uploaded: Option<Time>,
    /// When the answer must be there.
    due: Time,
    /// The answer has been waited for.
    waits: bool,
    /// Bytes of the request's body.
    bytes_in: usize,
    /// Lines for the response: how the rate limits stand.
    lines: Vec<u8>,
}

/// Where the general path takes a request up.
pub enum Start<'x> {
    /// At the search for its route.
    New,
    /// Behind that.
    Routed(Result<Routed<'x>, Denied>),
    /// Where a plain exchange has left it. In a box, because it is seldom and large.
    Begun(Box<Begun<'x>>),
}

/// A request that a plain exchange has begun, and that goes on in the general path.
pub struct Begun<'x> {
    /// The route that took it.
    pub taken: Taken<'x>,
    /// Lines for its response: how the rate limits stand.
    pub lines: Vec<u8>,
    /// How far it has come, unless a rate limit has refused it.
    pub forwarding: Result<BegunForwarding<'x>, Refusal>,
}

impl<'x> Flight<'x> {
    /// Waits for the answer, and reads it into `buf`, as much at a time as what waits for clients allows, and `of_connection` what
    /// waits for this one. `None` if it has not come in time, or `poll_client` says that the client has
    /// left or sent more: the general path knows what is to be done then.
    pub fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        (of_connection, buf): (Option<&Unsent>, &mut Vec<u8>),
        timer: &mut Timer,
        poll_client: impl FnOnce(&mut Context<'_>) -> Poll<()>,
    ) -> Poll<Option<io::Result<usize>>> {
        match self.poll_read(cx, of_connection, buf) {
            Poll::Pending if poll_client(cx).is_ready() => Poll::Ready(None),
            Poll::Pending => timer.poll_until(cx, self.due).map(|()| None),
            read => read.map(Some),
        }
    }

    /// Reads the answer, into a buffer that is taken only when there is something to read.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        of_connection: Option<&Unsent>,
        buf: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        let (worker, io) = (self.target.worker, &self.connection.io);
        let size = worker.unsent.head_size(of_connection);
        worker.buffers.poll_awaited(size, io, cx, buf, &mut self.waits)
    }

    /// Leaves the request to the general path, with what has come of its answer.
    #[cold]
    pub fn goes_on(self: Box<Self>, answer: (Vec<u8>, Option<ServerError>)) -> Start<'x> {
        let Self { taken, target, admission, leg, chosen, connection, sent, uploaded, lines, .. } = *self;
        let of = BegunTry { chosen, connection, unsent: None, answer, sent, uploaded };
        let step = Step::Send { leg, chosen, role: Role::Alone };
        let forwarding = BegunForwarding { target, admission, step, asked: Some(of) };
        Start::begun(taken, lines, Ok(forwarding))
    }
}

impl<'x> Start<'x> {
    /// What is known of its route, if that is all that was done.
    ///
    /// # Errors
    /// A plain exchange has begun more.
    pub fn routed(self) -> Result<Option<Result<Routed<'x>, Denied>>, Box<Begun<'x>>> {
        match self {
            Self::New => Ok(None),
            Self::Routed(routed) => Ok(Some(routed)),
            Self::Begun(begun) => Err(begun),
        }
    }

    #[cold]
    fn begun(taken: Taken<'x>, lines: Vec<u8>, forwarding: Result<BegunForwarding<'x>, Refusal>) -> Self {
        Self::Begun(Box::new(Begun { taken, lines, forwarding }))
    }
}
