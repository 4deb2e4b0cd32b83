//! Requests of a client.

use super::{Connection, Role};
use crate::error::CommandError;
use crate::frame::MAX_31;
use crate::message::Request;
use crate::streams::{Half, StreamId};

impl Connection {
    /// How many requests may be made now: by the peer's limit of concurrent streams, and none once one side is leaving.
    pub fn room_for_requests(&self) -> usize {
        let is_over = self.is_closed || self.leaving.has_begun() || self.streams.last >= MAX_31 - 2;
        if is_over {
            0
        } else {
            self.remote.max_concurrent_streams.saturating_sub(self.streams.active()) as usize
        }
    }

    /// Makes a request; `ends` if it has no body. Fields that belong to a connection of HTTP/1.1 must not be among
    /// `fields`.
    ///
    /// # Errors
    /// `Busy` or `Leaving`; `OutOfOrder` for a server, and for an extended CONNECT that the peer does not allow. Nothing
    /// has been written then.
    pub fn request<'f>(
        &mut self,
        request: &Request<'_>,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
        ends: bool,
    ) -> Result<StreamId, CommandError> {
        if self.role != Role::Client || !request.protocol.is_empty() && !self.remote.enable_connect_protocol {
            return Err(CommandError::OutOfOrder);
        }
        let next = if self.streams.last == 0 { 1 } else { self.streams.last + 2 };
        if self.is_closed || self.leaving.has_begun() || next > MAX_31 {
            return Err(CommandError::Leaving);
        }
        if self.streams.active() >= self.remote.max_concurrent_streams {
            return Err(CommandError::Busy);
        }
        self.streams.reach(next);
        let mut stream = self.new_stream(next);
        stream.local = if ends { Half::Closed } else { Half::Body };
        stream.is_bodiless = request.method == b"HEAD";
        stream.is_tunnel = request.method == b"CONNECT";
        let slot = self.streams.insert(stream);
        let start = self.begin_block();
        let parts: [(&'static [u8], &[u8]); 5] = [
            (b":method", request.method),
            (b":scheme", request.scheme),
            (b":authority", request.authority),
            (b":path", request.path),
            (b":protocol", request.protocol),
        ];
        for (name, value) in parts.into_iter().filter(|(_, value)| !value.is_empty()) {
            self.encoder.part(name, value, &mut self.output);
        }
        self.encoder.fields(fields, &mut self.output);
        self.end_block(start, next, ends);
        Ok(self.streams.id(slot))
    }
}
