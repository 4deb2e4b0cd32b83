//! What MiniGram needs of its engines: six traits, each with the guarantees that its contract test checks.
//!
//! An engine implements the traits; the application holds them as `Arc<dyn Store>` and so on. Every error says by
//! [`Retriable`] whether the same call can succeed later.

pub mod blobs;
pub mod bus;
pub mod cache;
pub mod position;
pub mod queue;
pub mod sessions;
pub mod store;

/// Whether a failed call is worth repeating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call fails again. Change the call, or report the error.
    Never,
    /// The same call can succeed soon. It may have had its effect already, so repeat only what is idempotent.
    Soon,
}

/// An error that says whether its call is worth repeating.
pub trait Retriable {
    /// Whether to repeat the call.
    fn retry(&self) -> Retry;
}

/// The reason of an engine that failed, for logs.
pub type Source = Box<dyn std::error::Error + Send + Sync>;
