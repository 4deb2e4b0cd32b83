//! What a request meets when it comes.

use std::cell::OnceCell;
use std::rc::Rc;

use evenkeel_core::plan::{self, Denied, Routed};

use super::incoming::Request;
use super::spans;
use crate::worker::Worker;
use crate::worker::pool_view::PoolView;
use crate::worker::view::View;

/// What a request meets: who handles it, what is in force, and by which listener it came.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'x> {
    /// Who handles it.
    pub worker: &'x Rc<Worker>,
    /// What is in force, from here to its log line.
    pub view: &'x Rc<View>,
    /// The listener's position.
    pub listener: usize,
    /// The pool that the request goes to, from its choice to the log line.
    pub pool: &'x OnceCell<Rc<PoolView>>,
    /// The cache nodes that are asked first, from when they are to the log line.
    pub parents: &'x OnceCell<Rc<PoolView>>,
}

impl<'x> Setting<'x> {
    /// Which route takes a request, whose body is known to have `body` bytes; gives the request its place in a trace.
    ///
    /// # Errors
    /// The request goes no further.
    pub fn route(&self, request: &Request<'_>, body: Option<u64>) -> Result<Routed<'x>, Denied> {
        let Self { worker, view, listener, .. } = *self;
        let routed = plan::route(&view.snapshot, listener, request, body, worker.shared.step());
        spans::begun(worker, view, request, &routed);
        routed
    }
}
