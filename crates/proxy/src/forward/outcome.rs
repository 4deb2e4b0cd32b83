//! What forwarding comes to, and what it consists of on the way there.

use evenkeel_core::admission::Step;
use evenkeel_core::choose::Chosen;
use evenkeel_observe::{Ended, RequestRefusal};
use evenkeel_types::Time;

use super::driver::Admission;
use super::target::Target;
use crate::request::admit::Refusal;
use crate::request::log::RequestLog;
use crate::response::Response;
use crate::server::Connection;
use crate::server::error::ServerError;
use crate::server::exchange::RoundTrip;
use crate::server::upload::{Sending, UploadError};

/// What forwarding came to.
#[derive(Debug)]
pub enum Outcome<'x, 'c> {
    /// There is a response.
    Response(Response<'x, 'c>),
    /// There is none: the client gets an error.
    Refused(Refusal, Ended),
    /// The client is gone.
    Gone(Ended),
}

impl Outcome<'_, '_> {
    /// The client's connection has failed.
    pub fn gone() -> Self {
        Self::Gone(Ended::ClientAborted)
    }

    /// No server has given a response.
    #[cold]
    pub fn failed(error: &ServerError, log: &mut RequestLog) -> Self {
        let (refusal, ended) = refusal_of(error, log);
        Self::Refused(refusal, ended)
    }
}

/// A server that has the request, or a part of it.
#[derive(Debug)]
pub struct Asked<'x, 'c> {
    /// Which one, and why.
    pub chosen: Chosen,
    /// The round trip to it.
    pub trip: Box<RoundTrip<'x>>,
    /// The rest of the request.
    pub sending: Sending<'x, 'c>,
}

/// A request that a plain exchange has begun to forward: it has got a server, or has to wait for one.
pub struct BegunForwarding<'x> {
    /// Where it goes.
    pub target: Target<'x>,
    /// Which servers get it, and what it holds meanwhile.
    pub admission: Admission,
    /// What admission has said.
    pub step: Step,
    /// The try at the server of that step, if it has begun.
    pub asked: Option<BegunTry>,
}

/// A try that a plain exchange has begun, over a kept connection.
pub struct BegunTry {
    /// Which server, and why.
    pub chosen: Chosen,
    /// The connection.
    pub connection: Connection,
    /// What of the request is still to be written, if it is not sent whole, or why it cannot be. Over TLS there may be nothing to
    /// be written, and yet records to be sent.
    pub unsent: Option<Result<Vec<u8>, UploadError>>,
    /// What has come of the answer, and what the last read of it has failed with.
    pub answer: (Vec<u8>, Option<ServerError>),
    /// When the head was written, and when the last byte of the body was, if there is one.
    pub sent: Time,
    /// See `sent`.
    pub uploaded: Option<Time>,
}

/// What the client gets in place of a response that a server did not give, and how the request has ended with that.
pub fn refusal_of(error: &ServerError, log: &mut RequestLog) -> (Refusal, Ended) {
    let ended = match (error, error.status()) {
        (ServerError::Unsendable, _) => Ended::Refused,
        (ServerError::Deadline, _) => Ended::RequestTimeout,
        (_, 504) => Ended::BackendTimeout,
        _ => Ended::BackendAborted,
    };
    log.detail = Some(error.to_string());
    log.noted.blame(error);
    let kind = matches!(error, ServerError::Unsendable).then_some(RequestRefusal::Malformed);
    (Refusal { status: error.status(), kind, why: error.to_client(), retry_after: None }, ended)
}
