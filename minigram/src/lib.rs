//! MiniGram: a photo-sharing application that shows how a web service grows from one server to many.
//!
//! [`domain`] has the rules. It knows its engines only through [`ports`]. [`embedded`] implements every port inside the process.
//! `DESIGN.md` says how real engines fit behind the same ports.

pub mod clock;
pub mod domain;
pub mod embedded;
pub mod engines;
pub mod ids;
pub mod media;
pub mod ports;
pub mod real;
pub mod text;
