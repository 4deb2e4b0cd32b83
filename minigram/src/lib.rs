//! MiniGram: a photo-sharing application that shows how a web service grows from one server to many.
//!
//! [`app`] is what clients talk to. [`domain`] has the rules, without HTTP. It knows its engines only through [`ports`].
//! [`embedded`] implements every port inside the process, and [`real`] on servers that many processes share.
//! `DESIGN.md` says why each is as it is.

pub mod app;
pub mod backup;
pub mod clock;
pub mod cluster;
pub mod domain;
pub mod embedded;
pub mod engines;
pub mod ids;
pub mod leave;
pub mod load;
pub mod logs;
pub mod media;
pub mod ports;
pub mod process;
pub mod real;
pub mod settings;
pub mod telemetry;
pub mod text;
pub mod traced;
pub mod up;
pub mod web;
pub mod workers;
