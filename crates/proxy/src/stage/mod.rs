//! What happens to a request, one file a stage, in order.

pub mod admit;
pub mod answer;
pub mod converse;
pub mod forward;
pub mod limit;
pub mod mirror;
pub mod record;
pub mod relay;
