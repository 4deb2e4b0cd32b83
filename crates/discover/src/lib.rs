//! Servers that the configuration does not name: what DNS or a file says of them, as decisions without IO
//! ([`Names`], [`Discovery`]), and the thin shell that asks ([`follow`]).

mod answer;
mod discovery;
mod file;
mod follow;
mod names;
mod resolve;
mod servers;

pub use answer::{Answer, Question, QuestionKind, Records, Service};
pub use discovery::{Bounds, Discovery, Found, Notice, Outcome};
pub use follow::{Report, Reports, Settings, ask_once, follow};
pub use names::Names;
pub use servers::SERVERS_MAX;
