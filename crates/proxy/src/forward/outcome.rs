//! What forwarding comes to, and what it consists of on the way there.

use evenkeel_core::choose::Chosen;
use evenkeel_observe::Ended;

use crate::request::admit::Refusal;
use crate::response::Response;
use crate::server::exchange::RoundTrip;
use crate::server::upload::Sending;

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
