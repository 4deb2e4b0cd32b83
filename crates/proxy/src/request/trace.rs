//! Where a request stands in its trace, and what is noted of its tries while it is under way.

use std::cell::RefCell;
use std::rc::Rc;

use evenkeel_config::Propagation;
use evenkeel_core::trace_context::{self as context, SpanId, TRACEPARENT, TRACESTATE, TraceId};
use evenkeel_observe::TryTrace;
use evenkeel_types::{Address, BackendId, PoolName, Time};

/// Tries that are noted of a request; more are never made.
const TRIES_MAX: usize = 32;

/// Where a request stands in its trace.
#[derive(Debug)]
pub struct Trace {
    /// The trace.
    pub id: TraceId,
    /// The request's span.
    pub span: SpanId,
    /// The span that it came from.
    pub parent: Option<SpanId>,
    /// The `tracestate` that it came with belongs to this trace, and goes on.
    pub keeps_state: bool,
    /// What is noted of its tries, also by those that fetch for it; `None` if it is not traced.
    tries: Option<Rc<RefCell<Vec<Try>>>>,
}

/// One try at a server.
#[derive(Debug)]
struct Try {
    span: SpanId,
    /// The server's position in its pool: no two tries under way are at the same.
    position: usize,
    pool: PoolName,
    server: BackendId,
    address: Address,
    is_hedge: bool,
    began: Time,
    ended: Option<Time>,
    status: u16,
    error: Option<(&'static str, String)>,
}

/// The server of a try.
#[derive(Debug, Clone, Copy)]
pub struct Tried<'a> {
    /// Its position in the pool.
    pub position: usize,
    /// The pool.
    pub pool: &'a PoolName,
    /// Its id.
    pub server: &'a BackendId,
    /// Its address.
    pub address: &'a Address,
}

impl Trace {
    /// A request's place in the trace `id`: below `parent`, if it came from a span.
    pub fn new(
        id: TraceId,
        span: SpanId,
        parent: Option<SpanId>,
        keeps_state: bool,
        is_sampled: bool,
    ) -> Self {
        Self { id, span, parent, keeps_state, tries: is_sampled.then(Rc::default) }
    }

    /// The same place, for a request that fetches what this one has asked for: its tries are noted as this one's.
    pub fn branch(&self) -> Self {
        Self { tries: self.tries.clone(), ..*self }
    }

    /// True if its spans go to the collector.
    pub fn is_sampled(&self) -> bool {
        self.tries.is_some()
    }

    /// A try begins, as the span that is made of `drawn`.
    pub fn begin_try(&self, of: Tried<'_>, is_hedge: bool, began: Time, drawn: u64) {
        let Some(tries) = &self.tries else { return };
        let mut tries = tries.borrow_mut();
        if tries.len() < TRIES_MAX {
            tries.push(Try {
                span: SpanId::of(drawn),
                position: of.position,
                pool: of.pool.clone(),
                server: of.server.clone(),
                address: of.address.clone(),
                is_hedge,
                began,
                ended: None,
                status: 0,
                error: None,
            });
        }
    }

    /// The try at this server has the head of an answer, which may go to the client.
    pub fn answered(&self, position: usize, status: u16) {
        self.of_try(position, |of| of.status = status);
    }

    /// The try at this server has ended with an answer that does not go to the client for now.
    pub fn put_off(&self, position: usize, status: u16, now: Time) {
        self.of_try(position, |of| (of.status, of.ended) = (status, Some(now)));
    }

    /// The try at this server has failed.
    pub fn failed(&self, position: usize, error: (&'static str, String), now: Time) {
        self.of_try(position, |of| (of.error, of.ended) = (Some(error), Some(now)));
    }

    /// All tries but that at this server are given up, because it answers.
    pub fn won(&self, position: usize, now: Time) {
        let Some(tries) = &self.tries else { return };
        for of in tries.borrow_mut().iter_mut().filter(|of| of.ended.is_none() && of.position != position) {
            (of.error, of.ended) = (Some(("cancelled", "another server answered first".into())), Some(now));
        }
    }

    fn of_try(&self, position: usize, change: impl FnOnce(&mut Try)) {
        let Some(tries) = &self.tries else { return };
        let mut tries = tries.borrow_mut();
        tries.iter_mut().rev().find(|of| of.ended.is_none() && of.position == position).map(change);
    }

    /// The span that is the parent of what this server does: that of the try at it.
    pub fn span_at(&self, position: usize) -> SpanId {
        let Some(tries) = &self.tries else { return self.span };
        let tries = tries.borrow();
        let of = tries.iter().rev().find(|of| of.ended.is_none() && of.position == position);
        of.map_or(self.span, |of| of.span)
    }

    /// What is noted of the tries, once the request has ended `now`.
    pub fn take_tries(&self, now: Time, unix_ns: impl Fn(Time) -> u64) -> Vec<TryTrace> {
        let tries = self.tries.as_ref().map(|tries| tries.take()).unwrap_or_default();
        let record = |of: Try| TryTrace {
            span_id: of.span.0,
            pool: of.pool,
            server: of.server,
            address: of.address,
            is_hedge: of.is_hedge,
            began_unix_ns: unix_ns(of.began),
            ended_unix_ns: unix_ns(of.ended.unwrap_or(now)),
            status: of.status,
            error: of.error,
        };
        tries.into_iter().map(record).collect()
    }
}

/// What a request to a server says of the trace, in place of what the client has said.
#[derive(Debug, Clone, Copy)]
pub struct Passed<'a> {
    /// Where the request stands in it.
    pub trace: &'a Trace,
    /// The span that is the server's parent.
    pub span: SpanId,
    /// The headers that carry it.
    pub forms: &'a [Propagation],
}

impl Passed<'_> {
    /// True for fields of the client's that do not go on because of this. The name is one that carries a trace context.
    pub fn replaces(&self, name: &[u8]) -> bool {
        let speaks_w3c = self.forms.contains(&Propagation::TraceContext);
        if context::is_b3_name(name) {
            return self.forms.iter().any(|form| *form != Propagation::TraceContext);
        }
        let is_state = name.eq_ignore_ascii_case(TRACESTATE.as_bytes());
        speaks_w3c && !(is_state && self.trace.keeps_state)
    }

    /// Writes its fields, by name with colon and space, and value.
    pub fn write(&self, mut line: impl FnMut(&str, &[u8])) {
        let Self { trace, span, forms } = *self;
        let sampled = trace.is_sampled();
        for form in forms {
            match form {
                Propagation::TraceContext => {
                    debug_assert_eq!(TRACEPARENT, "traceparent");
                    line("traceparent: ", &context::traceparent(trace.id, span, sampled));
                }
                Propagation::B3 => line("b3: ", &context::b3(trace.id, span, sampled)),
                Propagation::B3Multi => {
                    let all = context::b3(trace.id, span, sampled);
                    line("x-b3-traceid: ", &all[..32]);
                    line("x-b3-spanid: ", &all[33..49]);
                    if let Some(parent) = trace.parent.filter(|_| sampled) {
                        let mut text = [0; 16];
                        // The span of a try comes from that of its request.
                        let above = if span == trace.span { parent } else { trace.span };
                        context::write_hex(&above.0, &mut text);
                        line("x-b3-parentspanid: ", &text);
                    }
                    line("x-b3-sampled: ", &all[50..]);
                }
            }
        }
    }
}
