//! Limits that follow from what is observed rather than from what is configured.

pub mod adaptive;
