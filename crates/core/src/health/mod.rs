//! Which servers may be used: active checks, passive checks and the operator's word as pure state machines.

mod active;
mod outlier;
mod panic;
mod passive;
mod pool;
mod role;
mod roles;
mod server;
mod slow_start;
mod state;
mod term;

pub use active::{Active, ProbeFailure};
pub use outlier::{EjectionCause, Figures};
pub use passive::{Failure, LiveFailure, LiveTraffic, Passive, PassiveVerdict};
pub use pool::{HealthNotice, Panic, PoolHealth};
pub use role::{Claim, Finding, Judgement, Known, Lineage, Unfit, Verdict, bytes_in_words, judge};
pub use roles::RoleFacts;
pub use server::{Administrative, ServerHealth};
pub use slow_start::FULL;
pub use state::{Event, Hold, State, Transition};
pub use term::{TermWatch, Terms};
