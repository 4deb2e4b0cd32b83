//! The figures of the last seconds and minutes, and those who watch them: `GET /live`.
//!
//! Once a second one pass over the registry takes a sample. That is done whether someone watches or not, so that a page
//! which is opened has a past to show; what is sent to watchers is made only while there are any, once for all of them.

mod facts;
pub(crate) mod follow;
pub(crate) mod problems;
pub(crate) mod state;
pub(crate) mod stream;
mod tick;
pub(crate) mod window;
