//! What happens to a request, one file a stage, in order.

pub mod admit;
pub mod answer;
pub mod converse;
pub mod forward;
pub mod hedge;
pub mod held;
pub mod limit;
pub mod mirror;
pub mod parked;
pub mod pick;
pub mod record;
pub mod relay;
pub mod seat;
pub mod shed;
pub mod upload;
