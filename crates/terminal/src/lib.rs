//! What the screens of the demo and of `evenkeel top` have in common: a terminal that is given back whatever happens, the
//! signals that end a program, and how numbers are shown.

mod screen;
mod show;
mod signals;

pub use screen::{Screen, columns};
pub use show::{show_bytes, show_clock, show_count, show_duration};
pub use signals::Signals;
