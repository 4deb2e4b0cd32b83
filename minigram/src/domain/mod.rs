//! The rules of the application, without HTTP: who may do what, and what follows from it.

pub mod accounts;
pub mod feeds;
pub mod jobs;
pub mod likes;
pub mod messages;
pub mod passwords;
pub mod posting;
pub mod sizes;
pub mod tokens;
pub mod views;
