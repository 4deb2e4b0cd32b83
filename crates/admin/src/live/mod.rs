//! The figures of the last seconds and minutes, and the streams that show them: `GET /live`.
//!
//! Once a second one pass over the registry takes a sample, with or without watchers, so that a page has the last minutes to
//! show when it opens. The message of a second is made only while there are watchers, once for all of them.

mod facts;
pub(crate) mod follow;
mod problems;
pub(crate) mod state;
pub(crate) mod stream;
mod tick;
pub(crate) mod window;
