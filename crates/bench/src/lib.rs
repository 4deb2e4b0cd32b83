//! `evenkeel bench`: a load tool with open and closed loops over HTTP/1.1 and HTTP/2, whose latencies count from the
//! intended start of a request, and which says when its own figures cannot be trusted.

mod connect;
mod cpu;
mod json;
mod options;
mod pace;
mod plot;
mod record;
mod report;
mod run;
mod scenario;
mod schedule;
mod table;
mod target;
mod thread;
mod tls;
mod verdict;

pub use http::{HeaderName, HeaderValue, Method};
pub use json::json;
pub use options::{Load, Options};

pub use plot::plot;
pub use report::Report;
pub use run::run;
pub use scenario::{Scenario, read as read_scenario};
pub use table::table;
pub use target::Target;
