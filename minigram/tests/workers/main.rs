//! Workers on embedded engines: thumbnails, fan-out, notifications, files that go; and what happens when they fail.
#![allow(clippy::unwrap_used)]

mod command;
mod edge;
#[path = "../support/edge.rs"]
mod fake_edge;
mod faults;
mod gate;
mod jobs;
mod leaving;
mod observed;
mod stuck;
mod world;
