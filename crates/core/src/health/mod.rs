//! Which servers may be used: active checks, passive checks and the operator's word as pure state machines.

mod active;
mod outlier;
mod panic;
mod passive;
mod pool;
mod server;
mod slow_start;
mod state;

pub use active::{Active, ProbeFailure};
pub use outlier::{EjectionCause, Figures};
pub use passive::{Failure, Passive, PassiveVerdict};
pub use pool::{HealthNotice, Panic, PoolHealth};
pub use server::{Administrative, ServerHealth};
pub use slow_start::FULL;
pub use state::{Event, Hold, State, Transition};
