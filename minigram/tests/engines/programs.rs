//! The programs that the tests start.

pub use crate::evenkeel::evenkeel;

pub const MINIGRAM: &str = env!("CARGO_BIN_EXE_minigram");
