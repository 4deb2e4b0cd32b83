//! The rules of the application, on the embedded engines.
#![allow(clippy::unwrap_used)]

mod accounts;
mod likes;
mod photos;
mod world;
