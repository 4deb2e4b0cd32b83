//! What happens to a request, one file a stage, in order.

pub mod admit;
pub mod answer;
pub mod converse;
pub mod forward;
pub mod hedge;
pub mod limit;
pub mod mirror;
pub mod parked;
pub mod record;
pub mod relay;
pub mod upload;
