//! What a request meets when it comes.

use std::cell::OnceCell;
use std::rc::Rc;

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
